"""`snug autopsy`: what grew before a process was killed, from the ring that it left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snugmalloc.cli.files import json_option, write_json
from snugmalloc.cli.report import CURVE, curve_width, progress_bar, size
from snugmalloc.cli.sections import Report, Section, parts_of, print_report, share
from snugmalloc.cli.streams import tell
from snugmalloc.cli.tables import get_console
from snugmalloc.cli.trace import TRACE, one_line_errors
from snugmalloc.heapmap import counted

if TYPE_CHECKING:
    from snugmalloc.trace.autopsy import Autopsy, Growth, Point, Request
    from snugmalloc.trace.window import Part

SHOWN = 10
NAMES_WIDTH = 40  # of the column before a curve, and what stands behind it
SPANS = (("2 min", 120.0), ("30 min", 1800.0), ("9 h", 32400.0))
LEAST_SPAN = 1.0  # seconds: there is an entry each second
MINUTE, HOUR = 60, 3600


@click.command("autopsy")
@click.argument("file", metavar="FILE", type=TRACE)
@json_option("the tables")
def command(file: Path, json_file: str | None) -> None:
    """Report what grew before a process was killed.

    \b
        snug record --ring 8M -- ./service
        snug autopsy /dev/shm/snug-1234.ring

    FILE is the ring of a process that was started with SNUG_RECORD=ring:8M or by snug record --ring. The
    process may have been OOM-killed, have crashed, or still be running. The report shows how live bytes and
    the heap changed over time and when growth began, which sizes grew, which threads caused it, what was
    allocated in the last seconds and not freed, the largest requests, and refused requests. See
    docs/autopsy.md.
    """
    from snugmalloc.trace.autopsy import perform
    from snugmalloc.trace.reader import TraceReader
    from snugmalloc.trace.ring import Ring, is_ring

    if not is_ring(file):
        raise click.ClickException(
            f"{file.name}: is not a ring of SNUG_RECORD=ring:SIZE; use snug report for traces"
        )
    with one_line_errors(), Ring(file) as ring, TraceReader(file) as reader:
        with progress_bar("reading") as told:
            autopsy = perform(ring, reader, told)
        if damage := ring.damage or reader.damage:
            tell(damage)
        if json_file is not None:
            write_json(json_file, _as_json(autopsy))
        else:
            console = get_console()
            width = curve_width(console, NAMES_WIDTH)
            print_report(console, _report(autopsy, width))


# ---- For people ----


def _report(autopsy: Autopsy, width: int) -> Report:
    sections = [section for section in _sections(autopsy) if section.rows]
    return Report(autopsy.ring.name, [*_overview(autopsy), *_curves(autopsy, width)], sections)


def _overview(autopsy: Autopsy) -> Iterator[tuple[str, str]]:
    header = autopsy.ring.header
    if "program" in autopsy.about:
        yield "program", autopsy.about["program"]
    yield "process", f"{header.pid}, started by {header.parent_pid}: {autopsy.end.value}"
    if autopsy.last_moment is not None:
        yield "last event", f"{_moment(autopsy.last_moment)}, after {_time(autopsy.lifetime)}"
    yield "at the end", _at_the_end(autopsy)
    yield "mostly", _verdict(autopsy)
    yield "live", _growth(autopsy.live_growth)
    yield "heap", _growth(autopsy.heap_growth)
    yield "resident", _resident_growth(autopsy)
    yield "the ring has", _coverage(autopsy)
    if lost := autopsy.ring.lost + autopsy.window.lost:
        yield "lost", f"{counted(lost, 'call')}: more threads than slots; use a larger ring"
    if autopsy.refusals:
        yield "refused", f"{counted(autopsy.refusals, 'request')} in total"


def _moment(seconds: float) -> str:
    """A moment for people; a file that is damaged may say one that is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def _at_the_end(autopsy: Autopsy) -> str:
    resident = autopsy.measured.resident
    known = f"{size(resident)}{_how_old(autopsy.resident_before_end)}" if resident else "unknown"
    return f"resident {known}; heap {size(autopsy.heap)}, of that live {size(autopsy.newest.live)}"


def _how_old(seconds: float) -> str:
    """What is said behind a figure that is of so many seconds before those beside it."""
    from snugmalloc.trace.autopsy import SAME_MOMENT

    return f" {_time(seconds)} before" if seconds > SAME_MOMENT else ""


