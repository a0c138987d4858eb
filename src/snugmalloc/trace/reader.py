"""Owns reading traces: chunks of columns, or rows of many threads put in order; as columns or single events."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from snugmalloc.trace.columns import Columns, Event, unpack_columns
from snugmalloc.trace.cursor import Cursor
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import (
    END,
    END_MAGIC,
    HEAD,
    HEADER,
    MAGIC,
    Head,
    Kind,
    check_chunk,
    uncompress,
    unpack_head,
    unpack_header,
)
from snugmalloc.trace.gathering import EVENTS_IN_CHUNK, Gatherer
from snugmalloc.trace.index import pack_index, unpack_index
from snugmalloc.trace.merging import Numberer, Rows, in_chunks, merge, unpack
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.ring import is_ring, open_as_trace
from snugmalloc.trace.rows import Row, unpack_rows
from snugmalloc.trace.tables import Tables, read_tables
from snugmalloc.trace.vectors import WORD, numpy

Place = tuple[int, Head]
"""Where a chunk begins in the file, and its head."""

EVENTS = (Kind.COLUMNS, Kind.ROWS)
OPERATIONS = {int(operation): operation for operation in Operation}


def is_trace(path: str | Path) -> bool:
    """Whether this is a file that begins as a .snug trace does. Raises OSError."""
    if not os.path.isfile(path):  # nothing is taken out of a pipe
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class TraceReader:
    """Reads a trace. A context manager; each iteration begins at the first event again.

    A file that is damaged or ends early is read as far as it goes; `damage` says in one line what is wrong.
    Raises TraceError if the file is no trace, OSError if it cannot be read.
    """

    file: BinaryIO

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.damage: str | None = None
        """What is wrong with the file, as far as it was read; None if nothing is."""
        self.has_index = False
        """The file was ended as it should be. Without an index it is read all the same."""
        self.was_ended = self.is_cut_off = False
        self.tables = Tables()
        self.about: dict[str, str] = {}
        """What was recorded, and of which program; docs/trace-format.md has the names."""
        self.is_ring = is_ring(self.path)
        """What is read is in a ring, of which a copy was made."""
        self.file, ring_damage = open_as_trace(self.path) if self.is_ring else (self.path.open("rb"), None)
        try:
            self.read_beginning()
            self.damage = ring_damage or self.damage
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> TraceReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def read_beginning(self) -> None:
        self.size = os.fstat(self.file.fileno()).st_size
        try:
            self.header, self.begin = unpack_header(self.read_at(0, HEADER.size))
        except TraceError as error:
            raise TraceError(f"{self.name}: {error}") from None
        indexed = self.read_index()
        self.chunks = self.scan() if indexed is None else indexed
        self.read_names()
        kinds = [head.kind for _, head in self.chunks if head.kind in EVENTS]
        self.has_rows = kinds[:1] == [Kind.ROWS]

    def read_at(self, place: int, count: int) -> bytes:
        self.file.seek(place)
        return self.file.read(count)

    def read_index(self) -> list[Place] | None:
        """The chunks as the index has them; None if there is no index that can be trusted."""
        try:
            place, magic = END.unpack(self.read_at(max(0, self.size - END.size), END.size))
            if magic != END_MAGIC or place + HEAD.size > self.size - END.size:
                return None
            head = unpack_head(self.read_at(place, HEAD.size))
            if head.kind is not Kind.INDEX or place + head.size + END.size != self.size:
                return None
            chunks = unpack_index(self.read_payload((place, head)), head.entries)
        except TraceError:
            return None
        self.has_index = True
        return chunks

    def scan(self) -> list[Place]:
        """The chunks, found by going from head to head."""
        chunks: list[Place] = []
        place = self.begin
        while place < self.size:
            packed = self.read_at(place, HEAD.size)
            if len(packed) < HEAD.size:
                break
            try:
                head = unpack_head(packed)
            except TraceError as error:
                self.note_damage(place, error)
                return chunks
            if place + head.size > self.size:
                break
            if head.kind is Kind.INDEX:
                self.was_ended = True
                place += END.size
            else:
                chunks.append((place, head))
            place += head.size
        if place != self.size:
            self.is_cut_off = True
            self.damage = f"{self.name}: ends within a chunk: it was read up to byte {min(place, self.size)}"
        return chunks

    def note_damage(self, place: int, error: Exception) -> None:
        self.damage = f"{self.name}: at byte {place}: {error}: it was read up to there"

    def read_payload(self, chunk: Place) -> bytes:
        """The payload of a chunk, uncompressed. Raises TraceError if anything is not as it was written."""
        place, head = chunk
        packed_head = self.read_at(place, HEAD.size)
        if len(packed_head) < HEAD.size or unpack_head(packed_head) != head:
            raise TraceError("a chunk is not what the index says")
        stored = self.file.read(head.stored)
        check_chunk(packed_head, stored)
        return uncompress(head.form, stored)

    def read_names(self) -> None:
        """Read what was recorded, and all texts, frames and stacks. Nothing is read behind a damaged chunk."""
        kind_of_events = None
        for number, chunk in enumerate(self.chunks):
            place, head = chunk
            try:
                if head.kind in EVENTS:
                    kind_of_events = kind_of_events or head.kind
                    if head.kind is not kind_of_events:
                        raise TraceError("rows and columns, of which a trace has one")
                elif head.kind is Kind.TABLES:
                    read_tables(self.tables, self.read_payload(chunk), head.entries)
                elif head.kind is Kind.ABOUT:
                    cursor = Cursor(self.read_payload(chunk))
                    self.about.update({cursor.text(): cursor.text() for _ in range(head.entries)})
            except TraceError as error:
                self.note_damage(place, error)
                self.chunks = self.chunks[:number]
                return

    def count_events(self) -> int:
        """How many events there are, as the heads of the chunks say."""
        return sum(head.entries for _, head in self.chunks if head.kind in EVENTS)

    def columns(self) -> Iterator[Columns]:
        """The events, many at a time."""
        try:
            yield from self.merged() if self.has_rows else self.unpacked()
        except DamagedChunk as damaged:
            self.note_damage(damaged.place, damaged)

    def unpacked(self) -> Iterator[Columns]:
        """The chunks of columns, each of which begins where the one before ended."""
        events = blocks = 0
        for chunk in self.chunks:
            if chunk[1].kind is Kind.COLUMNS:
                with damage_at(chunk[0]):
                    columns = self.unpack(chunk)
                    if (columns.first, columns.first_block) != (events, blocks):
                        raise TraceError("a chunk does not follow the one before")
                if len(columns):
                    yield columns
                events += len(columns)
                blocks = columns.last_block

    def unpack(self, chunk: Place) -> Columns:
        head = chunk[1]
        since_start = (head.first_time - self.header.start) & WORD
        return unpack_columns(
            self.read_payload(chunk), head.entries, head.first, since_start, self.header.flags
        )

    def merged(self) -> Iterator[Columns]:
        """The rows of all threads, put in order. What came before a damaged chunk is given first."""
        if not numpy():
            yield from self.merged_one_by_one()
            return
        given = 0
        try:
            for columns in self.merged_at_once():
                yield columns
                given += 1
        except TraceError:  # one by one it will be known up to which event they can be read
            yield from islice(self.merged_one_by_one(), given, None)

    def merged_at_once(self) -> Iterator[Columns]:
        """The same by NumPy. Raises TraceError where a chunk is damaged; what came before is not all given."""
        rows = [chunk for chunk in self.chunks if chunk[1].kind is Kind.ROWS]
        numberer = Numberer(self.header.start)
        return in_chunks(map(numberer.number, merge(rows, self.unpack_rows)))

    def unpack_rows(self, chunk: Place) -> Rows:
        return unpack(chunk[1], self.read_payload(chunk), self.header.flags)

    def merged_one_by_one(self) -> Iterator[Columns]:
        gatherer = Gatherer()
        damaged = None
        try:
            for row in self.rows():
                if gatherer.add_row(row, self.header.start) == EVENTS_IN_CHUNK:
                    yield gatherer.take()
        except DamagedChunk as error:
            damaged = error
        if gatherer.rows:
            yield gatherer.take()
        if damaged:
            raise damaged

    def rows(self) -> Iterator[Row]:
        """The rows of all threads by sequence number, then by time; of one thread as they were written."""
        waiting: list[tuple[int, int, int, Row | None, Iterator[Row]]] = [
            (head.first, head.first_time, place, None, self.rows_of((place, head)))
            for place, head in self.chunks
            if head.kind is Kind.ROWS
        ]
        heapq.heapify(waiting)
        while waiting:
            *_, place, row, following = waiting[0]
            if row is not None:
                yield row
            row = next(following, None)
            if row is None:
                heapq.heappop(waiting)
            else:
                heapq.heapreplace(waiting, (row.sequence, row.time, place, row, following))

    def rows_of(self, chunk: Place) -> Iterator[Row]:
        with damage_at(chunk[0]):
            yield from unpack_rows(chunk[1], self.read_payload(chunk), self.header.flags)

    def events(self) -> Iterator[Event]:
        """The events, one at a time. `old` has the addresses of freed blocks if the trace has addresses."""
        address_of: dict[int, int] = {}
        for columns in self.columns():
            for row in columns.rows():
                operation, refused, thread, time, size, number, address, old, block, freed, stack = row
                if freed >= 0:
                    keeps = refused and size
                    old = address_of.get(freed, 0) if keeps else address_of.pop(freed, 0)
                if block >= 0:
                    address_of[block] = address
                yield Event(
                    OPERATIONS[operation],
                    thread,
                    time,
                    size,
                    number,
                    address,
                    old,
                    block,
                    freed,
                    stack,
                    bool(refused),
                )

    def verify(self) -> list[str]:
        """Read everything. What is wrong, one line each; nothing if all is as it was written."""
        problems = [self.damage] if self.damage else []
        if self.has_index and not problems and self.chunks != self.scan():
            problems.append(f"{self.name}: the index does not say what is in the file")
        if self.was_ended and not self.has_index:
            problems.append(f"{self.name}: the index is damaged")
        return [*problems, *self.check_chunks(self.chunks)]

    def check_chunks(self, chunks: Iterable[Place]) -> Iterator[str]:
        """Which of the chunks are not as they were written."""
        for place, head in chunks:
            try:
                payload = self.read_payload((place, head))
                if head.kind is Kind.COLUMNS:
                    unpack_columns(payload, head.entries, head.first, 0, self.header.flags)
                elif head.kind is Kind.ROWS:
                    for _ in unpack_rows(head, payload, self.header.flags):
                        pass
            except TraceError as error:
                yield f"{self.name}: the chunk at byte {place}: {error}"


class DamagedChunk(Exception):
    """A chunk at `place` is not as it was written."""

    def __init__(self, place: int, error: TraceError) -> None:
        super().__init__(str(error))
        self.place = place


@contextmanager
def damage_at(place: int) -> Iterator[None]:
    """Says where it was that something is wrong."""
    try:
        yield
    except TraceError as error:
        raise DamagedChunk(place, error) from None


def rebuild_index(path: str | Path) -> None:
    """Give a file its index again, which may have ended within a chunk: what follows the last whole one goes.

    Raises TraceError if it is a ring, which has none, or if a chunk within the file is damaged, for then it is
    not known where the others begin.
    """
    with TraceReader(path) as reader:
        if reader.is_ring:
            raise TraceError(f"{reader.name}: is a ring, which has no index: convert it")
        chunks = reader.scan()
        end = max((place + head.size for place, head in chunks), default=reader.begin)
        problem = next(reader.check_chunks(chunks), None if reader.is_cut_off else reader.damage)
    if problem:
        raise TraceError(problem)
    with open(path, "r+b") as file:
        file.truncate(end)
        file.seek(end)
        file.write(pack_index(chunks, end))
