"""Owns the control block of a heap, which holds its whole state.

The control block of the process's heap is at a constant address. Functions that work on a heap need its lock;
the few that make slow system calls take it themselves, and say so.
"""

from __future__ import annotations

from ..common.bitmap import BITMAP_EXTRA, WORD_BITS
from ..common.brk import Break
from ..machine import Array, Byte, Half, Line, Record, Word, array, lock, reserve, unlock
from .classes import ALL_CLASSES, SLAB_CLASSES
from .figures import OwnFigures
from .layout import PAGE_UNITS

BIN_COUNT = 448  # see bins.py
NOTED_WORDS = 4
PLACES = 4  # see transfer.py
NAME_BYTES = 32


class Place(Record, size=16):
    """A place for one list of the transfer cache.

     0  first  or 0
     8  count  how many the list holds
    12  age    how often it was found unused
    16
    """

    first: Word
    count: Half
    age: Half


class ClassPlaces(Record):
    """The places for lists of one size class."""

    places: Array[Place] = array(PLACES)


class Heap(Record, align=64):
    """The control block of a heap, grouped by the module that uses each part.

    Flags are words that are 0 or 1.
    """

    # figures: what is reported; at the beginning, so that the block's address is theirs
    figures: Array[OwnFigures] = array(1)

    # which heap it is: read by all threads, and seldom written
    identity_line: Line
    is_private: Word  # made by a program for itself: malloc takes nothing from it
    threads: Word  # that are served from it
    name: Array[Byte] = array(NAME_BYTES)  # zero-terminated

    # written by whoever waits for the lock or returns something
    lock_line: Line
    owner: Word  # the lock, four words as `lock` in machine.py wants them
    next_lock: Word
    is_held_by_fork: Word
    waits: Word
    returned: Word  # what other threads freed, to be collected under the lock: see returns.py
    returned_bytes: Word  # of that, and of what was not left there any more

    # all that follows is read and written under the lock
    state_line: Line

    # bins: the index of free blocks
    listed_blocks: Word
    filled: Array[Word] = array(BIN_COUNT // WORD_BITS + BITMAP_EXTRA)  # a bitmap of the bins that have a block
    heads: Array[Word] = array(BIN_COUNT + 1)  # the bins, lists: see chain.py; the last stays empty

    # coalesce: the free blocks
    heap_end: Word  # where the heap grows, or 0
    end_units: Word  # of the wilderness, the free block that ends there
    settled_units: Word  # of the wilderness, when it was looked at last
    changes: Word  # how often a free block came or went
    met_block: Word  # the free block that was made last by `return_pages`,
    met_changes: Word  # and `changes` then: while it is the same, that block is still there

    # marks: free pages
    dirty: Word  # pages that lie wholly inside free blocks and may be resident
    refaults: Word  # pages that shorter blocks needed again after they went back, since they were counted last
    long_refaults: Word  # pages that longer blocks needed again
    gone: Word  # pages of addresses that went back, and were not had again

    # pages: the range of all that was ever the heap's
    first_page: Word
    end_page: Word

    # segments: growth
    own_break: Array[Break] = array(1)
    region_end: Word  # how far the newest region is the heap's,
    region_limit: Word  # and how far it can be: its last page
    newest_region: Word  # that page of the region that was reserved last, of a heap other than the process's

    # slab: of each class the list of slabs with a free object
    open_slabs: Array[Word] = array(SLAB_CLASSES + 1)
    noted: Array[Word] = array(NOTED_WORDS)  # a bit for each unit of a page: the objects that will be taken

    # large: mappings: two lists, and the spare one that was freed first
    newest_used: Word
    newest_spare: Word
    first_spare: Word
    dirty_spare: Word  # bytes of spare mappings that may be resident
    is_refused: Word  # the system would not unmap a part of one
    in_flight: Word  # bytes counted as taken from the system that are in no list at the moment

    # purge: giving back
    waiting: Word  # operations since the last step
    clock_hand: Word  # the page where the search for dirty pages goes on
    budget: Word  # nanoseconds, counted from DEBT
    last_time: Word
    given_time: Word  # when pages went back that were in excess, or at the peak,
    dropped_time: Word  # and when some went that were dropped
    pace_time: Word
    minimum_used: Word  # pages in use since `pace_time`
    maximum_used: Word
    epoch_time: Word
    epoch_maximum: Word
    earlier_maximum: Word
    peak_resident: Word  # pages
    minimum_run: Word  # pages
    last_used: Word  # pages
    dropped_pages: Word  # given back as they were dropped, and not needed since
    drop_debt: Word  # nanoseconds
    is_calm: Word
    is_falling: Word
    is_dropped: Word
    is_at_peak: Word
    is_busy: Word  # somebody gives back: these pages, in this process
    busy_forks: Word
    chunk_page: Word
    chunk_end: Word

    # walk: what a check has seen so far, and a byte for each object of a slab: 1 if it is free
    seen_bytes: Word
    seen_blocks: Word
    seen_free: Word
    seen_heap: Word
    seen_dirty: Word
    seen_spare: Word
    seen_open: Word
    marks: Array[Word] = array(PAGE_UNITS // 8)

    # cache and shards: of the process's heap only
    newest_cache: Word  # of all threads' caches
    waiting_cache: Word  # of those that wait for a thread
    counted_forks: Word  # for which process the heaps' threads are counted
    processors: Word  # that this process may use, or 0 while it has had one thread
    check_visits: Word  # of a checking build

    # transfer: lists on their way from thread to thread
    transfer_calls: Word
    transfer: Array[ClassPlaces] = array(ALL_CLASSES + 1)

    end_line: Line


PROCESS_HEAP = reserve(Heap.SIZE)


def process_heap() -> Heap:
    """The heap that malloc and free work on."""
    return Heap(PROCESS_HEAP)


def is_process_heap(heap: Heap) -> bool:
    """Whether this is the heap over the break."""
    return heap == PROCESS_HEAP


def lock_heap(heap: Heap) -> bool:
    """Take the heap's lock; pass the result to `unlock_heap`."""
    return lock(heap + Heap.owner)


def unlock_heap(heap: Heap, held: bool) -> None:
    """Release the heap's lock; `held` is the result of `lock_heap`."""
    unlock(heap + Heap.owner, held)
