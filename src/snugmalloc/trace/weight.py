"""Owns the weight of a sampled block."""

from __future__ import annotations

import math
from array import array

from snugmalloc.engine.dropin.classes import LISTED_LIMIT, SLAB_LIMIT, class_of, object_bytes
from snugmalloc.engine.dropin.layout import HEADER, UNIT

SMALL = LISTED_LIMIT + UNIT - HEADER
"""Bytes: what a realloc leaves where it is, and is no larger, may be a sample because it was one before."""


def blocks_behind(size: int, mean_gap: int) -> float:
    """How many blocks of `size` bytes one sampled block of that size stands for; 1 if every call is recorded.

    On average a sample is taken every `mean_gap` bytes, at gaps of an exponential distribution.
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
        self.rooms = array("Q")
        """Up to how many bytes a realloc leaves the chance as it is, where the block stays."""

    def add(self, size: int, address: int, freed: int) -> int:
        """That of the next block, which took the place of block `freed` if that is one."""
        is_there = freed >= 0 and address != 0 and self.addresses[freed] == address
        stays = is_there and size <= self.rooms[freed]
        chance = min(size, self.sizes[freed]) if stays else size
        self.rooms.append(self.rooms[freed] if stays else _room_of(size))
        self.sizes.append(chance)
        self.addresses.append(address)
        return chance


def _room_of(size: int) -> int:
    """Those of a block of this size: small ones have the room of their class."""
    return object_bytes(class_of(size)) if size <= SLAB_LIMIT else SMALL
