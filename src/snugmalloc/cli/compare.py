"""`snug compare`: a program on the system's malloc, on the peers installed, and on snugmalloc."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from snugmalloc.cli.plot import PlotError, check_plot, plot_comparison
from snugmalloc.cli.report import size
from snugmalloc.cli.run import prepare, wants_plain_python
from snugmalloc.launch.allocators import (
    OURS,
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
CLEARLY_LESS = 0.97
CLEARLY_MORE = 1.03


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The documented form: see docs/commands.md. An allocator that failed has `error` and no figures."""
    return {
        "program": list(comparison.program),
        "runs": comparison.rounds,
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
            "median": spread.median,
            "min": spread.low,
            "max": spread.high,
            "ratio_to_system": comparison.ratio(series, metric),
        }
    return entry


def _show(comparison: Comparison) -> None:
    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("allocator", no_wrap=True)
    for title in TITLES:
        table.add_column(title, justify="right")
    for series in comparison.series:
        name = series.allocator.name
        style = "bold" if name == OURS else None
        if series.failure is not None:
            table.add_row(name, "[red]failed[/red]", style=style)
        else:
            table.add_row(name, *(_cell(comparison, series, metric) for metric in METRICS), style=style)
    console.print(table)
    runs = "1 run" if comparison.rounds == 1 else f"{comparison.rounds} runs"
    console.print(f"Median of {runs} each, ± half the spread, and (the ratio to the system's malloc).")
    if any(series.allocator.name == PYMALLOC for series in comparison.series):
        console.print("All with PYTHONMALLOC=malloc; pymalloc is the system's malloc under Python's own.")
    for series in comparison.series:
        if series.failure is not None:
            click.echo(f"{series.allocator.name} failed: {series.failure}")


def _cell(comparison: Comparison, series: Series, metric: str) -> str:
    spread, ratio = series.spread(metric), comparison.ratio(series, metric)
    if spread is None:
        return "unknown"
    value = size(round(spread.median)) if metric.endswith("bytes") else f"{spread.median:.3f} s"
    noise = f" ±{spread.noise:.0%}" if comparison.rounds > 1 else ""
    if ratio is None:
        return value + noise
    color = "green" if ratio < CLEARLY_LESS else "red" if ratio > CLEARLY_MORE else "default"
    return f"{value}{noise} [{color}]({ratio:.2f})[/{color}]"


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("")

        def told(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield told


def _choose(names: str | None, is_python: bool) -> list[Allocator]:
    """The allocators to compare, the system's first; for Python its own on the system's malloc too."""
    listed = [name.strip() for name in names.split(",") if name.strip()] if names else installed_names()
    if names is None and is_python:
        listed.insert(1, PYMALLOC)
    try:
        return find_allocators(list(dict.fromkeys([SYSTEM, *listed])))
    except (AllocatorError, PreloadError) as error:
        raise click.ClickException(str(error)) from None


@click.command("compare", context_settings={"allow_interspersed_args": False})
@click.option("-n", "--runs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Runs on each.")
@click.option(
    "--allocators",
    metavar="LIST",
    help="Names with commas between them: system, snugmalloc, jemalloc, mimalloc, tcmalloc, pymalloc, or "
    "NAME=PATH for any other library. By default all that are installed.",
)
@click.option("--plot", metavar="FILE", help="Draw time against memory, as .svg, or as .png.")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures as JSON; '-' is standard output.")
@click.option("--keep-pymalloc", is_flag=True, help="Do not set PYTHONMALLOC=malloc for a Python program.")
@click.argument(
    "program", metavar="[--] PROGRAM [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED
)
def command(
    program: tuple[str, ...],
    runs: int,
    allocators: str | None,
    plot: str | None,
    json_file: str | None,
    keep_pymalloc: bool,
) -> None:
    """Compare PROGRAM's time and memory on every allocator installed.

    \b
        snug compare -- python3 app.py
        snug compare -n 9 --plot memory.svg -- ./server --once

    PROGRAM must end by itself with status 0; it reads nothing and its output is dropped. The runs take turns,
    after one that does not count. Peak resident is that of the largest process among PROGRAM and its children,
    final resident what PROGRAM itself holds when it ends. Python programs run with PYTHONMALLOC=malloc, and
    once more as they are (pymalloc).
    """
    if plot is not None:
        try:
            check_plot(Path(plot))
        except PlotError as error:
            raise click.UsageError(str(error)) from None
    found = prepare(program, [])
    plain_python = wants_plain_python(found, keep_pymalloc)
    chosen = _choose(allocators, plain_python)
    for allocator in chosen:
        prepare(program, allocator.libraries)
    try:
        with _progress() as told:
            result = compare(program, chosen, runs, os.environ, plain_python=plain_python, told=told)
    except RuntimeError as error:
        raise click.ClickException(f"{program[0]} fails on the system's malloc: {error}") from None
    if json_file == "-":
        click.echo(json.dumps(as_json(result), indent=1))
    else:
        _show(result)
    try:
        if json_file not in (None, "-"):
            Path(str(json_file)).write_text(json.dumps(as_json(result), indent=1) + "\n")
        if plot is not None:
            plot_comparison(result, Path(plot))
    except (OSError, PlotError) as error:
        raise click.ClickException(str(error)) from None
    if any(series.failure is not None for series in result.series):
        raise click.exceptions.Exit(1)
