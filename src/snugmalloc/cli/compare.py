"""`snug compare`: a program on the system's malloc, on the peers installed, and on snugmalloc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from snugcommand import tidy_at_end
from snugmalloc.cli.files import json_option, write_json
from snugmalloc.cli.pictures import picture_file
from snugmalloc.cli.preparing import can_be_traced, prepare, tell_ignored, wants_plain_python
from snugmalloc.cli.report import size
from snugmalloc.cli.tables import get_console, print_table
from snugmalloc.launch.allocators import (
    OURS,
    OURS_UNDER_PYMALLOC,
    PYMALLOC,
    SYSTEM,
    Allocator,
    AllocatorError,
    find_allocators,
    installed_names,
)
from snugmalloc.launch.comparison import METRICS, Comparison, Progress, Series, compare
from snugmalloc.launch.preload import PreloadError

TITLES = ("wall", "processor", "peak resident", "mean resident", "final resident")
BASELINES = {SYSTEM: "the system's malloc", PYMALLOC: "stock Python"}
UNBOUNDED = 1000  # columns: more than any table has
CLEARLY_LESS = 0.97
CLEARLY_MORE = 1.03


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The documented form: see docs/running.md. An allocator that failed has `error` and no figures."""
    return {
        "program": list(comparison.program),
        "runs": comparison.rounds,
        "baseline": comparison.baseline.allocator.name,
        "allocators": [_series_as_json(comparison, series) for series in comparison.series],
    }


def _series_as_json(comparison: Comparison, series: Series) -> dict[str, Any]:
    allocator = series.allocator
    entry: dict[str, Any] = {"name": allocator.name, "path": str(allocator.path), "version": allocator.version}
    if series.failure is not None:
        return entry | {"error": series.failure}
    for metric in METRICS:
        spread = series.spread(metric)
        entry[metric] = spread and {
            **spread.as_json(),
            "ratio_to_baseline": comparison.ratio(series, metric, comparison.baseline.allocator.name),
            "ratio_to_system": comparison.ratio(series, metric, SYSTEM),
        }
    return entry


def _show(comparison: Comparison) -> None:
    console = get_console()
    table = _table(comparison)
    unbounded = console.options.update(width=UNBOUNDED)
    if Measurement.get(console, unbounded, table).maximum > console.width:
        table = _table(comparison, narrow=True)
    print_table(console, table)
    runs = "1 run" if comparison.rounds == 1 else f"{comparison.rounds} runs"
    baseline = comparison.baseline.allocator
    console.print(f"Median of {runs} each, ± half the spread, and (the ratio to {BASELINES[baseline.name]}).")
    if baseline.name == PYMALLOC:
        console.print(_note_for_python(comparison))
    for series in comparison.series:
        if series.failure is not None:
            click.echo(f"{series.allocator.label} failed: {series.failure}")


