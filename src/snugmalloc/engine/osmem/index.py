"""Owns the index of free blocks: finds the best fit, the smallest that is large enough and the lowest of those.

Blocks are kept in bins by size: one bin per size below 512 units of 8 bytes, then 16 bins per doubling. A bin
holds a list of new blocks (fresh), and a tree of the others (sorted). A search sorts the fresh blocks of the
one bin that it looks at; blocks that are merged before a search are never put into the tree.

    BINS     [ fresh list | tree ] [ fresh list | tree ] ...     a Bin each
    FILLED   a bitmap of the bins that are not empty
"""

from __future__ import annotations

from ..common.bitmap import BITMAP_EXTRA, WORD_BITS, Bitmap, clear_bit, next_set, set_bit
from ..common.sizes import PER_DOUBLING, WORD_BYTES, bin_for
from ..machine import Record, Word, load_word, reserve, store_word
from .block import ALIGN, FRESH, NOWHERE, SORTED, place_of, set_place, size_of
from .chain import link, older, unlink
from .seal import vet_free
from .tree import find_at_least, insert, remove, remove_at

EXACT_SHIFT = 9
LARGEST_SHIFT = 45  # no block has 2 to the power of so many units
BIN_COUNT = (1 << EXACT_SHIFT) + (LARGEST_SHIFT - EXACT_SHIFT) * PER_DOUBLING


class Bin(Record, size=16):
    """The free blocks of one size, or of some.

     0  fresh   the list of new ones
     8  sorted  the tree of the others
    16
    """

    fresh: Word
    sorted: Word


BINS = reserve(BIN_COUNT * Bin.SIZE)
FILLED = reserve((BIN_COUNT // WORD_BITS + BITMAP_EXTRA) * WORD_BYTES)


def bin_of(size: Word) -> Word:
    """The number of the bin for blocks of `size` bytes; larger sizes have the same or a higher bin."""
    return bin_for(size // ALIGN, EXACT_SHIFT)


def fresh_list(number: Word) -> Word:
    """The cell of the bin's list."""
    return BINS + number * Bin.SIZE + Bin.fresh


def sorted_tree(number: Word) -> Word:
    """The cell of the bin's tree."""
    return BINS + number * Bin.SIZE + Bin.sorted


def is_empty(number: Word) -> bool:
    """Whether the bin is empty."""
    return load_word(fresh_list(number)) | load_word(sorted_tree(number)) == 0


def clear_if_empty(number: Word) -> None:
    """Mark the bin as empty, if it is."""
    if is_empty(number):
        clear_bit(Bitmap(FILLED), number)


def put(block: Word) -> None:
    """Put a merged free block into the index."""
    number = bin_of(size_of(block))
    set_place(block, FRESH)
    link(fresh_list(number), block)
    set_bit(Bitmap(FILLED), number)


def take(block: Word) -> None:
    """Remove a block from the index."""
    number = bin_of(size_of(block))
    if place_of(block) == FRESH:
        unlink(fresh_list(number), block)
    else:
        remove(sorted_tree(number), block)
    set_place(block, NOWHERE)
    clear_if_empty(number)


def sort_fresh(number: Word) -> None:
    """Move the fresh blocks of the bin into its tree."""
    block = load_word(fresh_list(number))
    store_word(fresh_list(number), 0)
    while block != 0:
        behind = older(block)
        vet_free(block)
        insert(sorted_tree(number), block)
        set_place(block, SORTED)
        block = behind


def take_from_bin(number: Word, size: Word) -> Word:
    """Take the best fit for `size` bytes out of this bin, or 0 if it has none."""
    sort_fresh(number)
    cell = find_at_least(sorted_tree(number), size)
    if cell == 0:
        return 0
    block = load_word(cell)
    vet_free(block)
    remove_at(cell)
    set_place(block, NOWHERE)
    clear_if_empty(number)
    return block


def take_best_fit(size: Word) -> Word:
    """Take the best fit for `size` bytes out of the index, or 0 if there is none."""
    number = bin_of(size)
    block: Word = 0
    if not is_empty(number):
        block = take_from_bin(number, size)
    if block == 0:
        number = next_set(Bitmap(FILLED), number + 1, BIN_COUNT)
        if number != BIN_COUNT:
            block = take_from_bin(number, size)
    return block
