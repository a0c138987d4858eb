"""`snug tune`: options of the allocator that suit a recorded trace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from snugcommand import tidy_at_end
from snugmalloc.cli.files import json_option, write_json
from snugmalloc.cli.replay import read_plan
from snugmalloc.cli.report import size
from snugmalloc.cli.tables import get_console, print_table
from snugmalloc.cli.trace import TRACE

if TYPE_CHECKING:  # they are loaded by the command
    from snugmalloc.play.tuning import Progress, Verdict

LEAST_CALLS = 1000
AS_GOOD = "The defaults are as good."


@contextmanager
def _searching_bar() -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal."""
    console = get_console(stderr=True)
    columns = (TextColumn("searching"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("")

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield told


def line_of(verdict: Verdict) -> str:
    """The options as variables of the environment; empty if the defaults are as good."""
    from snugmalloc.options import variables

    return " ".join(f"{name}={value}" for name, value in variables(verdict.setting).items())


def _show(verdict: Verdict, time_bound: float) -> None:
    console = get_console()
    memory, time = verdict.ratios
    if verdict.tried:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("on the test half", overflow="fold")
        table.add_column("mean resident", justify="right")
        table.add_column("processor time", justify="right")
        words = " ".join(f"{name}={value}" for name, value in verdict.tried.items())
        for name, cost in (("the defaults", verdict.defaults), (words, verdict.found)):
            table.add_row(name, size(round(cost.memory)), f"{cost.time:.3f} s")
        print_table(console, table)
    if verdict.setting:
        click.echo(line_of(verdict))
        console.print(f"Mean resident {memory:.3f} of the defaults', processor time {time:.3f}.")
        return
    if verdict.tried:
        console.print(
            f"The best setting of the search half takes {memory:.3f} of the defaults' memory on the test half "
            f"and {time:.3f} of their time, with {time_bound:.2f} allowed."
        )
    click.echo(AS_GOOD)


def as_json(trace: Path, verdict: Verdict) -> dict[str, Any]:
    """The documented form: see docs/replay.md."""
    memory, time = verdict.ratios
    return {
        "trace": trace.name,
        "setting": dict(verdict.setting),
        "environment": line_of(verdict),
        "tried": dict(verdict.tried),
        "defaults": {"mean_resident_bytes": verdict.defaults.memory, "cpu_s": verdict.defaults.time},
        "found": {"mean_resident_bytes": verdict.found.memory, "cpu_s": verdict.found.time},
        "memory_ratio": memory,
        "time_ratio": time,
    }


@click.command("tune")
@click.argument("trace", type=TRACE)
@click.option(
    "--trials", type=click.IntRange(1, 10000), default=40, show_default=True, help="Number of settings to try."
)
@click.option(
    "--time-bound",
    type=click.FloatRange(min=0, min_open=True),
    default=1.05,
    show_default=True,
    help="Maximum processor time of a setting, as a multiple of the defaults'.",
)
@click.option(
    "-n",
    "--runs",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Runs of the final test, on each.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed of the search."
)
@json_option("the table")
def command(trace: Path, trials: int, time_bound: float, runs: int, seed: int, json_file: str | None) -> None:
    """Search for options of the allocator that need less memory for a recorded TRACE.

    \b
        snug tune app.snug

    The trace is played with many settings. The one with the lowest mean resident memory on one half of the
    trace, within the bound on processor time, is compared with the defaults on the other half. The command
    prints the SNUG_ variables and what they save, or that the defaults are as good. The search uses optuna:
    pip install 'snugmalloc[tune]'.
    """
    from snugmalloc.launch.allocators import OURS, AllocatorError, find_allocators
    from snugmalloc.play.meter import Meter
    from snugmalloc.play.player import PlayError, written
    from snugmalloc.play.tuning import TunerError, check_optuna, tune

    tidy_at_end()
    try:
        check_optuna()
        (ours,) = find_allocators([OURS])
    except (TunerError, AllocatorError) as error:
        raise click.ClickException(str(error)) from None
    plan = read_plan(trace, keeps_threads=False)
    if plan.calls < LEAST_CALLS:
        raise click.ClickException(f"{trace.name}: has {plan.calls} calls: {LEAST_CALLS:,} are needed")
    try:
        with written(plan) as file, _searching_bar() as told:
            meter = Meter(plan, file, ours, os.environ)
            verdict = tune(meter, trials=trials, time_bound=time_bound, rounds=runs, seed=seed, told=told)
    except PlayError as error:
        raise click.ClickException(f"{trace.name}: {error}") from None
    if json_file is None:
        _show(verdict, time_bound)
    else:
        write_json(json_file, as_json(trace, verdict))
