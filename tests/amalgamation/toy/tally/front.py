"""The exported functions."""

from __future__ import annotations

from ..common.bits import lowest_bit_of_uses
from ..machine import LIMIT, Int, Word, likely, text_length
from .cells import COUNT, DEBUG, HIGHEST, WORST, add, is_cell, load_cell, low_half_shifted, weigh
from .shelves import SLOTS, described, put, shelf

NAME = b'tally "\\" \xe9 ?'


def _clipped(amount: Word) -> Word:
    return amount if amount <= LIMIT else LIMIT  # private: not exported


def tally_add(number: Word, amount: Word) -> Word:
    """Add at most LIMIT to a cell, as an exported function; HIGHEST if there is no such cell."""
    if likely(is_cell(number)):
        return add(number, _clipped(amount))
    return HIGHEST


def tally_sum() -> Word:
    """All cells."""
    total: Word = 0
    for number in range(COUNT):
        total += load_cell(number)
    return total


def tally_lowest_bit_of_uses() -> Word:
    """The same of a shared layer, exported."""
    return lowest_bit_of_uses()


def tally_halves(number: Word) -> Word:
    """The low half of a cell moved up, with a weight."""
    return low_half_shifted(number) | weigh(number % 3)


def tally_digits(number: Word) -> Int:
    """How many decimal digits `number` has, WORST for none; one more in the debug build."""
    if not number:
        return WORST
    digits: Int = 0
    while True:
        number //= 10
        digits += 1
        if number == 0:
            break
    if DEBUG and digits > 0:
        digits += 1
    return digits


def tally_put(number: Word, thing: Word) -> Word:
    """Put something on a shelf; what lay there, or HIGHEST if nothing ever did."""
    before, was_used = put(shelf(number), number % SLOTS, thing)
    return before if was_used else HIGHEST


def tally_shelf(number: Word) -> Word:
    """The uses of a shelf, and all that was put there, in a word."""
    used, total = described(shelf(number))
    return used ^ total


def tally_name_length() -> Int:
    """How many bytes the name has."""
    return text_length(NAME)
