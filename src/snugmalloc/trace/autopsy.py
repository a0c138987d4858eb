"""Owns what a ring says of the end of a process: how its memory grew, what of, and what it asked for last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from snugmalloc.trace.following import Progress
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.ring import SIZE_BOUNDS, Figures, Ring
from snugmalloc.trace.window import Part, Window, by_origin, by_stack, read_window

LEAST_GROWTH = 1 << 20
"""Bytes: less is not worth a word."""
GROWN = 0.1
"""What ends so much above where it was has grown."""
STILL_LOW = 0.05
"""Growth begins when so much of it was there, as a part of all of it."""
MOSTLY = 0.5
SAME_MOMENT = 0.2
"""Seconds: what is no older may stand beside the figures of the end without a word."""
PROC = Path("/proc")
STATE_FIELD, START_FIELD = 0, 19  # of /proc/PID/stat, behind the program's name


class End(Enum):
    """How the process ended."""

    RUNNING = "is still running"
    EXIT = "exited normally"
    KILLED = "was killed, crashed or executed another program: it did not exit normally"


class Verdict(Enum):
    """What most of the memory was, when the process was last event."""

    LIVE = "live"
    FREE = "free"
    OTHER = "other"


class Point(NamedTuple):
    """The process at one moment. Bytes."""

    before_end: float
    """Seconds."""
    live: int
    heap: int
    """Taken from the system and not given back."""
    resident: int | None
    """None where it is not known, as at the end: the engine reads it once a second."""


class Growth(NamedTuple):
    """From when on a figure grew, until it was known last."""

    since: float
    """Seconds before the end."""
    until: float
    """Seconds before the end."""
    low: int
    high: int

    @property
    def bytes(self) -> int:
        """How much it grew."""
        return self.high - self.low

    @property
    def seconds(self) -> float:
        """How long it grew."""
        return self.since - self.until

    @property
    def per_second(self) -> float:
        """How fast."""
        return self.bytes / self.seconds if self.seconds else 0.0


class SizeGrowth(NamedTuple):
    """Live bytes of a range of sizes, at the end and when growth began."""

    bound: int | None
    """The largest size; None for all that are larger."""
    before: int
    after: int

    @property
    def bytes(self) -> int:
        """How much it grew; below zero: shrank."""
        return self.after - self.before


class ThreadGrowth(NamedTuple):
    """By how much the calls of a thread that are in the ring changed live bytes."""

    thread: str | None
    """None for threads that lived for a moment, together."""
    bytes: int
    bound: int | None
    """The largest size of the blocks that grew most; None for all that are larger."""
    bound_bytes: int
    """By how much these grew."""


class Request(NamedTuple):
    """A call near the end."""

    before_end: float
    size: int
    thread: str
    reason: int = 0
    """Why it was refused, by number; 0 if it was not."""
    is_live: bool = False


@dataclass
class Autopsy:
    """All that is said. Times in seconds before the end, which is the last of which anything is known."""

    ring: Ring
    window: Window
    about: dict[str, str]
    end: End
    last_moment: float | None
    """In seconds since 1970, if that is known."""
    lifetime: float
    covered: float
    """Of so many seconds before the end every call is there."""
    resident_before_end: float
    """When resident memory was read last: so many seconds before the end."""
    curve: list[Point]
    live_growth: Growth | None
    heap_growth: Growth | None
    resident_growth: Growth | None
    sizes: list[SizeGrowth]
    sizes_since: float
    """What `sizes` compares the end with: so many seconds before it."""
    threads: list[ThreadGrowth]
    by_origin: list[tuple[str, Part]]
    """What was allocated in the calls that are there and not freed: by line, or by size without stacks."""
    by_stack: list[tuple[str, Part]]
    largest: list[Request]
    refused: list[Request]
    refusals: int
    """So many in the whole life of the process."""

    @property
    def newest(self) -> Figures:
        """The figures as they were last. Of these, resident is older."""
        return self.ring.newest

    @property
    def measured(self) -> Figures:
        """The last figures that are of one moment, resident with the others."""
        return measured_in(self.ring)

    @property
    def heap(self) -> int:
        """Bytes that the allocator had of the system at the end, without what it had given back."""
        return heap_of(self.newest)

    @property
    def free(self) -> int:
        """Of these, what was not live."""
        return max(0, self.heap - self.newest.live)

    @property
    def other(self) -> int:
        """Resident bytes that were not the allocator's, when they were read last."""
        return max(0, self.measured.resident - heap_of(self.measured))

    @property
    def verdict(self) -> Verdict:
        """What most of the memory was."""
        largest_heap = max(self.heap, heap_of(self.measured))  # it may have grown since, or shrunk
        if self.other > MOSTLY * (self.other + largest_heap):
            return Verdict.OTHER
        return Verdict.FREE if self.free > MOSTLY * self.heap else Verdict.LIVE


