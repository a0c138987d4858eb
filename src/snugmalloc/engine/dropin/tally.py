"""Owns the changes of live bytes by size, while there is a ring.

Rows do not have the size of a freed block, and the row of its allocation may be overwritten. Usable bytes are
counted, by the largest request that a block serves: that of its size class, and above 16 KiB a power of two.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import Word, highest_bit, inline, likely, multiply, unlikely
from .block import is_used, payload_bytes, units_of
from .classes import ALL_CLASSES, LISTED_LIMIT, class_of, object_bytes
from .large import is_mapped_block, length_of
from .layout import ALL_BITS, HEADER, UNIT
from .pages import is_block_kind, is_slab_kind, kind_at
from .recorder import Recorder
from .ring import LAST_BIN, count_bytes, has_ring

LISTED_SHIFT = 14


def size_bin(usable: Word) -> Word:
    """The size bin of a block with this many usable bytes.

    A block with a tag has HEADER bytes more than the request that fills its units.
    """
    count = usable - HEADER
    if count <= LISTED_LIMIT:
        return class_of(count)
    number = ALL_CLASSES + 1 + highest_bit(count - 1 >> LISTED_SHIFT)
    return number if number < LAST_BIN else LAST_BIN


def held_apart(pointer: Word, kind: Word) -> Word:
    """The usable bytes of a block in use that is no object of a slab; 0 for anything else."""
    if is_block_kind(kind) and pointer & (UNIT - 1) == 0 and is_used(pointer):
        return payload_bytes(pointer, units_of(pointer))
    return length_of(pointer) if is_mapped_block(pointer) else 0


def held_bytes(pointer: Word) -> Word:
    """The usable bytes of a block in use; 0 of what is no such block."""
    kind = kind_at(pointer)
    return object_bytes(kind) if likely(is_slab_kind(kind)) else held_apart(pointer, kind)


def count_change(recorder: Recorder, count: Word, change: Word) -> None:
    """Count a block of this many bytes, allocated or freed."""
    if count != 0:
        count_bytes(recorder, size_bin(count), change)


def count_block(recorder: Recorder, pointer: Word, kind: Word, times: Word) -> None:
    """A block on a page of this kind was given so many times, modulo 2**64: once, or once less.

    Objects are as large as the largest request of their class.
    """
    if likely(is_slab_kind(kind)):
        count_bytes(recorder, kind, multiply(object_bytes(kind), times))
    else:
        held = held_apart(pointer, kind)
        count_change(recorder, held, multiply(held, times))


@inline
def count_given(recorder: Recorder, pointer: Word) -> None:
    """Count the block that a call returned, if it is not NULL."""
    if unlikely(has_ring()) and pointer != 0:
        count_block(recorder, pointer, kind_at(pointer), ONE)


@inline
def count_taken(recorder: Recorder, pointer: Word, kind: Word) -> None:
    """Count a block, on a page of this kind, that is about to be freed."""
    if unlikely(has_ring()) and pointer != 0:
        count_block(recorder, pointer, kind, ALL_BITS)


@inline
def bytes_before(pointer: Word) -> Word:
    """The usable bytes of a block before it is resized, if they are counted."""
    return held_bytes(pointer) if unlikely(has_ring()) else 0


@inline
def count_resized(recorder: Recorder, before: Word, pointer: Word) -> None:
    """Count a block that had this many bytes before it was resized."""
    if unlikely(has_ring()):
        count_change(recorder, before, (0 - before) & ALL_BITS)
        count_given(recorder, pointer)
