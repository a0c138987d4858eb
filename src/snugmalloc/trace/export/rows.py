"""Owns events as rows of a table, with None where an event does not have a figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from snugmalloc.trace.columns import Event
from snugmalloc.trace.export import Request
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import HAS_ADDRESS, HAS_NUMBER, HAS_POINTER, HAS_SIZE
from snugmalloc.trace.origins import CALLED_FROM, whole_stack
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import Tables

EVENTS_BETWEEN_PROGRESS = 1 << 14


class EventRow(NamedTuple):
    """An event. The names are those of the columns that are written."""

    event: int
    """Its number in the trace, from 0."""
    operation: str
    refused: bool
    thread: int
    seconds: float | None
    """Since the recording began."""
    size: int | None
    number: int | None
    address: int | None
    old: int | None
    """The pointer that free or realloc was given."""
    block: int | None
    """The number of the block that the call gave."""
    freed: int | None
    """The number of the block that `old` belongs to."""
    stack: int | None


def event_rows(reader: TraceReader, request: Request) -> Iterator[EventRow]:
    """The events of a trace in order."""
    flags = reader.header.flags
    has_addresses = Flags.ADDRESSES in flags
    ticks = reader.header.ticks_per_second if Flags.TIMES in flags else 0
    total = reader.count_events()
    for number, event in enumerate(reader.events()):
        yield _row(number, event, has_addresses, ticks)
        if request.progress and number % EVENTS_BETWEEN_PROGRESS == 0:
            request.progress(number, total)


def _row(number: int, event: Event, has_addresses: bool, ticks: int) -> EventRow:
    operation = event.operation
    return EventRow(
        number,
        operation.name.lower(),
        event.refused,
        event.thread,
        event.time / ticks if ticks else None,
        event.size if HAS_SIZE[operation] else None,
        event.number if HAS_NUMBER[operation] else None,
        event.address if has_addresses and HAS_ADDRESS[operation] and not event.refused else None,
        event.old if has_addresses and HAS_POINTER[operation] else None,
        event.block if event.block >= 0 else None,
        event.freed if event.freed >= 0 else None,
        event.stack or None,
    )


class StackNames:
    """The stacks of a trace as text, each of which is made once."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.names: dict[int, str] = {}

    def name(self, stack: int | None) -> str | None:
        """All frames of the stack, the innermost first."""
        if stack is None:
            return None
        if stack not in self.names:
            self.names[stack] = CALLED_FROM.join(whole_stack(self.tables, stack))
        return self.names[stack]
