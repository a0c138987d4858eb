"""Owns what `snug report --pid` tells of the heap of a running process: for people, and as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from snugmalloc.cli.report import size
from snugmalloc.cli.sections import Report, Section, parts_of, share
from snugmalloc.heapmap import counted
from snugmalloc.live.walk import HeapView, Segment, grouped, walk_process
from snugmalloc.trace.bounds import SIZE_BOUNDS, bound_of
from snugmalloc.trace.snapshot import Part

SHOWN = 10
LIVE = ("blocks", "live", "share", "held back")
HELD = ("blocks", "their size", "held back", "share")
PARTS = ("addresses", "live", "cached", "free, kept", "given back", "held back")


def look_at(pid: int) -> HeapView:
    """The heap of a process, by the pages of this machine. Raises CannotAttach."""
    return walk_process(pid, os.sysconf("SC_PAGESIZE"))


def report_of(view: HeapView, program: str) -> Report:
    """All that is told of it."""
    sections = (
        _live(view),
        _held(view),
        *_places(view),
        _free_runs(view),
    )
    title = f"{program} {view.pid}".strip()
    return Report(title, list(_overview(view, title)), [section for section in sections if section.rows])


def _overview(view: HeapView, title: str) -> Iterator[tuple[str, str]]:
    live = view.live_total
    yield "process", title
    yield "live", f"{size(int(live.bytes))} in {counted(int(live.blocks), 'block')}"
    yield "cached", f"{size(view.cached)} in {counted(view.cached_blocks, 'block')}, in thread caches"
    kept, in_slabs = view.total("kept"), view.total("free_in_slabs")
    yield "free, kept", f"{size(kept + in_slabs)} resident: {size(in_slabs)} of it beside live objects in slabs"
    yield "given back", f"{size(view.total('given_back'))} free, given back or never touched"
    if view.spare:
        yield "spare", f"{size(view.spare)} in spare mappings of freed large blocks"
    yield "held back", _held_back(view)
    if unread := view.total("unread"):
        yield "not read", f"{size(unread)} changed while it was read: try again"
    yield "took", f"{view.seconds:.2f} s, while the process ran"


def _held_back(view: HeapView) -> str:
    held, pinned = view.total("held"), view.total("pinned_pages")
    if not pinned:
        return f"nothing: none of {counted(view.pages, 'page')} is mostly free"
    blocks = int(sum(part.blocks for part in view.holding.values()))
    return (
        f"{size(held)} are held by {counted(blocks, 'block')} of {counted(len(view.holding), 'size')},"
        f" on {pinned:,} of {counted(view.pages, 'page')} of {size(view.page_size)}"
    )


def _bound(block: int) -> int | None:
    return bound_of(SIZE_BOUNDS, block)


def _by_bound(parts: dict[int, Part]) -> list[tuple[int | None, Part]]:
    return sorted(grouped(parts, _bound).items(), key=lambda entry: (entry[0] is None, entry[0] or 0))


def _live(view: HeapView) -> Section:
    total = view.live_total
    parts = _by_bound(view.live)
    rows = [
        (
            "larger" if bound is None else f"up to {size(bound)}",
            f"{part.blocks:,.0f}",
            size(round(part.bytes)),
            share(part.bytes, total.bytes),
            size(round(part.held)) if part.held else "",
        )
        for bound, part in parts
    ]
    return Section("Live, by size", ("size", *LIVE), rows, parts_of(part.bytes for _, part in parts), "live")


def _held(view: HeapView) -> Section:
    total = sum(part.held for part in view.holding.values())
    parts = sorted(view.holding.items(), key=lambda entry: -entry[1].held)[:SHOWN]
    rows = [
        (
            size(block),
            f"{part.blocks:,.0f}",
            size(round(part.bytes)),
            size(round(part.held)),
            share(part.held, total),
        )
        for block, part in parts
    ]
    columns = ("size", *HELD)
    return Section("Held back, by size", columns, rows, parts_of(part.held for _, part in parts), "held back")


def _places(view: HeapView) -> Iterator[Section]:
    """By heap, where there are several, and by segment."""
    heaps: dict[str, list[Segment]] = {}
    for segment in view.segments:
        heaps.setdefault(segment.heap, []).append(segment)
    if len(heaps.keys() | view.mapped.keys()) > 1:
        names = [*heaps, *(name for name in view.mapped if name not in heaps)]
        rows = [_place(name, heaps.get(name, []), view.mapped.get(name, Part())) for name in names]
        yield Section("By heap", ("heap", *PARTS), rows)
    if len(view.segments) > 1:
        largest = sorted(view.segments, key=lambda segment: -segment.size)[:SHOWN]
        rows = [_place(f"{one.heap}, {one.start:#x}", [one], Part()) for one in largest]
        yield Section("By segment, the largest", ("segment", *PARTS), rows)


def _place(name: str, segments: Sequence[Segment], mapped: Part) -> tuple[str, ...]:
    figures = (
        sum(one.size for one in segments) + int(mapped.bytes),
        sum(one.live for one in segments) + int(mapped.bytes),
        sum(one.cached for one in segments),
        sum(one.kept + one.free_in_slabs for one in segments),
        sum(one.given_back for one in segments),
        sum(one.held for one in segments),
    )
    return (name, *map(size, figures))


def _free_runs(view: HeapView) -> Section:
    runs = [run for run in view.free_runs if run.size >= view.page_size]
    rows = [(f"{run.address:#x}", size(run.size), size(run.resident)) for run in runs]
    return Section(
        "Largest free runs",
        ("address", "size", "of it resident"),
        rows,
        parts_of(run.size for run in runs),
        "size",
    )


def program_of(pid: int) -> str:
    """What the process was started by; nothing where that is not told."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return os.path.basename(os.fsdecode(words[0]))


