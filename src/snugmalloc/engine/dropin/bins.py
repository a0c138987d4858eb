"""Owns the index of free blocks: bins by size, each a list, and a bitmap of those that have a block.

    bins 0 to 63     one for each number of units
    from 64          16 for each doubling: a range of sizes

A free block of one unit is in no bin: no request is that small, and its neighbours find it by their tags.

Approximate best fit: one of the first few in the bin of the wanted size if large enough, else the first of the
next bin that is not empty. Looking at 1 to 1,024 blocks made no difference to memory.
"""

from __future__ import annotations

from ..common.bitmap import Bitmap, clear_bit, next_set, set_bit
from ..common.sizes import ONE, bin_for
from ..machine import Word, store_word, unlikely
from .block import units_of
from .chain import enter_list, first_of, is_linked, leave_list, older
from .control import BIN_COUNT, Heap

EXACT_SHIFT = 6
EXACT = ONE << EXACT_SHIFT
DEPTH = 2
SMALLEST_LISTED = 2


def bin_of(size: Word) -> Word:
    """The bin of blocks of `size` units."""
    return bin_for(size, EXACT_SHIFT)


def head_at(heap: Heap, number: Word) -> Word:
    """The address of the word that holds the bin's first block."""
    return heap.heads + (number << 3)


def first_in(heap: Heap, number: Word) -> Word:
    """The bin's first block, or 0."""
    return first_of(heap, head_at(heap, number))


def indexed_blocks(heap: Heap) -> Word:
    """How many blocks are free, the wilderness aside."""
    return heap.listed_blocks


def put(heap: Heap, block: Word, size: Word) -> None:
    """Put a free block of `size` units in its bin."""
    heap.listed_blocks += 1
    if unlikely(size < SMALLEST_LISTED):
        return
    number = bin_of(size)
    if enter_list(heap, head_at(heap, number), block):
        set_bit(Bitmap(heap.filled), number)


def take(heap: Heap, block: Word, size: Word) -> None:
    """Take a free block of `size` units out of its bin."""
    heap.listed_blocks -= 1
    if unlikely(size < SMALLEST_LISTED):
        return
    behind, before = leave_list(heap, block)
    if before == 0:
        number = bin_of(size)
        store_word(head_at(heap, number), behind)
        if behind == 0:
            clear_bit(Bitmap(heap.filled), number)


def next_bin(heap: Heap, number: Word) -> Word:
    """The first bin from `number` on that has a block, or BIN_COUNT."""
    return next_set(Bitmap(heap.filled), number, BIN_COUNT)


def find(heap: Heap, size: Word) -> Word:
    """A free block of at least `size` units, the best fit or nearly so, or 0. It stays in its bin."""
    number = bin_of(size)
    if number >= EXACT:
        block = first_in(heap, number)
        for _ in range(DEPTH):
            if block == 0:
                break
            if units_of(block) >= size:
                return block
            block = older(heap, block)
        number += 1
    return first_in(heap, next_bin(heap, number))


def is_in_place(heap: Heap, block: Word, size: Word) -> bool:
    """Whether the links around a free block agree, and it is in the bin of its size."""
    return size < SMALLEST_LISTED or is_linked(heap, head_at(heap, bin_of(size)), block)
