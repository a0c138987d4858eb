"""Owns the policies that keep a set of holes: they differ in the hole that they choose, and in coalescing.

A hole that is larger than the request is split, its low end taken. If no hole is large enough the line grows,
and a hole at its end is used with it.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left, insort

from snugmalloc.policies.line import Policy


class Holes(Policy):
    """Holes by where they begin and where they end; a policy keeps them in its own order."""

    def __init__(self) -> None:
        super().__init__()
        self.length_at: dict[int, int] = {}
        """The length of the hole that begins at an address."""
        self.start_before: dict[int, int] = {}
        """Where the hole begins that ends at an address."""

    @abstractmethod
    def choose(self, length: int) -> int | None:
        """Where the hole begins that is to serve `length` bytes; None if none is large enough."""

    @abstractmethod
    def note(self, start: int, length: int) -> None:
        """Add a hole."""

    @abstractmethod
    def forget(self, start: int, length: int) -> None:
        """Remove a hole."""

    def take(self, length: int) -> tuple[int, int]:
        start = self.choose(length)
        if start is None:
            start = self.start_before.get(self.held, self.held) if self.coalesces else self.held
        there = self.remove(start) if start in self.length_at else 0
        if there > length:
            self.add(start + length, there - length)
        return start, length

    def give_back(self, start: int, length: int) -> None:
        if self.coalesces:
            if start in self.start_before:
                before = self.start_before[start]
                length += self.remove(before)
                start = before
            if start + length in self.length_at:
                length += self.remove(start + length)
        self.add(start, length)

    def add(self, start: int, length: int) -> None:
        self.length_at[start] = length
        self.start_before[start + length] = start
        self.note(start, length)

    def remove(self, start: int) -> int:
        """The length of the hole at `start`, which is a hole no more."""
        length = self.length_at.pop(start)
        del self.start_before[start + length]
        self.forget(start, length)
        return length

    @property
    def holes(self) -> list[tuple[int, int]]:
        return sorted(self.length_at.items())


class BySize(Holes):
    """Keeps the holes by their lengths, among those of a length by their addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.by_size: list[tuple[int, int]] = []

    def note(self, start: int, length: int) -> None:
        insort(self.by_size, (length, start))

    def forget(self, start: int, length: int) -> None:
        del self.by_size[bisect_left(self.by_size, (length, start))]


class BestFit(BySize):
    """The smallest hole that is large enough."""

    def choose(self, length: int) -> int | None:
        at = bisect_left(self.by_size, (length, 0))
        return self.by_size[at][1] if at < len(self.by_size) else None


class WorstFit(BySize):
    """The largest hole."""

    def choose(self, length: int) -> int | None:
        if not self.by_size or self.by_size[-1][0] < length:
            return None
        return self.by_size[-1][1]


class NoCoalescing(BestFit):
    """Best fit without coalescing: holes are split, never merged."""

    coalesces = False


class ByAddress(Holes):
    """Keeps the holes by their addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.by_address: list[int] = []

    def note(self, start: int, length: int) -> None:
        insort(self.by_address, start)

    def forget(self, start: int, length: int) -> None:
        del self.by_address[bisect_left(self.by_address, start)]

    def first_of(self, starts: list[int], length: int) -> int | None:
        """The first of some holes that is large enough."""
        length_at = self.length_at
        for start in starts:
            if length_at[start] >= length:
                return start
        return None


class FirstFit(ByAddress):
    """The hole with the lowest address that is large enough."""

    def choose(self, length: int) -> int | None:
        return self.first_of(self.by_address, length)


class NextFit(ByAddress):
    """The first fit from where the last search ended, then from the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.rover = 0

    def choose(self, length: int) -> int | None:
        at = bisect_left(self.by_address, self.rover)
        start = self.first_of(self.by_address[at:], length)
        if start is None:
            start = self.first_of(self.by_address[:at], length)
        self.rover = self.held if start is None else start + length
        return start
