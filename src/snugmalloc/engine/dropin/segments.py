"""Owns the heap's segments, and how it grows and shrinks at its end.

A segment is a run of pages of ours, filled with blocks without gaps. The first grows with the break:

    | block | block | ... | block |s      s: the sentinel, the tag of the page behind, size 0

There are more segments only where the break was not available: somebody else moved it (the heap continues
behind), or it was refused (the heap continues in a reserved region; each is as large as the heap is by then).
Segments that touch are one. All other heaps have regions only:

    |  not ours  | block | ... | block |s ...   not yet ours  |  not ours  |
    ^ start                                                     ^ limit      ^ end

A region is whole granules, and the first and the last of them are not used by its heap, so that no neighbour
shares its pages. The links of the page at the limit are the region's own (`Region`).

Others may move the break as well (`common.brk`). In a process with another malloc, which only imported or
linked us late, it is left to the other from the beginning.
"""

from __future__ import annotations

from ..common.brk import Break, is_contested, look_at_break
from ..common.figures import figure, lower_figure, raise_figure
from ..common.sizes import ONE, round_up
from ..machine import (
    Int,
    Record,
    Word,
    commit_range,
    is_process_malloc,
    move_break,
    page_size,
    reserve_range,
    system_break,
    unlikely,
    unmap_memory,
)
from .block import FREE_BEFORE, USED, free_before, set_tag, set_units_before
from .chunks import GROWTH_EVENT, PURGE_EVENT
from .coalesce import detach, index, lower_end, merge, move_end, wilderness
from .control import Heap, is_process_heap
from .figures import Figures, gave_back, took
from .layout import GIB, MIB, PAGE, PAGE_SHIFT, PAGED, UNIT_SHIFT
from .marks import count_gone, count_new, mark_clean, unmark
from .options import prealloc
from .pages import (
    FOREIGN,
    FRESH,
    GRANULE,
    cover,
    is_heap_kind,
    kind_of,
    page_links,
    page_of,
    set_owner,
    use_pages,
)
from .refusals import allows
from .rows import record_range
from .tracefile import is_recording

GROWTH = 131072
MAX_GROWTH = 4 * MIB
GROWTH_SHIFT: Int = 4  # the heap grows by a sixteenth of itself, between these two
LARGEST_REGION = 32 * GIB
SMALLEST_REGION = 64 * MIB
SMALLEST_PRIVATE_REGION = MIB
WHOLE_REGION = GIB  # up to this limit the first region of a heap has room for all that it may take


def add_memory(heap: Heap, start: Word, end: Word) -> bool:
    """Add new pages to the heap, merging the segments that they touch. Returns True on success."""
    if not cover(start - PAGE, end):
        return False
    size = (end - start) >> UNIT_SHIFT
    if not is_heap_kind(kind_of(page_of(start) - 1)):
        set_units_before(start, 0)
    set_tag(start, size, USED)
    if not is_heap_kind(kind_of(page_of(end))):
        set_tag(end, 0, USED)
        move_end(heap, end)
    else:
        move_end(heap, 0)
    set_units_before(end, size)
    use_pages(heap, page_of(start), page_of(end))
    raise_figure(heap, Figures.heap_bytes, end - start)
    took(heap, end - start)
    merge(heap, start, size)
    mark_clean(heap, page_of(start), page_of(end), FRESH)
    if unlikely(is_recording()) and heap.is_private == 0:
        record_range(GROWTH_EVENT, start, end - start)
    return True


# ---- The break ----


def own_break(heap: Heap) -> Break:
    """The heap's part of the break."""
    return Break(heap.own_break)


def grow_break(heap: Heap, count: Word) -> bool:
    """Move the break up by `count` bytes, behind memory of others, if any. Returns True on success."""
    own = own_break(heap)
    now = system_break() if own.end == 0 else look_at_break(own)
    if now < own.end or is_contested(own):
        return False
    start = now if now == own.end else round_up(now, page_size())
    raise_figure(heap, Figures.brk_calls, 1)
    if not move_break(start + count):
        return False
    if not add_memory(heap, start, start + count):
        move_break(now)
        return False
    own.end = start + count
    return True


def top_bytes(heap: Heap, pad: Word) -> Word:
    """How much free memory below the break `trim` would give back."""
    own = own_break(heap)
    before = free_before(own.end) if own.end != 0 else 0
    if before == 0 or look_at_break(own) != own.end or is_contested(own):
        return 0
    end = round_up(own.end - (before << UNIT_SHIFT) + pad + PAGE, page_size())
    return own.end - end if end < own.end else 0


def trim(heap: Heap, pad: Word) -> Word:
    """Move the break down, keeping `pad` bytes and at least a page free. Returns the bytes given back."""
    count = top_bytes(heap, pad)
    if count == 0:
        return 0
    own = own_break(heap)
    before = free_before(own.end)
    block = own.end - (before << UNIT_SHIFT)
    end = own.end - count
    raise_figure(heap, Figures.brk_calls, 1)
    if not move_break(end):
        return 0
    unmark(heap, page_of(end), page_of(own.end), FOREIGN)
    size = (end - block) >> UNIT_SHIFT
    detach(heap, block, before)
    lower_end(heap, own.end, end)
    set_tag(block, size, 0)
    index(heap, block, size)
    set_tag(end, 0, USED)
    set_units_before(end, size | FREE_BEFORE)
    own.end = end
    lower_figure(heap, Figures.heap_bytes, count)
    gave_back(heap, count)
    count_gone(heap, count >> PAGE_SHIFT)
    if unlikely(is_recording()):
        record_range(PURGE_EVENT, end, count)
    return count


