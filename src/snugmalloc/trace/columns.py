"""Owns events as columns: what a reader gets of each chunk, and how a chunk of columns is written and read."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum, unique
from typing import NamedTuple

from snugmalloc.trace.cursor import Cursor
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import (
    GIVES_BLOCK,
    HAS_ADDRESS,
    HAS_NUMBER,
    HAS_POINTER,
    HAS_SIZE,
    IS_ALLOCATION,
    IS_KNOWN,
    IS_REFUSED,
    REFUSED,
    WITHOUT_REFUSED,
    Operation,
)
from snugmalloc.trace.vectors import (
    Vector,
    are_equal,
    as_vector,
    decode_varints,
    differences,
    encode_varints,
    gather,
    interleave,
    largest,
    listed,
    numpy,
    shift_and_zigzag,
    spread,
    steps_of,
    sums,
    twice,
    undo_differences,
    undo_shift_and_zigzag,
    zeros,
    zeros_below,
)

NO_BLOCK = -1
NULL_DISTANCE, FOREIGN_DISTANCE, NEAREST_DISTANCE = 0, 1, 2
UNKNOWN_ADDRESS = 1
"""In a trace without addresses: a pointer that is not NULL and belongs to no block of the trace."""
EARLIER_THAN_FIRST = "a reference to a block before the first one"
LARGEST_SHIFT = 63
LARGEST_BLOCK = 2**62


@unique
class Column(IntEnum):
    """The numbers of the columns in the file."""

    OPERATION = 1
    THREAD = 2
    TIME = 3
    SIZE = 4
    NUMBER = 5
    DISTANCE = 6
    ADDRESS = 7
    STACK = 8


class Event(NamedTuple):
    """One thing that happened. `operation` says what the figures mean; what does not apply is 0."""

    operation: Operation
    thread: int
    time: int
    """Ticks since the recording began."""
    size: int
    number: int
    address: int
    """Of the block that the call gave, or of what the event is about."""
    old: int
    """The pointer that free or realloc was given."""
    block: int
    """The number of the block that the call gave: blocks are counted from 0. NO_BLOCK if there is none."""
    freed: int
    """The number of the block that the pointer belongs to. NO_BLOCK for NULL and blocks that are not known."""
    stack: int
    refused: bool
    """The call gave NULL. A refused realloc of more than 0 bytes leaves the block as it was."""


@dataclass
class Columns:
    """Events in order, one entry in each column: arrays, or NumPy's arrays where NumPy is installed.

    In `old` only pointers stand that belong to no block of the trace; `freed` has the others.
    """

    first: int = 0
    """The number of the first event in the trace."""
    first_block: int = 0
    """How many blocks were given before."""
    operation: Vector = field(default_factory=lambda: array("B"))
    refused: Vector = field(default_factory=lambda: array("B"))
    thread: Vector = field(default_factory=lambda: array("Q"))
    time: Vector = field(default_factory=lambda: array("Q"))
    size: Vector = field(default_factory=lambda: array("Q"))
    number: Vector = field(default_factory=lambda: array("Q"))
    address: Vector = field(default_factory=lambda: array("Q"))
    old: Vector = field(default_factory=lambda: array("Q"))
    block: Vector = field(default_factory=lambda: array("q"))
    freed: Vector = field(default_factory=lambda: array("q"))
    stack: Vector = field(default_factory=lambda: array("Q"))

    def __len__(self) -> int:
        return len(self.operation)

    @property
    def last_block(self) -> int:
        """How many blocks were given until the end."""
        return max(self.first_block, largest(self.block) + 1) if len(self) else self.first_block

    def listed(self) -> Columns:
        """The same in Python's own ints, which do not wrap."""
        return Columns(self.first, self.first_block, *self._listed())

    def rows(self) -> Iterator[tuple[int, ...]]:
        """Each event as a plain tuple, in the order of the columns above."""
        return zip(*self._listed(), strict=True)

    def _listed(self) -> Iterator[Sequence[int]]:
        return (listed(getattr(self, name)) for name in COLUMN_NAMES)


COLUMN_NAMES = tuple(entry.name for entry in fields(Columns)[2:])
"""Of the columns alone, in their order."""


