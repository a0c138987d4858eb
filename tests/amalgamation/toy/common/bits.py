"""Owns the bits of a word, and knows the layer beside it in the same folder."""

from __future__ import annotations

from ..machine import Word, inline
from .uses import uses

IGNORED_BITS = 3


@inline
def lowest_bit_of_uses() -> Word:
    """The lowest bit of the number of uses, the bits 0 and 1 cleared first."""
    bits = uses() & ~IGNORED_BITS
    return bits & -bits
