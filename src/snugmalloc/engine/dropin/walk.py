"""Owns walking the whole heap, checking it, and the figures computed on request.

A segment begins at a page of ours behind one that is not, and ends at its sentinel.
"""

from __future__ import annotations

from ..common.figures import figure, set_figure
from ..common.sizes import round_up
from ..machine import Int, Word, load_byte, load_word, store_byte, visit_block
from .bins import is_in_place
from .block import free_before, is_own, is_used, next_block, payload_bytes, units_before, units_of
from .chain import older
from .classes import SLAB_CLASSES, object_bytes
from .coalesce import free_block_at, free_blocks, is_indexed, wilderness
from .control import Heap
from .figures import Figures, OwnFigures
from .large import (
    bytes_in_flight,
    dirty_spare_pages,
    is_clean,
    is_mapped_block,
    length_of,
    newest_freed,
    newest_large,
)
from .layout import IN_PAGE, MAX_UNITS, PAGE, PAGE_SHIFT, PAGE_UNITS
from .marks import dirty_pages, spare_pages
from .pages import (
    DIRTY,
    FRESH,
    SPARE,
    UNCLEARED,
    blocks_kind,
    is_heap_kind,
    is_slab_kind,
    kind_at,
    kind_of,
    lowest_page,
    next_covered,
    next_granule,
    owner_of_page,
    page_address,
    page_of,
    used_pages,
)
from .slab import capacity, first_free, free_count, open_slab

FREE: Int = 0
LIVE: Int = 1
MAPPED: Int = 2

OK: Int = 0
BAD_SIZE: Int = 1
BAD_BEFORE: Int = 2
BAD_MERGED: Int = 3
BAD_INDEX: Int = 4
BAD_PAGES: Int = 5
BAD_SLAB: Int = 6
BAD_MAPPED: Int = 7
BAD_CACHE: Int = 8
BAD_TOTALS: Int = 9


# ---- Walking ----


def segment_from(heap: Heap, page: Word) -> Word:
    """The first page of a segment from `page` on, or the end of the used pages."""
    stop = used_pages(heap)
    page = next_covered(page if page > lowest_page(heap) else lowest_page(heap), stop)
    while page < stop:
        if owner_of_page(page) != heap:
            page = next_granule(page)
        elif is_heap_kind(kind_of(page)):
            return page
        else:
            page += 1
        page = next_covered(page, stop)
    return stop


def is_slab(block: Word) -> bool:
    """Whether the block is a slab's page."""
    return is_slab_kind(kind_at(block))


def span(block: Word) -> Word:
    """The units to the next block, or 0 at the sentinel."""
    return PAGE_UNITS if is_slab(block) else units_of(block)


def mark_objects(heap: Heap, slab: Word) -> bool:
    """Mark a slab's free objects in the control block. Returns whether its list is valid."""
    size_class = kind_at(slab)
    size = object_bytes(size_class)
    maximum = capacity(size_class)
    for number in range(maximum):
        store_byte(heap.marks + number, 0)
    count = free_count(slab)
    pointer = first_free(slab) if count != 0 else 0
    while pointer != 0 and count != 0:
        number = (pointer - slab) // size if pointer >= slab else maximum
        if number >= maximum or slab + number * size != pointer or load_byte(heap.marks + number) != 0:
            return False
        store_byte(heap.marks + number, 1)
        pointer = load_word(pointer)
        count -= 1
    return pointer == 0 and count == 0


def walk_slab(heap: Heap, slab: Word, visitor: Word, context: Word) -> bool:
    """Show the objects of a slab to the visitor. Returns False if it stopped the walk."""
    size_class = kind_at(slab)
    size = object_bytes(size_class)
    mark_objects(heap, slab)
    for number in range(capacity(size_class)):
        status = FREE if load_byte(heap.marks + number) != 0 else LIVE
        if not visit_block(visitor, slab + number * size, size, status, context):
            return False
    return True


