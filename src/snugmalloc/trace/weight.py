"""Owns what a sampled block stands for."""

from __future__ import annotations

import math
from array import array

from snugmalloc.engine.dropin.classes import LISTED_LIMIT
from snugmalloc.engine.dropin.layout import HEADER, UNIT

SMALL = LISTED_LIMIT + UNIT - HEADER
"""Bytes: what a realloc leaves where it is, and is no larger, is a sample if it was one before."""


def blocks_behind(size: int, mean_gap: int) -> float:
    """How many blocks of `size` bytes one sampled block of that size stands for; 1 if every call is recorded.

    A sample is taken every `mean_gap` bytes in the mean, at gaps of an exponential distribution.
    """
    if not mean_gap:
        return 1.0
    return 1 / -math.expm1(-max(size, 1) / mean_gap)


class Chances:
    """Of each block of a sampled trace the size by which it is more or less likely in it.

    That is its own size. Only where a small block grows within its room, new bytes are not counted: a sample
    stays one, and what is none stays none. Then it is the smallest size that it had.
    """

    def __init__(self) -> None:
        self.sizes = array("Q")
        self.addresses = array("Q")

    def add(self, size: int, address: int, freed: int) -> int:
        """That of the next block, which took the place of block `freed` if that is one."""
        stays = freed >= 0 and address != 0 and self.addresses[freed] == address and size <= SMALL
        chance = min(size, self.sizes[freed]) if stays else size
        self.sizes.append(chance)
        self.addresses.append(address)
        return chance
