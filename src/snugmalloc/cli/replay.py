"""`snug replay`: a recorded trace, played on every allocator, or on simple policies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from snugcommand import tidy_at_end
from snugmalloc.cli import report
from snugmalloc.cli.files import json_option, write_json
from snugmalloc.cli.report import curve, curve_width, progress_bar, size
from snugmalloc.cli.settings import settings_option
from snugmalloc.cli.streams import tell
from snugmalloc.cli.tables import get_console, print_table
from snugmalloc.cli.trace import TRACE
from snugmalloc.heapmap import counted

if TYPE_CHECKING:  # they are loaded by the commands that need them
    from snugmalloc.play.contest import Contest, Progress, Series
    from snugmalloc.play.plan import Plan

BYTES = ("peak_resident_bytes", "mean_resident_bytes", "final_resident_bytes")
CLEARLY_LESS, CLEARLY_MORE = 0.97, 1.03
MILLION = 1_000_000
BESIDE_CURVE = 40  # columns
LEAST_PACE, MOST_PACE = 0.001, 1000.0


def read_plan(trace: Path, keeps_threads: bool, pace: float | None = None) -> Plan:
    """The plan of a trace; what is wrong with it is reported in one line."""
    from snugmalloc.play.plan import make_plan
    from snugmalloc.trace.errors import TraceError

    try:
        with progress_bar("reading") as told:
            plan = make_plan(trace, keeps_threads=keeps_threads, pace=pace, progress=told)
    except OSError as error:
        raise click.ClickException(f"{trace.name}: {error.strerror}") from None
    except TraceError as error:
        raise click.ClickException(str(error)) from None
    if plan.damage:
        tell(plan.damage)
    return plan


@contextmanager
def playing_bar() -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal."""
    console = get_console(stderr=True)
    columns = (
        TextColumn("playing on {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("")

        def told(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield told


def split_names(context: click.Context, parameter: click.Parameter, text: str | None) -> list[str] | None:
    """Names with commas between them."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("the list is empty", context, parameter)
    return names


def read_pace(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """How many times as fast as it was recorded a trace is played."""
    if text is None:
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not LEAST_PACE <= factor <= MOST_PACE:
        raise click.BadParameter(
            f"{text} is not a factor from {LEAST_PACE:g} to {MOST_PACE:g}; without a factor, "
            "put --paced after TRACE",
            context,
            parameter,
        )
    return factor


# ---- The table -------------------------------------------------------------------------------------------


def _show(contest: Contest, is_threaded: bool) -> None:
    console = get_console()
    plan = contest.plan
    players = counted(len(plan.streams), "thread") if is_threaded else "one thread"
    console.print(
        f"{plan.name}: {counted(plan.calls, 'call')} of {counted(plan.threads, 'thread')}, "
        f"played by {players}{at_pace(plan.pace)}; peak live "
        f"{size(contest.series[0].typical.peak_live_bytes)}.",
        markup=False,
    )
    print_table(console, _figures(contest))
    runs = "1 run" if contest.rounds == 1 else f"{contest.rounds} runs"
    console.print(
        f"Median of {runs} each, and (the ratio to the system's malloc): processor time, resident memory, and "
        "mean resident over mean live bytes."
    )
    print_table(console, over_time(contest, curve_width(console, BESIDE_CURVE)))
    for line in notes(plan):
        console.print(line)
    for series in contest.series:
        if series.failure is not None:
            click.echo(f"{series.contestant.name} failed: {series.failure}")


def at_pace(pace: float | None) -> str:
    """How fast a plan is played, for people."""
    if pace is None:
        return ""
    return " at the pace of the recording" if pace == 1 else f" at {pace:g} times the pace of the recording"


def notes(plan: Plan) -> Iterator[str]:
    """What of a trace is not played as it was recorded."""
    if plan.left_out:
        yield (f"Left out: {counted(plan.left_out, 'call')} that failed, or freed blocks older than the trace.")
    if plan.missing_frees:
        yield f"Added: {counted(plan.missing_frees, 'free')} that the recording missed."
    if plan.lost:
        yield f"Not in the trace: {counted(plan.lost, 'call')} that the recording lost."


def _figures(contest: Contest) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("allocator", overflow="fold")
    for title in ("million\ncalls/s", "time", "peak", "mean", "final", "mean\n/ live"):
        table.add_column(title, justify="right")
    for series in contest.series:
        style = "bold" if series.contestant.is_ours else None
        if series.failure is not None:
            table.add_row(escape(series.contestant.name), "[red]failed[/red]", style=style)
            continue
        speed, fragmentation = series.spread("calls_per_second"), series.spread("fragmentation")
        table.add_row(
            escape(series.contestant.name),
            f"{speed.median / MILLION:,.2f}" if speed else "unknown",
            _cell(contest, series, "cpu_s"),
            *(_cell(contest, series, metric) for metric in BYTES),
            f"{fragmentation.median:.2f}" if fragmentation else "unknown",
            style=style,
        )
    return table


def _cell(contest: Contest, series: Series, metric: str) -> str:
    spread, ratio = series.spread(metric), contest.ratio(series, metric)
    if spread is None:
        return "unknown"
    value = size(round(spread.median)) if metric.endswith("bytes") else f"{spread.median:.3f} s"
    if ratio is None:
        return value
    color = "green" if ratio < CLEARLY_LESS else "red" if ratio > CLEARLY_MORE else "default"
    return f"{value}\n[{color}]({ratio:.2f})[/{color}]"


def over_time(contest: Contest, width: int) -> Table:
    """Curves of the memory from the first call to the last, page faults and system calls."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("allocator", overflow="fold")
    if width:
        over = "the calls" if contest.plan.pace is None else "time"
        table.add_column(f"resident over {over}", no_wrap=True)
    table.add_column("page\nfaults", justify="right")
    table.add_column("system\ncalls", justify="right")
    shown = [series for series in contest.series if series.failure is None]
    sampled = [sample for series in shown for sample in series.typical.samples]
    top = max(1, *(max(sample.resident, sample.live) for sample in sampled))

    def cells(name: str, values: list[int], *others: str) -> list[str]:
        return [name, *([curve(values, top, width)] if width else []), *others]

    if width:
        live = [sample.live for sample in shown[0].typical.samples]
        table.add_row(*cells("live", live, "", ""))
    for series in shown:
        run, faults = series.typical, series.spread("minor_faults")
        calls = f"{sum(series.system_calls.values()):,}" if series.system_calls else ""
        values = [sample.resident for sample in run.samples]
        table.add_row(
            *cells(escape(series.contestant.name), values, f"{faults.median:,.0f}" if faults else "", calls)
        )
    return table


# ---- JSON ------------------------------------------------------------------------------------------------


def as_json(contest: Contest, is_threaded: bool) -> dict[str, Any]:
    """The documented form: see docs/replay.md. An allocator that failed has `error` and no figures."""
    plan = contest.plan
    return {
        "trace": plan.name,
        "calls": plan.calls,
        "threads": plan.threads,
        "left_out": plan.left_out,
        "missing_frees": plan.missing_frees,
        "lost": plan.lost,
        "played_by_threads": is_threaded,
        "pace": plan.pace,
        "runs": contest.rounds,
        "baseline": contest.series[0].contestant.name,
        "allocators": [_series_as_json(contest, series) for series in contest.series],
    }


def _series_as_json(contest: Contest, series: Series) -> dict[str, Any]:
    from snugmalloc.play.contest import METRICS

    contestant = series.contestant
    entry: dict[str, Any] = {
        "name": contestant.name,
        "path": contestant.path,
        "version": contestant.version,
        "settings": dict(contestant.settings),
    }
    if series.failure is not None:
        return entry | {"error": series.failure}
    for metric in METRICS:
        spread = series.spread(metric)
        entry[metric] = spread and {
            **spread.as_json(),
            "ratio_to_baseline": contest.ratio(series, metric),
        }
    run = series.typical
    entry["system_calls"] = dict(series.system_calls) if series.system_calls else None
    entry["samples"] = [
        {"call": sample.step, "live_bytes": sample.live, "resident_bytes": sample.resident}
        | ({} if contest.plan.pace is None else {"time_s": sample.time_s})
        for sample in run.samples
    ]
    return entry


# ---- The command -----------------------------------------------------------------------------------------


@click.command("replay")
@click.argument("trace", type=TRACE)
@click.option(
    "--allocators",
    metavar="LIST",
    callback=split_names,
    help="Comma-separated names: system, snugmalloc, jemalloc, mimalloc, tcmalloc, osmem (the four "
    "functions), or NAME=PATH for any other library. By default all that are installed. The system's malloc is "
    "always among them.",
)
@settings_option("; adds a run with it beside the defaults")
@click.option("--threads", is_flag=True, help="Play with as many threads as the program had.")
@click.option(
    "--paced",
    callback=read_pace,
    is_flag=False,
    flag_value="1",
    metavar="[FACTOR]",
    help="Play at the recorded speed, with the program's pauses, or FACTOR times as fast, so that purging "
    "after a delay takes place. Memory is measured over time instead of over calls.",
)
@click.option("-n", "--runs", type=click.IntRange(1, 1000), default=3, show_default=True, help="Runs on each.")
@click.option(
    "--policy",
    "policies",
    metavar="LIST",
    callback=split_names,
    help="Play on simple allocation policies instead, on addresses without memory, and show what each loses. "
    "Comma-separated: best-fit, first-fit, next-fit, worst-fit, buddy, no-coalescing, or all.",
)
@click.option("--strace", is_flag=True, help="Count the system calls for memory, in one more run under strace.")
@click.option("--map", "draws_map", is_flag=True, help="Draw the heap of the four functions at its peak, too.")
@json_option("the table")
def command(
    trace: Path,
    allocators: list[str] | None,
    settings: dict[str, str],
    threads: bool,
    paced: float | None,
    runs: int,
    policies: list[str] | None,
    strace: bool,
    draws_map: bool,
    json_file: str | None,
) -> None:
    """Play a recorded TRACE on every allocator and compare time, memory and fragmentation.

    \b
        snug replay app.snug
        snug replay app.snug --allocators snugmalloc,jemalloc --set purge_delay=0
        snug replay app.snug --paced

    TRACE is a .snug file, or a recording of Android's memory_replay, glibc's mtrace or heaptrack, plain or
    packed by zip, gzip or zstd. Every run is a process of its own, and the allocators take turns. Every byte of
    a block is written once when it is allocated, except by calloc.
    """
    from snugmalloc.launch.allocators import AllocatorError
    from snugmalloc.launch.preload import PreloadError
    from snugmalloc.play.contest import find_contestants, hold_contest
    from snugmalloc.play.plan import as_snug
    from snugmalloc.play.player import PlayError

    tidy_at_end()
    if policies is not None:
        if allocators or settings or threads or paced or strace or draws_map:
            raise click.UsageError("--policy goes with --json only: no allocator plays")
        _replay_on_policies(trace, policies, json_file)
        return
    if strace and shutil.which("strace") is None:
        raise click.ClickException("--strace needs the program strace: install it")
    try:
        contestants = find_contestants(allocators, settings)
    except (AllocatorError, PreloadError) as error:
        raise click.ClickException(str(error)) from None
    plan = read_plan(trace, threads, paced)
    try:
        with playing_bar() as told:
            contest = hold_contest(plan, contestants, runs, os.environ, counts_calls=strace, told=told)
    except PlayError as error:
        raise click.ClickException(f"{trace.name}: on the system's malloc: {error}") from None
    if json_file is None:
        _show(contest, threads)
    else:
        write_json(json_file, as_json(contest, threads))
    if draws_map:
        with as_snug(trace) as (file, _):
            report.show_map(report.play(file))
    if any(series.failure is not None for series in contest.series):
        raise click.exceptions.Exit(1)


def _replay_on_policies(trace: Path, names: list[str], json_file: str | None) -> None:
    from snugmalloc.cli import policies

    names = policies.chosen(names)
    plan = read_plan(trace, keeps_threads=False)
    played = policies.play_policies(plan, names)
    if json_file is None:
        policies.show(plan, played)
    else:
        write_json(json_file, policies.as_json(plan, played))