def walk_block(heap: Heap, block: Word, size: Word, visitor: Word, context: Word) -> bool:
    """Show the block or the slab's objects at `block` to the visitor. Returns False if it stopped the walk."""
    if is_slab(block):
        return walk_slab(heap, block, visitor, context)
    used = is_used(block)
    if used and is_own(block):
        return True
    return visit_block(visitor, block, payload_bytes(block, size), LIVE if used else FREE, context)


def walk(heap: Heap, visitor: Word, context: Word) -> bool:
    """Show every block to the visitor. Returns False if it stopped the walk."""
    page = segment_from(heap, 0)
    while page < used_pages(heap):
        block = page_address(page)
        size = span(block)
        while size != 0:
            if not walk_block(heap, block, size, visitor, context):
                return False
            block = next_block(block, size)
            size = span(block)
        page = segment_from(heap, page_of(block))
    block = newest_large(heap)
    while block != 0:
        if not visit_block(visitor, block, length_of(block), MAPPED, context):
            return False
        block = older(heap, block)
    return True


# ---- Checking ----


def see_live(heap: Heap, count: Word, size: Word) -> None:
    """Count live blocks and bytes."""
    heap.seen_blocks += count
    heap.seen_bytes += count * size


def are_pages_right(heap: Heap, block: Word, size: Word, used: bool) -> bool:
    """Count the pages of a block, by kind. Returns whether the kinds are right."""
    page = page_of(block)
    stop = next_block(block, size)
    first = page_of(round_up(block, PAGE))
    last = page_of(stop)
    end = page_of(stop + IN_PAGE)
    while page < end:
        kind = kind_of(page)
        if used or page < first or page >= last:
            if kind != blocks_kind(heap) and not (used and kind == UNCLEARED):
                return False
        elif kind == DIRTY:
            heap.seen_dirty += 1
        elif kind >= FRESH:
            heap.seen_spare += 1
        else:
            return False
        page += 1
    return (
        used
        or first >= last
        or (free_block_at(heap, first) == block and free_block_at(heap, last - 1) == block)
    )


def check_slab(heap: Heap, slab: Word) -> Int:
    """Check one slab."""
    size_class = kind_at(slab)
    count = free_count(slab)
    if count >= capacity(size_class) or not mark_objects(heap, slab):
        return BAD_SLAB
    heap.seen_open += count != 0
    see_live(heap, capacity(size_class) - count, object_bytes(size_class))
    return OK


def check_block(heap: Heap, block: Word, size: Word) -> Int:
    """Check one block of the heap other than a slab."""
    used = is_used(block)
    if used and not is_own(block):
        see_live(heap, 1, payload_bytes(block, size))
    if not used:
        heap.seen_free += 1
        if free_before(block) != 0 and size + free_before(block) <= MAX_UNITS:
            return BAD_MERGED
        if not (is_in_place(heap, block, size) if is_indexed(heap, block, size) else size == wilderness(heap)):
            return BAD_INDEX
    return OK if are_pages_right(heap, block, size, used) else BAD_PAGES


def check_segment(heap: Heap, first: Word) -> Int:
    """Check all blocks of the segment that begins at `first`."""
    block = first
    before: Word = 0
    was_used = True
    size = span(block)
    while size != 0:
        if page_of(next_block(block, size)) > used_pages(heap):
            return BAD_SIZE
        if units_before(block) != before or free_before(block) != (0 if was_used else before):
            return BAD_BEFORE
        broken = check_slab(heap, block) if is_slab(block) else check_block(heap, block, size)
        if broken != OK:
            return broken
        was_used = is_used(block)
        before = size
        block = next_block(block, size)
        size = span(block)
    if units_before(block) != before or free_before(block) != (0 if was_used else before):
        return BAD_BEFORE
    if block & IN_PAGE != 0 or is_heap_kind(kind_at(block)):
        return BAD_SIZE
    heap.seen_heap += block - first
    return OK


