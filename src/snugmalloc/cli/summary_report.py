"""Owns what `snug report` tells people of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from snugmalloc.cli.report import size
from snugmalloc.cli.sections import Report, Section, duration, parts_of, private_heaps_row, share
from snugmalloc.heapmap import counted
from snugmalloc.trace.kinds import SHORT_LIFE
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.origins import nearest, whole_stack
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.snapshot import Census, Part, Snapshot
from snugmalloc.trace.summary import Group, Summary
from snugmalloc.trace.tables import Tables

SHOWN = 10
MOST_DIGITS = 20  # of a number of bytes
LEFT_OUT = "frames left out"
"""In what a recording says of itself: how often a stack was cut, for want of room or of memory to read."""
BLOCKS = ("blocks", "allocated", "at the peak", "at the end", "short-lived")
COSTS = ("blocks", "allocated", "cleared by calloc", "moved by realloc")
LIVE = ("blocks", "live", "share")
HELD = ("blocks", "their size", "held back", "share")
NOT_IN_SAMPLES = ("short-lived", "moved by realloc")
"""Columns: who lives for how many calls is not known there, nor what was moved."""
COLUMN_OF = {
    "blocks": "blocks",
    "bytes": "allocated",
    "peak_bytes": "at the peak",
    "end_bytes": "at the end",
    "short_blocks": "short-lived",
}
"""The columns of a group's figures."""
SYSTEM_EVENTS = {
    Operation.GROWTH: "growth of the heap",
    Operation.MAP: "mapped",
    Operation.UNMAP: "unmapped",
    Operation.PURGE: "purged: given back by the allocator",
    Operation.TRIM: "trimmed: given back at the program's request",
}

Key = TypeVar("Key")


def report_of(reader: TraceReader, summary: Summary) -> Report:
    """All that is told of a trace."""
    sections = (*_by_kind(summary), *_at_a_moment(summary, reader.tables), *_by_origin(summary, reader.tables))
    overview = list(_overview(reader, summary))
    if summary.mean_gap:
        sections = tuple(map(_known_of_samples, sections))
    return Report(reader.name, overview, [section for section in sections if section.rows])


def _known_of_samples(section: Section) -> Section:
    """The section without the columns that samples do not tell."""
    known = [at for at, column in enumerate(section.columns) if column not in NOT_IN_SAMPLES]
    rows = [tuple(row[at] for at in known) for row in section.rows]
    return replace(section, columns=[section.columns[at] for at in known], rows=rows)


def _by_kind(summary: Summary) -> Iterator[Section]:
    """Sizes, lifetimes, threads, and what the allocator took and gave back."""
    for title, first, groups in (
        ("By size", "size", _bounded(summary.by_size, size, "larger")),
        ("Freed blocks by lifetime in calls", "calls", _bounded(summary.by_calls, "{:,}".format, "more")),
        ("Freed blocks by lifetime in time", "time", _bounded(summary.by_time, duration, "longer")),
        ("By allocating thread", "thread", _threads(summary)),
    ):
        yield _groups(title, first, groups, "bytes")
    history = summary.history
    yield Section(
        "Taken from the system and given back",
        ("event", "times", "bytes"),
        [
            (name, f"{history.events[operation]:,}", size(history.event_bytes[operation]))
            for operation, name in SYSTEM_EVENTS.items()
            if history.events[operation]
        ],
    )


def _by_origin(summary: Summary, tables: Tables) -> Iterator[Section]:
    """Which lines and stacks allocated what; sizes, where there are none."""
    origin = origin_of(summary)
    yield _costs("Most blocks allocated", origin, summary.most_calls, "blocks")
    yield _costs("Most bytes allocated", origin, summary.most_bytes, "bytes")
    stacks = _named_stacks(tables, summary.stacks_of_most_bytes)
    yield _costs("Most bytes allocated, by stack", "stack", stacks, "bytes")
    yield _groups("Live at the peak", origin, summary.at_peak, "peak_bytes")
    stacks = _named_stacks(tables, summary.stacks_at_peak)
    yield _groups("Live at the peak, by stack", "stack", stacks, "peak_bytes")
    yield _groups("Grew until the end and never shrank", origin, summary.grown, "end_bytes")
    yield _groups(f"Freed within {SHORT_LIFE} calls", origin, summary.short_lived, "short_blocks")


def _named_stacks(tables: Tables, stacks: Iterable[tuple[int, Key]]) -> list[tuple[str, Key]]:
    return [(nearest(whole_stack(tables, stack)), group) for stack, group in stacks]


