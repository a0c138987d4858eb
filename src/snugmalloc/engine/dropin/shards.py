"""Owns the shards: more heaps for malloc where threads wait for each other's lock.

A process begins with one heap. A thread that had to wait in a quarter of its last visits moves to another: to
the one that serves the fewest threads, or to a new one, as long as there are fewer than processors that this
process may use. It goes back when the first heap serves no thread any more. What a thread frees goes home to
the heap that it is of, whoever frees it. A process whose threads never wait has one heap, and so has one with
a limit.
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
    publish,
    reserve,
    store_word,
)
from .control import Heap, lock_heap, process_heap, unlock_heap
from .figures import PUBLISHED, Figures
from .heaps import list_heap, make_heap
from .segments import SMALLEST_REGION

MAX_HEAPS = 64
SHARDS = reserve(8 * MAX_HEAPS)  # the first word stays 0: that one is the process's heap
SHARD_COUNT = reserve(8)  # the shards beside the process's heap
VISITS = 64  # that a thread makes before it looks whether it should move
CROWDED = 16  # of these, if it had to wait so often

TOTALS = reserve(PUBLISHED)  # the sum of all heaps' figures

counted_forks: Word = 0  # for which process the heaps' threads are counted


def heap_count() -> Word:
    """How many heaps malloc has."""
    return atomic_load(SHARD_COUNT) + 1


def heap_number(number: Word) -> Heap:
    """One of the heaps that malloc has, by its number; 0 is the process's heap."""
    return Heap(load_word(SHARDS + number * 8)) if number != 0 else process_heap()


def add_up() -> None:
    """Bring the sums of all heaps' figures up to date.

    With one heap whoever looks from outside finds the figures of that, with more these sums. A sum of peaks is
    what the heaps had at most, each at its time.
    """
    offset: Word = 0
    while offset < PUBLISHED:
        total: Word = 0
        for number in range(heap_count()):
            total += figure(heap_number(number), offset)
        store_word(TOTALS + offset, total)
        offset += 8


def most_heaps() -> Word:
    """How many heaps there may be."""
    if figure(process_heap(), Figures.limit_bytes) != 0:
        return ONE
    count = processors()
    return count if count < MAX_HEAPS else MAX_HEAPS * ONE


def add_heap() -> Heap:
    """One more heap for malloc, or 0; under the lock of the process's heap."""
    heap = make_heap(SMALLEST_REGION * ONE)
    if heap != 0:
        list_heap(heap)
        store_word(SHARDS + heap_count() * 8, heap)
        atomic_store(SHARD_COUNT, heap_count())
        publish(TOTALS)
    return heap


def quietest_heap() -> Heap:
    """The heap that serves the fewest threads."""
    quietest = process_heap()
    for number in range(1, heap_count()):
        heap = heap_number(number)
        if heap.threads < quietest.threads:
            quietest = heap
    return quietest


def forget_threads() -> None:
    """In a child that was forked none of the other threads is left."""
    global counted_forks
    if counted_forks != fork_generation():
        counted_forks = fork_generation()
        for number in range(heap_count()):
            heap_number(number).threads = 0


def join_heap(heap: Heap) -> None:
    """A thread is served by this heap from now on; under the lock of the process's heap."""
    forget_threads()
    heap.threads += 1


def leave_heap(heap: Heap) -> None:
    """And one is not any more."""
    forget_threads()
    heap.threads -= 1 if heap.threads != 0 else 0


def less_crowded(heap: Heap) -> Heap:
    """Where a thread that waits too often in this heap should move, or this heap."""
    target = quietest_heap()
    if target.threads != 0 and heap_count() < most_heaps():
        added = add_heap()
        target = added if added != 0 else target
    return target if target.threads + 1 < heap.threads else heap


def next_home(heap: Heap, is_crowded: bool) -> Heap:
    """Which heap should serve a thread that this one served so far. Takes the lock of the process's heap."""
    held = lock_heap(process_heap())
    forget_threads()
    target = heap
    if is_crowded:
        target = less_crowded(heap)
    elif process_heap().threads == 0:
        target = process_heap()
    if target != heap:
        leave_heap(heap)
        join_heap(target)
    unlock_heap(process_heap(), held)
    return target
