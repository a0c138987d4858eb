"""Owns the ways to look at the whole heap: walking it, checking it, and the figures computed when asked for.

A segment begins at a page of ours behind one that is not, and ends at its sentinel.
"""

from __future__ import annotations

from ..machine import Int, Word, load_byte, load_word, reserve, store_byte, visit_block
from .bins import is_in_place
from .block import free_before, is_own, is_used, next_block, payload_bytes, size_before, size_of
from .classes import SLAB_CLASSES, object_bytes
from .coalesce import free_block_at, free_blocks, is_indexed, wilderness
from .figures import Figures, OwnFigures, figure, set_figure
from .large import (
    bytes_in_flight,
    dirty_spare_pages,
    is_clean,
    is_mapped_block,
    length_of,
    newest_freed,
    newest_large,
    older_mapping,
)
from .layout import (
    IN_PAGE,
    MOST_UNITS,
    PAGE,
    PAGE_SHIFT,
    PAGE_UNITS,
    round_up,
)
from .marks import dirty_pages, spare_pages
from .pages import (
    BLOCKS,
    DIRTY,
    SPARE,
    UNCLEARED,
    is_heap_kind,
    is_slab_kind,
    kind_at,
    kind_of,
    lowest_page,
    next_covered,
    page_address,
    page_of,
    used_pages,
)
from .slab import capacity, first_free, free_count, next_slab, open_slab

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

MARKS = reserve(PAGE_UNITS)  # a byte for each object of the slab that is looked at: 1 if it is free

live_bytes: Word = 0
live_blocks: Word = 0
free_count_seen: Word = 0
heap_seen: Word = 0
dirty_seen: Word = 0
spare_seen: Word = 0
open_seen: Word = 0


# ---- Walking ----


def segment_from(page: Word) -> Word:
    """The first page of a segment from `page` on, or the end of the used pages."""
    stop = used_pages()
    page = next_covered(page if page > lowest_page() else lowest_page(), stop)
    while page < stop and not is_heap_kind(kind_of(page)):
        page = next_covered(page + 1, stop)
    return page


def is_slab(block: Word) -> bool:
    """Whether the block is a slab's page."""
    return is_slab_kind(kind_at(block))


def span(block: Word) -> Word:
    """The units to the next block, or 0 at the sentinel."""
    return PAGE_UNITS if is_slab(block) else size_of(block)


def mark_objects(slab: Word) -> bool:
    """Mark a slab's free objects in MARKS. Whether its list is sound."""
    size_class = kind_at(slab)
    size = object_bytes(size_class)
    most = capacity(size_class)
    for number in range(most):
        store_byte(MARKS + number, 0)
    count = free_count(slab)
    pointer = first_free(slab) if count != 0 else 0
    while pointer != 0 and count != 0:
        number = (pointer - slab) // size if pointer >= slab else most
        if number >= most or slab + number * size != pointer or load_byte(MARKS + number) != 0:
            return False
        store_byte(MARKS + number, 1)
        pointer = load_word(pointer)
        count -= 1
    return pointer == 0 and count == 0


def walk_slab(slab: Word, visitor: Word, context: Word) -> bool:
    """Show the objects of a slab to the visitor. Whether it wants more."""
    size_class = kind_at(slab)
    size = object_bytes(size_class)
    mark_objects(slab)
    for number in range(capacity(size_class)):
        status = FREE if load_byte(MARKS + number) != 0 else LIVE
        if not visit_block(visitor, slab + number * size, size, status, context):
            return False
    return True


def walk_block(block: Word, size: Word, visitor: Word, context: Word) -> bool:
    """Show what is at `block` to the visitor. Whether it wants more."""
    if is_slab(block):
        return walk_slab(block, visitor, context)
    used = is_used(block)
    if used and is_own(block):
        return True
    return visit_block(visitor, block, payload_bytes(block, size), LIVE if used else FREE, context)


def walk(visitor: Word, context: Word) -> bool:
    """Show every block to the visitor until it has enough. Whether it saw them all."""
    page = segment_from(0)
    while page < used_pages():
        block = page_address(page)
        size = span(block)
        while size != 0:
            if not walk_block(block, size, visitor, context):
                return False
            block = next_block(block, size)
            size = span(block)
        page = segment_from(page_of(block))
    block = newest_large()
    while block != 0:
        if not visit_block(visitor, block, length_of(block), MAPPED, context):
            return False
        block = older_mapping(block)
    return True


# ---- Checking ----


def see_live(count: Word, size: Word) -> None:
    """Count what is in use."""
    global live_bytes, live_blocks
    live_blocks += count
    live_bytes += count * size


def are_pages_right(block: Word, size: Word, used: bool) -> bool:
    """Whether the pages of a block have the kinds that they should, and count them."""
    global dirty_seen, spare_seen
    page = page_of(block)
    stop = next_block(block, size)
    first = page_of(round_up(block, PAGE))
    last = page_of(stop)
    end = page_of(stop + IN_PAGE)
    while page < end:
        kind = kind_of(page)
        if used or page < first or page >= last:
            if kind != BLOCKS and not (used and kind == UNCLEARED):
                return False
        elif kind == DIRTY:
            dirty_seen += 1
        elif kind > BLOCKS:
            spare_seen += 1
        else:
            return False
        page += 1
    return used or first >= last or (free_block_at(first) == block and free_block_at(last - 1) == block)