def find_blocks(gives: bytes, distance: Vector, first_block: int) -> tuple[Vector, Vector]:
    """The numbers of the blocks that calls gave, and of those that they were given. Raises ValueError."""
    np = numpy()
    if np:
        return _find_blocks_at_once(gives, distance, first_block)
    block, freed = array("q"), array("q")
    for gave, far in zip(gives, distance, strict=True):
        freed.append(first_block + NEAREST_DISTANCE - 1 - far if far >= NEAREST_DISTANCE else NO_BLOCK)
        if far >= NEAREST_DISTANCE and freed[-1] < 0:
            raise ValueError(EARLIER_THAN_FIRST)
        block.append(first_block if gave else NO_BLOCK)
        first_block += gave
    return block, freed


def _find_blocks_at_once(gives: bytes, distance: Vector, first_block: int) -> tuple[Vector, Vector]:
    np = numpy()
    gave = np.frombuffer(gives, dtype=np.uint8)
    before = np.cumsum(gave, dtype=np.int64) - gave + first_block
    far = np.asarray(distance, dtype=np.uint64)
    is_known = far >= NEAREST_DISTANCE
    if (far[is_known] - np.uint64(NEAREST_DISTANCE) >= before[is_known].astype(np.uint64)).any():
        raise ValueError(EARLIER_THAN_FIRST)
    freed = np.where(is_known, before + NEAREST_DISTANCE - 1 - far.astype(np.int64), NO_BLOCK)
    return np.where(gave, before, NO_BLOCK), freed


def with_refused(operations: Vector, refused: Vector) -> bytes:
    """The operations as they stand in the file."""
    np = numpy()
    if np:
        marked = np.where(refused, np.uint8(REFUSED), np.uint8(0)) | np.asarray(operations, dtype=np.uint8)
        return bytes(marked.astype(np.uint8).tobytes())
    return bytes(
        operation | REFUSED if is_refused else operation
        for operation, is_refused in zip(operations, refused, strict=True)
    )


def pack_columns(columns: Columns, flags: Flags) -> bytes:
    """The payload of a chunk, before it is compressed."""
    if not numpy():
        columns = columns.listed()
    operations = with_refused(columns.operation, columns.refused)
    packed = {
        Column.OPERATION: operations,
        Column.THREAD: encode_varints(columns.thread),
    }
    if Flags.TIMES in flags:
        packed[Column.TIME] = encode_varints(steps_of(columns.time, int(columns.time[0])))
    packed[Column.SIZE] = encode_varints(gather(columns.size, operations.translate(HAS_SIZE)))
    packed[Column.NUMBER] = encode_varints(gather(columns.number, operations.translate(HAS_NUMBER)))
    packed[Column.DISTANCE] = encode_varints(_distances(columns, operations))
    base = shift = 0
    if Flags.ADDRESSES in flags:
        addresses, keys = _addresses(columns, operations)
        base = int(addresses[0]) if len(addresses) else 0
        steps = differences(addresses, keys, base)
        shift = zeros_below(steps)
        packed[Column.ADDRESS] = encode_varints(shift_and_zigzag(steps, shift))
    if Flags.STACKS in flags:
        packed[Column.STACK] = encode_varints(gather(columns.stack, operations.translate(IS_ALLOCATION)))
    head = [columns.first_block, base, shift, len(packed)]
    for number, data in packed.items():
        head += (number, len(data))
    return encode_varints(head) + b"".join(packed.values())


def _distances(columns: Columns, operations: bytes) -> Vector:
    """For each pointer given: 0 for NULL, 1 for a block that is not known, else 2 and how many blocks ago."""
    np = numpy()
    if np:
        gave = np.asarray(columns.block) != NO_BLOCK
        before = columns.first_block + np.cumsum(gave) - gave
        freed_at_once = np.asarray(columns.freed, dtype=np.int64)
        is_foreign = np.asarray(columns.old) != 0
        unknown = np.where(is_foreign, FOREIGN_DISTANCE, NULL_DISTANCE)
        known = NEAREST_DISTANCE + before - 1 - freed_at_once
        far = np.where(freed_at_once != NO_BLOCK, known, unknown).astype(np.uint64)
        return gather(far, operations.translate(HAS_POINTER))
    distances = array("Q")
    blocks = columns.first_block
    for operation, old, block, freed in zip(operations, columns.old, columns.block, columns.freed, strict=True):
        if HAS_POINTER[operation]:
            if freed != NO_BLOCK:
                distances.append(NEAREST_DISTANCE + blocks - 1 - freed)
            else:
                distances.append(FOREIGN_DISTANCE if old else NULL_DISTANCE)
        if block != NO_BLOCK:
            blocks += 1
    return distances


