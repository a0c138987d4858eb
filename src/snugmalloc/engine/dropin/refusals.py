"""Owns the reasons for refused requests: one is counted for each request that returns NULL.

Every request for memory fails in one of two places: the limit of SNUG_LIMIT forbids it, or the system refuses a
mapping, which is tried last, after the break and the regions. The reason is determined there and kept for the
thread until its request fails; usually it does not, because there is another way.
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
    """Remember a refusal for this thread's request; `reason` is the figure that counts such requests."""
    store_thread_reason(reason)


def allows(heap: Heap, count: Word) -> bool:
    """Whether the limit allows taking `count` more bytes from the system."""
    allowed = may_take(heap, count)
    if not allowed:
        note_reason(Figures.refused_limit)
    return allowed


def note_why(length: Word) -> None:
    """Remember why the system refused a mapping of `length` bytes."""
    why = why_refused(length)
    if why == NO_ADDRESSES:
        note_reason(Figures.refused_addresses)
    elif why == NO_MAPPINGS:
        note_reason(Figures.refused_mappings)
    else:
        note_reason(Figures.refused_locked if why == NOT_LOCKED else Figures.refused_memory)


def map_or_note(length: Word) -> Word:
    """A new mapping of `length` bytes; or 0, and the reason is remembered."""
    found = map_memory(length)
    if found == 0:
        note_why(length)
    return found


def count_refusal(heap: Heap) -> None:
    """Count a request that failed, and its reason."""
    reason = load_thread_reason()
    store_thread_reason(0)
    atomic_add(heap + Figures.refused_requests, 1)
    atomic_add(heap + (reason if reason != 0 else Figures.refused_memory), 1)
