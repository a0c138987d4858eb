"""Owns the taking and freeing of blocks: best fit, split, runs of blocks, whole pages, resizing in place."""

from __future__ import annotations

from ..common.sizes import ONE, round_up
from ..machine import Int, Word, likely, store_word
from .bins import bin_of, find, first_in, next_bin
from .block import (
    FREE_BEFORE,
    OWN,
    SIZE_SHIFT,
    USED,
    is_used,
    next_block,
    payload_bytes,
    set_tag,
    set_units_before,
    tag_at,
    units_of,
    usable_bytes,
)
from .chain import older
from .coalesce import detach, free_block_at, index, meet, merge, wilderness, wilderness_block
from .control import Heap
from .figures import count_in, count_out
from .layout import PAGE, PAGE_UNITS, UNIT_SHIFT
from .marks import claim, claim_to_return, claim_uncleared, mark_clean
from .pages import PURGED, blocks_kind, page_address, page_of, set_kind
from .segments import grow

BEFORE_SHIFT: Int = 32
LOOK_AT = 4


# ---- Taking blocks ----


def grow_for(heap: Heap, size: Word) -> Word:
    """The wilderness, grown to at least `size` units; or a block from growing elsewhere; or 0."""
    block: Word = 0
    while block == 0 and wilderness(heap) < size:
        if not grow(heap, size):
            return 0
        block = find(heap, size)
    return block if block != 0 else wilderness_block(heap)


def at_the_end(heap: Heap, size: Word) -> Word:
    """The same where no bin has one: at the end of the heap, growing it if necessary."""
    return wilderness_block(heap) if likely(wilderness(heap) >= size) else grow_for(heap, size)


def find_or_grow(heap: Heap, size: Word) -> Word:
    """A free block of at least `size` units, which stays in the index; or 0."""
    block = find(heap, size)
    return block if block != 0 else at_the_end(heap, size)


def split(heap: Heap, block: Word, found: Word, size: Word) -> None:
    """Use `size` of the `found` units of a block outside the index; the remainder goes into the index."""
    rest = found - size
    stop = next_block(block, found)
    if rest != 0:
        remainder = next_block(block, size)
        store_word(tag_at(remainder), size << BEFORE_SHIFT | rest << SIZE_SHIFT)
        set_units_before(stop, rest | FREE_BEFORE)
        index(heap, remainder, rest)
    else:
        set_units_before(stop, size)
    set_tag(block, size, USED)


def hand_out(heap: Heap, block: Word, size: Word) -> Word:
    """Allocate `size` units from the free block `found`, or return 0 if that is 0."""
    if block == 0:
        return 0
    found = units_of(block)
    detach(heap, block, found)
    split(heap, block, found, size)
    if found >= PAGE_UNITS:
        claim(heap, block, size)
    count_out(heap, payload_bytes(block, size), 1)
    return block


def allocate(heap: Heap, size: Word) -> Word:
    """A block of `size` units, or 0."""
    return hand_out(heap, find_or_grow(heap, size), size)


def allocate_run(heap: Heap, size: Word, maximum: Word) -> tuple[Word, Word]:
    """Up to `maximum` blocks of `size` units side by side, linked through their first words, and how many.

    The list is 0 if there is no memory.
    """
    block = find_or_grow(heap, size)
    if block == 0:
        return 0, 0
    found = units_of(block)
    count = found // size
    count = maximum if count > maximum else count
    detach(heap, block, found)
    split(heap, block, found, count * size)
    if found >= PAGE_UNITS:
        claim(heap, block, count * size)
    count_out(heap, usable_bytes(size) * count, count)
    if count == 1:
        store_word(block, 0)
        return block, count
    set_tag(block, size, USED)
    last = next_block(block, (count - 1) * size)
    part = block
    while part != last:
        following = next_block(part, size)
        store_word(part, following)
        store_word(tag_at(following), size << BEFORE_SHIFT | size << SIZE_SHIFT | USED)
        part = following
    store_word(last, 0)
    set_units_before(next_block(last, size), size)
    return block, count


def carve(heap: Heap, block: Word, start: Word, size: Word) -> None:
    """Take `size` units at `start` out of the free block that begins at `block`; the remainders stay free.

    The caller must clear the marks of the pages.
    """
    found = units_of(block)
    detach(heap, block, found)
    lead = (start - block) >> UNIT_SHIFT
    if lead != 0:
        set_tag(block, lead, 0)
        index(heap, block, lead)
        store_word(tag_at(start), (lead | FREE_BEFORE) << BEFORE_SHIFT)
    split(heap, start, found - lead, size)


