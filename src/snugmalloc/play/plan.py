"""Owns plans: a trace as the flat file that `snug-play` maps and plays.

A plan is a head, the range of each stream, and steps of 24 bytes. Without threads there is one stream, the
calls in the trace's order; places, where the player keeps blocks, are used again. With threads each has a
stream, each block has a place of its own, and a step START in another stream tells where a thread begins:
behind the call that came before its first one. A plan that is paced has a time for each step, too.
"""

from __future__ import annotations

import struct
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from snugmalloc.trace.columns import NO_BLOCK, Columns
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import Flags
from snugmalloc.trace.importing import convert
from snugmalloc.trace.operations import IS_CALL, Operation
from snugmalloc.trace.reader import TraceReader, is_trace

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""

MAGIC = b"snugplan"
HEAD = struct.Struct("<8sQQQQ")  # the magic, how many streams, places, steps, and times: as many, or none
RANGE = struct.Struct("<QQ")  # the first step of a stream, and how many
STEP = struct.Struct("<QIIIBBxx")  # as in Step

MALLOC, CALLOC, REALLOC, ALIGNED, FREE, FREE_NULL, START = range(7)
KINDS = {
    int(Operation.MALLOC): MALLOC,
    int(Operation.CALLOC): CALLOC,
    int(Operation.REALLOC): REALLOC,
    int(Operation.ALIGNED): ALIGNED,
}
NOWHERE = 2**32 - 1
"""In place of a place: a realloc of NULL."""
LARGEST_SHIFT = 63
SECOND = 1_000_000_000  # in nanoseconds
LATEST = 1 << 62  # nanoseconds
MANY_ADDRESSES = 1 << 18  # of freed blocks: they are forgotten then


class Step(NamedTuple):
    """One call as it is played, or the start of a stream."""

    size: int
    place: int
    """Where the block is kept; for START the number of the stream."""
    source: int
    """Where the block is kept that a realloc is given."""
    call: int
    """The number of the call in the trace, from 1."""
    kind: int
    shift: int
    """ALIGNED: the alignment is 1 << shift."""


@dataclass
class Plan:
    """What is played, and what of the trace is not."""

    name: str
    streams: list[bytearray] = field(default_factory=list)
    place_count: int = 0
    calls: int = 0
    """That are played, frees added for missing ones among them."""
    threads: int = 0
    left_out: int = 0
    """Calls not played: they failed when recorded, or free what was allocated before the recording."""
    missing_frees: int = 0
    """Frees added because an address was handed out again that the recording did not see freed."""
    lost: int = 0
    """Calls that are not in the trace because the recording could not keep up."""
    damage: str | None = None
    """What is wrong with the file, which was read as far as it goes."""
    pace: float | None = None
    """How many times as fast as it was recorded it is played; None: without pauses."""
    times: list[array[int]] = field(default_factory=list)
    """Where it is paced: when each step of each stream is played, in nanoseconds since the first call."""

    def __len__(self) -> int:
        return sum(map(len, self.streams)) // STEP.size

    def steps(self, stream: int = 0) -> Iterator[Step]:
        """The steps of a stream."""
        return map(Step._make, STEP.iter_unpack(self.streams[stream]))

    def write(self, file: IO[bytes]) -> None:
        """Write what `snug-play` reads. Raises OSError."""
        times = sum(map(len, self.times))
        file.write(HEAD.pack(MAGIC, len(self.streams), self.place_count, len(self), times))
        first = 0
        for stream in self.streams:
            count = len(stream) // STEP.size
            file.write(RANGE.pack(first, count))
            first += count
        for stream in self.streams:
            file.write(stream)
        for of_stream in self.times:
            file.write(of_stream.tobytes())
        file.flush()


