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
    reserve,
    store_word,
    unlikely,
)
from .block import links_at, size_of
from .layout import ONE

EXACT = 64
EXACT_SHIFT = 6
PER_DOUBLING = 16
PART_SHIFT = 4
PARTS = PER_DOUBLING - 1
BIN_COUNT = EXACT + 24 * PER_DOUBLING
BITMAP_WORDS = BIN_COUNT // 64
WORD_SHIFT: Int = 6
IN_WORD = 63
DEPTH = 2
SMALLEST_LISTED = 2

HEADS = reserve(8 * BIN_COUNT + 8)  # the last stays empty
BITMAP = reserve(8 * BITMAP_WORDS + 8)  # the last word stays empty

listed_blocks: Word = 0
filled_words: Word = 0  # a bit for each word of the bitmap that has any


def bin_of(size: Word) -> Word:
    """The bin of blocks of `size` units."""
    if size < EXACT:
        return size
    doubling = highest_bit(size)
    return EXACT + (doubling - EXACT_SHIFT) * PER_DOUBLING + (size >> (doubling - PART_SHIFT) & PARTS)


def head_at(number: Word) -> Word:
    """The address of the word that holds the bin's first block."""
    return HEADS + (number << 3)


def first_in(number: Word) -> Word:
    """The bin's first block, or 0."""
    return load_word(head_at(number))


def behind(block: Word) -> Word:
    """The next block of the bin, or 0."""
    return links_at(block).following


def indexed_blocks() -> Word:
    """How many blocks are free, the wilderness aside."""
    return listed_blocks


def mark_filled(number: Word) -> None:
    """The bin has its first block."""
    global filled_words
    index = number >> WORD_SHIFT
    word = BITMAP + index * 8
    store_word(word, load_word(word) | ONE << (number & IN_WORD))
    filled_words |= ONE << index


def mark_empty(number: Word) -> None:
    """The bin has no block any more."""
    global filled_words
    index = number >> WORD_SHIFT
    word = BITMAP + index * 8
    bits = load_word(word) & ~(ONE << (number & IN_WORD))
    store_word(word, bits)
    if bits == 0:
        filled_words &= ~(ONE << index)


def put(block: Word, size: Word) -> None:
    """Put a free block of `size` units in its bin."""
    global listed_blocks
    listed_blocks += 1
    if unlikely(size < SMALLEST_LISTED):
        return
    number = bin_of(size)
    head = head_at(number)
    first = load_word(head)
    links = links_at(block)
    links.following = first
    links.previous = 0
    store_word(head, block)
    if first != 0:
        links_at(first).previous = block
    else:
        mark_filled(number)


def take(block: Word, size: Word) -> None:
    """Take a free block of `size` units out of its bin."""
    global listed_blocks
    listed_blocks -= 1
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
    store_word(head_at(number), following)
    if following == 0:
        mark_empty(number)


def next_bin(number: Word) -> Word:
    """The first bin from `number` on that has a block, or BIN_COUNT."""
    index = number >> WORD_SHIFT
    bits = load_word(BITMAP + index * 8) >> (number & IN_WORD)
    if likely(bits != 0):
        return number + lowest_bit(bits)
    words = filled_words >> index >> 1
    if words == 0:
        return BIN_COUNT
    index += lowest_bit(words) + 1
    return (index << WORD_SHIFT) + lowest_bit(load_word(BITMAP + index * 8))


def find(size: Word) -> Word:
    """A free block of at least `size` units, the best fit or nearly so, or 0. It stays in its bin."""
    own = bin_of(size)
    number = next_bin(own)
    if number == own and own >= EXACT:
        block = first_in(own)
        for _ in range(DEPTH):
            if size_of(block) >= size:
                return block
            block = behind(block)
            if block == 0:
                break
        number = next_bin(own + 1)
    return first_in(number)


def is_in_place(block: Word, size: Word) -> bool:
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
    return load_word(head_at(bin_of(size))) == block
