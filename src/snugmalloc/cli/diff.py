"""`snug diff`: what changed between two traces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snugmalloc.cli.files import json_option, write_json
from snugmalloc.cli.report import progress_bar, size
from snugmalloc.cli.sections import Report, Section, print_report
from snugmalloc.cli.tables import get_console
from snugmalloc.cli.trace import TRACE, open_trace
from snugmalloc.heapmap import counted

if TYPE_CHECKING:
    from snugmalloc.trace.difference import Change, Difference, Figures, Side

SHOWN = 10
COLUMNS = ("blocks", "allocated", "at the peak", "at the end", "held back")


@click.command("diff")
@click.argument("before", metavar="A", type=TRACE)
@click.argument("after", metavar="B", type=TRACE)
@json_option("the tables")
def command(before: Path, after: Path, json_file: str | None) -> None:
    """Report what changed from trace A to trace B.

    \b
        snug diff before.snug after.snug

    A and B are .snug files: of two versions of a program, or of one program run in two ways. The report shows
    the changes in calls, bytes, the peak, what stayed and what is held back: in total, by size, by line, by
    stack and by thread. Lines are matched by function and file name, without folder and line number; threads
    by name, or, if they have none, by their number in the trace.
    """
    from snugmalloc.trace.difference import difference_of

    sides = _read(before), _read(after)
    difference = difference_of(*sides)
    if json_file is None:
        print_report(get_console(), _report(before, after, sides, difference))
    else:
        write_json(json_file, _as_json(before, after, sides, difference))


def _read(path: Path) -> Side:
    from snugmalloc.trace.difference import Side
    from snugmalloc.trace.origins import function_of
    from snugmalloc.trace.summary import summarize

    with open_trace(path) as reader, progress_bar(f"reading {path.name}") as told:
        return Side(summarize(reader, told, naming=function_of), reader.tables)


def _report(before: Path, after: Path, sides: tuple[Side, Side], difference: Difference) -> Report:
    origin = "line" if difference.have_stacks else "size"
    from snugmalloc.trace.origins import nearest

    sizes = [
        ("larger" if bound is None else f"up to {size(bound)}", change) for bound, change in difference.by_size
    ]
    stacks = [(nearest(frames), change) for frames, change in difference.by_stack[:SHOWN]]
    sections = [
        Section("In all", ("", "A", "B", "change"), list(_totals(sides, difference))),
        _section("Changed by size", "size", sizes, difference.knows_held),
        _section(f"Changed most by {origin}", origin, difference.by_origin[:SHOWN], difference.knows_held),
        _section("Changed most by stack", "stack", stacks, difference.knows_held),
        _section("Changed most by thread", "thread", difference.by_thread[:SHOWN], difference.knows_held),
    ]
    overview = [
        (letter, _about(path, side)) for letter, path, side in zip("AB", (before, after), sides, strict=True)
    ]
    if not difference.by_origin and sides[0].summary.has_stacks is not sides[1].summary.has_stacks:
        overview.append(("lines", "are not compared: one of the traces has no stacks"))
    return Report(f"{before} and {after}", overview, [section for section in sections if section.rows])


def _about(path: Path, side: Side) -> str:
    history = side.summary.history
    gap = side.summary.mean_gap
    sampled = f", one sample every {size(gap)} on average: estimates" if gap else ""
    calls = f"{history.call_count:,} {'sampled ' if gap else ''}calls"
    return f"{path}: {calls} of {counted(len(history.calls_of_thread), 'thread')}{sampled}"


def _totals(sides: tuple[Side, Side], difference: Difference) -> Iterator[tuple[str, str, str, str]]:
    """The figures of the whole traces, those that are there in one of them."""
    for name, written, before, after in _compared(sides, difference):
        if before or after:
            yield name, written(before), written(after), _change(before, after, written)


def _compared(
    sides: tuple[Side, Side], difference: Difference
) -> Iterator[tuple[str, Callable[[float], str], float, float]]:
    from snugmalloc.trace.operations import CALLS

    (one, other), (before, after) = sides, (difference.total.before, difference.total.after)
    histories = one.summary.history, other.summary.history
    if one.summary.duration is not None and other.summary.duration is not None:
        yield "time", "{:,.3f} s".format, one.summary.duration, other.summary.duration
    is_sampled = bool(one.summary.mean_gap or other.summary.mean_gap)
    if not is_sampled:
        yield "calls", _count, histories[0].call_count, histories[1].call_count
        for operation in sorted(CALLS):
            calls = [history.calls[operation] for history in histories]
            yield f"  {operation.name.lower()}", _count, calls[0], calls[1]
    yield "refused", _count, histories[0].refused, histories[1].refused
    yield "allocated", _size, before.bytes, after.bytes
    if not is_sampled:
        yield "moved by realloc", _size, one.summary.total.moved_bytes, other.summary.total.moved_bytes
    yield "peak", _size, before.peak_bytes, after.peak_bytes
    yield "at the end", _size, before.end_bytes, after.end_bytes
    if difference.knows_held:
        yield "held back at the end", _size, before.held_bytes, after.held_bytes
    yield "given back", _size, histories[0].given_back, histories[1].given_back


def _change(before: float, after: float, written: Callable[[float], str]) -> str:
    if before == after:
        return "none"
    per_cent = f" ({100 * (after - before) / before:+.0f} %)" if before else ""
    return f"{_signed(after - before, written)}{per_cent}"


def _signed(step: float, written: Callable[[float], str]) -> str:
    if not step:
        return ""
    return f"{'+' if step > 0 else '-'}{written(abs(step))}"


def _count(count: float) -> str:
    return f"{count:,.0f}"


def _size(count: float) -> str:
    return size(round(count))


def _section(title: str, first: str, changes: Sequence[tuple[str, Change]], knows_held: bool) -> Section:
    rows = [
        (name, _signed(change.step.blocks, _count), *(_signed(step, _size) for step in change.step[1:]))
        for name, change in changes
    ]
    if not knows_held:  # which is the last column
        return Section(title, (first, *COLUMNS[:-1]), [row[:-1] for row in rows])
    return Section(title, (first, *COLUMNS), rows)


def _as_json(before: Path, after: Path, sides: tuple[Side, Side], difference: Difference) -> dict[str, Any]:
    """Sizes in bytes, times in seconds; a bound of null is for all that is larger."""
    return {
        "before": _side_as_json(before, sides[0]),
        "after": _side_as_json(after, sides[1]),
        "knows_held_bytes": difference.knows_held,
        "total": _change_as_json(difference.total),
        "by_size": [{"up_to": bound, **_change_as_json(change)} for bound, change in difference.by_size],
        "origin": "line" if difference.have_stacks else "size",
        "by_origin": _named(difference.by_origin),
        "by_stack": [{"frames": frames, **_change_as_json(change)} for frames, change in difference.by_stack],
        "by_thread": _named(difference.by_thread),
    }


def _side_as_json(path: Path, side: Side) -> dict[str, Any]:
    summary, history = side.summary, side.summary.history
    return {
        "trace": str(path),
        "calls": {operation.name.lower(): count for operation, count in sorted(history.calls.items())},
        "seconds": summary.duration,
        "peak_call": summary.peak_call,
        "refused": history.refused,
        "mean_gap": summary.mean_gap or None,
        "moved_bytes": None if summary.mean_gap else summary.total.moved_bytes,
        "given_back_bytes": history.given_back,
        "has_stacks": summary.has_stacks,
    }


def _named(changes: Iterable[tuple[str, Change]]) -> list[dict[str, Any]]:
    return [{"name": name, **_change_as_json(change)} for name, change in changes]


def _change_as_json(change: Change) -> dict[str, Any]:
    return {"before": _figures(change.before), "after": _figures(change.after)}


def _figures(figures: Figures) -> dict[str, float]:
    return figures._asdict()
