"""Owns reading rings: the file in which a process keeps its last rows, and its figures over time.

docs/trace-format.md describes it. The process may still run and write, or have been killed at any moment; a
slot that changes while it is read is read again. For `TraceReader` a ring becomes a trace of rows.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from snugmalloc.engine.dropin import ring as engine
from snugmalloc.engine.dropin.classes import ALL_CLASSES, LISTED_LIMIT, object_bytes
from snugmalloc.engine.dropin.recorder import IN_ROWS, Recorder
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import (
    HEAD,
    HEADER,
    HEADER_CHECKED,
    MAGIC,
    Form,
    Head,
    Header,
    Kind,
    adler,
    check_chunk,
    pack_chunk,
    pack_header,
    uncompress,
    unpack_head,
    unpack_header,
)
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.rows import STACK, STEPS, Row, RowBuffer
from snugmalloc.trace.tables import TEXT, Tables, read_tables
from snugmalloc.trace.vectors import encode_varints

FLAGS_AT, TICKS_AT = 12, 16
SIGN, WORDS = 1 << 63, 1 << 64
ROW_SHIFT = 32
TRIES = 4
"""How often a slot is read that changes meanwhile: then it is left out."""
SLOT_SHIFTS = (engine.SLOT_SHIFT, engine.LARGE_SLOT_SHIFT)
NO_SENSE = "the ring is invalid"

SIZE_BOUNDS: tuple[int | None, ...] = (
    0,
    *(object_bytes(number) for number in range(1, ALL_CLASSES + 1)),
    *(LISTED_LIMIT << doubling for doubling in range(1, engine.LAST_BIN - ALL_CLASSES)),
    None,
)
"""The largest size of each bin; None for all that are larger."""


class Figures(NamedTuple):
    """The process at one moment. `time` in ticks of its clock, all else in bytes if nothing else is said."""

    time: int
    resident: int
    out_bytes: int
    out_blocks: int
    system_bytes: int
    mapped_bytes: int
    purged_bytes: int
    kept_bytes: int
    returned: int
    refused: int
    bins: tuple[int, ...] = ()
    """Live bytes by size, with the bounds of SIZE_BOUNDS."""

    @property
    def live(self) -> int:
        """Live bytes, in the sizes that the blocks have."""
        return sum(self.bins)


class _Geometry(NamedTuple):
    """Where what is in the file; in the order of the header."""

    file_bytes: int
    slots: int
    slot_bytes: int
    rows_at: int
    states_at: int
    notes_at: int
    kept_at: int
    kept_bytes: int
    series_at: int
    slots_at: int

    @property
    def most_kept(self) -> int:
        """Room for chunks that the engine gives at most: a part of what was asked for, in whole pages.

        That is the file, and what was left over: less than one slot more would have needed.
        """
        left_over = self.slot_bytes + engine.Note.SIZE + 8 + 2 * engine.RING_PAGE
        room = self.file_bytes + left_over >> engine.KEPT_STACKS_SHIFT
        return -(-room // engine.RING_PAGE) * engine.RING_PAGE

    @property
    def makes_sense(self) -> bool:
        return (
            self.slot_bytes in (1 << shift for shift in SLOT_SHIFTS)
            and 0 < self.slots <= engine.MOST_RING // self.slot_bytes
            and self.rows_at == engine.ROWS_IN_SLOT
            and self.series_at == engine.SERIES_AT
            and self.states_at == engine.STATES_AT
            and self.states_at + 8 * self.slots <= self.notes_at
            and self.notes_at + engine.Note.SIZE * self.slots <= self.kept_at
            and self.kept_at + self.kept_bytes <= self.slots_at
            and self.kept_bytes <= self.most_kept
            and self.slots_at + self.slots * self.slot_bytes == self.file_bytes <= engine.MOST_RING
        )


class _Run(NamedTuple):
    """Rows of one thread in a slot."""

    start: int
    time: int
    thread: int
    system_thread: int
    name: str

    @property
    def bytes_before(self) -> int:
        """Bytes of rows before."""
        return self.start & IN_ROWS

    @property
    def rows_before(self) -> int:
        """Rows before."""
        return self.start >> ROW_SHIFT


class _Slot(NamedTuple):
    """A slot as it was read."""

    content: bytes
    note: bytes
    runs: list[_Run]

    def word(self, at: int) -> int:
        return _word(self.content, at)


@dataclass
class _Threads:
    """What is found out of threads while their rows are read, by their number."""

    names: dict[int, str] = field(default_factory=dict)
    first_times: dict[int, int] = field(default_factory=dict)
    last_times: dict[int, int] = field(default_factory=dict)
    system: dict[int, int] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    """Those whose rows say that they began."""

    def note(self, run: _Run, rows: bytes, begin: int, end: int) -> None:
        """These are rows of a thread."""
        thread = run.thread
        if rows[0] & ~(STEPS | STACK) == Operation.THREAD_BEGIN:
            self.begun.add(thread)
        self.first_times[thread] = min(begin, self.first_times.get(thread, begin))
        self.last_times[thread] = max(end, self.last_times.get(thread, end))
        self.system[thread] = run.system_thread
        if run.name:
            self.names[thread] = run.name


class Ring:
    """A ring, opened; a context manager.

    Raises TraceError if it is invalid, OSError if it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.damage: str | None = None
        """What is wrong with it, as far as it was read, in one line; None if nothing is."""
        self.file = self.path.open("rb")
        try:
            self.read_front()
        except TraceError as error:
            self.file.close()
            raise TraceError(f"{self.name}: {error}") from None
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def read_at(self, place: int, count: int) -> bytes:
        return os.pread(self.file.fileno(), count, place)

    def read_front(self) -> None:
        """Read what is known of the process, the series, and live bytes."""
        self.header = unpack_ring_header(self.read_at(0, HEADER.size))
        own = self.read_at(engine.RING_AT, engine.RingHeader.SIZE)
        if len(own) < engine.RingHeader.SIZE:
            raise TraceError("ends within the header of the ring")
        layout, tiers = struct.unpack_from("<II", own, engine.RingHeader.layout)
        if layout != engine.RING_LAYOUT:
            raise TraceError(f"is a ring of layout {layout}, and this snug reads layout {engine.RING_LAYOUT}")
        places = _Geometry(*struct.unpack_from("<10Q", own, engine.RingHeader.file_bytes))
        if tiers != engine.TIERS or not places.makes_sense:
            raise TraceError(NO_SENSE)
        self.places = places
        size = os.fstat(self.file.fileno()).st_size
        if size < places.file_bytes:
            self.damage = (
                f"{self.name}: ends at byte {size:,} of {places.file_bytes:,}: it was read up to there"
            )
        self.process_start = _word(own, engine.RingHeader.process_start)
        self.kept = _word(own, engine.RingHeader.kept)
        self.lost = _word(own, engine.RingHeader.lost)
        """Calls of threads that found no slot."""
        self.horizon = _word(own, engine.RingHeader.horizon)
        """The clock: of what came later everything is there."""
        self.ended = _word(own, engine.RingHeader.ended)
        """The clock when the process came to its end; 0: it did not, or not yet."""
        newest = own[engine.RingHeader.newest :]
        self.newest = _figures_in(newest, self._live_bins(own))
        """The figures as they were last, and live bytes by size at the last row."""
        self.series = self._read_series(struct.unpack_from(f"<{tiers}Q", own, engine.RingHeader.counts))
        """The figures over time; entries lie the farther apart the older they are."""

    def changes_by_thread(self) -> dict[int | None, tuple[int, ...]]:
        """By how much the calls that are in the ring changed live bytes, by size, for each thread.

        None is for threads that lived for a moment, of which several have one slot.
        """
        found: dict[int | None, tuple[int, ...]] = {}
        for slot in self.slots():
            threads = {run.thread for run in slot.runs}
            thread = threads.pop() if len(threads) == 1 else None
            before = found.get(thread, (0,) * engine.BIN_ROOM)
            changes = map(_signed, struct.unpack_from(f"<{engine.BIN_ROOM}Q", slot.note))
            found[thread] = tuple(total + change for total, change in zip(before, changes, strict=True))
        return found

    def _live_bins(self, own: bytes) -> tuple[int, ...]:
        totals = list(struct.unpack_from(f"<{engine.BIN_ROOM}Q", own, engine.RingHeader.base))
        notes = self.read_at(self.places.notes_at, self.places.slots * engine.Note.SIZE)
        for at in range(0, len(notes) - engine.Note.SIZE + 1, engine.Note.SIZE):
            changes = struct.unpack_from(f"<{engine.BIN_ROOM}Q", notes, at)
            if any(changes):
                totals = [total + change for total, change in zip(totals, changes, strict=True)]
        return tuple(map(_not_below_zero, totals))

    def _read_series(self, counts: tuple[int, ...]) -> list[Figures]:
        found: dict[int, Figures] = {}
        size = engine.Entry.SIZE
        for tier, count in enumerate(counts):
            entries = self.read_at(self.places.series_at + tier * engine.ENTRIES * size, engine.ENTRIES * size)
            for number in range(max(0, count - engine.ENTRIES + 1), count):  # the oldest may be half written
                at = number % engine.ENTRIES * size
                if at + size <= len(entries):
                    bins = struct.unpack_from(f"<{engine.BIN_ROOM}Q", entries, at + engine.Entry.bins)
                    figures = _figures_in(entries[at:], tuple(map(_not_below_zero, bins)))
                    found[figures.time] = figures
        return [found[time] for time in sorted(found)]

    # ---- Slots ----

    def _state(self, number: int) -> int:
        packed = self.read_at(self.places.states_at + 8 * number, 8)
        return _word(packed, 0) if len(packed) == 8 else engine.NEVER_TAKEN

    def _read_slot(self, number: int) -> _Slot | None:
        """A slot with rows in it, as it was at one moment."""
        places = self.places
        for _ in range(TRIES):
            state = self._state(number)
            if state & engine.STATE_BITS in (engine.NEVER_TAKEN, engine.TAKING):
                return None
            content = self.read_at(self._slot_at(number), places.slot_bytes)
            note = self.read_at(places.notes_at + number * engine.Note.SIZE, engine.Note.SIZE)
            if len(content) < places.slot_bytes:
                return None
            if self._state(number) == state:
                return _Slot(content, note, list(_runs_in(note)))
        return None

    def _first_time(self, number: int) -> int:
        return _word(self.read_at(self._slot_at(number) + Recorder.first_time, 8), 0)

    def _slot_at(self, number: int) -> int:
        return self.places.slots_at + number * self.places.slot_bytes

    def slots(self) -> Iterator[_Slot]:
        """The slots that have rows, by the time of the first."""
        for number in sorted(range(self.places.slots), key=self._first_time):
            slot = self._read_slot(number)
            if slot is not None:
                yield slot

    def chunks_of(self, slot: _Slot, threads: _Threads) -> Iterator[bytes]:
        """The rows of a slot as chunks of a trace, one for each run. Raises TraceError."""
        done = slot.word(Recorder.done)
        if done & IN_ROWS > self.places.slot_bytes - self.places.rows_at:
            raise TraceError("a slot is invalid")
        end = _Run(done, slot.word(Recorder.last_time), 0, 0, "")
        for run, following in pairwise([*(run for run in slot.runs if run.start <= done), end]):
            begin = run.time if run.start else slot.word(Recorder.first_time)
            count = following.rows_before - run.rows_before
            rows = slot.content[self.places.rows_at :][run.bytes_before : following.bytes_before]
            if not 0 <= count <= len(rows) or (count and begin > following.time):
                raise TraceError("a slot is invalid")
            if count:
                threads.note(run, rows, begin, following.time)
                head = Head(Kind.ROWS, Form.PLAIN, 0, count, 0, 0, begin, following.time, run.thread)
                yield pack_chunk(head, rows)

    def kept_chunks(self) -> Iterator[tuple[Head, bytes, bytes]]:
        """The chunks that are no rows: each one's head, payload, and all of it."""
        at = self.places.kept_at
        end = at + min(self.kept, self.places.kept_bytes)
        while at + HEAD.size <= end:
            packed_head = self.read_at(at, HEAD.size)
            if len(packed_head) < HEAD.size:  # the file is cut off
                return
            at += HEAD.size
            try:
                head = unpack_head(packed_head)
                payload = self.read_at(at, min(head.stored, end - at))
                check_chunk(packed_head, payload)
            except TraceError:  # the process was killed while it wrote it
                return
            yield head, uncompress(head.form, payload), packed_head + payload
            at += head.stored

    def write_trace(self, target: BinaryIO) -> None:
        """Write a trace of rows: what is in the ring now."""
        target.write(pack_header(self.header))
        threads = _Threads()
        defined = self._write_kept(target)
        for slot in self.slots():
            try:
                target.writelines(self.chunks_of(slot, threads))
            except TraceError as error:
                self.damage = self.damage or f"{self.name}: {error}: its rows were left out"
        target.writelines(_begin_chunks(threads))
        target.writelines(self._name_chunks(threads, *defined))

    def _write_kept(self, target: BinaryIO) -> tuple[int, int, int]:
        """Write the chunks that are no rows, up to one that makes no sense. How many definitions they have."""
        tables = Tables()
        defined = tables.counts
        try:
            for head, payload, chunk in self.kept_chunks():
                if head.kind is Kind.TABLES:
                    read_tables(tables, payload, head.entries)
                target.write(chunk)
                defined = tables.counts
        except TraceError as error:
            self.damage = self.damage or f"{self.name}: {error}: it and the definitions behind it were left out"
        return defined

    def _name_chunks(self, threads: _Threads, text: int, frame: int, stack: int) -> Iterator[bytes]:
        """Say what threads are called."""
        for number, (thread, name) in enumerate(sorted(threads.names.items()), text):
            encoded = name.encode(errors="surrogateescape")
            payload = encode_varints((number, frame, stack, TEXT, len(encoded))) + encoded
            yield pack_chunk(Head(Kind.TABLES, Form.PLAIN, 0, 1), payload)
            buffer = RowBuffer(thread, self.header.flags)
            buffer.add(Row(0, threads.last_times[thread], thread, Operation.THREAD_NAME, number=number))
            yield buffer.chunk()

    @cached_property
    def last_time(self) -> int:
        """The clock at the last of which anything is known."""
        rows = (slot.word(Recorder.last_time) for slot in self.slots() if slot.word(Recorder.done))
        return max((self.header.start, self.newest.time, self.ended, *rows))


