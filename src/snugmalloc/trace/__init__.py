"""Traces of what a program allocated: reading, writing and importing `.snug` files.

    from snugmalloc.trace import TraceReader

    with TraceReader("app.snug") as trace:
        for event in trace.events():
            print(event.operation.name, event.size, hex(event.address))

`TraceReader.columns` returns many events at a time, as arrays, or as NumPy's arrays if NumPy is installed.
docs/trace-format.md describes the file.
"""

from __future__ import annotations

from snugmalloc.trace.columns import NO_BLOCK, Columns, Event
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.reader import TraceReader, is_trace, rebuild_index
from snugmalloc.trace.tables import Frame, NativeFrame, SourceFrame
from snugmalloc.trace.weight import blocks_behind
from snugmalloc.trace.writer import TraceWriter

__all__ = [
    "NO_BLOCK",
    "Columns",
    "Event",
    "Flags",
    "Frame",
    "Header",
    "NativeFrame",
    "Operation",
    "SourceFrame",
    "TraceError",
    "TraceReader",
    "TraceWriter",
    "blocks_behind",
    "is_trace",
    "rebuild_index",
]
