"""Owns chunks of rows: the events of one thread, each written at once, as an engine can without allocating.

A row says what its call was given and gave; which block that was is found when the rows of all threads are put
in order. `RowBuffer` is what an engine does, in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import Flags, Form, Head, Kind, pack_chunk
from snugmalloc.trace.operations import (
    HAS_ADDRESS,
    HAS_NUMBER,
    HAS_POINTER,
    HAS_SIZE,
    IS_KNOWN,
    REFUSED,
    Operation,
)
from snugmalloc.trace.vectors import WORD, decode_varints, encode_varints, listed, unzigzag, zigzag

STEPS = 0x20
"""In the first number of a row: the sequence number grew, and by how much follows."""
STACK = 0x40
"""In the first number of a row: the number of a stack follows."""
LARGEST_ROW = 2 + 7 * 10
"""Bytes: the first number, and seven more. So much room is enough for any row."""


class Row(NamedTuple):
    """One event, before it is known which blocks it is about. What does not apply is 0."""

    sequence: int
    time: int
    thread: int
    operation: Operation
    refused: bool = False
    size: int = 0
    number: int = 0
    address: int = 0
    old: int = 0
    stack: int = 0


class RowBuffer:
    """Collects the rows of one thread, and makes a chunk of them."""

    def __init__(self, thread: int, flags: Flags) -> None:
        self.thread = thread
        self.flags = flags
        self.clear()

    def clear(self) -> None:
        """Begin a new chunk."""
        self.written = bytearray()
        self.count = 0
        self.pointer = 0
        self.first: Row | None = None
        self.last: Row | None = None

    def add(self, row: Row) -> None:
        """One more row; neither time nor sequence number may be less than before."""
        if self.first is None or self.last is None:
            self.first = self.last = row
        step = row.sequence - self.last.sequence
        kind = row.operation | (REFUSED if row.refused else 0)
        numbers = [kind | (STEPS if step else 0) | (STACK if row.stack else 0)]
        numbers += [row.time - self.last.time] if Flags.TIMES in self.flags else []
        numbers += [step] if step else []
        numbers += [row.size] if HAS_SIZE[kind] else []
        numbers += [row.number] if HAS_NUMBER[kind] else []
        numbers += [self.step_to(row.old)] if HAS_POINTER[kind] else []
        numbers += [self.step_to(row.address)] if HAS_ADDRESS[kind] else []
        numbers += [row.stack] if row.stack else []
        self.written += encode_varints(numbers)
        self.count += 1
        self.last = row

    def step_to(self, pointer: int) -> int:
        before, self.pointer = self.pointer, pointer
        return zigzag(pointer - before)

    def chunk(self) -> bytes:
        """What was collected, as a chunk; the buffer is empty then."""
        first, last = self.first, self.last
        if first is None or last is None:
            raise ValueError("there is no row yet")
        head = Head(
            Kind.ROWS,
            Form.PLAIN,
            0,
            self.count,
            first.sequence,
            last.sequence,
            first.time,
            last.time,
            self.thread,
        )
        packed = pack_chunk(head, bytes(self.written))
        self.clear()
        return packed


def unpack_rows(head: Head, payload: bytes, flags: Flags) -> Iterator[Row]:
    """The rows of a chunk. Raises TraceError where the payload is invalid."""
    try:
        numbers = listed(decode_varints(payload))
        yield from _rows_of(head, numbers, Flags.TIMES in flags)
    except IndexError:
        raise TraceError("a chunk of rows is invalid: it ends within a row") from None
    except ValueError as error:
        raise TraceError(f"a chunk of rows is invalid: {error}") from None


def _rows_of(head: Head, numbers: Sequence[int], has_times: bool) -> Iterator[Row]:
    sequence, time, pointer, thread = head.first, head.first_time, 0, head.thread
    at = 0
    for _ in range(head.entries):
        first = numbers[at]
        at += 1
        kind = first & ~(STEPS | STACK)
        if not IS_KNOWN[kind]:
            raise ValueError("an unknown operation")
        if has_times:
            time += numbers[at]
            at += 1
        if first & STEPS:
            sequence += numbers[at]
            at += 1
        size = number = old = address = stack = 0
        if HAS_SIZE[kind]:
            size = numbers[at]
            at += 1
        if HAS_NUMBER[kind]:
            number = numbers[at]
            at += 1
        if HAS_POINTER[kind]:
            old = pointer = pointer + unzigzag(numbers[at]) & WORD
            at += 1
        if HAS_ADDRESS[kind]:
            address = pointer = pointer + unzigzag(numbers[at]) & WORD
            at += 1
        if first & STACK:
            stack = numbers[at]
            at += 1
        if sequence > WORD or time > WORD:
            raise ValueError("a time that is too large")
        refused = kind >= REFUSED
        yield Row(sequence, time, thread, OPERATIONS[kind], refused, size, number, address, old, stack)
    if at != len(numbers):
        raise ValueError("there are more numbers than rows")


OPERATIONS = {number: Operation(number & ~REFUSED) for number, known in enumerate(IS_KNOWN) if known}
