"""Owns why a request was refused: what is counted for each request that is answered with NULL.

Every way to memory ends in the same two places: the limit of SNUG_LIMIT forbids it, or the system refuses a
mapping, which is asked for last, after the break and the regions were refused too. The reason is determined
there and kept for the thread until its request is given up; mostly it is not, for there is another way.
"""

from __future__ import annotations

from ..machine import (
    Word,
    atomic_add,
    load_thread_reason,
    map_memory,
    store_thread_reason,
    why_refused,
)
from .control import Heap
from .figures import Figures, may_take

NO_ADDRESSES = 1  # answers of `why_refused`
NO_MAPPINGS = 2
NOT_LOCKED = 3


def note_reason(reason: Word) -> None:
    """This thread's request meets a refusal; `reason` is the figure that counts such requests."""
    store_thread_reason(reason)


def allows(heap: Heap, count: Word) -> bool:
    """Whether the limit lets us take `count` bytes more from the system."""
    allowed = may_take(heap, count)
    if not allowed:
        note_reason(Figures.refused_limit)
    return allowed


def note_why(length: Word) -> None:
    """The system refused a mapping of `length` bytes: note why."""
    why = why_refused(length)
    if why == NO_ADDRESSES:
        note_reason(Figures.refused_addresses)
    elif why == NO_MAPPINGS:
        note_reason(Figures.refused_mappings)
    else:
        note_reason(Figures.refused_locked if why == NOT_LOCKED else Figures.refused_memory)


def map_or_note(length: Word) -> Word:
    """A new mapping of `length` bytes, or 0, and why is noted."""
    found = map_memory(length)
    if found == 0:
        note_why(length)
    return found


def count_refusal(heap: Heap) -> None:
    """A request to the heap is given up: count it, and its reason."""
    reason = load_thread_reason()
    store_thread_reason(0)
    atomic_add(heap + Figures.refused_requests, 1)
    atomic_add(heap + (reason if reason != 0 else Figures.refused_memory), 1)
