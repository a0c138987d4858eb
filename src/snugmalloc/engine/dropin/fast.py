"""Owns the fast paths: what malloc and free do without a lock, and the rules of their relatives.

Calls that miss this thread's lists go to `recorded`: during a recording, all of them.
"""

from __future__ import annotations

from ..common.sizes import LARGEST
from ..machine import (
    EINVAL,
    Word,
    clear_bytes,
    inline,
    likely,
    load_byte,
    load_half,
    load_thread_word,
    load_word,
    product_overflows,
    set_errno,
    store_half,
    store_word,
    unlikely,
)
from .block import OWN, SIZE_SHIFT, USED
from .classes import BLOCK_CLASSES, CLASSES, LISTED_LIMIT, MAX_LISTED_UNITS
from .layout import HEADER, IN_PAGE, UNIT, UNIT_SHIFT
from .lists import ENTRY_SHIFT, List, push
from .pages import BLOCKS, kind_at
from .places import CLEARED_LIMIT, usable
from .recorded import (
    answer_aligned,
    answer_cleared,
    answer_first,
    answer_free,
    answer_last,
    answer_malloc,
    answer_overflow,
    answer_resize,
)
from .requests import is_power_of_two, power_of_two
from .sampled import take_unsampled

FLAGS = USED | OWN


@inline
def take_fast(size: Word) -> Word:
    """Take the first of this thread's list for the size; or 0.

    The class comes from a table for every size: a branch for larger ones would be mispredicted.
    """
    cache = load_thread_word()
    if unlikely(size > LISTED_LIMIT):
        return 0
    entry = cache + (load_byte(CLASSES + ((size + UNIT - 1) >> UNIT_SHIFT)) << ENTRY_SHIFT)
    first = load_word(entry)
    if likely(first != 0):
        store_word(entry, load_word(first))
        store_half(entry + List.room, load_half(entry + List.room) + 1)
    return first


@inline
def allocate_fast(size: Word) -> Word:
    """malloc(3): 17 instructions if the list is not empty.

    In a sampled recording the first look finds no list; the second one counts the bytes.
    """
    first = take_fast(size)
    if unlikely(first == 0):
        first = take_unsampled(size)
        if unlikely(first == 0):
            return answer_malloc(size)
    return first


@inline
def free_fast(pointer: Word) -> None:
    """free(3): 21 instructions if this thread's list for the size has room.

    The kind of its page tells the list.
    """
    cache = load_thread_word()
    entry = cache + (kind_at(pointer) << ENTRY_SHIFT)
    room = load_half(entry + List.room)
    if likely(room != 0):
        store_word(pointer, load_word(entry))
        store_word(entry, pointer)
        store_half(entry + List.room, room - 1)
        return
    if likely(entry == cache + BLOCKS * UNIT and pointer & (UNIT - 1) == 0):
        free_listed_block(cache, pointer)
    else:
        answer_free(pointer, entry - cache)


@inline
def free_listed_block(cache: Word, block: Word) -> None:
    """The same for a block: its tag tells the list."""
    if likely(block & IN_PAGE != 0):
        tag = load_half(block - HEADER)
        units = tag >> SIZE_SHIFT
        if likely(tag & FLAGS == USED and units <= MAX_LISTED_UNITS):
            entry = List(cache + (load_byte(BLOCK_CLASSES + units) << ENTRY_SHIFT))
            if likely(entry.room != 0):
                push(entry, block)
                return
    answer_free(block, BLOCKS * UNIT)


def allocate_cleared(count: Word, size: Word) -> Word:
    """`count` times `size` bytes that read as zero."""
    if product_overflows(count, size):
        return answer_overflow(count)
    total = count * size
    if total > CLEARED_LIMIT:
        return answer_cleared(count, total)
    pointer = take_fast(total)
    if unlikely(pointer == 0):
        return answer_cleared(count, total)
    clear_bytes(pointer, usable(pointer))
    return pointer


def reallocate(pointer: Word, size: Word) -> Word:
    """The block at `pointer` with room for `size` bytes."""
    if pointer == 0:
        first = take_fast(size)
        return first if likely(first != 0) else answer_first(size)
    if size == 0:
        answer_last(pointer)
        return 0
    return answer_resize(pointer, size)


def allocate_on(alignment: Word, size: Word) -> Word:
    """`size` bytes at a multiple of `alignment`, which must be a power of two."""
    if not is_power_of_two(alignment):
        set_errno(EINVAL)
        return 0
    return answer_aligned(alignment, size)


def allocate_on_next(alignment: Word, size: Word) -> Word:
    """The same for any alignment, rounded up to a power of two as in glibc."""
    if alignment > LARGEST + 1:
        set_errno(EINVAL)
        return 0
    return answer_aligned(power_of_two(alignment), size)
