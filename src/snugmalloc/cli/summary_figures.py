"""Owns what `snug report --json` writes of a trace: sizes in bytes, times in seconds.

A bound of null is for all that is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from snugmalloc.cli.summary_report import held_bytes, largest, live_before, live_bytes, origin_of
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.snapshot import Census, Part
from snugmalloc.trace.summary import Group, Summary
from snugmalloc.trace.tables import Tables

NOT_IN_SAMPLES = ("short_blocks", "moved_bytes")

Key = TypeVar("Key")


def figures_of(reader: TraceReader, summary: Summary) -> dict[str, Any]:
    """All figures of a trace."""
    history = summary.history
    figures = {
        "trace": reader.name,
        "damage": reader.damage,
        "calls": {operation.name.lower(): count for operation, count in sorted(history.calls.items())},
        "events": {
            operation.name.lower(): {"count": count, "bytes": history.event_bytes[operation]}
            for operation, count in sorted(history.events.items())
        },
        "seconds": summary.duration,
        "mean_gap": summary.mean_gap or None,
        "live_bytes_before": live_before(reader),
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
            {**_thread(summary, thread), **_figures(group)}
            for thread, group in sorted(summary.by_thread.items())
        ],
        "origin": origin_of(summary),
        "most_calls": _named(summary.most_calls),
        "most_bytes": _named(summary.most_bytes),
        "at_peak": _named(summary.at_peak),
        "stacks_of_most_bytes": _stacks(reader.tables, summary.stacks_of_most_bytes),
        "stacks_at_peak": _stacks(reader.tables, summary.stacks_at_peak),
        "never_shrank": _named(summary.grown),
        "short_lived": _named(summary.short_lived),
        "moment": _moment_as_json(reader, summary),
    }
    if not summary.mean_gap:
        return figures
    errors = summary.errors._asdict()
    unknown = {"by_calls": None, "short_lived": None}
    return {**_without_unknown(figures), **unknown, "standard_errors": errors}


def _without_unknown(figures: Any) -> Any:
    """The figures, and null for those that samples do not tell."""
    if isinstance(figures, list):
        return [_without_unknown(entry) for entry in figures]
    if not isinstance(figures, dict):
        return figures
    return {
        name: None if name in NOT_IN_SAMPLES else _without_unknown(value) for name, value in figures.items()
    }


def _moment_as_json(reader: TraceReader, summary: Summary) -> dict[str, Any]:
    snapshot = summary.snapshot
    ledger, pinning = snapshot.ledger, snapshot.pinning
    ticks = reader.header.ticks_per_second
    return {
        "name": snapshot.moment.name,
        "call": snapshot.moment.call,
        "seconds": snapshot.moment.time / ticks if snapshot.has_times else None,
        "live": _census_as_json(reader, summary, snapshot.live, live_bytes),
        "why_not_held": snapshot.no_ledger,
        "held": ledger
        and pinning
        and {
            "page_bytes": ledger.page_size,
            "pages": ledger.pages,
            "pinned_pages": ledger.pinned_pages,
            "held_bytes": ledger.held,
            "by": _census_as_json(reader, summary, pinning, held_bytes),
        },
    }


def _census_as_json(
    reader: TraceReader, summary: Summary, census: Census, figure: Callable[[Part], float]
) -> dict[str, Any]:
    snapshot, tables = summary.snapshot, reader.tables
    return {
        **_part(census.total),
        "by_origin": [{"origin": name, **_part(part)} for name, part in largest(census.by_origin, figure)],
        "by_stack": [
            {"frames": [str(frame) for frame in tables.frames_of(stack)], **_part(part)}
            for stack, part in largest(census.by_stack, figure)
            if stack
        ],
        "by_size": [{"up_to": bound, **_part(part)} for bound, part in _in_order(census.by_size)],
        "by_age_in_seconds" if snapshot.has_times else "by_age_in_calls": [
            {"up_to": bound, **_part(part)} for bound, part in _in_order(census.by_age)
        ],
        "by_thread": [
            {**_thread(summary, thread), **_part(part)} for thread, part in sorted(census.by_thread.items())
        ],
    }


def _part(part: Part) -> dict[str, float]:
    return {"blocks": part.blocks, "bytes": part.bytes, "held_bytes": part.held}


def _thread(summary: Summary, thread: int) -> dict[str, Any]:
    history = summary.history
    return {"thread": thread, "id": history.thread_ids.get(thread), "name": history.names.get(thread)}


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
        "cleared_bytes": group.cleared_bytes,
        "moved_bytes": group.moved_bytes,
    }


def _in_order(groups: dict[Any, Key]) -> list[tuple[Any, Key]]:
    return sorted(groups.items(), key=lambda entry: (entry[0] is None, entry[0] or 0))


def _bounds(groups: dict[Any, Group]) -> list[dict[str, Any]]:
    return [{"up_to": bound, **_figures(group)} for bound, group in _in_order(groups)]


def _stacks(tables: Tables, groups: Iterable[tuple[int, Group]]) -> list[dict[str, Any]]:
    return [
        {"frames": [str(frame) for frame in tables.frames_of(stack)], **_figures(group)}
        for stack, group in groups
    ]


def _named(groups: Iterable[tuple[str, Group]]) -> list[dict[str, Any]]:
    return [{"origin": name, **_figures(group)} for name, group in groups]
