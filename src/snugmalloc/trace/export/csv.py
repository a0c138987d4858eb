"""Owns tables of text: a line for each event, with commas between its figures."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from snugmalloc.trace.export import Request
from snugmalloc.trace.export.profile import clean
from snugmalloc.trace.export.rows import EventRow, StackNames, event_rows
from snugmalloc.trace.reader import TraceReader


def write(reader: TraceReader, path: Path, request: Request) -> None:
    """Write all events, addresses in hexadecimal, and stacks with their frames."""
    stacks = StackNames(reader.tables)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(EventRow._fields)
        table.writerows(_cells(row, stacks) for row in event_rows(reader, request))


def _cells(row: EventRow, stacks: StackNames) -> Iterable[object]:
    stack = stacks.name(row.stack)
    written = {
        "refused": int(row.refused),
        "address": None if row.address is None else hex(row.address),
        "old": None if row.old is None else hex(row.old),
        "stack": None if stack is None else clean(stack),
    }
    return (row._asdict() | written).values()
