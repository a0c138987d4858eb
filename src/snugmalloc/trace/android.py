"""Owns Android's memory_replay text: one call a line, as a program made it.

    <thread>: malloc <address> <size>               <thread>: memalign <address> <alignment> <size>
    <thread>: calloc <address> <nmemb> <size>       <thread>: free <address>
    <thread>: realloc <address> <old> <size>        <thread>: thread_done 0x0

Two more numbers at the end of a line are allowed: when the call began and ended, in nanoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.vectors import WORD
from snugmalloc.trace.writer import TraceWriter

FIELDS = {b"malloc": 2, b"calloc": 3, b"realloc": 3, b"memalign": 3, b"free": 1}
TIMES = 2
THREAD_DONE = b"thread_done"
OPERATIONS = {
    b"malloc": Operation.MALLOC,
    b"calloc": Operation.CALLOC,
    b"realloc": Operation.REALLOC,
    b"memalign": Operation.ALIGNED,
    b"free": Operation.FREE,
    THREAD_DONE: Operation.THREAD_END,
}
LOOKS_LIKE_IT = re.compile(rb"\d+: ?[a-z_]+ ")


class Call(NamedTuple):
    """One line. `number` is calloc's nmemb and memalign's alignment; what does not apply is 0."""

    thread: bytes
    name: bytes
    address: int = 0
    old: int = 0
    number: int = 0
    size: int = 0
    begun: int | None = None


def parse_line(line: bytes) -> Call | None:
    """The call in a line, None for an empty one; raises ValueError or KeyError if it is not a call."""
    words = line.split()
    if not words:
        return None
    thread, name, *arguments = words
    if thread[-1:] != b":":
        raise ValueError
    if name == THREAD_DONE:
        return Call(thread, name)
    fields = FIELDS[name]
    begun = None
    if len(arguments) != fields:
        if len(arguments) != fields + TIMES:
            raise ValueError
        begun = int(arguments[fields])
    address = int(arguments[0], 0)
    if name == b"free":
        return Call(thread, name, 0, address, 0, 0, begun)
    if name == b"malloc":
        old = number = 0
    elif name == b"realloc":
        old, number = int(arguments[1], 0), 0
    else:
        old, number = 0, int(arguments[1])
    size = int(arguments[fields - 1])
    if min(size, number, address, old) < 0:
        raise ValueError
    return Call(thread, name, address, old, number, size, begun)


class AndroidImporter:
    """Writes the calls to a trace."""

    def __init__(self, beginning: Sequence[bytes]) -> None:
        calls = filter(None, map(parse_line, beginning))
        self.start = next((call.begun for call in calls if call.name != THREAD_DONE), None)
        self.now = 0
        self.thread_of: dict[bytes, int] = {}

    @property
    def header(self) -> Header:
        if self.start is None:
            return Header(Flags.ADDRESSES, ticks_per_second=0)
        return Header(Flags.ADDRESSES | Flags.TIMES, start=self.start)

    def line(self, line: bytes, writer: TraceWriter) -> None:
        """Add one line; raises ValueError or KeyError if it is not a call."""
        call = parse_line(line)
        if call is None:
            return
        if call.begun is not None and self.start is not None:
            self.now = max(self.now, call.begun - self.start)
        operation = OPERATIONS[call.name]
        size = call.size * call.number if operation is Operation.CALLOC else call.size
        writer.add(
            operation,
            thread=self.thread(call.thread, writer),
            time=self.now,
            size=min(size, WORD),
            number=call.number,
            address=call.address,
            old=call.old,
        )

    def thread(self, name: bytes, writer: TraceWriter) -> int:
        """The number of a thread, which begins at its first call."""
        known = self.thread_of.get(name)
        if known is not None:
            return known
        thread = self.thread_of[name] = len(self.thread_of)
        writer.add(Operation.THREAD_BEGIN, thread=thread, time=self.now, number=int(name[:-1]))
        return thread
