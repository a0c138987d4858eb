"""Owns the check of pointers passed to free or realloc: a bad one ends the process with one line.

A cheap check of the page map and a block's tag is always made. With SNUG_HARDEN=1 there are no thread caches,
in which a freed block still looks like one in use, and every pointer is checked fully: whether a slab's object
begins there and is not free, whether the tags around a block agree. The cost does not depend on the size of the
heap.
"""

from __future__ import annotations

from ..machine import Word, fatal, load_byte
from .block import is_own, is_used, next_block, units_before, units_of
from .classes import object_bytes
from .control import Heap
from .large import is_mapped_block
from .layout import PAGE_BASE, UNIT, UNIT_SHIFT
from .pages import ADDRESS_BITS, FOREIGN, MAPPING, is_block_kind, is_heap_kind, is_slab_kind, kind_at
from .slab import capacity
from .walk import mark_objects, span

NOT_OURS = b"snugmalloc: %x was not allocated here"
NOT_IN_USE = b"snugmalloc: %x is not in use: freed twice, or never allocated"
OVERWRITTEN = b"snugmalloc: the tags around the block at %x were overwritten; its size now reads %d units"


def vet_object(heap: Heap, pointer: Word, size_class: Word) -> None:
    """Check a pointer into a slab of the class."""
    slab = pointer & PAGE_BASE
    size = object_bytes(size_class)
    number = (pointer - slab) // size
    if number >= capacity(size_class) or slab + number * size != pointer:
        fatal(NOT_OURS, pointer, 0)
    if not mark_objects(heap, slab):
        fatal(OVERWRITTEN, pointer, size >> UNIT_SHIFT)
    if load_byte(heap.marks + number) != 0:
        fatal(NOT_IN_USE, pointer, 0)


def is_tied_behind(block: Word, size: Word) -> bool:
    """Whether the tag of the next block matches this one of `size` units."""
    behind = next_block(block, size)
    return size != 0 and is_heap_kind(kind_at(behind - 1)) and units_before(behind) == size


def is_tied_before(block: Word) -> bool:
    """Whether the tag of the previous block, if there is one, matches this one."""
    before = units_before(block)
    in_front = block - (before << UNIT_SHIFT)
    return before == 0 or (is_heap_kind(kind_at(in_front)) and span(in_front) == before)


def vet_block(pointer: Word) -> None:
    """Check a pointer into a page of blocks."""
    if pointer & (UNIT - 1) != 0:
        fatal(NOT_OURS, pointer, 0)
    if not is_used(pointer) or is_own(pointer):
        fatal(NOT_IN_USE, pointer, 0)
    if not is_tied_behind(pointer, units_of(pointer)) or not is_tied_before(pointer):
        fatal(OVERWRITTEN, pointer, units_of(pointer))


def vet(heap: Heap, pointer: Word) -> None:
    """Check a pointer fully; under the lock."""
    kind = kind_at(pointer)
    if pointer >> ADDRESS_BITS != 0 or kind == FOREIGN or (kind == MAPPING and not is_mapped_block(pointer)):
        fatal(NOT_OURS, pointer, 0)
    elif is_block_kind(kind):
        vet_block(pointer)
    elif is_slab_kind(kind):
        vet_object(heap, pointer, kind)
    elif kind != MAPPING:
        fatal(NOT_IN_USE, pointer, 0)