def _begin_chunks(threads: _Threads) -> Iterator[bytes]:
    """Say of threads, the first rows of which were given up, what the system calls them: that they began."""
    for thread in sorted(threads.system.keys() - threads.begun):
        time = threads.first_times[thread]
        yield pack_chunk(
            Head(Kind.ROWS, Form.PLAIN, 0, 1, 0, 0, time, time, thread),
            encode_varints((Operation.THREAD_BEGIN, 0, threads.system[thread])),
        )


def _word(block: bytes, at: int) -> int:
    return int.from_bytes(block[at : at + 8], "little")


def _not_below_zero(total: int) -> int:
    """What is counted modulo 2**64; what was freed may have been allocated before anything was counted."""
    return max(0, _signed(total % WORDS))


def _signed(word: int) -> int:
    return word if word < SIGN else word - WORDS


def _figures_in(packed: bytes, bins: tuple[int, ...]) -> Figures:
    return Figures._make((*struct.unpack_from("<10Q", packed), bins))


def _runs_in(note: bytes) -> Iterator[_Run]:
    for at in range(engine.Note.runs, engine.Note.runs + engine.RUNS * engine.Run.SIZE, engine.Run.SIZE):
        start, time, thread, system_thread, name = struct.unpack_from(f"<4Q{engine.NAME_ROOM}s", note, at)
        if not thread:
            return
        text = name.split(b"\0", 1)[0].decode(errors="surrogateescape")
        yield _Run(start, time, thread - 1, system_thread, text)