def _verdict(autopsy: Autopsy) -> str:
    from snugmalloc.trace.autopsy import Verdict

    heap = autopsy.heap
    match autopsy.verdict:
        case Verdict.LIVE:
            part = share(autopsy.newest.live, heap) or "all"
            return f"live blocks, {part} of the heap: allocated and not freed"
        case Verdict.FREE:
            part = share(autopsy.free, heap)
            return f"free, {part} of the heap: not a leak, but fragmentation, or memory not given back yet"
        case Verdict.OTHER:
            resident = f"{share(autopsy.other, autopsy.measured.resident)} of resident memory"
            others = "mappings, stacks, files or another allocator"
            return f"outside malloc, {resident}{_how_old(autopsy.resident_before_end)}: {others}"


def _growth(growth: Growth | None) -> str:
    if growth is None:
        return "did not grow"
    when = f"in the last {_time(growth.since)}"
    if old := _how_old(growth.until):
        when = f"in {_time(growth.seconds)}, until{old} the end"
    what = f"grew from {size(growth.low)} to {size(growth.high)}"
    return f"{what} {when}, {size(round(growth.per_second))} a second"


def _resident_growth(autopsy: Autopsy) -> str:
    if sum(point.resident is not None for point in autopsy.curve) < 2:
        return "unknown: it is read only once a second"
    growth, old = autopsy.resident_growth, _how_old(autopsy.resident_before_end)
    return f"did not grow until{old} the end" if old and growth is None else _growth(growth)


def _coverage(autopsy: Autopsy) -> str:
    calls = counted(autopsy.window.calls, "call")
    figures = _time(autopsy.curve[0].before_end)
    return f"every call of the last {_time(autopsy.covered)}, {calls}, and figures of the last {figures}"


def _curves(autopsy: Autopsy, width: int) -> Iterator[tuple[str, str]]:
    """How live bytes and the heap changed: for each span that there are figures of."""
    known = autopsy.curve[0].before_end
    if not width or known < LEAST_SPAN:
        return
    before = 0.0
    for name, span in SPANS:
        if known <= before:
            return
        shown = min(span, known)
        label = f"last {name}" if known >= span else f"last {_time(shown)}"
        points = [point for point in autopsy.curve if point.before_end <= shown]
        top = max((max(point.live, point.heap) for point in points), default=0) or 1
        for what, values in (
            ("live", _spread(autopsy.curve, [point.live for point in autopsy.curve], shown, width)),
            ("heap", _spread(autopsy.curve, [point.heap for point in autopsy.curve], shown, width)),
        ):
            yield f"{label}: {what}", f"{_drawn(values, top)} of {size(top)}"
        before = span


def _spread(curve: Sequence[Point], values: Sequence[int], span: float, width: int) -> list[int]:
    """The values at evenly spaced moments of the last seconds."""
    found = []
    at = 0
    for column in range(width):
        moment = span * (width - 1 - column) / max(1, width - 1)
        while at + 1 < len(curve) and curve[at + 1].before_end >= moment:
            at += 1
        found.append(values[at])
    return found