# ---- Regions ----


class Region(Record, size=16):
    """The links of the page at a region's limit.

     0  older  the limit of the region before it, or 0
     8  start  where the region begins
    16
    """

    older: Word
    start: Word


def region_at(limit: Word) -> Region:
    """The region that ends at this limit."""
    return Region(page_links(limit))


def private_region(limit: Word) -> Word:
    """The size of a private heap's first region.

    It is all that a limit allows: freed memory in separate regions could not be reused in one piece.
    """
    if limit == 0 or limit > WHOLE_REGION:
        return SMALLEST_PRIVATE_REGION * ONE
    return round_up(limit, GRANULE) + 2 * GRANULE


def smallest_region(heap: Heap) -> Word:
    """The size of the heap's next region, if the system allows it and no block needs more."""
    length = SMALLEST_REGION * ONE
    if heap.is_private != 0:
        length = private_region(figure(heap, Figures.limit_bytes))
    while length < figure(heap, Figures.heap_bytes) and length < LARGEST_REGION:
        length += length
    return length


def open_region(heap: Heap, start: Word, length: Word) -> bool:
    """Let the heap continue in the reserved addresses from `start` on. Returns True on success."""
    limit = start + length - GRANULE
    if not cover(start, start + length):
        return False
    if not is_process_heap(heap):
        set_owner(start, start + length, heap)
    region = region_at(limit)
    region.older = heap.newest_region
    region.start = start
    heap.newest_region = limit
    heap.region_end = start + GRANULE
    heap.region_limit = limit
    return True


def reserve_region(heap: Heap, count: Word) -> bool:
    """Reserve address space for the heap to continue in, at least `count` bytes. Returns True on success."""
    need = round_up(count, GRANULE) + 2 * GRANULE
    length = smallest_region(heap)
    length = need if length < need else length
    start: Word = 0
    while start == 0 and length >= need:
        raise_figure(heap, Figures.mmap_calls, 1)
        start = reserve_range(length, GRANULE)
        if start == 0:
            length = need if length > need and length >> 1 < need else (length >> 1) & ~(GRANULE - 1)
    if start == 0:
        return False
    if not open_region(heap, start, length):
        unmap_memory(start, length)
        return False
    return True


def drop_region(heap: Heap, end_before: Word, limit_before: Word) -> None:
    """Release the newest region, which is empty; the heap continues in the previous one."""
    region = region_at(heap.region_limit)
    start = region.start
    end = heap.region_limit + GRANULE
    heap.newest_region = region.older
    set_owner(start, end, 0)
    raise_figure(heap, Figures.munmap_calls, 1)
    unmap_memory(start, end - start)
    heap.region_end = end_before
    heap.region_limit = limit_before


def grow_region(heap: Heap, count: Word) -> bool:
    """Take `count` more bytes of the region, or of a new one if it has no room. Returns True on success."""
    end_before = heap.region_end
    limit_before = heap.region_limit
    is_new = count > limit_before - end_before
    if is_new and not reserve_region(heap, count):
        return False
    if commit_range(heap.region_end, count) and add_memory(heap, heap.region_end, heap.region_end + count):
        heap.region_end += count
        return True
    if is_new:
        drop_region(heap, end_before, limit_before)
    return False


# ---- Growth ----


def extend(heap: Heap, count: Word) -> bool:
    """Get `count` more bytes for the heap. Returns True on success."""
    if not allows(heap, count):
        return False
    has_break = is_process_heap(heap) and is_process_malloc()
    if heap.region_end == 0 and has_break and grow_break(heap, count):
        return True
    if grow_region(heap, count):
        return True
    return heap.region_end != 0 and has_break and grow_break(heap, count)


def extend_for(heap: Heap, size: Word) -> bool:
    """The same by a whole step, or else by what is needed."""
    need = size << UNIT_SHIFT
    at_end = wilderness(heap) << UNIT_SHIFT
    need = round_up(need - at_end if need > at_end else need, page_size())
    step = figure(heap, Figures.heap_bytes) >> GROWTH_SHIFT
    step = GROWTH if step < GROWTH else step
    step = MAX_GROWTH if step > MAX_GROWTH else step
    is_first = is_process_heap(heap) and figure(heap, Figures.heap_bytes) == 0
    step = round_up(prealloc() if is_first else step, page_size())
    if step > need and extend(heap, step):
        return True
    return extend(heap, need)


def grow(heap: Heap, size: Word) -> bool:
    """Make the heap larger, so that it has room for a block of `size` units. Returns True on success."""
    before = figure(heap, Figures.heap_bytes)
    grown = extend_for(heap, size)
    if grown:
        count_new(heap, (figure(heap, Figures.heap_bytes) - before) >> PAGE_SHIFT, size << UNIT_SHIFT >= PAGED)
    return grown
