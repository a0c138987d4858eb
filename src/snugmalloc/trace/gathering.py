"""Owns making columns of single events: numbers the blocks, and finds which one a pointer belongs to."""

from __future__ import annotations

from array import array

from snugmalloc.trace.columns import NO_BLOCK, Columns
from snugmalloc.trace.operations import GIVES_BLOCK, HAS_POINTER, Operation
from snugmalloc.trace.rows import Row
from snugmalloc.trace.vectors import WORD

EVENTS_IN_CHUNK = 1 << 16


class Gatherer:
    """Collects events in the order in which they happened."""

    def __init__(self) -> None:
        self.events = 0
        self.blocks = 0
        self.block_at: dict[int, int] = {}
        """The number of the live block at each address."""
        self.begin()

    def begin(self) -> None:
        columns = self.columns = Columns(self.events, self.blocks)
        # The same arrays, of which the type checker knows that they grow.
        self.arrays: tuple[array[int], ...] = (
            operation := array("B"),
            refused := array("B"),
            thread := array("Q"),
            time := array("Q"),
            size := array("Q"),
            number := array("Q"),
            address := array("Q"),
            old := array("Q"),
            block := array("q"),
            freed := array("q"),
            stack := array("Q"),
        )
        columns.operation, columns.refused, columns.thread, columns.time = operation, refused, thread, time
        columns.size, columns.number, columns.address, columns.old = size, number, address, old
        columns.block, columns.freed, columns.stack = block, freed, stack

    def __len__(self) -> int:
        return len(self.columns)

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
    ) -> None:
        """One more event."""
        freed = block = NO_BLOCK
        if old and HAS_POINTER[operation]:
            keeps = refused and size
            freed = self.block_at.get(old, NO_BLOCK) if keeps else self.block_at.pop(old, NO_BLOCK)
        if GIVES_BLOCK[operation] and not refused:
            self.block_at[address] = block = self.blocks
            self.blocks += 1
        foreign = old if freed == NO_BLOCK else 0
        row = (operation, refused, thread, time, size, number, address, foreign, block, freed, stack)
        for column, value in zip(self.arrays, row, strict=True):
            column.append(value)
        self.events += 1

    def add_row(self, row: Row, start: int) -> None:
        """One more event, of a recording that began at `start`."""
        refused = row.refused or (not row.address and bool(GIVES_BLOCK[row.operation]))
        self.add(
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
        taken = self.columns
        self.begin()
        return taken
