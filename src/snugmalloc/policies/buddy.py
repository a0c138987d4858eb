"""Owns the buddy system: stretches are powers of two, halved, and put together only with their other half."""

from __future__ import annotations

from heapq import heappop, heappush

from snugmalloc.policies.line import UNIT, Policy


class Buddy(Policy):
    """The shortest free stretch that is long enough, the lowest of these, halved as often as it can be.

    The addresses in use are doubled when nothing is long enough.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reach = 0
        """The addresses that are handed out end here: 0 or a power of two."""
        self.free_starts: dict[int, set[int]] = {}
        """By length, the free stretches."""
        self.lowest: dict[int, list[int]] = {}
        """By length, a heap of these, and of others that are free no more."""

    def take(self, length: int) -> tuple[int, int]:
        wanted = UNIT
        while wanted < length:
            wanted *= 2
        start, found = self.pop_shortest(wanted)
        while found > wanted:
            found //= 2
            self.push(start + found, found)
        return start, found

    def pop_shortest(self, wanted: int) -> tuple[int, int]:
        """A free stretch of at least `wanted` bytes, as short as there is: where it begins, and its length."""
        while True:
            length = wanted
            while length <= self.reach:
                if self.free_starts.get(length):
                    return self.pop(length), length
                length *= 2
            self.grow(wanted)

    def grow(self, wanted: int) -> None:
        """Twice the addresses, or the first of them."""
        if self.reach:
            self.give_back(self.reach, self.reach)
        else:
            self.push(0, wanted)
        self.reach = 2 * self.reach or wanted

    def give_back(self, start: int, length: int) -> None:
        while (other := start ^ length) in self.free_starts.get(length, ()):
            self.free_starts[length].remove(other)
            start = min(start, other)
            length *= 2
        self.push(start, length)

    def push(self, start: int, length: int) -> None:
        self.free_starts.setdefault(length, set()).add(start)
        heappush(self.lowest.setdefault(length, []), start)

    def pop(self, length: int) -> int:
        """The lowest free stretch of a length, which is free no more."""
        while (start := heappop(self.lowest[length])) not in self.free_starts[length]:
            pass
        self.free_starts[length].remove(start)
        return start

    @property
    def holes(self) -> list[tuple[int, int]]:
        """What lies beyond the end of the line was never in use, and is none."""
        stretches = sorted((start, length) for length, starts in self.free_starts.items() for start in starts)
        return [(start, min(length, self.held - start)) for start, length in stretches if start < self.held]
