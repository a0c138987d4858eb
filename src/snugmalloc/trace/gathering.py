"""Owns making columns from single events: numbers the blocks, and finds the block of a pointer."""

from __future__ import annotations

from array import array

from snugmalloc.trace.columns import NO_BLOCK, Columns
from snugmalloc.trace.operations import GIVES_BLOCK, HAS_POINTER, Operation
from snugmalloc.trace.rows import Row
from snugmalloc.trace.vectors import WORD

EVENTS_IN_CHUNK = 1 << 16
TYPES = "BBQQQQQQqqQ"  # of the columns, as they stand in Columns


class Gatherer:
    """Collects events in the order in which they happened."""

    def __init__(self) -> None:
        self.events = 0
        self.blocks = 0
        self.block_at: dict[int, int] = {}
        """The number of the live block at each address."""
        self.begin()

    def begin(self) -> None:
        self.first, self.first_block = self.events, self.blocks
        self.rows: list[tuple[int, ...]] = []

    def add(
        self,
        operation: Operation,
        thread: int,
        time: int,
        size: int,
        number: int,
        address: int,
        old: int,
        stack: int,
        refused: bool,
    ) -> int:
        """One more event. Returns how many are collected now."""
        freed = block = NO_BLOCK
        if old and HAS_POINTER[operation]:
            keeps = refused and size
            freed = self.block_at.get(old, NO_BLOCK) if keeps else self.block_at.pop(old, NO_BLOCK)
            if freed != NO_BLOCK:
                old = 0
        if not refused and GIVES_BLOCK[operation]:
            self.block_at[address] = block = self.blocks
            self.blocks += 1
        self.rows.append((operation, refused, thread, time, size, number, address, old, block, freed, stack))
        self.events += 1
        return len(self.rows)

    def add_row(self, row: Row, start: int) -> int:
        """One more event, of a recording that began at `start`. Returns how many are collected now."""
        refused = row.refused or (not row.address and bool(GIVES_BLOCK[row.operation]))
        return self.add(
            row.operation,
            row.thread,
            row.time - start & WORD,
            row.size,
            row.number,
            row.address,
            row.old,
            row.stack,
            refused,
        )

    def take(self) -> Columns:
        """What was collected."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(TYPES)
        arrays = (array(kind, column) for kind, column in zip(TYPES, columns, strict=True))
        taken = Columns(self.first, self.first_block, *arrays)
        self.begin()
        return taken