def fits(block: Word, size: Word, alignment: Word) -> bool:
    """Whether `size` units at a multiple of `alignment` lie inside the free block."""
    return next_block(round_up(block, alignment), size) <= next_block(block, units_of(block))


def find_aligned(heap: Heap, size: Word, alignment: Word) -> Word:
    """A free block with `size` units at a multiple of `alignment` inside, the smallest easily found; or 0."""
    sure = size + (alignment >> UNIT_SHIFT) - 1
    number = next_bin(heap, bin_of(size))
    while number <= bin_of(sure):
        block = first_in(heap, number)
        for _ in range(LOOK_AT):
            if block != 0:
                if fits(block, size, alignment):
                    return block
                block = older(heap, block)
        number = next_bin(heap, number + 1)
    return find_or_grow(heap, sure)


def allocate_aligned(heap: Heap, size: Word, alignment: Word, uncleared: bool) -> Word:
    """A block of `size` units at a multiple of `alignment`, a power of two and at least 32; or 0.

    If `uncleared`, it must read as zero, and its dirty pages are marked UNCLEARED.
    """
    block = find_aligned(heap, size, alignment)
    if block == 0:
        return 0
    start = round_up(block, alignment)
    carve(heap, block, start, size)
    if uncleared:
        claim_uncleared(heap, start, size)
    else:
        claim(heap, start, size)
    count_out(heap, payload_bytes(start, size), 1)
    return start


def allocate_page(heap: Heap) -> Word:
    """A page for a slab: a block of exactly one page, or 0."""
    block = find_aligned(heap, PAGE_UNITS * ONE, PAGE * ONE)
    if block == 0:
        return 0
    page = round_up(block, PAGE)
    carve(heap, block, page, PAGE_UNITS)
    claim(heap, page, PAGE_UNITS)
    return page


# ---- Free pages on their way to the system ----


def take_pages(heap: Heap, page: Word, end: Word) -> None:
    """Reserve these pages, which lie in one free block, until `return_pages`."""
    start = page_address(page)
    size = (end - page) * PAGE_UNITS
    carve(heap, free_block_at(heap, page), start, size)
    claim_to_return(heap, start, size)
    set_tag(start, size, USED | OWN)


def return_pages(heap: Heap, page: Word, end: Word, purged: bool) -> None:
    """Free the pages again, as purged or as dirty."""
    meet(heap, merge(heap, page_address(page), (end - page) * PAGE_UNITS))
    if purged:
        mark_clean(heap, page, end, PURGED)


# ---- Giving blocks back, and changing them ----


def free_page(heap: Heap, page: Word) -> None:
    """Return a slab's page to the heap."""
    set_kind(page_of(page), blocks_kind(heap))
    merge(heap, page, PAGE_UNITS)


def free_block(heap: Heap, block: Word, size: Word) -> None:
    """Free a block of `size` units."""
    count_in(heap, payload_bytes(block, size), 1)
    merge(heap, block, size)


def shrink_block(heap: Heap, block: Word, before: Word, size: Word) -> None:
    """Cut a block of `before` units down to `size`, which is less."""
    rest = before - size
    count_in(heap, payload_bytes(block, before) - payload_bytes(block, size), 0)
    set_tag(block, size, USED)
    remainder = next_block(block, size)
    store_word(tag_at(remainder), size << BEFORE_SHIFT | rest << SIZE_SHIFT | USED)
    merge(heap, remainder, rest)


def grow_block(heap: Heap, block: Word, before: Word, size: Word) -> bool:
    """Grow a block of `before` units to `size`, into the free block behind it. Returns True on success."""
    neighbour = next_block(block, before)
    if is_used(neighbour):
        return False
    more = units_of(neighbour)
    if before + more < size:
        return False
    detach(heap, neighbour, more)
    split(heap, block, before + more, size)
    if more >= PAGE_UNITS:
        claim(heap, neighbour, size - before)
    count_out(heap, payload_bytes(block, size) - payload_bytes(block, before), 0)
    return True


def set_aside(heap: Heap, size: Word) -> Word:
    """A block of `size` units for the heap's own use, never freed; or 0."""
    block = allocate(heap, size)
    if block != 0:
        set_tag(block, size, USED | OWN)
        count_in(heap, usable_bytes(size), 1)
    return block
