"""Owns the arithmetic of sizes: rounding up, and the bin for blocks of a size.

bins 0 to 2**shift - 1    one for each number of units
from 2**shift             16 for each doubling: a range of sizes
"""

from __future__ import annotations

from ..machine import Int, Word, highest_bit, inline

ONE = 1
WORD_BYTES = 8
LARGEST = 0x7FFF_FFFF_FFFF_FFFF  # PTRDIFF_MAX: no object may be larger

PER_DOUBLING = 16
PART_SHIFT: Int = 4
PARTS = PER_DOUBLING - 1


def round_up(number: Word, step: Word) -> Word:
    """`number`, rounded up to a multiple of `step`, a power of two."""
    return (number + step - 1) & ~(step - 1)


@inline
def bin_for(units: Word, exact_shift: Word) -> Word:
    """The bin of blocks of `units` units; those of more units have the same or a higher one."""
    if units < ONE << exact_shift:
        return units
    doubling = highest_bit(units)
    exact_bins = ONE << exact_shift
    return exact_bins + (doubling - exact_shift) * PER_DOUBLING + (units >> (doubling - PART_SHIFT) & PARTS)
