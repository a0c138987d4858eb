"""Traces made ready to be played, and playing them through the four functions.

A trace is a .snug file, or Android's memory_replay text (`snugmalloc.trace.android`). Its calls are played in
their order by one thread. There is no os_memalign: `memalign` is played as `os_malloc` of size + alignment, and
the aligned part is used.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from snugmalloc._osmem import stats, walk
from snugmalloc._replay import Player
from snugmalloc.heap import Block
from snugmalloc.trace.android import THREAD_DONE, Call, parse_line
from snugmalloc.trace.columns import Event
from snugmalloc.trace.errors import TraceError as TraceError
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.reader import TraceReader, is_trace
from snugmalloc.trace.texts import open_text

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""

SAMPLES = 256
"""At how many evenly spaced calls a replay looks at the heap."""

LINES_BETWEEN_PROGRESS = 1 << 14

KINDS = {b"malloc": 0, b"calloc": 1, b"realloc": 2, b"memalign": 3, b"free": 4}
FREE_NULL = 5
NAMES = {
    Operation.MALLOC: b"malloc",
    Operation.CALLOC: b"calloc",
    Operation.REALLOC: b"realloc",
    Operation.ALIGNED: b"memalign",
    Operation.FREE: b"free",
}
LARGEST = 2**63 - 1
UNKNOWN = -1  # in place of the address of a block that is none of the trace's


@dataclass
class Trace:
    """A trace made ready to be played: one entry in each array per call.

    Addresses became `places`, small numbers that are used again after a free. `numbers` holds calloc's nmemb
    and memalign's alignment.
    """

    name: str
    kinds: array[int] = field(default_factory=lambda: array("B"))
    places: array[int] = field(default_factory=lambda: array("I"))
    numbers: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    live: array[int] = field(default_factory=lambda: array("Q"))
    """Bytes that the program had asked for and not freed, after each call."""
    place_count: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    """How many calls of each name."""
    threads: set[bytes] = field(default_factory=set)
    left_out: int = 0
    """Calls not played: they failed when recorded, or free what was allocated before the recording."""
    missing_frees: int = 0
    """Frees added because an address was handed out again that the recording did not see freed."""
    damage: str | None = None
    """What is wrong with the file, which was read as far as it goes."""

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def peak_call(self) -> int:
        """The number of calls after which most bytes were live."""
        return max(range(len(self)), key=self.live.__getitem__) + 1 if self.kinds else 0

    def append(self, kind: int, place: int, number: int, size: int, live: int) -> None:
        """One more call."""
        self.kinds.append(kind)
        self.places.append(place)
        self.numbers.append(number)
        self.sizes.append(size)
        self.live.append(live)


def read_trace(path: str | Path, progress: Progress | None = None) -> Trace:
    """Read the .snug trace at `path`, or the text there, which may be the one file inside a .zip.

    The file is streamed; what is kept takes 29 bytes a call. Raises TraceError when it is no trace, OSError
    when the file cannot be read.
    """
    path = Path(path)
    if is_trace(path):
        with TraceReader(path) as events:
            return _Reader(path.name).read_events(events, progress)
    with open_text(path) as (lines, total):
        return _Reader(path.name).read(lines, total, progress)


class _Reader:
    """Turns calls into a Trace."""

    def __init__(self, name: str) -> None:
        self.trace = Trace(name)
        self.place_of: dict[int, int] = {}
        self.size_of: list[int] = []
        self.unused: list[int] = []
        self.live = 0

    def read(self, lines: Iterable[bytes], total: int, progress: Progress | None) -> Trace:
        """Android's text, of `total` bytes."""
        done = 0
        for number, line in enumerate(lines, 1):
            done += len(line)
            try:
                call = parse_line(line)
                if call is not None:
                    self.call(call)
            except (ValueError, IndexError, KeyError, OverflowError):
                text = line[:60].decode(errors="replace").strip()
                raise TraceError(f"{self.trace.name}, line {number}: not a call: {text!r}") from None
            if progress and number % LINES_BETWEEN_PROGRESS == 0:
                progress(done, max(total, done))
        if progress:
            progress(done, done)
        return self.finish()

    def read_events(self, reader: TraceReader, progress: Progress | None) -> Trace:
        """A .snug trace."""
        if reader.header.mean_gap:
            raise TraceError(f"{self.trace.name}: is sampled, and only a trace of every call can be played")
        has_addresses = Flags.ADDRESSES in reader.header.flags
        total = reader.count_events()
        for number, event in enumerate(reader.events(), 1):
            name = NAMES.get(event.operation)
            if name is not None:
                try:
                    self.call(_call_of(name, event, has_addresses))
                except ValueError:
                    raise TraceError(f"{self.trace.name}, event {number}: too large to be played") from None
            if progress and number % LINES_BETWEEN_PROGRESS == 0:
                progress(number, total)
        if progress:
            progress(total, total)
        self.trace.damage = reader.damage
        return self.finish()

    def finish(self) -> Trace:
        self.trace.place_count = len(self.size_of)
        return self.trace

    def call(self, call: Call) -> None:
        """One call; raises ValueError when its size cannot be."""
        self.trace.threads.add(call.thread)
        if call.name == THREAD_DONE:
            return
        self.trace.calls[call.name.decode()] += 1
        if call.name == b"free":
            self.free(call.old)
        elif call.name == b"realloc":
            self.realloc(call.address, call.old, call.size)
        else:
            self.allocate(call.name, call.address, call.number, call.size)

    def allocate(self, name: bytes, address: int, number: int, size: int) -> None:
        if not address or (name == b"memalign" and number.bit_count() != 1):
            self.trace.left_out += 1
            return
        place = self.take_place(address, size * number if name == b"calloc" else size)
        self.trace.append(KINDS[name], place, number, size, self.live)

    def realloc(self, address: int, old: int, size: int) -> None:
        if not old:
            # Counts as the malloc that it is, but is played as os_realloc(NULL, size).
            self.allocate(b"realloc", address, 0, size)
        elif old not in self.place_of or (not address and size):
            self.trace.left_out += 1
        elif not address:
            self.free(old)
        else:
            place = self.place_of.pop(old)
            self.live -= self.size_of[place]
            self.settle(address, place, size)
            self.trace.append(KINDS[b"realloc"], place, 0, size, self.live)

    def free(self, address: int) -> None:
        if not address:
            self.trace.append(FREE_NULL, 0, 0, 0, self.live)
            return
        place = self.place_of.pop(address, None)
        if place is None:
            self.trace.left_out += 1
            return
        self.unused.append(place)
        self.live -= self.size_of[place]
        self.trace.append(KINDS[b"free"], place, 0, 0, self.live)

    def take_place(self, address: int, size: int) -> int:
        """A place for a new block of `size` bytes that the program knew as `address`."""
        place = self.unused.pop() if self.unused else len(self.size_of)
        if place == len(self.size_of):
            self.size_of.append(0)
        self.settle(address, place, size)
        return place

    def settle(self, address: int, place: int, size: int) -> None:
        """The block in `place` is now the one at `address`, of `size` bytes."""
        if size > LARGEST:
            raise ValueError
        if address in self.place_of:
            self.trace.missing_frees += 1
            self.free(address)
        self.place_of[address] = place
        self.size_of[place] = size
        self.live += size


