"""Owns moments of a trace: what a user calls them, and how many calls had been made by then.

A moment is `peak`, when most bytes were live; `end`; a whole number, which is so many calls of all threads; or
a number with an s behind it, which is so many seconds since the recording began.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from snugmalloc.trace.blocks import History
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import Flags
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.vectors import first_above

PEAK, END = "peak", "end"
CALLS = re.compile(r"[0-9]+")
SECONDS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?s")


class Moment(NamedTuple):
    """A place between two calls."""

    name: str
    """As it stands in a sentence: "at the peak", "after 12,000 calls"."""
    call: int
    """How many calls had been made."""
    time: int
    """Of the last of these calls, in ticks."""


def is_moment(text: str) -> bool:
    """Whether this is the name of a moment, in whatever trace."""
    return text in (PEAK, END) or bool(CALLS.fullmatch(text) or SECONDS.fullmatch(text))


def find_moment(reader: TraceReader, history: History, text: str) -> Moment:
    """The moment of this name, for which `is_moment` is true. Raises TraceError if the trace has none."""
    if text == PEAK:
        return _after(history, "at the peak", history.peak_call)
    if text == END:
        return Moment("at the end", history.call_count, history.last_time)
    if seconds := SECONDS.fullmatch(text):
        return _at_time(reader, history, seconds[1])
    calls = int(text)
    kind = "sampled calls" if reader.header.mean_gap else "calls"
    if calls > history.call_count:
        raise TraceError(f"{reader.name}: has {history.call_count:,} {kind}, and not {calls:,}")
    return _after(history, f"after {calls:,} {kind}", calls)


def _after(history: History, name: str, calls: int) -> Moment:
    return Moment(name, calls, history.time[calls - 1] if calls else 0)


def _at_time(reader: TraceReader, history: History, seconds: str) -> Moment:
    """The calls up to the first one that was later, or all of them."""
    ticks = reader.header.ticks_per_second
    if Flags.TIMES not in reader.header.flags or not ticks:
        raise TraceError(f"{reader.name}: has no times: name a moment by its number of calls")
    time = int(Decimal(seconds) * ticks)
    if time > history.last_time:
        raise TraceError(f"{reader.name}: ends after {history.last_time / ticks:,.3f} s")
    return Moment(f"after {seconds} s", first_above(history.time, time), time)
