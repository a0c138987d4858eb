"""Owns what all policies have in common: blocks on a line of addresses that only grows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

UNIT = 16
"""Bytes: every block begins at a multiple of it, and has a multiple of it."""


def rounded(size: int, unit: int = UNIT) -> int:
    """`size` rounded up to a multiple of `unit`."""
    return -(-size // unit) * unit


class Policy(ABC):
    """Allocates and frees ranges of a line that begins at address 0."""

    coalesces: ClassVar[bool] = True
    """Free neighbours become one stretch."""

    def __init__(self) -> None:
        self.held = 0
        """The end of the line: the highest address that was ever in use."""
        self.taken: dict[int, tuple[int, int]] = {}
        """By the address of each live block, the stretch that it lies in: where it begins and its length."""
        self.taken_bytes = 0
        """The bytes of these stretches."""

    def allocate(self, size: int, alignment: int = UNIT) -> int:
        """The address of a new block. For a larger alignment its range is longer, as with os_malloc."""
        length = rounded(max(size, 1)) + max(alignment - UNIT, 0)
        start, length = self.take(length)
        address = rounded(start, max(alignment, UNIT))
        self.taken[address] = start, length
        self.taken_bytes += length
        self.held = max(self.held, start + length)
        return address

    def free(self, address: int) -> None:
        """Take a block back."""
        start, length = self.taken.pop(address)
        self.taken_bytes -= length
        self.give_back(start, length)

    def resize(self, address: int, size: int) -> int:
        """The block's new address. A block whose range is large enough stays, and frees nothing."""
        start, length = self.taken[address]
        if address + size <= start + length:
            return address
        moved = self.allocate(size)
        self.free(address)
        return moved

    @abstractmethod
    def take(self, length: int) -> tuple[int, int]:
        """Take a range of at least `length` bytes, a multiple of UNIT: its start and length."""

    @abstractmethod
    def give_back(self, start: int, length: int) -> None:
        """Free a range that was taken."""

    @property
    @abstractmethod
    def holes(self) -> list[tuple[int, int]]:
        """The free ranges below the end of the line, in address order: (start, length)."""
