"""Traces of what a program allocated: reading, writing and importing `.snug` files.

    from snugmalloc.trace import TraceReader

    with TraceReader("app.snug") as trace:
        for event in trace.events():
            print(event.operation.name, event.size, hex(event.address))

`TraceReader.columns` gives many events at a time, as arrays or, where NumPy is installed, as NumPy's arrays.
docs/trace-format.md describes the file.
"""

from __future__ import annotations

import math

from snugmalloc.trace.columns import NO_BLOCK, Columns, Event
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.reader import TraceReader, is_trace, rebuild_index
from snugmalloc.trace.tables import Frame, NativeFrame, SourceFrame
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


def blocks_behind(size: int, mean_gap: int) -> float:
    """How many blocks of `size` bytes one sampled block of that size stands for; 1 if every call is recorded.

    A sample is taken every `mean_gap` bytes in the mean, at gaps of an exponential distribution.
    """
    if not mean_gap:
        return 1.0
    return 1 / -math.expm1(-max(size, 1) / mean_gap)
