"""Owns the shards: more heaps for malloc where threads wait for each other's lock.

A process begins with one heap. A thread that had to wait for the lock for long in an eighth of its last visits
moves to another: the one that serves the fewest threads, or a new one, while there are fewer than SNUG_HEAPS
or, by default, than processors that this process may use. It returns when the first heap serves no thread any
more. A freed block returns to the heap that owns it, whichever thread frees it. A process whose threads seldom
wait has one heap, and so has one with a limit.
"""

from __future__ import annotations

from ..common.figures import figure
from ..common.sizes import ONE
from ..machine import (
    Word,
    atomic_load,
    atomic_store,
    fork_generation,
    load_word,
    processors,
    publish_shards,
    reserve,
    store_word,
)
from .control import Heap, lock_heap, process_heap, unlock_heap
from .figures import PUBLISHED, Figures
from .heaps import list_heap, make_heap, unmap_regions
from .options import MAX_HEAPS, max_heaps
from .segments import SMALLEST_REGION

SHARDS = reserve(8 * MAX_HEAPS)  # how many there are beside the process's heap, and then where each is
VISITS = 64  # that a thread makes before it looks whether it should move
CROWDED = 8  # of these, if it waited for long so often: docs/design.md has what others gave

# The sums of all heaps' figures, for whoever asks, under the lock of the process's heap. Who looks from outside
# adds them up there: to do so here now and then would, with many heaps, cost more than a step does.
TOTALS = reserve(PUBLISHED)


def heap_count() -> Word:
    """How many heaps malloc has."""
    return atomic_load(SHARDS) + 1


def heap_number(number: Word) -> Heap:
    """One of malloc's heaps, by its number; 0 is the process's heap."""
    return Heap(load_word(SHARDS + number * 8)) if number != 0 else process_heap()


def number_of(heap: Heap) -> Word:
    """The number of one of malloc's heaps."""
    number: Word = 0
    while heap_number(number) != heap:
        number += 1
    return number


def add_up() -> None:
    """Update the sums of all heaps' figures. A sum of peaks adds maxima of different times."""
    offset: Word = 0
    while offset < PUBLISHED:
        total: Word = 0
        for number in range(heap_count()):
            total += figure(heap_number(number), offset)
        store_word(TOTALS + offset, total)
        offset += 8


def count_processors() -> None:
    """Count the processors before a second thread is served: later a sandbox may forbid reading files."""
    if process_heap().processors == 0:
        process_heap().processors = processors()


def most_heaps() -> Word:
    """The maximum number of heaps."""
    if figure(process_heap(), Figures.limit_bytes) != 0:
        return ONE
    count = max_heaps() if max_heaps() != 0 else process_heap().processors
    return count if count < MAX_HEAPS else MAX_HEAPS * ONE


def may_add() -> bool:
    """Whether malloc may have one more heap."""
    return heap_count() < most_heaps()


def add_heap(heap: Heap) -> None:
    """Add this heap to malloc's; under the lock of the process's heap."""
    list_heap(heap)
    store_word(SHARDS + heap_count() * 8, heap)
    atomic_store(SHARDS, heap_count())
    publish_shards(SHARDS)


def quietest_heap() -> Heap:
    """The heap that serves the fewest threads."""
    quietest = process_heap()
    for number in range(1, heap_count()):
        heap = heap_number(number)
        if heap.threads < quietest.threads:
            quietest = heap
    return quietest


def forget_threads() -> None:
    """In a forked child: reset the counts of threads; only this one is left."""
    if process_heap().counted_forks != fork_generation():
        process_heap().counted_forks = fork_generation()
        for number in range(heap_count()):
            heap_number(number).threads = 0


def join_heap(heap: Heap) -> None:
    """Count a thread that this heap begins to serve; under the lock of the process's heap."""
    forget_threads()
    heap.threads += 1


def leave_heap(heap: Heap) -> None:
    """Count a thread that it no longer serves; under the same lock."""
    forget_threads()
    heap.threads -= 1 if heap.threads != 0 else 0


def less_crowded(heap: Heap) -> Heap:
    """The heap to which a thread that waits too often in this one should move, or this heap."""
    target = quietest_heap()
    return target if target.threads + 1 < heap.threads else heap


def is_one_needed(heap: Heap) -> bool:
    """Whether a thread that waits too often in this heap needs a new one; under the lock of the process's heap.

    The only thread of a heap waits for threads that free its blocks, and would do so in any heap.
    """
    return heap.threads > 1 and quietest_heap().threads != 0 and may_add()


def choose_home(heap: Heap, is_crowded: bool) -> Heap:
    """The heap that should serve a thread of this one; under the lock of the process's heap."""
    target = heap
    if is_crowded:
        target = less_crowded(heap)
    elif process_heap().threads == 0:
        target = process_heap()
    if target != heap:
        leave_heap(heap)
        join_heap(target)
    return target


def home_beside(heap: Heap) -> Heap:
    """Without a lock: the heap to which a thread that waits too often in this one moves, after adding a heap.

    If the system does not allow that, or the maximum is reached, it is an existing one.
    """
    added = make_heap(SMALLEST_REGION * ONE)
    held = lock_heap(process_heap())
    is_wanted_still = added != 0 and may_add()
    if is_wanted_still:
        add_heap(added)
    target = choose_home(heap, True)
    unlock_heap(process_heap(), held)
    if added != 0 and not is_wanted_still:
        unmap_regions(added.newest_region, added.region_end)
    return target


def next_home(heap: Heap, is_crowded: bool) -> Heap:
    """Without a lock: the heap that takes over a thread of this one."""
    if not is_crowded and process_heap().threads != 0 and process_heap().counted_forks == fork_generation():
        return heap
    held = lock_heap(process_heap())
    forget_threads()
    is_short = is_crowded and is_one_needed(heap)
    target = heap if is_short else choose_home(heap, is_crowded)
    unlock_heap(process_heap(), held)
    return home_beside(heap) if is_short else target
