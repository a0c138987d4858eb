"""Owns the cells: eight words of reserved memory."""

from __future__ import annotations

from ..common.uses import note_use
from ..machine import Byte, Int, Word, load_half, load_word, reserve, store_word

DEBUG = 0
COUNT = 1 << 3
HIGHEST = 2**64 - 1
WORST: Int = -1
WEIGHTS: tuple[Byte, ...] = (1, 200, COUNT)
CELLS = reserve(COUNT * 8)


def cell(number: Word) -> Word:
    """The address of a cell."""
    return CELLS + 8 * number


def is_cell(number: Word) -> bool:
    """Whether there is such a cell."""
    return 0 <= number < COUNT


def load_cell(number: Word) -> Word:
    """What a cell holds."""
    return load_word(cell(number))


def add(number: Word, amount: Word) -> Word:
    """Add to a cell and give what it holds then."""
    note_use()
    before = load_cell(number)
    store_word(cell(number), before + amount)
    return before + amount


def low_half_shifted(number: Word) -> Word:
    """The low half of a cell, 32 bits higher: no 32-bit arithmetic loses it."""
    return load_half(cell(number)) << 32


def weigh(number: Word) -> Word:
    """A weight, far up in the word."""
    return WEIGHTS[number] << 56
