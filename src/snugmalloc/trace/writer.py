"""Owns writing traces: events are collected, and written as compressed chunks of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from snugmalloc.trace.columns import Columns, pack_columns
from snugmalloc.trace.format import Head, Header, Kind, compress, pack_chunk, pack_header
from snugmalloc.trace.gathering import EVENTS_IN_CHUNK, Gatherer
from snugmalloc.trace.index import pack_index
from snugmalloc.trace.operations import GIVES_BLOCK, Operation
from snugmalloc.trace.tables import Frame, TablesWriter
from snugmalloc.trace.vectors import WORD, encode_varints

if TYPE_CHECKING:
    from snugmalloc.trace.following import Progress
    from snugmalloc.trace.reader import TraceReader


class TraceWriter:
    """Writes a trace to a file: events in the order in which they happened.

    A context manager. Raises OSError, which names the file, when it cannot be written. What was written when
    the program ends without `close` can be read up to the last chunk. With `is_new` there must be no file of
    that name, not even a link.
    """

    def __init__(
        self,
        path: str | Path,
        header: Header | None = None,
        about: Mapping[str, str] | None = None,
        events_in_chunk: int = EVENTS_IN_CHUNK,
        *,
        is_new: bool = False,
    ) -> None:
        self.path = Path(path)
        self.header = header or Header()
        self.events_in_chunk = events_in_chunk
        self.tables = TablesWriter()
        self.gatherer = Gatherer()
        self.chunks: list[tuple[int, Head]] = []
        self.file = self.path.open("xb" if is_new else "wb", buffering=0)
        self.position = 0
        self.put(pack_header(self.header))
        if about:
            self.describe(about)

    def describe(self, about: Mapping[str, str]) -> None:
        """Add facts about the recording: `program` is the command line."""
        texts = (text.encode(errors="surrogateescape") for entry in about.items() for text in entry)
        payload = b"".join(encode_varints((len(text),)) + text for text in texts)
        self.put_chunk(Kind.ABOUT, payload, len(about))

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def add(
        self,
        operation: Operation,
        *,
        thread: int = 0,
        time: int = 0,
        size: int = 0,
        number: int = 0,
        address: int = 0,
        old: int = 0,
        stack: int = 0,
        refused: bool = False,
    ) -> None:
        """Add an event. `old` is the pointer passed to free or realloc, `time` is since the beginning.

        Addresses identify blocks even in a trace that does not keep them. A returned `address` of 0 is written
        as refused.
        """
        refused = refused or (not address and bool(GIVES_BLOCK[operation]))
        count = self.gatherer.add(operation, thread, time, size, number, address, old, stack, refused)
        if count >= self.events_in_chunk:
            self.flush()

    def stack(self, frames: Iterable[Frame]) -> int:
        """The number of the stack of these frames, the innermost first."""
        return self.tables.number_frames(frames)

    def call_from(self, parent: int, frame: Frame) -> int:
        """The number of the stack that `frame`, called from the stack `parent`, makes."""
        return self.tables.number_stack(parent, frame)

    def text(self, text: str) -> int:
        """The number of a text, such as a thread's name."""
        return self.tables.number_text(text)

    def flush(self) -> None:
        """Write what was collected as a chunk."""
        if self.tables.count:
            self.put_chunk(Kind.TABLES, *self.tables.take_payload())
        self.put_columns(self.gatherer.take())

    def copy(self, reader: TraceReader, progress: Progress | None = None) -> int:
        """Write the events of another trace, and the definitions that they use. Returns their number."""
        self.tables.copy(reader.tables)
        events, expected = 0, reader.count_events()
        for columns in reader.columns():
            self.put_columns(columns)
            events += len(columns)
            if progress:
                progress(events, expected)
        return events

    def put_columns(self, columns: Columns) -> None:
        """Write columns of a reader as they are, with their block numbers: not to be mixed with `add`."""
        if not len(columns):
            return
        self.put_chunk(
            Kind.COLUMNS,
            pack_columns(columns, self.header.flags),
            len(columns),
            first=columns.first,
            last=columns.first + len(columns) - 1,
            first_time=int(columns.time[0]) + self.header.start & WORD,
            last_time=int(columns.time[-1]) + self.header.start & WORD,
        )

    def put_chunk(
        self,
        kind: Kind,
        payload: bytes,
        count: int,
        first: int = 0,
        last: int = 0,
        first_time: int = 0,
        last_time: int = 0,
    ) -> None:
        form, stored = compress(payload)
        head = Head(kind, form, len(stored), count, first, last, first_time, last_time)
        self.chunks.append((self.position, head))
        self.put(pack_chunk(head, stored))

    def put(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.position += len(data)

    def close(self) -> None:
        """Write the remaining events, and the index."""
        if self.file.closed:
            return
        try:
            self.flush()
            self.put(pack_index(self.chunks, self.position))
        finally:
            self.file.close()