def _drawn(values: Iterable[int], top: int) -> str:
    return "".join(CURVE[min(value, top) * (len(CURVE) - 1) // top] for value in values)


def _sections(autopsy: Autopsy) -> Iterator[Section]:
    yield _by_size(autopsy)
    yield _by_thread(autopsy)
    when = f"Allocated in the last {_time(autopsy.covered)} and not freed"
    origin = _origin(autopsy)
    yield _stayed(f"{when}, by {origin}", origin, autopsy.by_origin)
    yield _stayed(f"{when}, by stack", "stack", autopsy.by_stack)
    yield Section(
        "The largest requests",
        ("size", "thread", "before the end", ""),
        [
            (size(one.size), one.thread, _time(one.before_end), "live" if one.is_live else "freed")
            for one in autopsy.largest
        ],
    )
    yield Section(
        "Last refused requests",
        ("size", "thread", "before the end", "reason"),
        [(size(one.size), one.thread, _time(one.before_end), _reason(one)) for one in autopsy.refused],
    )


def _by_size(autopsy: Autopsy) -> Section:
    rows = [one for one in autopsy.sizes[:SHOWN] if one.bytes > 0] or autopsy.sizes[:SHOWN]
    return Section(
        f"Live bytes by size, and {_time(autopsy.sizes_since)} before",
        ("size", "before", "at the end", "growth", "share"),
        [
            (
                "larger" if one.bound is None else f"up to {size(one.bound)}",
                size(one.before),
                size(one.after),
                _change(one.bytes),
                share(one.after, autopsy.newest.live),
            )
            for one in rows
        ],
        parts_of(one.bytes for one in rows),
        "growth",
    )


def _by_thread(autopsy: Autopsy) -> Section:
    rows = [one for one in autopsy.threads[:SHOWN] if one.bytes]
    return Section(
        "Growth in the calls of the ring, by thread",
        ("thread", "growth", "fastest growing size", "its growth"),
        [
            (
                one.thread or "short-lived threads",
                _change(one.bytes),
                "larger" if one.bound is None else f"up to {size(one.bound)}",
                _change(one.bound_bytes),
            )
            for one in rows
        ],
        parts_of(one.bytes for one in rows),
        "growth",
    )


def _change(count: int) -> str:
    return f"{'-' if count < 0 else '+'}{size(abs(count))}"


def _origin(autopsy: Autopsy) -> str:
    """What blocks are told apart by."""
    return "line" if autopsy.window.has_stacks else "size"


def _stayed(title: str, first: str, parts: Sequence[tuple[str, Part]]) -> Section:
    total = sum(part.bytes for _, part in parts)
    shown = parts[:SHOWN]
    return Section(
        title,
        (first, "blocks", "bytes", "share"),
        [
            (name, f"{part.blocks:,.0f}", size(round(part.bytes)), share(part.bytes, total))
            for name, part in shown
        ],
        parts_of(part.bytes for _, part in shown),
        "bytes",
    )


def _reason(request: Request) -> str:
    from snugmalloc.launch.inside import REASONS

    known = 0 < request.reason <= len(REASONS)
    return REASONS[request.reason - 1].words if known else ""


def _time(seconds: float) -> str:
    """A time for people."""
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 2 * MINUTE:
        return f"{seconds:.1f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h"


# ---- For programs ----


def _as_json(autopsy: Autopsy) -> dict[str, Any]:
    """Sizes in bytes, times in seconds before the end; a bound of null is for all that is larger."""
    header, newest = autopsy.ring.header, autopsy.newest
    return {
        "file": str(autopsy.ring.path),
        "about": autopsy.about,
        "pid": header.pid,
        "parent_pid": header.parent_pid,
        "end": autopsy.end.name.lower(),
        "last_moment": autopsy.last_moment,
        "lifetime": autopsy.lifetime,
        "window": autopsy.covered,
        "calls_in_window": autopsy.window.calls,
        "lost_calls": autopsy.ring.lost + autopsy.window.lost,
        "refused_requests": autopsy.refusals,
        "at_the_end": {
            "resident": autopsy.measured.resident,
            "resident_before_end": autopsy.resident_before_end,
            "heap": autopsy.heap,
            "live": newest.live,
            "free": autopsy.free,
            "other": autopsy.other,
        },
        "most": autopsy.verdict.value,
        "growth": {
            "live": _growth_as_json(autopsy.live_growth),
            "heap": _growth_as_json(autopsy.heap_growth),
            "resident": _growth_as_json(autopsy.resident_growth),
        },
        "curve": [point._asdict() for point in autopsy.curve],
        "sizes_since": autopsy.sizes_since,
        "sizes": [
            {"up_to": one.bound, "before": one.before, "at_the_end": one.after, "grew": one.bytes}
            for one in autopsy.sizes
        ],
        "threads": [
            {"name": one.thread, "grew": one.bytes, "most": {"up_to": one.bound, "grew": one.bound_bytes}}
            for one in autopsy.threads
        ],
        "origin": _origin(autopsy),
        "stayed_by_origin": _stayed_as_json(autopsy.by_origin),
        "stayed_by_stack": _stayed_as_json(autopsy.by_stack),
        "largest": [_request_as_json(one) for one in autopsy.largest],
        "refused": [{**_request_as_json(one), "reason": _reason(one)} for one in autopsy.refused],
        "damage": autopsy.ring.damage,
    }


def _growth_as_json(growth: Growth | None) -> dict[str, float] | None:
    return growth and {**growth._asdict(), "bytes": growth.bytes, "per_second": growth.per_second}


def _stayed_as_json(parts: Sequence[tuple[str, Part]]) -> list[dict[str, Any]]:
    return [{"name": name, "blocks": part.blocks, "bytes": part.bytes} for name, part in parts]


def _request_as_json(request: Request) -> dict[str, Any]:
    return {
        "before_end": request.before_end,
        "size": request.size,
        "thread": request.thread,
        "is_live": request.is_live,
    }
