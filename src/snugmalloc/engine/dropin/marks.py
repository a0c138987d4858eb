"""Owns the marks of free pages: which pages lie wholly inside free blocks, and whether they are dirty or clean.

    free block    ..|xxxx|page 0 |page 1 |page 2 |xx|..      x: the edges, in pages that others may use
                          FRESH   DIRTY   PURGED             never touched, still resident, given back

They tell `purge` what it can give back, and calloc what reads as zero already. Taking a block clears the marks
of the pages that it needs.
"""

from __future__ import annotations

from ..common.figures import figure, lower_figure, raise_figure
from ..machine import Int, Word, load_word, multiply, store_word, unlikely
from .block import next_block
from .control import Heap
from .figures import Figures
from .layout import ALL_BITS, IN_PAGE, PAGE, PAGE_SHIFT, PAGED
from .pages import (
    DIRTY,
    DIRTY_BITS,
    EIGHT_BLOCKS,
    FRESH,
    PURGED,
    SPARE_BITS,
    UNCLEARED,
    blocks_kind,
    crosses_leaf,
    eight_kinds,
    kind_of,
    kind_place,
    next_covered,
    page_address,
    page_of,
    set_few_kinds,
    set_kind,
    set_kinds,
)

ALL_BIT_COUNT = 64
SUM_OF_BYTES = 0x0101_0101_0101_0101  # a product with it has the sum of all bytes in its highest one
SUM_SHIFT: Int = 58  # and bit 2 of a byte counts for one
LONG_PAGES = PAGED // PAGE
EIGHT_DIRTY = 0x4444_4444_4444_4444
PURGED_TO_BLOCKS: Int = 5  # how far bit 1 of a kind is from the bit that all of these have
DIRTY_TO_BLOCKS: Int = 4  # and bit 2


# ---- How many ----


def dirty_pages(heap: Heap) -> Word:
    """How many pages lie wholly inside free blocks and have not been given back."""
    return heap.dirty


def spare_pages(heap: Heap) -> Word:
    """How many pages lie wholly inside free blocks and are the system's: given back, or never touched."""
    return figure(heap, Figures.purged_bytes) >> PAGE_SHIFT


def take_refaults(heap: Heap) -> Word:
    """How many purged pages blocks of less than PAGED bytes needed again, since the last call."""
    count = heap.refaults
    heap.refaults = 0
    return count


def take_long_refaults(heap: Heap) -> Word:
    """The same for longer blocks."""
    count = heap.long_refaults
    heap.long_refaults = 0
    return count


def count_gone(heap: Heap, count: Word) -> None:
    """Count pages of address space returned to the system, by the break or by unmapping."""
    heap.gone += count


def count_new(heap: Heap, count: Word, is_long: bool) -> None:
    """Count new pages of the system as refaults, up to the number that was returned before."""
    again = count if count < heap.gone else heap.gone
    heap.gone -= again
    count_refaults(heap, again, is_long)


def count_refaults(heap: Heap, count: Word, is_long: bool) -> None:
    """Count refaulted pages, of a block of at least PAGED bytes if it `is_long`."""
    if is_long:
        heap.long_refaults += count
    else:
        heap.refaults += count


# ---- Free ----


def mark_free(heap: Heap, block: Word, size: Word, low: Word, high: Word) -> None:
    """`size` units at `block` became part of a free block from `low` to `high`: mark its new whole pages."""
    page = page_of(block)
    first = page_of(low + IN_PAGE)
    end = page_of(next_block(block, size) + IN_PAGE)
    last = page_of(high)
    page = first if first > page else page
    end = last if last < end else end
    if page < end:
        heap.dirty += end - page
        set_kinds(page, end, DIRTY)


def mark_clean(heap: Heap, page: Word, end: Word, kind: Word) -> None:
    """Dirty pages were given back, or were never touched: `kind` is PURGED or FRESH."""
    set_kinds(page, end, kind)
    heap.dirty -= end - page
    raise_figure(heap, Figures.purged_bytes, (end - page) << PAGE_SHIFT)


def unmark(heap: Heap, page: Word, end: Word, kind: Word) -> None:
    """Remove free pages from the heap: their kind is `kind` now."""
    while page < end:
        if kind_of(page) == DIRTY:
            heap.dirty -= 1
        else:
            lower_figure(heap, Figures.purged_bytes, PAGE)
        set_kind(page, kind)
        page += 1


def are_free(kinds: Word) -> bool:
    """Whether all of eight kinds are marks of free pages."""
    return (kinds << PURGED_TO_BLOCKS | kinds << DIRTY_TO_BLOCKS) & kinds & EIGHT_BLOCKS == EIGHT_BLOCKS


def step_back(page: Word) -> Word:
    """From a marked page back over up to eight marked ones; the same page if there is none."""
    if page & 7 == 0 and are_free(eight_kinds(page - 8)):
        return page - 8
    return page - 1 if kind_of(page - 1) >= FRESH else page


def step_on(page: Word) -> Word:
    """The same, forwards."""
    if page & 7 == 7 and are_free(eight_kinds(page + 1)):
        return page + 8
    return page + 1 if kind_of(page + 1) >= FRESH else page