def make_plan(
    path: str | Path,
    *,
    keeps_threads: bool = False,
    pace: float | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan of the trace at `path`: a .snug file, or text that `snugmalloc.trace.importing` knows.

    With `pace` the calls have their times, and are played so many times as fast as they were recorded. Raises
    TraceError when it is no trace that can be played, OSError when the file cannot be read.
    """
    path = Path(path)
    with as_snug(path, progress) as (file, damage):
        plan = _plan_of_file(file, path.name, keeps_threads, pace, progress)
        plan.damage = damage or plan.damage
        return plan


@contextmanager
def as_snug(path: Path, progress: Progress | None = None) -> Iterator[tuple[Path, str | None]]:
    """The trace at `path` as a .snug file, for a while if it is another kind, and what is wrong with it.

    Raises TraceError and OSError.
    """
    if is_trace(path):
        yield path, None
        return
    with tempfile.TemporaryDirectory(prefix="snug-replay-") as folder:
        converted = Path(folder) / path.name
        yield converted, convert(path, converted, Flags.TIMES | Flags.STACKS, progress).damage


def _plan_of_file(
    path: Path, name: str, keeps_threads: bool, pace: float | None, progress: Progress | None
) -> Plan:
    with TraceReader(path) as reader:
        header = reader.header
        if header.mean_gap:
            raise TraceError(f"{name}: is sampled, and only a trace of every call can be played")
        has_times = Flags.TIMES in header.flags and header.ticks_per_second
        if pace is not None and not has_times:
            raise TraceError(f"{name}: has no times, and can only be played without --paced")
        planner = Planner(
            name,
            has_addresses=Flags.ADDRESSES in header.flags,
            keeps_threads=keeps_threads,
            pace=pace,
            ticks_per_second=header.ticks_per_second,
        )
        total = reader.count_events()
        for columns in reader.columns():
            planner.follow(columns)
            if progress:
                progress(columns.first + len(columns), total)
        plan = planner.finish()
        plan.damage = reader.damage
    if not plan.calls:
        raise TraceError(f"{name}: contains no calls that can be played")
    return plan


class Planner:
    """Turns the events of a trace into a plan."""

    def __init__(
        self,
        name: str,
        *,
        has_addresses: bool,
        keeps_threads: bool,
        pace: float | None = None,
        ticks_per_second: int = SECOND,
    ) -> None:
        self.plan = Plan(name, pace=pace)
        self.has_addresses = has_addresses
        self.keeps_threads = keeps_threads
        self.streams: dict[int, bytearray] = {}
        self.last = 0
        """The stream of the step before."""
        self.times: dict[int, array[int]] = {}
        self.tick = SECOND / ticks_per_second / pace if pace is not None else 0.0
        """How many nanoseconds a tick of the recording takes when it is played."""
        self.first_time = self.time = -1
        """Ticks: of the first call, and of the one that is planned."""
        self.threads: set[int] = set()
        self.place_of: dict[int, int] = {}
        """Of each live block."""
        self.block_at: dict[int, int] = {}
        """The block that was last given at an address."""
        self.unused: list[int] = []
        self.number = 0
        """Of the call."""

    def follow(self, columns: Columns) -> None:
        """The next events."""
        if len(self.block_at) > MANY_ADDRESSES + 4 * len(self.place_of):
            self.block_at = {at: block for at, block in self.block_at.items() if block in self.place_of}
        for operation, refused, thread, time, size, number, address, old, block, freed, _ in columns.rows():
            if not IS_CALL[operation]:
                if operation == Operation.LOST:
                    self.plan.lost += number
                continue
            self.number += 1
            self.time = max(time, self.time)
            self.threads.add(thread)
            if block != NO_BLOCK:
                self.allocate(KINDS[operation], thread, size, number, address, old, block, freed)
            elif freed in self.place_of and not (refused and size):
                self.free(thread, freed)
            elif operation == Operation.FREE and not old and freed == NO_BLOCK:
                self.emit(thread, FREE_NULL)
            else:
                self.plan.left_out += 1

    def allocate(
        self, kind: int, thread: int, size: int, number: int, address: int, old: int, block: int, freed: int
    ) -> None:
        """A call gave a block. A realloc of one that is not known is a malloc."""
        source = self.place_of.pop(freed, NOWHERE)
        if kind == REALLOC and source == NOWHERE and (old or freed != NO_BLOCK):
            kind = MALLOC
        if self.has_addresses:
            unnoticed = self.block_at.get(address, NO_BLOCK)
            if unnoticed in self.place_of:
                self.plan.missing_frees += 1
                self.free(thread, unnoticed)
            self.block_at[address] = block
        place = source if source != NOWHERE and not self.keeps_threads else self.take_place()
        self.place_of[block] = place
        shift = min((number - 1).bit_length(), LARGEST_SHIFT) if kind == ALIGNED and number else 0
        self.emit(thread, kind, size, place, source, shift)

    def take_place(self) -> int:
        if self.unused:
            return self.unused.pop()
        self.plan.place_count += 1
        return self.plan.place_count - 1

    def free(self, thread: int, block: int) -> None:
        place = self.place_of.pop(block)
        if not self.keeps_threads:
            self.unused.append(place)
        self.emit(thread, FREE, 0, place)

    def emit(
        self, thread: int, kind: int, size: int = 0, place: int = 0, source: int = NOWHERE, shift: int = 0
    ) -> None:
        """One more step of a thread."""
        number = thread if self.keeps_threads else 0
        stream = self.streams.get(number)
        if stream is None:
            stream = self.begin_stream(number)
        stream += STEP.pack(size, place, source, self.number, kind, shift)
        self.last = number
        self.plan.calls += 1
        if self.tick:
            self.note_time(number)

    def begin_stream(self, number: int) -> bytearray:
        """A new stream, which the thread of the call before starts."""
        if self.streams:
            self.streams[self.last] += STEP.pack(0, len(self.streams), NOWHERE, self.number, START, 0)
            if self.tick:
                self.note_time(self.last)
        self.streams[number] = bytearray()
        self.times[number] = array("Q")
        return self.streams[number]

    def note_time(self, number: int) -> None:
        """The last step of this stream is played at the time of the call that is planned."""
        self.first_time = self.time if self.first_time < 0 else self.first_time
        self.times[number].append(min(round((self.time - self.first_time) * self.tick), LATEST))

    def finish(self) -> Plan:
        self.plan.streams = list(self.streams.values())
        self.plan.times = list(self.times.values()) if self.tick else []
        self.plan.threads = len(self.threads)
        return self.plan


def live_after_each(steps: Iterator[Step]) -> Iterator[int]:
    """The bytes that are live after each step of a plan of one stream."""
    sizes: dict[int, int] = {}
    live = 0
    for size, place, source, _, kind, _ in steps:
        if kind != FREE_NULL:
            live -= sizes.pop(place if kind == FREE else source, 0)
        if kind < FREE:
            sizes[place] = size
            live += size
        yield live