def origin_of(summary: Summary) -> str:
    """What blocks are grouped by."""
    return "line" if summary.has_stacks else "size"


def _groups(title: str, first: str, groups: Sequence[tuple[str, Group]], figure: str) -> Section:
    """A row for each group; how large it is, is its `figure`."""
    rows = [
        (
            name,
            f"{group.blocks:,.0f}",
            size(round(group.bytes)),
            size(round(group.peak_bytes)),
            size(round(group.end_bytes)),
            share(group.short_blocks, group.blocks),
        )
        for name, group in groups
    ]
    return Section(title, (first, *BLOCKS), rows, _parts(groups, figure), COLUMN_OF[figure])


def _costs(title: str, first: str, groups: Sequence[tuple[str, Group]], figure: str) -> Section:
    rows = [
        (
            name,
            f"{group.blocks:,.0f}",
            size(round(group.bytes)),
            size(round(group.cleared_bytes)) if group.cleared_bytes else "",
            size(round(group.moved_bytes)) if group.moved_bytes else "",
        )
        for name, group in groups
    ]
    return Section(title, (first, *COSTS), rows, _parts(groups, figure), COLUMN_OF[figure])


def _parts(groups: Sequence[tuple[str, Group]], figure: str) -> list[float]:
    return parts_of(getattr(group, figure) for _, group in groups)


def _at_a_moment(summary: Summary, tables: Tables) -> Iterator[Section]:
    """What was live at the moment that was asked for, and what held pages back."""
    snapshot, origin = summary.snapshot, origin_of(summary)
    when, live, pinning = snapshot.moment.name, snapshot.live, snapshot.pinning
    if snapshot.moment.call != summary.peak_call:
        yield _live(f"Live {when}", origin, largest(live.by_origin, live_bytes), live.total)
    if not pinning:
        return
    total = pinning.total
    yield _held(when, origin, largest(pinning.by_origin, held_bytes), total)
    if summary.has_stacks:
        stacks = _named_stacks(tables, largest(pinning.by_stack, held_bytes))
        yield _held(when, "stack", stacks, total)
        yield _held(when, "size", _bounded(pinning.by_size, size, "larger"), total)
    yield _held(when, "age", _ages(snapshot, pinning), total)
    yield _held(when, "thread", _named_threads(summary, largest(pinning.by_thread, held_bytes)), total)


def _ages(snapshot: Snapshot, census: Census) -> list[tuple[str, Part]]:
    if snapshot.has_times:
        return _bounded(census.by_age, duration, "older")
    return _bounded(census.by_age, lambda calls: f"{calls:,} calls", "older")


def _live(title: str, first: str, parts: Sequence[tuple[str, Part]], total: Part) -> Section:
    rows = [
        (name, f"{part.blocks:,.0f}", size(round(part.bytes)), share(part.bytes, total.bytes))
        for name, part in parts
    ]
    return Section(title, (first, *LIVE), rows, parts_of(part.bytes for _, part in parts), "live")


def _held(when: str, first: str, parts: Sequence[tuple[str, Part]], total: Part) -> Section:
    rows = [
        (
            name,
            f"{part.blocks:,.0f}",
            size(round(part.bytes)),
            size(round(part.held)),
            share(part.held, total.held),
        )
        for name, part in parts
    ]
    title = f"Held back {when}, by {first}"
    return Section(title, (first, *HELD), rows, parts_of(part.held for _, part in parts), "held back")


def live_bytes(part: Part) -> float:
    """How many bytes it has."""
    return part.bytes


def held_bytes(part: Part) -> float:
    """How many it holds back."""
    return part.held


def largest(parts: dict[Key, Part], figure: Callable[[Part], float]) -> list[tuple[Key, Part]]:
    """The parts of which there is most."""
    return sorted(parts.items(), key=lambda entry: figure(entry[1]), reverse=True)[:SHOWN]


