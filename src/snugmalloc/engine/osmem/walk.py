"""Owns the ways to look at the whole heap: walking it, checking it, and saying what a bad pointer points at.

Nothing here is called while the heap works, except by builds that check everything, and by a process that has
already lost.
"""

from __future__ import annotations

from ..machine import Half, Int, Word, fatal, load_word, visit_block
from .block import (
    ALIGN,
    FREE,
    FRESH,
    LIVE,
    MAPPED,
    META,
    NOWHERE,
    SORTED,
    WAITING,
    end_of,
    is_edge,
    is_free_before,
    is_free_next,
    next_block,
    place_of,
    size_before,
    size_of,
    status_of,
)
from .chain import is_linked, older
from .figures import FIGURES, Figures, OwnFigures
from .heap import WAITING_LIST, first_block, has_free_before, has_free_next, newest_wall, top_block
from .index import BIN_COUNT, bin_of, fresh_list, sorted_tree
from .kernel import heap_end
from .mapping import newest_mapping
from .seal import can_be_read, fits_behind, is_hardened, is_sealed, is_whole_before, is_whole_behind
from .tree import node_of, precedes, rank

OK: Int = 0
BAD_SIZE: Int = 1
BAD_STATUS: Int = 2
BAD_BEFORE: Int = 3
BAD_INDEX: Int = 4
BAD_MERGED: Int = 5
BAD_END: Int = 6
BAD_MAPPED: Int = 7
BAD_TOTALS: Int = 8
BAD_SEAL: Int = 9

FOREIGN = b"snugmalloc: %x was not returned by os_malloc"
TWICE = b"snugmalloc: %x was freed already; the free block there has %d bytes"
MIDDLE = b"snugmalloc: %x was not returned by os_malloc: it points %d bytes into a block"
HEADER = b"snugmalloc: the header in front of %x was overwritten; its size now reads %d"
OVERRUN = b"snugmalloc: the header behind the block at %x was overwritten, past the end of its %d bytes"
BETWEEN = b"snugmalloc: the header in front of %x or that of the block before was overwritten"
CORRUPT = b"snugmalloc: %x is a bad pointer, and the heap is corrupt before it, at %x"


# ---- Walking ----


def next_segment(wall: Word) -> Word:
    """The wall of the segment made after that of `wall`; after the first segment (0) the oldest one; or 0."""
    found: Word = 0
    candidate = newest_wall()
    while candidate != wall and candidate != 0:
        found = candidate
        candidate = older(candidate)
    return found


def segment_start(wall: Word) -> Word:
    """The first block behind `wall`; for 0 that of the first segment, or 0 if there is none."""
    return wall + META if wall != 0 else first_block()


def segment_limit(wall: Word) -> Word:
    """The address that no block of the segment reaches beyond."""
    limit: Word = 0
    if wall != 0:
        limit = size_of(wall)
    return limit if limit != 0 else heap_end()


def is_sound(block: Word, limit: Word) -> bool:
    """Whether a header can be followed: its block ends within the segment."""
    size = size_of(block)
    return size >= ALIGN and size & (ALIGN - 1) == 0 and size <= limit - block


def following(block: Word) -> Word:
    """The next block of the segment, or 0."""
    return 0 if is_edge(block) else next_block(block)


def walk(visitor: Word, context: Word) -> bool:
    """Show every block to the visitor. Returns False if it stopped the walk."""
    wall: Word = 0
    more = True
    while more:
        block = segment_start(wall)
        while block != 0:
            if not visit_block(visitor, block, size_of(block), status_of(block), context):
                return False
            block = following(block)
        wall = next_segment(wall)
        more = wall != 0
    block = newest_mapping()
    while block != 0:
        if not visit_block(visitor, block, size_of(block), MAPPED, context):
            return False
        block = older(block)
    return True


def total_figures() -> None:
    """Bring the figures up to date that are computed only when asked for."""
    figures = Figures(FIGURES)
    blocks = figures.live_blocks + figures.free_blocks + OwnFigures(FIGURES).wall_blocks
    figures.free_bytes = figures.heap_bytes - blocks * META - figures.live_bytes
    figures.system_bytes = figures.heap_bytes + figures.mapped_bytes + figures.mapped_blocks * META


# ---- Checking ----


def count_list(head: Word, place: Half) -> Word:
    """How many blocks the list has, all of this place; it stops at one more than there are free blocks."""
    count: Word = 0
    block = load_word(head)
    while (
        block != 0
        and place_of(block) == place
        and is_linked(head, block)
        and count <= Figures(FIGURES).free_blocks
    ):
        count += 1
        block = older(block)
    return count


def count_tree(number: Word, node: Word, above: Word) -> Word:
    """How many blocks stand in order at and below `node`, a child of `above`; one amiss counts as too many."""
    if node == 0:
        return 0
    if place_of(node) != SORTED or bin_of(size_of(node)) != number or (above != 0 and rank(node) > rank(above)):
        return Figures(FIGURES).free_blocks + 1
    smaller = node_of(node).smaller
    larger = node_of(node).larger
    if (smaller != 0 and not precedes(smaller, node)) or (larger != 0 and not precedes(node, larger)):
        return Figures(FIGURES).free_blocks + 1
    return 1 + count_tree(number, smaller, node) + count_tree(number, larger, node)


