"""`snug report`: what a trace says about the memory of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from snugmalloc.cli.files import json_option, write_json
from snugmalloc.cli.report import progress_bar, size
from snugmalloc.cli.tables import get_console, print_table
from snugmalloc.cli.trace import TRACE, open_trace
from snugmalloc.heapmap import counted

if TYPE_CHECKING:
    from snugmalloc.trace.summary import Group, Summary

SHOWN_THREADS = 10
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


@click.command("report")
@click.argument("trace", type=TRACE)
@json_option("the tables")
def command(trace: Path, json_file: str | None) -> None:
    """Report what a program allocated, and what stayed.

    \b
        snug trace convert heaptrack.app.1234.zst -o app.snug
        snug report app.snug

    TRACE is a .snug file. The report says how much was allocated by size, lifetime and thread, what was live
    when most was, what grew and never shrank, and what was freed soon after it was allocated. Lifetimes are
    counted in calls of all threads, and in time where the trace has times. A realloc ends one block and begins
    another. What a sampled trace says of blocks is estimated for the whole program.
    """
    from snugmalloc.trace.summary import summarize

    with open_trace(trace) as reader:
        with progress_bar("reading") as told:
            summary = summarize(reader, told)
        if json_file is None:
            _show(reader.name, summary)
        else:
            write_json(json_file, _as_json(reader.name, reader.damage, summary))


def _show(name: str, summary: Summary) -> None:
    from snugmalloc.trace.summary import SHORT_LIFE

    console = get_console()
    print_table(console, _overview(name, summary))
    origin = "line" if summary.has_stacks else "size"
    for title, first, groups in (
        ("By size", "size", _bounded(summary.by_size, size, "larger")),
        ("By lifetime, of what was freed", "calls", _bounded(summary.by_calls, "{:,}".format, "more")),
        ("By lifetime, of what was freed", "time", _bounded(summary.by_time, _time, "longer")),
        ("By the thread that allocated", "thread", _threads(summary)),
        ("Live at the peak", origin, summary.at_peak),
        ("Grew until the end and never shrank", origin, summary.grown),
        (f"Freed within {SHORT_LIFE} calls", origin, summary.short_lived),
    ):
        if groups:
            click.echo(f"{title}:")
            print_table(console, _groups_table(first, groups))


def _groups_table(first: str, groups: Iterable[tuple[str, Group]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, style="bold", overflow="fold")
    for title in ("blocks", "allocated", "at the peak", "at the end", "short-lived"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, group in groups:
        table.add_row(
            name,
            f"{group.blocks:,.0f}",
            size(round(group.bytes)),
            size(round(group.peak_bytes)),
            size(round(group.end_bytes)),
            _share(group.short_blocks, group.blocks),
        )
    return table


def _overview(name: str, summary: Summary) -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, value in _rows(name, summary):
        table.add_row(title, value)
    return table


def _rows(name: str, summary: Summary) -> Iterator[tuple[str, str]]:
    history, total = summary.history, summary.total
    yield (
        "trace",
        f"{name}: {history.call_count:,} calls of {counted(len(history.calls_of_thread), 'thread')}",
    )
    if summary.duration is not None:
        yield "time", f"{summary.duration:,.3f} s"
    if summary.mean_gap:
        yield "sampled", f"every {size(summary.mean_gap)} in the mean: the figures of blocks are estimates"
    yield "allocated", f"{size(round(total.bytes))} in {_blocks(total.blocks)}"
    yield (
        "peak",
        f"{size(round(total.peak_bytes))} in {_blocks(total.peak_blocks)}, after {summary.peak_call:,} calls",
    )
    yield "at the end", f"{size(round(total.end_bytes))} in {_blocks(total.end_blocks)}"
    yield (
        "short-lived",
        f"{_share(total.short_blocks, total.blocks)} of the blocks;"
        f" {_share(total.freed_elsewhere, total.blocks)} freed by another thread",
    )
    yield from _notes(summary)


def _notes(summary: Summary) -> Iterator[tuple[str, str]]:
    from snugmalloc.trace.operations import Operation

    history = summary.history
    given_back = sum(
        history.event_bytes[operation] for operation in (Operation.PURGE, Operation.TRIM, Operation.UNMAP)
    )
    if given_back:
        yield "given back", f"{size(given_back)} to the system"
    if history.refused:
        yield "refused", counted(history.refused, "call")
    if history.unknown_frees:
        yield "older", f"{counted(history.unknown_frees, 'block')} freed that the trace does not know"
    if history.missing_frees:
        yield "added", f"{history.missing_frees:,} frees that the recording missed"
    if history.lost:
        yield "lost", f"{counted(history.lost, 'call')} that the recording could not keep up with"


def _blocks(count: float) -> str:
    return counted(round(count), "block")


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _bounded(groups: dict[Any, Group], written: Callable[[Any], str], beyond: str) -> list[tuple[str, Group]]:
    """The groups from the least bound to the largest, and what is beyond."""
    known = sorted((bound, group) for bound, group in groups.items() if bound is not None)
    named = [(f"up to {written(bound)}", group) for bound, group in known]
    return [*named, (beyond, groups[None])] if None in groups else named


def _time(seconds: float) -> str:
    least, unit = next((entry for entry in UNITS if seconds >= entry[0]), UNITS[-1])
    return f"{seconds / least:.0f} {unit}"


def _threads(summary: Summary) -> list[tuple[str, Group]]:
    """The threads that allocated most, by their name, else their id, else their number in the trace."""
    history = summary.history
    largest = sorted(summary.by_thread.items(), key=lambda entry: entry[1].bytes, reverse=True)
    return [
        (history.names.get(thread) or str(history.thread_ids.get(thread, thread)), group)
        for thread, group in largest[:SHOWN_THREADS]
    ]


def _as_json(name: str, damage: str | None, summary: Summary) -> dict[str, Any]:
    """Sizes in bytes, times in seconds; a bound of null is for all that is larger."""
    history = summary.history
    return {
        "trace": name,
        "damage": damage,
        "calls": {operation.name.lower(): count for operation, count in sorted(history.calls.items())},
        "events": {
            operation.name.lower(): {"count": count, "bytes": history.event_bytes[operation]}
            for operation, count in sorted(history.events.items())
        },
        "seconds": summary.duration,
        "mean_gap": summary.mean_gap or None,
        "refused": history.refused,
        "unknown_frees": history.unknown_frees,
        "missing_frees": history.missing_frees,
        "lost": history.lost,
        "peak_call": summary.peak_call,
        "total": _figures(summary.total),
        "by_size": _bounds(summary.by_size),
        "by_calls": _bounds(summary.by_calls),
        "by_time": _bounds(summary.by_time),
        "by_thread": [
            {
                "thread": thread,
                "id": history.thread_ids.get(thread),
                "name": history.names.get(thread),
                **_figures(group),
            }
            for thread, group in sorted(summary.by_thread.items())
        ],
        "origin": "line" if summary.has_stacks else "size",
        "at_peak": _named(summary.at_peak),
        "never_shrank": _named(summary.grown),
        "short_lived": _named(summary.short_lived),
    }


def _figures(group: Group) -> dict[str, float]:
    return {
        "blocks": group.blocks,
        "bytes": group.bytes,
        "peak_blocks": group.peak_blocks,
        "peak_bytes": group.peak_bytes,
        "end_blocks": group.end_blocks,
        "end_bytes": group.end_bytes,
        "short_blocks": group.short_blocks,
        "freed_elsewhere": group.freed_elsewhere,
    }


def _bounds(groups: dict[Any, Group]) -> list[dict[str, Any]]:
    bounds = sorted(groups, key=lambda bound: (bound is None, bound))
    return [{"up_to": bound, **_figures(groups[bound])} for bound in bounds]


def _named(groups: Iterable[tuple[str, Group]]) -> list[dict[str, Any]]:
    return [{"origin": name, **_figures(group)} for name, group in groups]