def heap_of(figures: Figures) -> int:
    """Bytes that the allocator had of the system, without what it had given back.

    What is live is counted in each call, this only at some: so it is as much as is live at least.
    """
    return max(figures.live, figures.system_bytes - figures.purged_bytes)


def measured_in(ring: Ring) -> Figures:
    """The last figures of a ring that are of one moment, resident with the others."""
    return ring.series[-1] if ring.series else ring.newest


def perform(ring: Ring, reader: TraceReader, progress: Progress | None = None) -> Autopsy:
    """Say what is known of the end of a process. `reader` reads the same ring."""
    header, ticks = ring.header, ring.header.ticks_per_second or 1
    horizon = max(ring.horizon, header.start)
    window = read_window(reader, horizon - header.start, progress)
    last = max(ring.last_time, header.start + window.last_time)

    def ago(clock: int) -> float:
        return max(0, last - clock) / ticks

    series = [*ring.series, ring.newest._replace(time=last, resident=0)]
    curve = [Point(ago(entry.time), entry.live, heap_of(entry), entry.resident or None) for entry in series]
    live_growth = growth_of(curve, lambda point: point.live)
    sizes_since = live_growth.since if live_growth else curve[0].before_end
    return Autopsy(
        ring=ring,
        window=window,
        about=reader.about,
        end=end_of(ring),
        last_moment=_real_time(ring, last),
        lifetime=ago(header.start),
        covered=ago(horizon),
        resident_before_end=ago(measured_in(ring).time),
        curve=curve,
        live_growth=live_growth,
        heap_growth=growth_of(curve, lambda point: point.heap),
        resident_growth=growth_of(curve, lambda point: point.resident),
        sizes=sizes_between(series, curve, sizes_since),
        sizes_since=sizes_since,
        threads=growth_by_thread(ring.changes_by_thread(), window),
        by_origin=by_origin(window, reader),
        by_stack=by_stack(window, reader),
        largest=[
            Request(
                ago(block.time + header.start),
                block.size,
                window.thread_name(block.thread),
                is_live=block.number in window.live,
            )
            for block in window.largest
        ],
        refused=[
            Request(ago(one.time + header.start), one.size, window.thread_name(one.thread), one.reason)
            for one in window.refusals
        ],
        refusals=max(ring.newest.refused, window.refusal_count),
    )


def growth_of(curve: Sequence[Point], figure: Callable[[Point], int | None]) -> Growth | None:
    """Since when a figure grew, the last of the times at which it was still low; None if it did not grow."""
    known = [(point.before_end, value) for point in curve if (value := figure(point)) is not None]
    if not known:
        return None
    low, (until, high) = min(value for _, value in known), known[-1]
    if high - low < max(LEAST_GROWTH, GROWN * high):
        return None
    still_low = low + STILL_LOW * (high - low)
    since, lowest = next(entry for entry in reversed(known) if entry[1] <= still_low)
    return Growth(since, until, lowest, high)


def sizes_between(series: Sequence[Figures], curve: Sequence[Point], since: float) -> list[SizeGrowth]:
    """Live bytes by size at a moment and at the end, what grew most first."""
    begin = max(at for at, point in enumerate(curve) if point.before_end >= since)
    bins = zip(SIZE_BOUNDS, series[begin].bins, series[-1].bins, strict=True)
    found = (SizeGrowth(*entry) for entry in bins if entry[1] or entry[2])
    return sorted(found, key=lambda size: size.bytes, reverse=True)


def growth_by_thread(changes: Mapping[int | None, Sequence[int]], window: Window) -> list[ThreadGrowth]:
    """What grew by the calls of each thread, the most first."""
    found = []
    for thread, bins in changes.items():
        most = max(range(len(bins)), key=bins.__getitem__)
        name = None if thread is None else window.thread_name(thread)
        found.append(ThreadGrowth(name, sum(bins), SIZE_BOUNDS[most], bins[most]))
    return sorted(found, key=lambda growth: growth.bytes, reverse=True)


def end_of(ring: Ring, proc: Path = PROC) -> End:
    """How the process ended, if it did."""
    if ring.ended:
        return End.EXIT
    return End.RUNNING if _is_running(proc / str(ring.header.pid), ring.process_start) else End.KILLED


def _is_running(process: Path, start: int) -> bool:
    """Whether the process of a folder of /proc began at `start`, and has not ended."""
    try:
        figures = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return figures[STATE_FIELD] not in "ZX" and int(figures[START_FIELD]) == start
    except (OSError, IndexError, ValueError):
        return False


def _real_time(ring: Ring, clock: int) -> float | None:
    header = ring.header
    if not header.start_realtime:
        return None
    return header.start_realtime / 1e9 + (clock - header.start) / (header.ticks_per_second or 1)
