"""Owns the choice of a place for a request to a heap, its blocks or a mapping, and resizing in place."""

from __future__ import annotations

from ..common.sizes import ONE, round_up
from ..machine import Byte, Word, fatal, fill_bytes, libc_usable_size, page_size, unlikely
from .block import is_used, payload_bytes, units_of
from .cache import enter, leave, operations_for
from .classes import block_units, object_bytes
from .clear import clear_block
from .control import Heap
from .heap import allocate_aligned, grow_block, shrink_block
from .large import (
    clear_large,
    free_large,
    is_mapped_block,
    is_short_of_mappings,
    length_of,
    map_large,
    owner_of,
    resize_large,
)
from .layout import IN_PAGE, MAX_UNITS, PAGE_UNITS, PAGED, UNIT, UNIT_SHIFT, units_for
from .marks import mark_cleared
from .options import fills_memory, hands_over, mmap_threshold
from .pages import FOREIGN, MAPPING, is_block_kind, is_slab_kind, kind_at
from .segments import top_bytes, trim
from .vet import NOT_IN_USE, NOT_OURS

MIN_CUT = 4  # units; a block is not shrunk by less
CLEARED_LIMIT = 8192  # calloc takes more where fresh pages need no writing

HANDED_OUT: Byte = 0xA5  # with SNUG_FILL=1, bytes that the program has not written
FREED: Byte = 0x5A  # and bytes that it has freed


def usable(pointer: Word) -> Word:
    """The usable bytes of a block in use; any other pointer ends the process."""
    kind = kind_at(pointer)
    if is_block_kind(kind) and pointer & (UNIT - 1) == 0:
        if not is_used(pointer):
            fatal(NOT_IN_USE, pointer, 0)
        return payload_bytes(pointer, units_of(pointer))
    if is_slab_kind(kind):
        return object_bytes(kind)
    if is_mapped_block(pointer):
        return length_of(pointer)
    if kind != FOREIGN or not hands_over():
        fatal(NOT_OURS, pointer, 0)
    return libc_usable_size(pointer)


# ---- Filling, under SNUG_FILL=1 ----


def filled(pointer: Word) -> Word:
    """The result of a request for memory that need not be zero, filled with HANDED_OUT if SNUG_FILL=1."""
    if unlikely(fills_memory()) and pointer != 0:
        fill_bytes(pointer, usable(pointer), HANDED_OUT)
    return pointer


def fill_freed(pointer: Word) -> None:
    """Before a block is freed: fill it with FREED if SNUG_FILL=1."""
    if unlikely(fills_memory()):
        fill_bytes(pointer, usable(pointer), FREED)


# ---- A new block ----


def units_in(heap: Heap, size: Word) -> Word:
    """The units of a block of the heap for `size` bytes, in a private heap without rounding to a class."""
    return units_for(size if size != 0 else ONE) if heap.is_private != 0 else block_units(size)


def in_heap(heap: Heap, size: Word, alignment: Word, cleared: bool) -> Word:
    """A block of the heap at a multiple of `alignment`; from PAGED bytes on one of whole pages; or 0."""
    units = units_in(heap, size)
    if size >= PAGED:
        units = round_up(size, page_size()) >> UNIT_SHIFT
        alignment = page_size() if alignment < page_size() else alignment
    if units + (alignment >> UNIT_SHIFT) > MAX_UNITS:
        return 0
    held = enter(heap)
    block = allocate_aligned(heap, units, alignment, cleared)
    leave(heap, held, operations_for(size))
    if block != 0 and cleared:
        clear_block(block, units)
        held = enter(heap)
        mark_cleared(heap, block, units)
        leave(heap, held, 0)
    return block


def in_mapping(heap: Heap, size: Word, alignment: Word, cleared: bool) -> Word:
    """A block in a mapping of its own at a multiple of `alignment`; or 0."""
    mapping = map_large(heap, size, alignment)
    if mapping == 0:
        return 0
    held = enter(heap)
    leave(heap, held, operations_for(size))
    if cleared:
        clear_large(mapping)
    return mapping


def anywhere(heap: Heap, size: Word, alignment: Word, cleared: bool) -> Word:
    """A block in the heap or, from the threshold on, a mapping; the other if that is refused; or 0."""
    if size >= mmap_threshold() and not is_short_of_mappings(heap):
        mapping = in_mapping(heap, size, alignment, cleared)
        return mapping if mapping != 0 else in_heap(heap, size, alignment, cleared)
    block = in_heap(heap, size, alignment, cleared)
    return block if block != 0 else in_mapping(heap, size, alignment, cleared)


def lower_break_for(heap: Heap, size: Word) -> bool:
    """Move the break down, if that makes room for a mapping of `size` bytes. Returns True on success."""
    held = enter(heap)
    is_useful = size >= mmap_threshold() and top_bytes(heap, 0) >= size
    trimmed = trim(heap, 0) if is_useful else 0
    leave(heap, held, 0)
    return trimmed != 0


# ---- Freeing ----


def dispose_large(pointer: Word) -> None:
    """Free a block in a mapping of its own."""
    if not is_mapped_block(pointer):
        fatal(NOT_OURS, pointer, 0)
    heap = owner_of(pointer)
    held = enter(heap)
    length = length_of(pointer) if is_mapped_block(pointer) else 0
    if not free_large(heap, pointer):
        fatal(NOT_OURS, pointer, 0)
    leave(heap, held, operations_for(length))


# ---- Resizing where it stands ----


def units_to_resize(heap: Heap, pointer: Word, before: Word, size: Word) -> Word:
    """The units of a block of `before` units after resizing to `size` bytes: one of whole pages stays one."""
    if pointer & IN_PAGE == 0 and before & (PAGE_UNITS - 1) == 0 and size >= PAGED:
        return round_up(size, page_size()) >> UNIT_SHIFT
    return units_in(heap, size)


def resize_block(pointer: Word, size: Word) -> bool:
    """Resize a block of a heap to `size` bytes in place. Returns True on success."""
    heap = owner_of(pointer)
    before = units_of(pointer)
    units = units_to_resize(heap, pointer, before, size)
    if units + MIN_CUT > before and units <= before:
        return True
    done = True
    held = enter(heap)
    if units < before:
        shrink_block(heap, pointer, before, units)
    else:
        done = grow_block(heap, pointer, before, units)
    leave(heap, held, operations_for((before - units) << UNIT_SHIFT if units < before else 0))
    return done


def resize_in_place(pointer: Word, size: Word, before: Word) -> Word:
    """Resize a block of `before` usable bytes to `size` in place, moving only mappings; or 0."""
    kind = kind_at(pointer)
    if kind == MAPPING:
        moved = resize_large(owner_of(pointer), pointer, size)
        return pointer if moved == 0 and size <= before else moved
    is_resized = is_block_kind(kind) and size < mmap_threshold() and resize_block(pointer, size)
    return pointer if is_resized or size <= before else 0