def _overview(reader: TraceReader, summary: Summary) -> Iterator[tuple[str, str]]:
    history, total = summary.history, summary.total
    threads = counted(len(history.calls_of_thread), "thread")
    calls = f"{history.call_count:,} {'sampled ' if summary.mean_gap else ''}calls"
    yield "trace", f"{reader.name}: {calls} of {threads}"
    if "program" in reader.about:
        yield "program", reader.about["program"]
    if summary.duration is not None:
        yield "time", f"{summary.duration:,.3f} s"
    live = live_before(reader)
    if live is not None:
        yield "begun", f"while it ran: {size(live)} were live or cached before, and are not in the trace"
    if summary.mean_gap:
        yield (
            "sampled",
            f"every {size(summary.mean_gap)} on average, {counted(len(history.blocks), 'block')}:"
            " all figures of blocks are estimates",
        )
    errors = summary.errors
    yield "allocated", f"{_estimate(total.bytes, errors.bytes)} in {_blocks(total.blocks)}"
    yield (
        "peak",
        f"{_estimate(total.peak_bytes, errors.peak_bytes)} in {_blocks(total.peak_blocks)},"
        f" {_when_most_was_live(reader, summary)}",
    )
    yield "at the end", f"{_estimate(total.end_bytes, errors.end_bytes)} in {_blocks(total.end_blocks)}"
    if total.blocks:
        yield "short-lived", _short_lived(summary)
    if total.moved_bytes:
        yield "moved", f"{size(round(total.moved_bytes))} by realloc, to another address"
    yield from _moment_rows(summary, bool(reader.header.page_size))
    yield from private_heaps_row(reader.about)
    if LEFT_OUT in reader.about:
        yield "stacks", f"some are cut: {reader.about[LEFT_OUT]} frames could not be read or stored"
    yield from _notes(summary)


def _short_lived(summary: Summary) -> str:
    total = summary.total
    elsewhere = f"{share(total.freed_elsewhere, total.blocks)} freed by another thread"
    if summary.mean_gap:
        return f"unknown: the trace is sampled, and does not count calls; {elsewhere}"
    return f"{share(total.short_blocks, total.blocks)} of the blocks; {elsewhere}"


def live_before(reader: TraceReader) -> int | None:
    """How many bytes were live when the recording began; None where it began with the program."""
    told = reader.about.get("live", "")
    return int(told) if told.isdecimal() and len(told) <= MOST_DIGITS else None


def _estimate(count: float, error: float) -> str:
    """Bytes, and by how much they are uncertain if they are an estimate."""
    return f"{size(round(count))}{f' ± {share(error, count)}' if error else ''}"


def _when_most_was_live(reader: TraceReader, summary: Summary) -> str:
    history, ticks = summary.history, reader.header.ticks_per_second
    if summary.mean_gap and summary.duration is not None and history.call_count:
        return f"after {history.time[summary.peak_call - 1] / ticks:,.3f} s"
    return f"after {summary.peak_call:,} {'sampled ' if summary.mean_gap else ''}calls"


def _moment_rows(summary: Summary, page_is_known: bool) -> Iterator[tuple[str, str]]:
    snapshot = summary.snapshot
    if snapshot.moment.call not in (summary.peak_call, summary.history.call_count):
        live = snapshot.live.total
        yield snapshot.moment.name, f"{size(round(live.bytes))} in {_blocks(live.blocks)}"
    yield "held back", f"{snapshot.moment.name}: {_held_back(summary, page_is_known)}"


def _held_back(summary: Summary, page_is_known: bool) -> str:
    snapshot = summary.snapshot
    ledger, pinning = snapshot.ledger, snapshot.pinning
    if ledger is None or pinning is None:
        return f"unknown: {snapshot.no_ledger}"
    if not ledger.pinned_pages:
        return f"nothing: none of {counted(ledger.pages, 'page')} is mostly free"
    return (
        f"{size(ledger.held)} are held by {_blocks(pinning.total.blocks)}"
        f" of {counted(len(pinning.by_origin), origin_of(summary))},"
        f" on {ledger.pinned_pages:,} of {counted(ledger.pages, 'page')} of {size(ledger.page_size)}"
        f"{'' if page_is_known else ' (assumed: the trace has no page size)'}"
    )


def _notes(summary: Summary) -> Iterator[tuple[str, str]]:
    history = summary.history
    if history.given_back:
        yield "given back", f"{size(history.given_back)} to the system"
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


def _bounded(groups: dict[Any, Key], written: Callable[[Any], str], beyond: str) -> list[tuple[str, Key]]:
    """The groups from the least bound to the largest, and what is beyond."""
    known = sorted(bound for bound in groups if bound is not None)
    named = [(f"up to {written(bound)}", groups[bound]) for bound in known]
    return [*named, (beyond, groups[None])] if None in groups else named


def _threads(summary: Summary) -> list[tuple[str, Group]]:
    """The threads that allocated most."""
    largest = sorted(summary.by_thread.items(), key=lambda entry: entry[1].bytes, reverse=True)
    return _named_threads(summary, largest[:SHOWN])


def _named_threads(summary: Summary, threads: Iterable[tuple[int, Key]]) -> list[tuple[str, Key]]:
    return [(summary.history.thread_name(thread), group) for thread, group in threads]