def next_dirty(page: Word, end: Word) -> Word:
    """The first page from `page` on that is DIRTY, or `end`."""
    page = next_covered(page, end)
    while page < end:
        if page & 7 == 0:
            kinds = eight_kinds(page)
            if kinds & (kinds << DIRTY_TO_BLOCKS) & EIGHT_BLOCKS == 0:
                page = next_covered(page + 8, end)
                continue
        if kind_of(page) == DIRTY:
            return page
        page += 1
    return end


def next_unmarked(page: Word, end: Word) -> Word:
    """The first page from `page` on without a mark, or `end`."""
    while page < end and kind_of(page) >= FRESH:
        page += 1
        while page & 7 == 0 and page + 8 <= end and are_free(eight_kinds(page)):
            page += 8
    return page


def dirty_end(page: Word, end: Word) -> Word:
    """Where the run of dirty pages ends that begins at `page`; at `end` at the latest."""
    while page < end and kind_of(page) == DIRTY:
        page += 1
        while page & 7 == 0 and page + 8 <= end and eight_kinds(page) == EIGHT_DIRTY:
            page += 8
    return page


# ---- In use ----


def claim_page(heap: Heap, page: Word, instead: Word) -> bool:
    """Clear the mark of a needed page; if it is dirty its kind is `instead`. Returns True if it was purged."""
    kind = kind_of(page)
    if kind == DIRTY:
        heap.dirty -= 1
        set_kind(page, instead)
        return False
    if kind >= FRESH:
        lower_figure(heap, Figures.purged_bytes, PAGE)
    set_kind(page, blocks_kind(heap))
    return kind == PURGED


def claim_each(heap: Heap, page: Word, end: Word, is_long: bool) -> None:
    """Clear the marks of pages that are needed, any of which may be clean."""
    again: Word = 0
    while page < end:
        again += claim_page(heap, page, blocks_kind(heap))
        page += 1
    count_refaults(heap, again, is_long)


def count_dirty(kinds: Word) -> Word:
    """The number of DIRTY pages among eight."""
    return multiply(kinds & DIRTY_BITS, SUM_OF_BYTES) >> SUM_SHIFT


def claim_eight(heap: Heap, page: Word, place: Word, kinds: Word, is_long: bool) -> None:
    """Clear the marks of eight needed pages, whose kinds are at `place`: they become `kinds`."""
    found = load_word(place)
    if unlikely(found & SPARE_BITS != 0):
        claim_each(heap, page, page + 8, is_long)
        return
    heap.dirty -= count_dirty(found)
    store_word(place, kinds)


def claim_few(heap: Heap, page: Word, end: Word) -> None:
    """Clear the marks of fewer than eight needed pages of one leaf; the pages behind may be another heap's."""
    kinds = eight_kinds(page) & ALL_BITS >> (ALL_BIT_COUNT - (end - page) * 8)
    if unlikely(kinds & SPARE_BITS != 0):
        claim_each(heap, page, end, False)
        return
    heap.dirty -= count_dirty(kinds)
    set_few_kinds(page, end, blocks_kind(heap))


def claim_many(heap: Heap, page: Word, end: Word) -> None:
    """Clear the marks of at least eight needed pages of one leaf; the last eight may overlap those before."""
    is_long = end - page >= LONG_PAGES
    kinds = multiply(blocks_kind(heap), SUM_OF_BYTES)
    place = kind_place(page)
    while page + 8 < end:
        claim_eight(heap, page, place, kinds, is_long)
        page += 8
        place += 8
    claim_eight(heap, end - 8, place - (page + 8 - end), kinds, is_long)


def claim(heap: Heap, block: Word, size: Word) -> None:
    """Clear the marks of the pages of `size` needed units at `block`."""
    page = page_of(block)
    end = page_of(next_block(block, size) + IN_PAGE)
    if unlikely(crosses_leaf(page, end)):
        claim_each(heap, page, end, end - page >= LONG_PAGES)
    elif end - page < 8:
        claim_few(heap, page, end)
    else:
        claim_many(heap, page, end)


def claim_to_return(heap: Heap, block: Word, size: Word) -> None:
    """The same for pages that are being given back."""
    before = heap.refaults
    long_before = heap.long_refaults
    claim(heap, block, size)
    heap.refaults = before
    heap.long_refaults = long_before


def claim_uncleared(heap: Heap, block: Word, size: Word) -> None:
    """The same for a block that must read as zero: its dirty pages are UNCLEARED until they are cleared."""
    page = page_of(block)
    end = page_of(next_block(block, size) + IN_PAGE)
    is_long = end - page >= LONG_PAGES
    again: Word = 0
    while page < end:
        is_whole = page_address(page) >= block and page_address(page + 1) <= next_block(block, size)
        again += claim_page(heap, page, UNCLEARED if is_whole else blocks_kind(heap))
        page += 1
    count_refaults(heap, again, is_long)


def mark_cleared(heap: Heap, block: Word, size: Word) -> None:
    """The block reads as zero now."""
    page = page_of(block)
    end = next_block(block, size) >> PAGE_SHIFT
    while page < end:
        if kind_of(page) == UNCLEARED:
            set_kind(page, blocks_kind(heap))
        page += 1
