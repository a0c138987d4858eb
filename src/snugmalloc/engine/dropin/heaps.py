"""Owns the heaps beside the process's: creating, listing and destroying them.

A heap's control block is at the beginning of its first region, in the granule that is not used by blocks:

    | control block |  block | block | ... | sentinel    not yet ours    |  not ours  |

Private heaps are created by a program: it alone takes memory from them, and all of it goes back at once when
they are destroyed. The others are shards: malloc creates them where threads wait for each other, and they stay.

All heaps' locks are in a list that begins with the process's heap, and changes under the lock of that one.
"""

from __future__ import annotations

from ..common.figures import raise_figure, set_figure
from ..common.sizes import ONE, round_up
from ..machine import (
    Word,
    commit_range,
    fatal,
    load_byte,
    page_size,
    purge_memory,
    reserve_range,
    store_byte,
    unmap_memory,
)
from .chain import older
from .control import NAME_BYTES, Heap, lock_heap, process_heap, unlock_heap
from .figures import STATS_VERSION, Figures
from .large import length_of, newest_freed, newest_large
from .pages import FOREIGN, GRANULE, IN_LEAF, owner_place, page_of, set_kind, set_kinds, set_owner
from .purge import purge_inside, purge_tables
from .refusals import note_reason, note_why
from .segments import SMALLEST_PRIVATE_REGION, open_region, private_region, region_at
from .switch import ON

NO_HEAP = b"snugmalloc: %x is not a heap of snug_heap_create: destroyed already, or never created"


def control_bytes() -> Word:
    """The whole pages that a control block takes."""
    return round_up(Heap.SIZE * ONE, page_size())


def at_lock(heap: Heap) -> Word:
    """The address of a heap's lock, which is its entry in the list."""
    return heap + Heap.owner


def heap_of_lock(lock: Word) -> Heap:
    """The heap whose lock is at this address."""
    return Heap(lock - Heap.owner)


def make_heap(length: Word) -> Heap:
    """A heap in a region of `length` bytes, all zero and not listed yet; or 0."""
    start = reserve_range(length, GRANULE)
    if start == 0:
        note_why(length)
        return Heap(0)
    heap = Heap(start)
    note_reason(Figures.refused_memory)  # if one of the next steps is refused
    if not commit_range(start, control_bytes()) or not open_region(heap, start, length):
        unmap_memory(start, length)
        return Heap(0)
    raise_figure(heap, Figures.mmap_calls, 1)
    return heap


def list_heap(heap: Heap) -> None:
    """Add the heap to those whose locks fork takes; under the lock of the process's heap."""
    heap.next_lock = process_heap().next_lock
    process_heap().next_lock = at_lock(heap)


def unlist_heap(heap: Heap) -> None:
    """Remove the heap from the list; an address that is not a heap ends the process."""
    held = lock_heap(process_heap())
    before = process_heap()
    while before.next_lock != at_lock(heap):
        if before.next_lock == 0:
            fatal(NO_HEAP, heap, 0)
        before = heap_of_lock(before.next_lock)
    before.next_lock = heap.next_lock
    unlock_heap(process_heap(), held)


def name_heap(heap: Heap, name: Word) -> None:
    """Keep the beginning of a text as the heap's name; 0 is an empty one."""
    count: Word = 0
    while name != 0 and count < NAME_BYTES - 1 and load_byte(name + count) != 0:
        store_byte(heap.name + count, load_byte(name + count))
        count += 1


def make_private_heap(limit: Word, name: Word) -> Heap:
    """A heap of the program's own, of at most `limit` bytes if that is not 0; or 0."""
    heap = make_heap(private_region(limit))
    if heap == 0:  # so many addresses there may not be
        heap = make_heap(SMALLEST_PRIVATE_REGION * ONE)
    if heap != 0:
        heap.is_private = 1
        set_figure(heap, Figures.version, STATS_VERSION)
        set_figure(heap, Figures.state, ON)
        set_figure(heap, Figures.limit_bytes, limit)
        name_heap(heap, name)
        held = lock_heap(process_heap())
        list_heap(heap)
        unlock_heap(process_heap(), held)
    return heap


# ---- The end of a heap ----


def give_range(start: Word, length: Word) -> None:
    """Unmap these addresses, or purge them if the system refuses to unmap them."""
    if not unmap_memory(start, length):
        purge_memory(start, length)


def purge_all_tables(page: Word, end: Word) -> None:
    """Purge the tags and links of these pages, in all their leaves."""
    while page < end:
        stop = (page | IN_LEAF) + 1
        stop = end if end < stop else stop
        purge_tables(page, stop)
        purge_inside(owner_place(page), owner_place(stop - 1))
        page = stop


def unmap_list(heap: Heap, mapping: Word) -> None:
    """Unmap the mappings of a list, from this one on."""
    while mapping != 0:
        behind = older(heap, mapping)
        length = length_of(mapping)
        set_kind(page_of(mapping), FOREIGN)
        give_range(mapping, length)
        mapping = behind


def unmap_regions(limit: Word, end: Word) -> None:
    """Unmap all regions, from the one with this limit to the oldest, where the control block is.

    The heap has used the newest only up to `end`.
    """
    while limit != 0:
        region = region_at(limit)
        behind = region.older
        start = region.start
        set_kinds(page_of(start), page_of(end), FOREIGN)
        set_owner(start, limit + GRANULE, 0)
        purge_all_tables(page_of(start), page_of(limit))
        give_range(start, limit + GRANULE - start)
        limit = behind
        end = behind


def destroy_heap(heap: Heap) -> None:
    """Give back all memory of a private heap, including blocks in use. No other thread may use it."""
    unlist_heap(heap)
    unmap_list(heap, newest_large(heap))
    unmap_list(heap, newest_freed(heap))
    unmap_regions(heap.newest_region, heap.region_end)
