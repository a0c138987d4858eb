"""Owns the index of free blocks: bins by size, each a list, and a bitmap of those that have a block.

    bins 0 to 63     one for each number of units
    from 64          16 for each doubling: a range of sizes

A free block of one unit is in no bin: no request is so small, and its neighbours find it by their tags.

Best fit: one of the first few in the bin of the wanted size if large enough, else the first of the next bin
that has any. How deep one looks made no difference to memory between 1 and 1,024.
"""

from __future__ import annotations

from ..machine import (
    Int,
    Word,
    highest_bit,
    likely,
    load_word,
    lowest_bit,
    store_word,
    unlikely,
)
from .block import links_at, size_of
from .control import BIN_COUNT, Heap
from .layout import ONE

EXACT = 64
EXACT_SHIFT = 6
PER_DOUBLING = 16
PART_SHIFT = 4
PARTS = PER_DOUBLING - 1
WORD_SHIFT: Int = 6
IN_WORD = 63
DEPTH = 2
SMALLEST_LISTED = 2


def bin_of(size: Word) -> Word:
    """The bin of blocks of `size` units."""
    if size < EXACT:
        return size
    doubling = highest_bit(size)
    return EXACT + (doubling - EXACT_SHIFT) * PER_DOUBLING + (size >> (doubling - PART_SHIFT) & PARTS)


def head_at(heap: Heap, number: Word) -> Word:
    """The address of the word that holds the bin's first block."""
    return heap.heads + (number << 3)


def first_in(heap: Heap, number: Word) -> Word:
    """The bin's first block, or 0."""
    return load_word(head_at(heap, number))


def behind(block: Word) -> Word:
    """The next block of the bin, or 0."""
    return links_at(block).following


def indexed_blocks(heap: Heap) -> Word:
    """How many blocks are free, the wilderness aside."""
    return heap.listed_blocks


def mark_filled(heap: Heap, number: Word) -> None:
    """The bin has its first block."""
    index = number >> WORD_SHIFT
    word = heap.bitmap + index * 8
    store_word(word, load_word(word) | ONE << (number & IN_WORD))
    heap.filled_words |= ONE << index


def mark_empty(heap: Heap, number: Word) -> None:
    """The bin has no block any more."""
    index = number >> WORD_SHIFT
    word = heap.bitmap + index * 8
    bits = load_word(word) & ~(ONE << (number & IN_WORD))
    store_word(word, bits)
    if bits == 0:
        heap.filled_words &= ~(ONE << index)


def put(heap: Heap, block: Word, size: Word) -> None:
    """Put a free block of `size` units in its bin."""
    heap.listed_blocks += 1
    if unlikely(size < SMALLEST_LISTED):
        return
    number = bin_of(size)
    head = head_at(heap, number)
    first = load_word(head)
    links = links_at(block)
    links.following = first
    links.previous = 0
    store_word(head, block)
    if first != 0:
        links_at(first).previous = block
    else:
        mark_filled(heap, number)


def take(heap: Heap, block: Word, size: Word) -> None:
    """Take a free block of `size` units out of its bin."""
    heap.listed_blocks -= 1
    if unlikely(size < SMALLEST_LISTED):
        return
    links = links_at(block)
    following = links.following
    previous = links.previous
    if following != 0:
        links_at(following).previous = previous
    if previous != 0:
        links_at(previous).following = following
        return
    number = bin_of(size)
    store_word(head_at(heap, number), following)
    if following == 0:
        mark_empty(heap, number)


def next_bin(heap: Heap, number: Word) -> Word:
    """The first bin from `number` on that has a block, or BIN_COUNT."""
    index = number >> WORD_SHIFT
    bits = load_word(heap.bitmap + index * 8) >> (number & IN_WORD)
    if likely(bits != 0):
        return number + lowest_bit(bits)
    words = heap.filled_words >> index >> 1
    if words == 0:
        return BIN_COUNT
    index += lowest_bit(words) + 1
    return (index << WORD_SHIFT) + lowest_bit(load_word(heap.bitmap + index * 8))


def find(heap: Heap, size: Word) -> Word:
    """A free block of at least `size` units, the best fit or nearly so, or 0. It stays in its bin."""
    own = bin_of(size)
    number = next_bin(heap, own)
    if number == own and own >= EXACT:
        block = first_in(heap, own)
        for _ in range(DEPTH):
            if size_of(block) >= size:
                return block
            block = behind(block)
            if block == 0:
                break
        number = next_bin(heap, own + 1)
    return first_in(heap, number)


def is_in_place(heap: Heap, block: Word, size: Word) -> bool:
    """Whether the links around a free block agree, and it stands in the bin of its size."""
    if size < SMALLEST_LISTED:
        return True
    links = links_at(block)
    following = links.following
    previous = links.previous
    if following != 0 and links_at(following).previous != block:
        return False
    if previous != 0:
        return links_at(previous).following == block
    return load_word(head_at(heap, bin_of(size))) == block