def _call_of(name: bytes, event: Event, has_addresses: bool) -> Call:
    """The call that an event tells of. Where there are no addresses, blocks go by their numbers."""
    address, old, size = event.address, event.old, event.size
    if not has_addresses:
        address = event.block + 1
        old = event.freed + 1 or (UNKNOWN if old else 0)
    if event.operation is Operation.CALLOC:
        size = size // event.number if event.number else 0
    return Call(b"%d:" % event.thread, name, address, old, event.number, size)


class Sample(NamedTuple):
    """The heap after `call` calls: bytes `live` as the program asked, bytes taken from the `system`."""

    call: int
    live: int
    system: int

    @property
    def fragmentation(self) -> float:
        """Bytes taken from the system for each live byte."""
        return self.system / self.live if self.live else 0.0


@dataclass(frozen=True)
class Replay:
    """What a replay did. All sizes in bytes."""

    trace: Trace
    seconds: float
    """Time in the loop: the calls, and every byte written once obtained and compared before it is freed."""
    peak_live: int
    """The most that the program had asked for and not freed."""
    peak_system: int
    """The most that was taken from the system at once, for the heap and for mappings."""
    at_peak: Sample
    """When most was live."""
    samples: tuple[Sample, ...]
    """At evenly spaced calls and at the peak, from the first call to the last."""
    blocks_at_peak: tuple[Block, ...]
    system_calls: dict[str, int]
    """How often each system call was made: brk, mmap, munmap."""

    @property
    def calls_per_second(self) -> float:
        return len(self.trace) / self.seconds if self.seconds else 0.0

    @property
    def at_end(self) -> Sample:
        return self.samples[-1]


def replay(trace: Trace, progress: Progress | None = None) -> Replay:
    """Play `trace` on this process's heap: all its calls, using all the memory.

    The heap is taken as it is found; for figures that are the trace's alone play it in a process that did not
    use the four functions before. What is live at the end is freed.

    Raises MemoryError when the system refuses, RuntimeError when a block does not hold what was written there.
    """
    if not len(trace):
        raise TraceError(f"{trace.name}: contains no calls")
    before = stats()
    peak = trace.peak_call
    stops = sorted({len(trace) * step // SAMPLES for step in range(SAMPLES + 1)} | {peak})
    samples = []
    with closing(Player(trace.kinds, trace.places, trace.numbers, trace.sizes, trace.place_count)) as player:
        for start, stop in pairwise(stops):
            player.play(stop - start)
            samples.append(Sample(stop, trace.live[stop - 1], stats().system_bytes))
            if stop == peak:
                at_peak, blocks = samples[-1], tuple(walk())
            if progress:
                progress(stop, len(trace))
        after = stats()
        return Replay(
            trace=trace,
            seconds=player.seconds,
            peak_live=at_peak.live,
            peak_system=player.system_peak,
            at_peak=at_peak,
            samples=tuple(samples),
            blocks_at_peak=blocks,
            system_calls={
                "brk": after.brk_calls - before.brk_calls,
                "mmap": after.mmap_calls - before.mmap_calls,
                "munmap": after.munmap_calls - before.munmap_calls,
            },
        )