def figures_of(view: HeapView, program: str) -> dict[str, Any]:
    """The same as JSON: sizes in bytes, by usable size; a bound of null is for all that is larger."""
    live = view.live_total
    return {
        "pid": view.pid,
        "program": program,
        "seconds": view.seconds,
        "live_bytes": int(live.bytes),
        "live_blocks": int(live.blocks),
        "cached_bytes": view.cached,
        "cached_blocks": view.cached_blocks,
        "free_kept_bytes": view.total("kept"),
        "free_in_slabs_bytes": view.total("free_in_slabs"),
        "given_back_bytes": view.total("given_back"),
        "overhead_bytes": view.total("overhead"),
        "spare_bytes": view.spare,
        "spare_kept_bytes": view.spare_kept,
        "unread_bytes": view.total("unread"),
        "held": {
            "page_bytes": view.page_size,
            "pages": view.pages,
            "pinned_pages": view.total("pinned_pages"),
            "held_bytes": view.total("held"),
            "by_size": _sizes(view.holding),
        },
        "live": {
            "by_bound": [{"up_to": bound, **_part(part)} for bound, part in _by_bound(view.live)],
            "by_size": _sizes(view.live),
        },
        "mapped": [{"heap": heap, **_part(part)} for heap, part in sorted(view.mapped.items())],
        "segments": [
            {
                "heap": one.heap,
                "start": one.start,
                "bytes": one.size,
                "live_bytes": one.live,
                "live_blocks": one.live_blocks,
                "cached_bytes": one.cached,
                "free_in_slabs_bytes": one.free_in_slabs,
                "free_kept_bytes": one.kept,
                "given_back_bytes": one.given_back,
                "held_bytes": one.held,
                "pinned_pages": one.pinned_pages,
                "unread_bytes": one.unread,
            }
            for one in view.segments
        ],
        "free_runs": [
            {"address": run.address, "bytes": run.size, "resident_bytes": run.resident}
            for run in view.free_runs
        ],
    }


def _sizes(parts: dict[int, Part]) -> list[dict[str, float]]:
    return [{"size": block, **_part(part)} for block, part in sorted(parts.items())]


def _part(part: Part) -> dict[str, float]:
    return {"blocks": int(part.blocks), "bytes": int(part.bytes), "held_bytes": part.held}