def knows_neighbours(block: Word) -> bool:
    """Whether a live block's header is right about which of its neighbours are free."""
    return is_free_next(block) == has_free_next(block) and is_free_before(block) == has_free_before(block)


def check_block(block: Word, limit: Word) -> Int:
    """One block of the heap, by itself and with the one behind it."""
    if not is_sound(block, limit):
        return BAD_SIZE
    status = status_of(block)
    free = status == FREE
    if status != FREE and status != LIVE:
        return BAD_STATUS
    if free != (place_of(block) != NOWHERE):
        return BAD_INDEX
    if not fits_behind(block):
        return BAD_BEFORE
    if is_hardened() and not free and not is_sealed(block):
        return BAD_SEAL
    if not free and not knows_neighbours(block):
        return BAD_BEFORE
    if free and place_of(block) != WAITING and has_free_next(block) and place_of(next_block(block)) != WAITING:
        return BAD_MERGED
    return OK


def check_segments() -> Int:
    """Every block of every segment, and that they add up."""
    live: Word = 0
    free: Word = 0
    live_bytes: Word = 0
    wall: Word = 0
    more = True
    while more:
        block = segment_start(wall)
        if block != 0 and size_before(block) != 0:
            return BAD_BEFORE
        while block != 0:
            broken = check_block(block, segment_limit(wall))
            if broken != OK:
                return broken
            if status_of(block) == LIVE:
                live += 1
                live_bytes += size_of(block)
            else:
                free += 1
            block = following(block)
        wall = next_segment(wall)
        more = wall != 0
    if (
        live != Figures(FIGURES).live_blocks
        or free != Figures(FIGURES).free_blocks
        or live_bytes != Figures(FIGURES).live_bytes
    ):
        return BAD_TOTALS
    return OK


def check_index() -> Int:
    """The waiting list and every bin: in order, and together all free blocks."""
    found = count_list(WAITING_LIST, WAITING)
    for number in range(BIN_COUNT):
        found += count_list(fresh_list(number), FRESH)
        found += count_tree(number, load_word(sorted_tree(number)), 0)
    return OK if found == Figures(FIGURES).free_blocks else BAD_INDEX


def check_mappings() -> Int:
    """The list of mapped blocks."""
    count: Word = 0
    total: Word = 0
    block = newest_mapping()
    while block != 0:
        if status_of(block) != MAPPED or (is_hardened() and not is_sealed(block)):
            return BAD_MAPPED
        count += 1
        total += size_of(block)
        block = older(block)
    if count != Figures(FIGURES).mapped_blocks or total != Figures(FIGURES).mapped_bytes:
        return BAD_MAPPED
    return OK


def check() -> Int:
    """Every invariant of the heap: OK, or the first that is broken."""
    broken = check_segments()
    if broken == OK:
        broken = check_index()
    if broken == OK:
        broken = check_mappings()
    top = top_block()
    if broken == OK and top != 0 and (end_of(top) != heap_end() or not is_edge(top)):
        broken = BAD_END
    return broken


# ---- Judging a pointer (hardened mode) ----


def vet_pointer(pointer: Word) -> None:
    """A pointer that came back must be live, its header and those around it whole; or the process ends."""
    if not can_be_read(pointer):
        fatal(FOREIGN, pointer, 0)
    if not is_sealed(pointer):
        report_pointer(pointer)
    if status_of(pointer) == LIVE:
        if not is_whole_behind(pointer):
            fatal(OVERRUN, pointer, size_of(pointer))
        if not is_whole_before(pointer):
            fatal(BETWEEN, pointer, 0)


def is_inside(pointer: Word, block: Word) -> bool:
    """Whether a pointer leads into a block or its header, behind its beginning."""
    return pointer > block - META and pointer < end_of(block)


def report_pointer(pointer: Word) -> None:
    """Say what a pointer that is not live points at, and end the process."""
    wall: Word = 0
    more = True
    while more:
        report_pointer_in_segment(pointer, segment_start(wall), segment_limit(wall))
        wall = next_segment(wall)
        more = wall != 0
    block = newest_mapping()
    while block != 0:
        if pointer == block:
            fatal(HEADER, pointer, size_of(block))
        if is_inside(pointer, block):
            fatal(MIDDLE, pointer, pointer - block)
        block = older(block)
    fatal(FOREIGN, pointer, 0)


def report_pointer_in_segment(pointer: Word, block: Word, limit: Word) -> None:
    """The same, if the pointer leads into this segment, whose first block this is."""
    if pointer < block - META or pointer >= limit:
        return
    while block != 0:
        free = status_of(block) == FREE and place_of(block) != NOWHERE
        if pointer == block and not free:
            fatal(HEADER, pointer, size_of(block))
        if not is_sound(block, limit):
            fatal(CORRUPT, pointer, block - META)
        if is_inside(pointer, block):
            if free:
                fatal(TWICE, pointer, size_of(block))
            fatal(MIDDLE, pointer, pointer - block)
        block = following(block)