def check_slab(slab: Word) -> Int:
    """One slab."""
    global open_seen
    size_class = kind_at(slab)
    count = free_count(slab)
    if count >= capacity(size_class) or not mark_objects(slab):
        return BAD_SLAB
    open_seen += count != 0
    see_live(capacity(size_class) - count, object_bytes(size_class))
    return OK


def check_block(block: Word, size: Word) -> Int:
    """One block of the heap that is no slab."""
    global free_count_seen
    used = is_used(block)
    if used and not is_own(block):
        see_live(1, payload_bytes(block, size))
    if not used:
        free_count_seen += 1
        if free_before(block) != 0 and size + free_before(block) <= MOST_UNITS:
            return BAD_MERGED
        if not (is_in_place(block, size) if is_indexed(block, size) else size == wilderness()):
            return BAD_INDEX
    return OK if are_pages_right(block, size, used) else BAD_PAGES


def check_segment(first: Word) -> Int:
    """All blocks of the segment that begins at `first`."""
    global heap_seen
    block = first
    before: Word = 0
    was_used = True
    size = span(block)
    while size != 0:
        if page_of(next_block(block, size)) > used_pages():
            return BAD_SIZE
        if size_before(block) != before or free_before(block) != (0 if was_used else before):
            return BAD_BEFORE
        broken = check_slab(block) if is_slab(block) else check_block(block, size)
        if broken != OK:
            return broken
        was_used = is_used(block)
        before = size
        block = next_block(block, size)
        size = span(block)
    if size_before(block) != before or free_before(block) != (0 if was_used else before):
        return BAD_BEFORE
    if block & IN_PAGE != 0 or is_heap_kind(kind_at(block)):
        return BAD_SIZE
    heap_seen += block - first
    return OK


def check_open_slabs() -> Int:
    """The lists of slabs with free objects: of the right class, and together all of them."""
    found: Word = 0
    for size_class in range(1, SLAB_CLASSES + 1):
        slab = open_slab(size_class)
        while slab != 0:
            if kind_at(slab) != size_class or free_count(slab) == 0 or found >= open_seen:
                return BAD_SLAB
            found += 1
            slab = next_slab(slab)
    return OK if found == open_seen else BAD_SLAB


def check_large() -> Int:
    """The lists of mappings: blocks in use, and spare ones."""
    count: Word = 0
    mapped: Word = 0
    kept: Word = 0
    dirty: Word = 0
    mapping = newest_large()
    while mapping != 0:
        if not is_mapped_block(mapping) or count >= figure(Figures.mapped_blocks):
            return BAD_MAPPED
        count += 1
        mapped += length_of(mapping)
        see_live(1, length_of(mapping))
        mapping = older_mapping(mapping)
    mapping = newest_freed()
    while mapping != 0:
        if kind_at(mapping) != SPARE or kept >= figure(Figures.kept_bytes):
            return BAD_MAPPED
        kept += length_of(mapping)
        dirty += 0 if is_clean(mapping) else length_of(mapping)
        mapping = older_mapping(mapping)
    if count != figure(Figures.mapped_blocks) or mapped != figure(Figures.mapped_bytes):
        return BAD_MAPPED
    if kept != figure(Figures.kept_bytes) or dirty >> PAGE_SHIFT != dirty_spare_pages():
        return BAD_MAPPED
    return OK


def check_totals() -> Int:
    """What was seen against what is counted."""
    if free_count_seen != free_blocks():
        return BAD_INDEX
    if dirty_seen != dirty_pages() or spare_seen != spare_pages():
        return BAD_PAGES
    if live_bytes != figure(Figures.live_bytes) or live_blocks != figure(Figures.live_blocks):
        return BAD_TOTALS
    if heap_seen != figure(Figures.heap_bytes):
        return BAD_TOTALS
    mapped = figure(Figures.mapped_bytes) + figure(Figures.kept_bytes) + bytes_in_flight()
    if heap_seen + mapped != figure(Figures.system_bytes):
        return BAD_TOTALS
    return OK


def check() -> Int:
    """Check every invariant of the heap. OK, or the first that is broken."""
    global live_bytes, live_blocks, free_count_seen, heap_seen, dirty_seen, spare_seen, open_seen
    live_bytes = 0
    live_blocks = 0
    free_count_seen = 0
    heap_seen = 0
    dirty_seen = 0
    spare_seen = 0
    open_seen = 0
    page = segment_from(0)
    while page < used_pages():
        broken = check_segment(page_address(page))
        if broken != OK:
            return broken
        while page < used_pages() and is_heap_kind(kind_of(page)):
            page += 1
        page = segment_from(page)
    broken = check_open_slabs()
    if broken == OK:
        broken = check_large()
    return broken if broken != OK else check_totals()


# ---- Figures ----


def total_figures() -> None:
    """Bring the figures up to date that are computed when asked for, but those of the caches."""
    set_figure(Figures.free_blocks, free_blocks())
    live_in_heap = figure(Figures.live_bytes) - figure(Figures.mapped_bytes)
    set_figure(Figures.free_bytes, figure(Figures.heap_bytes) - live_in_heap)
    which = OwnFigures.exact_peak_bytes if figure(Figures.counting) != 0 else OwnFigures.peak_out_bytes
    set_figure(Figures.peak_live_bytes, figure(which))
