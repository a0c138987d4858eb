"""Owns the heap's segments, and how it grows and shrinks at its end.

A segment is a run of pages of ours, filled with blocks without gaps. The first grows with the break:

    | block | block | ... | block |s      s: the sentinel, the tag of the page behind, size 0

There are more segments only where the system did not let it go on: somebody else moved the break (it goes on
behind), or the break was refused (it goes on in a region reserved for that; each is as large as the heap is by
then). Segments that touch are one.

The break has no lock that is common to us and to others who move it: to look where it is and to move it are two
steps. So beside another malloc, in a process that only imported or linked us late, it is left to that one from
the beginning; and once somebody else was met on it, a process with threads leaves it alone.
"""

from __future__ import annotations

from ..machine import (
    Int,
    Word,
    commit_range,
    has_threads,
    is_process_malloc,
    known_break,
    move_break,
    page_size,
    reserve_range,
    system_break,
    unmap_memory,
)
from .block import FREE_BEFORE, USED, free_before, set_size_before, set_tag
from .coalesce import detach, index, lower_end, merge, move_end, wilderness
from .figures import (
    Figures,
    figure,
    gave_back,
    lower_figure,
    raise_figure,
    took,
)
from .layout import GIB, MIB, ONE, PAGE, PAGE_SHIFT, PAGED, UNIT_SHIFT, round_up
from .marks import count_gone, count_new, mark_clean, unmark
from .options import prealloc
from .pages import FOREIGN, FRESH, cover, is_heap_kind, kind_of, page_of, use_pages
from .refusals import allows

GROWTH = 131072
MOST_GROWTH = 4 * MIB
GROWTH_SHIFT: Int = 4  # the heap grows by a sixteenth of itself, between these two
LARGEST_REGION = 32 * GIB
SMALLEST_REGION = 64 * MIB

break_end: Word = 0
is_shared: bool = False
region_end: Word = 0
region_limit: Word = 0


def add_memory(start: Word, end: Word) -> bool:
    """Pages that the system gave join the heap, and the segments that they touch. Returns True on success."""
    if not cover(start - PAGE, end):
        return False
    size = (end - start) >> UNIT_SHIFT
    if not is_heap_kind(kind_of(page_of(start) - 1)):
        set_size_before(start, 0)
    set_tag(start, size, USED)
    if not is_heap_kind(kind_of(page_of(end))):
        set_tag(end, 0, USED)
        move_end(end)
    else:
        move_end(0)
    set_size_before(end, size)
    use_pages(page_of(start), page_of(end))
    raise_figure(Figures.heap_bytes, end - start)
    took(end - start)
    merge(start, size)
    mark_clean(page_of(start), page_of(end), FRESH)
    return True


# ---- The break ----


def is_contested() -> bool:
    """Whether somebody else who moves the break may be about to do it now."""
    return is_shared and has_threads()


def grow_break(count: Word) -> bool:
    """Move the break up by `count` bytes, behind what others may have put there. Returns True on success."""
    global break_end, is_shared
    now = system_break() if break_end == 0 else known_break()
    is_shared = is_shared or (break_end != 0 and now != break_end)
    if now < break_end or is_contested():
        return False
    start = now if now == break_end else round_up(now, page_size())
    raise_figure(Figures.brk_calls, 1)
    if not move_break(start + count):
        return False
    if not add_memory(start, start + count):
        move_break(now)
        return False
    break_end = start + count
    return True


def top_bytes(pad: Word) -> Word:
    """How much of the free memory below the break `trim` would give back."""
    before = free_before(break_end) if break_end != 0 else 0
    if before == 0 or known_break() != break_end or is_contested():
        return 0
    end = round_up(break_end - (before << UNIT_SHIFT) + pad + PAGE, page_size())
    return break_end - end if end < break_end else 0


def trim(pad: Word) -> Word:
    """Move the break down, so that `pad` bytes and at least a page stay free below it. The bytes given back."""
    global break_end
    count = top_bytes(pad)
    if count == 0:
        return 0
    before = free_before(break_end)
    block = break_end - (before << UNIT_SHIFT)
    end = break_end - count
    raise_figure(Figures.brk_calls, 1)
    if not move_break(end):
        return 0
    unmark(page_of(end), page_of(break_end), FOREIGN)
    size = (end - block) >> UNIT_SHIFT
    detach(block, before)
    lower_end(break_end, end)
    set_tag(block, size, 0)
    index(block, size)
    set_tag(end, 0, USED)
    set_size_before(end, size | FREE_BEFORE)
    break_end = end
    lower_figure(Figures.heap_bytes, count)
    gave_back(count)
    count_gone(count >> PAGE_SHIFT)
    return count


# ---- Regions ----


def reserve_region(count: Word) -> bool:
    """Reserve addresses for the heap to go on in without the break: `count` bytes at least, and a page for the
    sentinel. Returns True on success."""
    global region_end, region_limit
    need = round_up(count + page_size(), page_size())
    length = SMALLEST_REGION * ONE
    while length < need or (length < figure(Figures.heap_bytes) and length < LARGEST_REGION):
        length += length
    start: Word = 0
    while start == 0 and length >= need:
        raise_figure(Figures.mmap_calls, 1)
        start = reserve_range(length)
        if start == 0:
            length = need if length > need and length >> 1 < need else length >> 1
    if start == 0:
        return False
    region_end = start
    region_limit = start + length - page_size()
    return True


def drop_region() -> None:
    """The region gave nothing: its addresses go back."""
    global region_end, region_limit
    raise_figure(Figures.munmap_calls, 1)
    unmap_memory(region_end, region_limit + page_size() - region_end)
    region_end = 0
    region_limit = 0


def grow_region(count: Word) -> bool:
    """Take `count` bytes more of the region, or of a new one if it has no room. Returns True on success."""
    global region_end
    is_new = count > region_limit - region_end
    if is_new and not reserve_region(count):
        return False
    if commit_range(region_end, count) and add_memory(region_end, region_end + count):
        region_end += count
        return True
    if is_new:
        drop_region()
    return False


# ---- Growth ----


def extend(count: Word) -> bool:
    """Get `count` bytes more for the heap. Returns True on success."""
    if not allows(count):
        return False
    has_break = is_process_malloc()
    if region_end == 0 and has_break and grow_break(count):
        return True
    if grow_region(count):
        return True
    return region_end != 0 and has_break and grow_break(count)


def extend_for(size: Word) -> bool:
    """The same by a step, or by just what is needed."""
    need = size << UNIT_SHIFT
    at_end = wilderness() << UNIT_SHIFT
    need = round_up(need - at_end if need > at_end else need, page_size())
    step = figure(Figures.heap_bytes) >> GROWTH_SHIFT
    step = GROWTH if step < GROWTH else step
    step = MOST_GROWTH if step > MOST_GROWTH else step
    step = round_up(prealloc() if figure(Figures.heap_bytes) == 0 else step, page_size())
    if step > need and extend(step):
        return True
    return extend(need)


def grow(size: Word) -> bool:
    """Make the heap larger, so that a block of `size` units can be had. Returns True on success."""
    before = figure(Figures.heap_bytes)
    grown = extend_for(size)
    if grown:
        count_new((figure(Figures.heap_bytes) - before) >> PAGE_SHIFT, size << UNIT_SHIFT >= PAGED)
    return grown
