"""Owns what is left out of a trace that is too large for a page: exact times, then short-lived blocks.

Long-lived blocks, and so the heap's shape, are not affected.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from snugmalloc.trace.columns import Event
from snugmalloc.trace.following import Progress
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import CALLS, Operation
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.writer import TraceWriter

MOMENTS = 1 << 16
"""Times are rounded to so many parts of the trace's duration."""
SHORTEST_LIFE, LONGEST_LIFE = 4, 1 << 40
MARGIN = 1.1
"""What is left does not pack as well as the whole."""
EVENTS_BETWEEN_PROGRESS = 1 << 16


class Thinning(NamedTuple):
    """What to leave out."""

    tick: int = 1
    """Times are rounded down to multiples of this."""
    least_life: int = 0
    """Blocks that are freed before so many events have passed are left out."""


def fit(path: Path, folder: Path, room: int, progress: Progress | None = None) -> tuple[Path, list[str]]:
    """A trace of at most `room` bytes with most of the one at `path`; and what was left out, in words."""
    if path.stat().st_size <= room:
        return path, []
    thinned = folder / "thinned.snug"
    lives = _Lives(path)
    thinning = Thinning(tick=_tick_for(path))
    size, kept = path.stat().st_size, lives.events
    if thinning.tick > 1:
        kept = thin(path, thinned, thinning, lives, progress)
        size = thinned.stat().st_size
    while size > room and thinning.least_life < LONGEST_LIFE:
        events = round(kept * room / size / MARGIN)
        thinning = thinning._replace(least_life=lives.life_for(events, thinning.least_life))
        kept = thin(path, thinned, thinning, lives, progress)
        size = thinned.stat().st_size
    return thinned, list(_notes(path, thinning, lives.events - kept))


class _Lives:
    """How many events each block lived."""

    def __init__(self, path: Path) -> None:
        self.events = 0
        self.born: array[int] = array("Q")
        self.life: array[int] = array("Q")
        """LONGEST_LIFE of a block that was not freed."""
        with TraceReader(path) as reader:
            for columns in reader.columns():
                self._follow(columns.rows())

    def _follow(self, rows: Iterator[tuple[int, ...]]) -> None:
        for _, refused, _, _, size, _, _, _, block, freed, _ in rows:
            if freed >= 0 and not (refused and size) and self.life[freed] == LONGEST_LIFE:
                self.life[freed] = self.events - self.born[freed]
            if block >= 0:
                self.born.append(self.events)
                self.life.append(LONGEST_LIFE)
            self.events += 1

    def life_for(self, events: int, longer_than: int) -> int:
        """The shortest life to keep so that at most so many events are left; each block has two."""
        least = max(SHORTEST_LIFE, longer_than * 2)
        while least < LONGEST_LIFE and 2 * sum(life >= least for life in self.life) > events:
            least *= 2
        return least


def thin(
    source: Path, target: Path, thinning: Thinning, lives: _Lives, progress: Progress | None = None
) -> int:
    """Write what is to be kept; returns how many events that are."""
    with TraceReader(source) as reader:
        with TraceWriter(target, reader.header, reader.about) as writer:
            writer.tables.copy(reader.tables)
            has_addresses = Flags.ADDRESSES in reader.header.flags
            for number, event in enumerate(reader.events()):
                kept = _kept(event, lives.life, thinning.least_life)
                if kept:
                    _add(writer, kept, thinning.tick, has_addresses)
                if progress and number % EVENTS_BETWEEN_PROGRESS == 0:
                    progress(number, lives.events)
        return writer.gatherer.events


def _kept(event: Event, life: array[int], least: int) -> Event | None:
    """What is left of an event when some blocks are left out."""
    if event.operation not in CALLS or (event.refused and event.size):
        return event
    gives = event.block >= 0 and life[event.block] >= least
    frees = event.freed >= 0 and life[event.freed] >= least
    if event.block >= 0 and event.freed >= 0:
        if gives and frees:
            return event
        if frees:
            return event._replace(operation=Operation.FREE, size=0, address=0, block=-1, stack=0)
        return event._replace(operation=Operation.MALLOC, old=0, freed=-1) if gives else None
    knows_nothing = event.block < 0 and event.freed < 0
    return event if gives or frees or knows_nothing else None


def _add(writer: TraceWriter, event: Event, tick: int, has_addresses: bool) -> None:
    """Without addresses the numbers of blocks tell them apart."""
    address, old = event.address, event.old
    if not has_addresses:
        address = event.block + 1
        old = event.freed + 1 if event.freed >= 0 else 0
    writer.add(
        event.operation,
        thread=event.thread,
        time=event.time - event.time % tick,
        size=event.size,
        number=event.number,
        address=address,
        old=old,
        stack=event.stack,
        refused=event.refused,
    )


def _duration(reader: TraceReader) -> int:
    """In ticks, from the beginning of the recording to its last chunk's end."""
    return max((head.last_time - reader.header.start for _, head in reader.chunks), default=0)


def _tick_for(path: Path) -> int:
    with TraceReader(path) as reader:
        return max(1, _duration(reader) // MOMENTS) if Flags.TIMES in reader.header.flags else 1


def _notes(path: Path, thinning: Thinning, left_out: int) -> Iterator[str]:
    with TraceReader(path) as reader:
        ticks = reader.header.ticks_per_second
    if thinning.tick > 1:
        rounded = f"to {thinning.tick / ticks * 1000:,.3g} ms" if ticks else "down"
        yield f"The trace is large: times are rounded {rounded}."
    if left_out:
        yield (
            f"The trace is large: blocks freed within {thinning.least_life:,} events are not shown; "
            f"{left_out:,} events are left out."
        )
