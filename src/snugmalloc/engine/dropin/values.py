"""Owns the parsing of one entry of the environment: its number, and the warning if it is ignored.

Sizes take a suffix K, M or G. Errors are reported by the first process of a tree, not by each.
"""

from __future__ import annotations

from ..machine import Byte, Text, Word, load_byte, parent_has_told, warn
from .layout import GIB, MIB

UNKNOWN = b"snugmalloc: no such option, ignored: "
MALFORMED = b"snugmalloc: not a value of this option, ignored: "

MAX_BYTES = 1 << 60
NONE = 0xFFFF_FFFF_FFFF_FFFF

DIGIT_0 = 48
DIGIT_9 = 57
CAPITALS = 0xDF  # the mask that makes a small letter a capital
LETTER_G = 71
LETTER_K = 75
LETTER_M = 77
KIB = 1024


def complain(message: Text, entry: Word) -> None:
    """Report an error in `entry` in one line, unless the parent process has done so."""
    if not parent_has_told(entry):
        warn(message, entry)


def number_before(text: Word, stop: Byte) -> tuple[Word, Word]:
    """The number, with its suffix, in `text` up to its end or the letter `stop`; and where that is.

    NONE if there is none.
    """
    none = NONE
    number: Word = 0
    digit = load_byte(text)
    if digit < DIGIT_0 or digit > DIGIT_9:
        return none, text
    while digit >= DIGIT_0 and digit <= DIGIT_9:
        number = number * 10 + digit - DIGIT_0
        if number > MAX_BYTES:
            return none, text
        text += 1
        digit = load_byte(text)
    suffix = digit & CAPITALS
    if suffix == LETTER_K:
        number *= KIB
        text += 1
    elif suffix == LETTER_M:
        number *= MIB
        text += 1
    elif suffix == LETTER_G:
        number *= GIB
        text += 1
    end = load_byte(text)
    return number if (end == 0 or end == stop) and number <= MAX_BYTES else none, text


def number_in(entry: Word, value: Word, minimum: Word, maximum: Word) -> Word:
    """The number at `value`, the end of `entry`; or NONE, with a warning, if it is out of bounds."""
    number, end = number_before(value, 0)
    if number < minimum or number > maximum or load_byte(end) != 0:
        complain(MALFORMED, entry)
        return NONE
    return number
