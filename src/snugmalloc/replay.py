"""Traces of allocations in Android's memory_replay text, and playing them through the four functions.

One call a line, as a program made it:

    <thread>: malloc <address> <size>               <thread>: memalign <address> <alignment> <size>
    <thread>: calloc <address> <nmemb> <size>       <thread>: free <address>
    <thread>: realloc <address> <old> <size>        <thread>: thread_done 0x0

Two more numbers at the end of a line (when the call began and ended) are allowed and not used. The calls are
played in the order of the lines by one thread. There is no os_memalign: `memalign` is played as `os_malloc` of
size + alignment, and the aligned part is used.
"""

from __future__ import annotations

import zipfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from snugmalloc._osmem import stats, walk
from snugmalloc._replay import Player
from snugmalloc.heap import Block

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""

SAMPLES = 256
"""At how many evenly spaced calls a replay looks at the heap."""

LINES_BETWEEN_PROGRESS = 1 << 14

KINDS = {b"malloc": 0, b"calloc": 1, b"realloc": 2, b"memalign": 3, b"free": 4}
FREE_NULL = 5
FIELDS = {b"malloc": 2, b"calloc": 3, b"realloc": 3, b"memalign": 3, b"free": 1}
TIMES = 2
LARGEST = 2**63 - 1


class TraceError(ValueError):
    """The file is no trace that can be read; the message names the file, the line and what is wrong."""


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
    """Read the trace in the text file at `path`, or in the one file inside the .zip at `path`.

    The text is streamed; what is kept takes 29 bytes a call. Raises TraceError when it is no trace, OSError
    when the file cannot be read.
    """
    path = Path(path)
    with _open_text(path) as (lines, total):
        return _Reader(path.name).read(lines, total, progress)


@contextmanager
def _open_text(path: Path) -> Iterator[tuple[Iterable[bytes], int]]:
    """The lines of the trace at `path`, and how many bytes they are in all."""
    if path.suffix != ".zip":
        with path.open("rb") as file:
            yield file, path.stat().st_size
        return
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(inside) != 1:
                raise TraceError(f"{path.name}: holds {len(inside)} files where one trace was expected")
            with archive.open(inside[0]) as file:
                yield file, inside[0].file_size
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise TraceError(f"{path.name}: {error}") from None


class _Reader:
    """Turns lines into a Trace."""

    def __init__(self, name: str) -> None:
        self.trace = Trace(name)
        self.place_of: dict[bytes, int] = {}
        self.size_of: list[int] = []
        self.unused: list[int] = []
        self.live = 0

    def read(self, lines: Iterable[bytes], total: int, progress: Progress | None) -> Trace:
        done = 0
        for number, line in enumerate(lines, 1):
            done += len(line)
            try:
                self.line(line)
            except (ValueError, IndexError, KeyError, OverflowError):
                text = line[:60].decode(errors="replace").strip()
                raise TraceError(f"{self.trace.name}, line {number}: not a call: {text!r}") from None
            if progress and number % LINES_BETWEEN_PROGRESS == 0:
                progress(done, total)
        if progress:
            progress(total, total)
        self.trace.place_count = len(self.size_of)
        return self.trace

    def line(self, line: bytes) -> None:
        """One line; raises one of the errors that `read` knows when it is not as it should be."""
        words = line.split()
        if not words:
            return
        thread, name, *arguments = words
        if thread[-1:] != b":":
            raise ValueError
        self.trace.threads.add(thread)
        if name == b"thread_done":
            return
        if len(arguments) not in (FIELDS[name], FIELDS[name] + TIMES):
            raise ValueError
        self.trace.calls[name.decode()] += 1
        if name == b"free":
            self.free(arguments[0])
        elif name == b"realloc":
            self.realloc(arguments[0], arguments[1], int(arguments[2]))
        elif name == b"malloc":
            self.allocate(name, arguments[0], 0, int(arguments[1]))
        else:
            self.allocate(name, arguments[0], int(arguments[1]), int(arguments[2]))

    def allocate(self, name: bytes, address: bytes, number: int, size: int) -> None:
        if _is_null(address) or (name == b"memalign" and number.bit_count() != 1):
            self.trace.left_out += 1
            return
        place = self.take_place(address, size * number if name == b"calloc" else size)
        self.trace.append(KINDS[name], place, number, size, self.live)

    def realloc(self, address: bytes, old: bytes, size: int) -> None:
        if _is_null(old):
            # Counts as the malloc that it is, but is played as os_realloc(NULL, size).
            self.allocate(b"realloc", address, 0, size)
        elif old not in self.place_of or (_is_null(address) and size):
            self.trace.left_out += 1
        elif _is_null(address):
            self.free(old)
        else:
            place = self.place_of.pop(old)
            self.live -= self.size_of[place]
            self.settle(address, place, size)
            self.trace.append(KINDS[b"realloc"], place, 0, size, self.live)

    def free(self, address: bytes) -> None:
        if _is_null(address):
            self.trace.append(FREE_NULL, 0, 0, 0, self.live)
            return
        place = self.place_of.pop(address, None)
        if place is None:
            self.trace.left_out += 1
            return
        self.unused.append(place)
        self.live -= self.size_of[place]
        self.trace.append(KINDS[b"free"], place, 0, 0, self.live)

    def take_place(self, address: bytes, size: int) -> int:
        """A place for a new block of `size` bytes that the program knew as `address`."""
        place = self.unused.pop() if self.unused else len(self.size_of)
        if place == len(self.size_of):
            self.size_of.append(0)
        self.settle(address, place, size)
        return place

    def settle(self, address: bytes, place: int, size: int) -> None:
        """The block in `place` is now the one at `address`, of `size` bytes."""
        if size > LARGEST:
            raise ValueError
        if address in self.place_of:
            self.trace.missing_frees += 1
            self.free(address)
        self.place_of[address] = place
        self.size_of[place] = size
        self.live += size


def _is_null(address: bytes) -> bool:
    return int(address, 0) == 0


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
        raise TraceError(f"{trace.name}: there is no call in it")
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
