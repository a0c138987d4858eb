"""Owns the index at the end of a file: where each chunk begins. What it says is in the chunks' heads too."""

from __future__ import annotations

from collections.abc import Sequence

from snugmalloc.trace.cursor import Cursor
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import END, END_MAGIC, Form, Head, Kind, compress, pack_chunk
from snugmalloc.trace.vectors import encode_varints


def pack_index(chunks: Sequence[tuple[int, Head]], position: int) -> bytes:
    """The index of the chunks, which stand at these places, and the end of the file; both go to `position`."""
    numbers = []
    before = 0
    for place, head in chunks:
        numbers += [
            place - before,
            head.kind,
            head.form,
            head.stored,
            head.entries,
            head.first,
            head.last,
            head.first_time,
            head.last_time,
            head.thread,
        ]
        before = place
    form, stored = compress(encode_varints(numbers))
    head = Head(Kind.INDEX, form, len(stored), len(chunks))
    return pack_chunk(head, stored) + END.pack(position, END_MAGIC)


def unpack_index(payload: bytes, count: int) -> list[tuple[int, Head]]:
    """Where each chunk stands, and its head. Raises TraceError."""
    cursor = Cursor(payload)
    chunks = []
    place = 0
    try:
        for _ in range(count):
            place += cursor.number()
            kind, form, *rest = (cursor.number() for _ in range(9))
            chunks.append((place, Head(Kind(kind), Form(form), *rest)))
    except ValueError:
        raise TraceError("the index is invalid") from None
    return chunks