def _table(comparison: Comparison, narrow: bool = False) -> Table:
    """A row for each allocator, or two where it is to be narrow: spread and ratio below the median."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("allocator", no_wrap=True)
    for title in TITLES:
        table.add_column(title, justify="right")
    for series in comparison.series:
        label = escape(series.allocator.label.replace("-", "-\n" if narrow else "-"))
        style = "bold" if series.allocator.name == OURS else None
        if series.failure is not None:
            table.add_row(label, "[red]failed[/red]", style=style)
        else:
            gap = "\n" if narrow else " "
            table.add_row(label, *(_cell(comparison, series, metric, gap) for metric in METRICS), style=style)
    return table


def _note_for_python(comparison: Comparison) -> str:
    """What the rows of a Python program stand for."""
    names = [series.allocator.name for series in comparison.series]
    ours = f", which {OURS_UNDER_PYMALLOC} keeps" if OURS_UNDER_PYMALLOC in names else ""
    return (
        f"stock Python is {PYMALLOC}, its own allocator of small objects{ours}, on the system's malloc.\n"
        "The other rows are with PYTHONMALLOC=malloc."
    )


def _cell(comparison: Comparison, series: Series, metric: str, gap: str) -> str:
    spread = series.spread(metric)
    ratio = comparison.ratio(series, metric, comparison.baseline.allocator.name)
    if spread is None:
        return "unknown"
    value = size(round(spread.median)) if metric.endswith("bytes") else f"{spread.median:.3f} s"
    more = [f"±{spread.noise:.0%}"] if comparison.rounds > 1 else []
    if ratio is not None:
        color = "green" if ratio < CLEARLY_LESS else "red" if ratio > CLEARLY_MORE else "default"
        more.append(f"[{color}]({ratio:.2f})[/{color}]")
    return gap.join([value, " ".join(more)]) if more else value


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal."""
    console = get_console(stderr=True)
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("")

        def told(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield told


def _choose(names: str | None, is_python: bool) -> list[Allocator]:
    """The allocators to compare, the baseline first: for a Python program stock Python, else the system's."""
    listed = installed_names() if names is None else _names_in(names)
    if names is None and is_python and OURS in listed:
        listed.insert(listed.index(OURS) + 1, OURS_UNDER_PYMALLOC)
    first = [PYMALLOC, SYSTEM] if is_python else [SYSTEM]
    try:
        return find_allocators(list(dict.fromkeys([*first, *listed])))
    except (AllocatorError, PreloadError) as error:
        raise click.ClickException(str(error)) from None


def _names_in(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("the list is empty", param_hint="'--allocators'")
    return names


def _draw(comparison: Comparison, plot: str | None, timeline: str | None) -> None:
    if plot is None and timeline is None:
        return
    from snugmalloc.cli.plot import draw_comparison, draw_timeline  # needs matplotlib

    if plot is not None:
        draw_comparison(comparison, Path(plot))
    if timeline is not None:
        draw_timeline(comparison, Path(timeline))


@click.command("compare", context_settings={"allow_interspersed_args": False})
@click.option("-n", "--runs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Runs on each.")
@click.option(
    "--allocators",
    metavar="LIST",
    help="Comma-separated names: system, snugmalloc, jemalloc, mimalloc, tcmalloc, pymalloc, "
    "snugmalloc-pymalloc, or NAME=PATH for any other library. By default all that are installed. The system's "
    "malloc, and for a Python program stock Python, are always among them.",
)
@click.option(
    "--plot", metavar="FILE", callback=picture_file, help="Draw time against memory: .svg, .png or .html."
)
@click.option(
    "--timeline",
    metavar="FILE",
    callback=picture_file,
    help="Draw resident memory over time: the same formats.",
)
@json_option("the table", beside=True)
@click.option(
    "--keep-pymalloc",
    is_flag=True,
    help="Do not set PYTHONMALLOC=malloc for a Python program: system is stock Python then, and the baseline.",
)
@click.option(
    "--no-trace", is_flag=True, help="Do not trace the program: its final resident memory stays unknown."
)
@click.argument(
    "program", metavar="[--] PROGRAM [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED
)
def command(
    program: tuple[str, ...],
    runs: int,
    allocators: str | None,
    plot: str | None,
    timeline: str | None,
    json_file: str | None,
    keep_pymalloc: bool,
    no_trace: bool,
) -> None:
    """Compare PROGRAM's time and memory on every allocator installed.

    \b
        snug compare -- python3 app.py
        snug compare -n 9 --timeline memory.svg -- ./server --once

    PROGRAM must end by itself with status 0; it has no input and its output is dropped. The allocators take
    turns, after one uncounted run. Peak resident is the maximum over PROGRAM and its children; mean resident
    is over time, of PROGRAM itself, read every 5 ms; final resident is read when it ends. A Python program
    runs on stock Python (pymalloc in lists and JSON), which is the baseline, and with PYTHONMALLOC=malloc on
    each allocator; on snugmalloc once more with Python's own allocator kept (snugmalloc-pymalloc). For other
    programs the baseline is the system's malloc.
    """
    tidy_at_end()
    if plot is not None and plot == timeline:
        raise click.UsageError(f"{plot}: --plot and --timeline need different files")
    found = prepare(program, [])
    plain_python = wants_plain_python(found, keep_pymalloc, os.environ)
    tell_ignored(os.environ)
    trace = not no_trace and can_be_traced(found, os.environ)
    chosen = _choose(allocators, plain_python)
    for allocator in chosen:
        prepare(program, allocator.libraries)
    try:
        with _progress() as told:
            result = compare(
                program,
                chosen,
                runs,
                os.environ,
                plain_python=plain_python,
                trace=trace,
                timeline=timeline is not None,
                told=told,
            )
    except RuntimeError as error:
        raise click.ClickException(f"{program[0]} fails on {BASELINES[chosen[0].name]}: {error}") from None
    if json_file != "-":
        _show(result)
    if json_file is not None:
        write_json(json_file, as_json(result))
    _draw(result, plot, timeline)
    if any(series.failure is not None for series in result.series):
        raise click.exceptions.Exit(1)
