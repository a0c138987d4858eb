"""Owns the free blocks: each has no free neighbour, is tagged as free, and can be found.

A free block is in a bin, unless it is the wilderness: the free block at the end where the heap grows. That one
is split only if nothing else fits, and needs no bin.

Any other free block can also be found from each of its whole pages, for `purge`. Its first and last page hold
its start:

    tag of the page      0, or where the block begins with the page the block's own, which is never 0
    links of the page    the block's address; where it begins with the page they are its own
"""

from __future__ import annotations

from ..machine import Word, load_word, store_word, unlikely
from .bins import indexed_blocks, put, take
from .block import (
    FREE_BEFORE,
    SIZE_SHIFT,
    USED,
    free_before,
    next_block,
    set_tag,
    set_units_before,
    tag_at,
    units_before,
    units_of,
)
from .control import Heap
from .layout import IN_PAGE, MAX_UNITS, MIB, PAGE_UNITS, UNIT, UNIT_SHIFT
from .marks import mark_free, step_back, step_on
from .pages import page_address, page_links, page_of, page_tag

MUCH = 4 * MIB // UNIT


def wilderness(heap: Heap) -> Word:
    """The units of the free block at the end that the heap grew at last, or 0."""
    return heap.end_units


def wilderness_block(heap: Heap) -> Word:
    """The address of the wilderness, or where it would begin."""
    return heap.heap_end - (heap.end_units << UNIT_SHIFT)


def free_blocks(heap: Heap) -> Word:
    """How many blocks are free."""
    return indexed_blocks(heap) + 1 if heap.end_units != 0 else indexed_blocks(heap)


def is_indexed(heap: Heap, block: Word, size: Word) -> bool:
    """Whether a free block belongs in a bin: all do but the wilderness."""
    return next_block(block, size) != heap.heap_end


def note_start(page: Word, block: Word) -> None:
    """Store the start of a free block for one of its whole pages, at which it does not begin."""
    page_tag(page_address(page)).size = 0
    store_word(page_links(page_address(page)), block)


def note_ends(block: Word, size: Word) -> None:
    """Store the start of a free block for its first and last whole page, if it has any."""
    first = page_of(block + IN_PAGE)
    behind_it = page_of(next_block(block, size))
    if first < behind_it:
        if block & IN_PAGE != 0:
            note_start(first, block)
        if first + 1 < behind_it:
            note_start(behind_it - 1, block)


def noted_start(page: Word) -> Word:
    """The start of a free block, as stored for its first or last whole page."""
    start = page_address(page)
    return start if page_tag(start).size >> SIZE_SHIFT != 0 else load_word(page_links(start))


def is_inside(place: Word, block: Word) -> bool:
    """Whether an address lies in a block."""
    return place >= block and place < next_block(block, units_of(block))


def free_block_at(heap: Heap, page: Word) -> Word:
    """The free block in which a page with a mark lies.

    It searches in both directions at once.
    """
    place = page_address(page)
    if place >= wilderness_block(heap) and place < heap.heap_end:
        return wilderness_block(heap)
    if heap.changes == heap.met_changes and is_inside(place, heap.met_block):
        return heap.met_block
    low = page
    high = page
    while step_back(low) != low and step_on(high) != high:
        low = step_back(low)
        high = step_on(high)
    start = noted_start(low if step_back(low) == low else high)
    while start > place:  # free neighbours that were too large to be one
        start -= units_before(start) << UNIT_SHIFT
    while next_block(start, units_of(start)) <= place:
        start = next_block(start, units_of(start))
    return start


def index(heap: Heap, block: Word, size: Word) -> None:
    """Insert the free block of `size` units into the index."""
    heap.changes += 1
    if is_indexed(heap, block, size):
        put(heap, block, size)
        if size >= PAGE_UNITS:
            note_ends(block, size)
    else:
        heap.end_units = size


def detach(heap: Heap, block: Word, size: Word) -> None:
    """Remove the free block of `size` units from the index."""
    heap.changes += 1
    if is_indexed(heap, block, size):
        take(heap, block, size)
    else:
        heap.end_units = 0


def move_end(heap: Heap, end: Word) -> None:
    """Move the heap's growing end to `end`, 0: nowhere; the old wilderness becomes an ordinary block."""
    size = heap.end_units
    block = heap.heap_end - (size << UNIT_SHIFT)
    heap.heap_end = end
    heap.end_units = 0
    if size != 0:
        index(heap, block, size)


def has_end_grown(heap: Heap) -> bool:
    """Whether the wilderness became much larger since `settle_end`, because the block before it was freed."""
    return unlikely(heap.end_units > heap.settled_units + heap.settled_units + MUCH)


def settle_end(heap: Heap) -> None:
    """Remember the size of the wilderness."""
    heap.settled_units = heap.end_units


def lower_end(heap: Heap, before: Word, end: Word) -> None:
    """Move a segment's end from `before` to `end`, and the heap's end with it if it was the same."""
    heap.heap_end = end if heap.heap_end == before else heap.heap_end


def merge(heap: Heap, block: Word, size: Word) -> Word:
    """Merge `size` units at `block`, now free, with their free neighbours, and index the result.

    Returns its address.
    """
    start = block
    total = size
    behind_it = next_block(block, size)
    tag = tag_at(behind_it).size
    if tag & USED == 0 and total + (tag >> SIZE_SHIFT) <= MAX_UNITS:
        detach(heap, behind_it, tag >> SIZE_SHIFT)
        total += tag >> SIZE_SHIFT
    before = free_before(block)
    if before != 0 and total + before <= MAX_UNITS:
        start = block - (before << UNIT_SHIFT)
        detach(heap, start, before)
        total += before
    set_tag(start, total, 0)
    stop = next_block(start, total)
    set_units_before(stop, total | FREE_BEFORE)
    index(heap, start, total)
    if total >= PAGE_UNITS:
        mark_free(heap, block, size, start, stop)
    return start


def meet(heap: Heap, block: Word) -> None:
    """Remember the free block at `block`, which will be searched for next."""
    heap.met_block = block
    heap.met_changes = heap.changes
