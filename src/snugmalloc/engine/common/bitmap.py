"""Owns bitmaps with a summary: which of up to 4,096 bins are not empty, and the next such bin.

    | summary | bits 0 to 63 | bits 64 to 127 | ... | 0 |

The summary has a bit for each word behind it that is not 0. The last word stays 0, so that a search may begin
behind the last bit. Plain bits have no summary and no last word; their address is that of their first word.
"""

from __future__ import annotations

from ..machine import Int, Record, Word, inline, load_word, lowest_bit, store_word
from .sizes import ONE, WORD_BYTES

WORD_BITS = 64
WORD_SHIFT: Int = 6
IN_WORD = WORD_BITS - 1
BITMAP_EXTRA = 2  # words of a bitmap beside those of its bits


class Bitmap(Record):
    """The words of the bits begin behind it."""

    summary: Word


def bits_at(bitmap: Bitmap, index: Word) -> Word:
    """The address of a word of the bitmap's bits."""
    return bitmap + Bitmap.SIZE + index * WORD_BYTES


def set_plain_bit(bits: Word, number: Word) -> None:
    """Set one bit of plain bits."""
    word = bits + (number >> WORD_SHIFT) * WORD_BYTES
    store_word(word, load_word(word) | ONE << (number & IN_WORD))


@inline
def set_bit(bitmap: Bitmap, number: Word) -> None:
    """Mark bin `number` as not empty."""
    set_plain_bit(bits_at(bitmap, 0), number)
    bitmap.summary |= ONE << (number >> WORD_SHIFT)


@inline
def clear_bit(bitmap: Bitmap, number: Word) -> None:
    """Mark bin `number` as empty."""
    index = number >> WORD_SHIFT
    word = bits_at(bitmap, index)
    bits = load_word(word) & ~(ONE << (number & IN_WORD))
    store_word(word, bits)
    if bits == 0:
        bitmap.summary &= ~(ONE << index)


@inline
def next_set(bitmap: Bitmap, number: Word, none: Word) -> Word:
    """The first bin from `number` on that is not empty, or `none`."""
    index = number >> WORD_SHIFT
    bits = load_word(bits_at(bitmap, index)) >> (number & IN_WORD)
    if bits != 0:
        return number + lowest_bit(bits)
    words = bitmap.summary >> index >> 1
    if words == 0:
        return none
    index += lowest_bit(words) + 1
    return (index << WORD_SHIFT) + lowest_bit(load_word(bits_at(bitmap, index)))