def check_open_slabs(heap: Heap) -> Int:
    """Check the lists of slabs with free objects: of the right class, and complete."""
    found: Word = 0
    for size_class in range(1, SLAB_CLASSES + 1):
        slab = open_slab(heap, size_class)
        while slab != 0:
            if kind_at(slab) != size_class or free_count(slab) == 0 or found >= heap.seen_open:
                return BAD_SLAB
            found += 1
            slab = older(heap, slab)
    return OK if found == heap.seen_open else BAD_SLAB


def check_large(heap: Heap) -> Int:
    """Check the lists of mappings: blocks in use, and spare ones."""
    count: Word = 0
    mapped: Word = 0
    kept: Word = 0
    dirty: Word = 0
    mapping = newest_large(heap)
    while mapping != 0:
        if not is_mapped_block(mapping) or count >= figure(heap, Figures.mapped_blocks):
            return BAD_MAPPED
        count += 1
        mapped += length_of(mapping)
        see_live(heap, 1, length_of(mapping))
        mapping = older(heap, mapping)
    mapping = newest_freed(heap)
    while mapping != 0:
        if kind_at(mapping) != SPARE or kept >= figure(heap, Figures.kept_bytes):
            return BAD_MAPPED
        kept += length_of(mapping)
        dirty += 0 if is_clean(mapping) else length_of(mapping)
        mapping = older(heap, mapping)
    if count != figure(heap, Figures.mapped_blocks) or mapped != figure(heap, Figures.mapped_bytes):
        return BAD_MAPPED
    if kept != figure(heap, Figures.kept_bytes) or dirty >> PAGE_SHIFT != dirty_spare_pages(heap):
        return BAD_MAPPED
    return OK


def check_totals(heap: Heap) -> Int:
    """Compare the totals of the walk with the figures."""
    if heap.seen_free != free_blocks(heap):
        return BAD_INDEX
    if heap.seen_dirty != dirty_pages(heap) or heap.seen_spare != spare_pages(heap):
        return BAD_PAGES
    if heap.seen_bytes != figure(heap, Figures.live_bytes):
        return BAD_TOTALS
    if heap.seen_blocks != figure(heap, Figures.live_blocks):
        return BAD_TOTALS
    if heap.seen_heap != figure(heap, Figures.heap_bytes):
        return BAD_TOTALS
    mapped = figure(heap, Figures.mapped_bytes) + figure(heap, Figures.kept_bytes) + bytes_in_flight(heap)
    if heap.seen_heap + mapped != figure(heap, Figures.system_bytes):
        return BAD_TOTALS
    return OK


def check(heap: Heap) -> Int:
    """Check every invariant of the heap. Returns OK, or the first that is broken."""
    heap.seen_bytes = 0
    heap.seen_blocks = 0
    heap.seen_free = 0
    heap.seen_heap = 0
    heap.seen_dirty = 0
    heap.seen_spare = 0
    heap.seen_open = 0
    page = segment_from(heap, 0)
    while page < used_pages(heap):
        broken = check_segment(heap, page_address(page))
        if broken != OK:
            return broken
        while page < used_pages(heap) and is_heap_kind(kind_of(page)):
            page += 1
        page = segment_from(heap, page)
    broken = check_open_slabs(heap)
    if broken == OK:
        broken = check_large(heap)
    return broken if broken != OK else check_totals(heap)


# ---- Figures ----


def total_figures(heap: Heap) -> None:
    """Update the figures that are computed on request, except those of the caches."""
    set_figure(heap, Figures.free_blocks, free_blocks(heap))
    live_in_heap = figure(heap, Figures.live_bytes) - figure(heap, Figures.mapped_bytes)
    set_figure(heap, Figures.free_bytes, figure(heap, Figures.heap_bytes) - live_in_heap)
    which = OwnFigures.exact_peak_bytes if figure(heap, Figures.counting) != 0 else OwnFigures.peak_out_bytes
    set_figure(heap, Figures.peak_live_bytes, figure(heap, which))