def _addresses(columns: Columns, operations: bytes) -> tuple[Vector, Vector]:
    """The entries of the column, and the size of the event that each belongs to."""
    np = numpy()
    if np:
        pairs = np.stack((columns.old, columns.address), axis=1).astype(np.uint64).ravel()
        has_old = (np.asarray(columns.old) != 0).astype(np.uint8).tobytes()
        where = interleave(has_old, operations.translate(HAS_ADDRESS))
        return gather(pairs, where), gather(twice(columns.size), where)
    addresses, keys = array("Q"), array("Q")
    for operation, size, address, old in zip(
        operations, columns.size, columns.address, columns.old, strict=True
    ):
        if old:
            addresses.append(old)
            keys.append(size)
        if HAS_ADDRESS[operation]:
            addresses.append(address)
            keys.append(size)
    return addresses, keys


def unpack_columns(payload: bytes, count: int, first: int, first_time: int, flags: Flags) -> Columns:
    """The events of a chunk. Raises TraceError where the payload is invalid."""
    cursor = Cursor(payload)
    first_block, base, shift = cursor.number(), cursor.number(), cursor.number()
    lengths = [(cursor.number(), cursor.number()) for _ in range(cursor.number())]
    packed = {number: cursor.take(length) for number, length in lengths}
    operations = packed.get(Column.OPERATION, b"")
    if len(operations) != count or b"\0" in operations.translate(IS_KNOWN):
        raise TraceError("a chunk of columns is invalid: unknown operations")
    if shift > LARGEST_SHIFT or first_block > LARGEST_BLOCK:
        raise TraceError("a chunk of columns is invalid: numbers out of range")
    try:
        return _Unpacker(packed, operations, flags).columns(first, first_time, first_block, base, shift)
    except (ValueError, IndexError, OverflowError) as error:
        raise TraceError(f"a chunk of columns is invalid: {error}") from None


class _Unpacker:
    """Spreads the columns of a chunk, which have entries where they apply, to one entry for each event."""

    def __init__(self, packed: dict[int, bytes], operations: bytes, flags: Flags) -> None:
        self.packed = packed
        self.operations = operations
        self.flags = flags
        self.everywhere = b"\1" * len(operations)

    def columns(self, first: int, first_time: int, first_block: int, base: int, shift: int) -> Columns:
        operations = self.operations
        size = self.column(Column.SIZE, operations.translate(HAS_SIZE))
        distance = self.column(Column.DISTANCE, operations.translate(HAS_POINTER))
        block, freed = find_blocks(operations.translate(GIVES_BLOCK), distance, first_block)
        address, old = self.addresses(size, distance, base, shift)
        time: Vector = zeros(len(operations))
        if Flags.TIMES in self.flags:
            time = sums(self.column(Column.TIME, self.everywhere), first_time)
        return Columns(
            first=first,
            first_block=first_block,
            operation=as_vector(operations.translate(WITHOUT_REFUSED)),
            refused=as_vector(operations.translate(IS_REFUSED)),
            thread=self.column(Column.THREAD, self.everywhere),
            time=time,
            size=size,
            number=self.column(Column.NUMBER, operations.translate(HAS_NUMBER)),
            address=address,
            old=old,
            block=block,
            freed=freed,
            stack=self.column(Column.STACK, operations.translate(IS_ALLOCATION)),
        )

    def column(self, column: Column, where: bytes) -> Vector:
        """A column that has entries where a byte of `where` is 1; zeros if the file does not have it."""
        if column not in self.packed:
            return zeros(len(where))
        return spread(decode_varints(self.packed[column], where.count(1)), where)

    def addresses(self, size: Vector, distance: Vector, base: int, shift: int) -> tuple[Vector, Vector]:
        """The columns `address` and `old`."""
        has_old = are_equal(distance, FOREIGN_DISTANCE, self.operations.translate(HAS_POINTER))
        has_address = self.operations.translate(HAS_ADDRESS)
        if Flags.ADDRESSES not in self.flags:
            return zeros(len(size)), spread([UNKNOWN_ADDRESS] * has_old.count(1), has_old)
        # Each event has two entries here: for the pointer that it was given, for the address that came back.
        where = interleave(has_old, has_address)
        keys = gather(twice(size), where)
        found = decode_varints(self.packed.get(Column.ADDRESS, b""), where.count(1))
        entries = spread(undo_differences(undo_shift_and_zigzag(found, shift), keys, base), where)
        return entries[1::2], entries[::2]
