"""Owns the stack of lists and blocks that threads of other heaps freed, left without waiting for the lock.

It is pushed to atomically and taken whole by the next thread with the lock. The first word of an object links
its list, so the second word of a list's first object has the link and length:

    second word    bits 0 to 47: the list below it in the stack; bits 48 to 63: how many objects the list has,
                   or 0 for a block of no class

It has a maximum size; beyond that a thread takes the lock.
"""

from __future__ import annotations

from ..machine import Int, Word, atomic_add, atomic_exchange, atomic_load, atomic_replace, load_word, store_word
from .control import Heap

MAX_RETURNED = 262144  # bytes, and what passes them
LENGTH_SHIFT: Int = 48
BELOW_BITS = 0xFFFF_FFFF_FFFF
SECOND_WORD = 8


def has_returned(heap: Heap) -> bool:
    """Whether the stack is not empty."""
    return atomic_load(heap + Heap.returned) != 0


def may_return(heap: Heap, count: Word) -> bool:
    """Reserve room for `count` more bytes. Returns False if there is none; otherwise they must be returned."""
    return atomic_add(heap + Heap.returned_bytes, count) < MAX_RETURNED


def return_list(heap: Heap, chain: Word, count: Word) -> None:
    """Leave a list of `count` objects or, with 0, one block for whoever takes the heap's lock next."""
    going = True
    while going:
        below = atomic_load(heap + Heap.returned)
        store_word(chain + SECOND_WORD, count << LENGTH_SHIFT | below)
        going = not atomic_replace(heap + Heap.returned, below, chain)


def take_returned(heap: Heap) -> Word:
    """Take the whole stack, or 0; under the lock."""
    heap.returned_bytes = 0
    return atomic_exchange(heap + Heap.returned, 0)


def next_returned(chain: Word) -> Word:
    """The list below this one, or 0."""
    return load_word(chain + SECOND_WORD) & BELOW_BITS


def returned_length(chain: Word) -> Word:
    """How many objects the list has; 0 for a block of no class."""
    return load_word(chain + SECOND_WORD) >> LENGTH_SHIFT
