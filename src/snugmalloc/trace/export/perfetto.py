"""Owns timelines for Perfetto's viewer: JSON of Chrome's trace events: a counter, threads and system events.

Times are in microseconds. In a trace without times a call takes one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snugmalloc.trace.blocks import History
from snugmalloc.trace.columns import Event
from snugmalloc.trace.export import Request
from snugmalloc.trace.export.profile import clean
from snugmalloc.trace.following import read_history
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import HAS_ADDRESS, HAS_NUMBER, HAS_SIZE, IS_CALL, Operation
from snugmalloc.trace.reader import TraceReader

POINTS = 10_000
"""Of the counter, at most: each is the most bytes that were live since the one before."""
MICROSECONDS = 1_000_000
SHOWN = frozenset(
    (
        Operation.GROWTH,
        Operation.PURGE,
        Operation.TRIM,
        Operation.MAP,
        Operation.UNMAP,
        Operation.REFUSAL,
        Operation.FORK,
        Operation.LOST,
    )
)
"""Events that are shown each by itself."""


def write(reader: TraceReader, path: Path, request: Request) -> None:
    """Write the live bytes over time, each thread's span, and what the allocator and the system did."""
    history = read_history(reader, request.progress)
    timeline = _Timeline(reader, history)
    content = {
        "displayTimeUnit": "ns",
        "metadata": {"trace": reader.name, "times": "seconds" if timeline.ticks else "calls"},
        "traceEvents": [*timeline.names(), *timeline.live_bytes(), *timeline.spans_and_instants()],
    }
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


class _Timeline:
    """Makes the events of one trace."""

    def __init__(self, reader: TraceReader, history: History) -> None:
        self.reader = reader
        self.history = history
        self.process = reader.header.pid or 1
        header = reader.header
        self.ticks = header.ticks_per_second if Flags.TIMES in header.flags else 0

    def event(self, kind: str, name: str, when: float, thread: int = 0, **more: Any) -> dict[str, Any]:
        """One event; `kind` is its phase. Viewers take a thread with number 0 for the processor's idle one."""
        return {"ph": kind, "name": name, "ts": when, "pid": self.process, "tid": thread + 1, **more}

    def names(self) -> Iterator[dict[str, Any]]:
        program = clean(self.reader.about.get("program", self.reader.name))
        yield self.event("M", "process_name", 0, args={"name": program})
        for thread in self.history.calls_of_thread:
            name = clean(self.history.thread_name(thread))
            yield self.event("M", "thread_name", 0, thread, args={"name": name})

    def when(self, ticks: int, call: int) -> float:
        return ticks * MICROSECONDS / self.ticks if self.ticks else call

    def live_bytes(self) -> Iterator[dict[str, Any]]:
        live, time = self.history.live, self.history.time
        step = -(-len(live) // POINTS) or 1
        for begin in range(0, len(live), step):
            highest = max(range(begin, min(begin + step, len(live))), key=live.__getitem__)
            when = self.when(time[highest], highest + 1)
            yield self.event("C", "live bytes", when, args={"bytes": live[highest]})

    def spans_and_instants(self) -> Iterator[dict[str, Any]]:
        spans: dict[int, tuple[float, float]] = {}
        calls = 0
        for event in self.reader.events():
            calls += IS_CALL[event.operation]
            when = self.when(event.time, calls)
            begin, end = spans.get(event.thread, (when, when))
            spans[event.thread] = min(begin, when), max(end, when)
            if event.operation in SHOWN:
                name = event.operation.name.lower()
                yield self.event("i", name, when, event.thread, s="p", args=_figures(event))
        for thread, (begin, end) in spans.items():
            calls = self.history.calls_of_thread[thread]
            yield self.event("X", "thread", begin, thread, dur=end - begin, args={"calls": calls})


def _figures(event: Event) -> dict[str, Any]:
    """What the event says, by name."""
    return {
        name: value
        for name, value, has in (
            ("bytes", event.size, HAS_SIZE),
            ("address", hex(event.address), HAS_ADDRESS),
            ("number", event.number, HAS_NUMBER),
        )
        if has[event.operation]
    }