def says_ring(beginning: bytes) -> bool:
    """Whether the first bytes of a file are those of a ring."""
    is_long = len(beginning) >= HEADER.size and beginning[: len(MAGIC)] == MAGIC
    return is_long and bool(beginning[FLAGS_AT] & engine.RING_FLAG)


def is_ring(path: str | Path) -> bool:
    """Whether this is a file that begins as a ring does. Raises OSError."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return says_ring(file.read(HEADER.size))


def unpack_ring_header(packed: bytes) -> Header:
    """What the file begins with, as that of a trace. Raises TraceError."""
    if not says_ring(packed):
        raise TraceError("is not a ring")
    if adler(packed[:HEADER_CHECKED]) != packed[HEADER_CHECKED : HEADER.size]:
        raise TraceError("the header is damaged")
    flags = int.from_bytes(packed[FLAGS_AT:TICKS_AT], "little") & ~engine.RING_FLAG
    plain = packed[:FLAGS_AT] + flags.to_bytes(4, "little") + packed[TICKS_AT:HEADER_CHECKED]
    return unpack_header(plain + adler(plain))[0]


def open_as_trace(path: Path) -> tuple[BinaryIO, str | None]:
    """What is in a ring now as a file of rows, and what is wrong with the ring. Raises TraceError, OSError."""
    with Ring(path) as ring:
        target = tempfile.TemporaryFile(prefix="snug-ring-")  # noqa: SIM115
        try:
            ring.write_trace(target)
            target.flush()
        except BaseException:
            target.close()
            raise
        return target, ring.damage
