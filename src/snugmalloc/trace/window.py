"""Owns one pass over the last calls of a process: what they allocated and did not free, and their requests.

A ring has millions of calls, and a user waits for the report: this reads only what is needed.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from snugmalloc.trace.columns import NO_BLOCK, Columns
from snugmalloc.trace.following import Progress
from snugmalloc.trace.operations import IS_CALL, Operation
from snugmalloc.trace.origins import innermost, nearest, whole_stack
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.vectors import listed
from snugmalloc.trace.weight import blocks_behind

KEPT_REQUESTS = 10

Key = TypeVar("Key", bound=Hashable)


class Block(NamedTuple):
    """A block that a call returned."""

    number: int
    size: int
    thread: int
    time: int
    """In ticks since the recording began."""
    stack: int


class Refusal(NamedTuple):
    """A request that was refused."""

    time: int
    size: int
    thread: int
    reason: int


@dataclass
class Part:
    """The figures of a group of blocks; estimates if blocks were sampled."""

    blocks: float = 0
    bytes: float = 0


@dataclass
class Window:
    """The last calls of a process."""

    live: dict[int, Block] = field(default_factory=dict)
    """The blocks that were allocated in them and not freed, by number."""
    has_stacks: bool = False
    calls: int = 0
    """So many since the moment that was asked for."""
    last_time: int = 0
    lost: int = 0
    largest: list[Block] = field(default_factory=list)
    """The largest that were given, the largest first."""
    refusals: list[Refusal] = field(default_factory=list)
    """The last first."""
    refusal_count: int = 0
    names: dict[int, str] = field(default_factory=dict)
    """Of threads that have one."""
    thread_ids: dict[int, int] = field(default_factory=dict)
    """What the system calls the threads."""

    def thread_name(self, thread: int) -> str:
        """The name of a thread, or else its system id, or else its number in the trace."""
        return self.names.get(thread) or str(self.thread_ids.get(thread, thread))


def read_window(reader: TraceReader, since: int, progress: Progress | None = None) -> Window:
    """Read all of a ring. Calls are counted from `since` on, in ticks since the recording began."""
    follower = _Follower(reader, since)
    total = reader.count_events()
    done = 0
    for columns in reader.columns():
        follower.follow(columns)
        done += len(columns)
        if progress:
            progress(done, total)
    return follower.finish()


class _Follower:
    """Follows the events."""

    def __init__(self, reader: TraceReader, since: int) -> None:
        self.window = Window()
        self.tables = reader.tables
        self.since = since
        self.block_at: dict[int, int] = {}
        self.large: list[tuple[int, int, Block]] = []
        self.least = 0

    def follow(self, columns: Columns) -> None:
        """The next events."""
        window, live, block_at = self.window, self.window.live, self.block_at
        times = listed(columns.time)
        stacks = listed(columns.stack)
        window.has_stacks = window.has_stacks or any(stacks)
        window.last_time = max(window.last_time, max(times))
        for operation, refused, thread, time, size, number, address, block, freed, stack in zip(
            listed(columns.operation),
            listed(columns.refused),
            listed(columns.thread),
            times,
            listed(columns.size),
            listed(columns.number),
            listed(columns.address),
            listed(columns.block),
            listed(columns.freed),
            stacks,
            strict=True,
        ):
            if not IS_CALL[operation]:
                self.event(operation, thread, time, size, number)
                continue
            window.calls += time >= self.since
            if freed != NO_BLOCK and not (refused and size):
                live.pop(freed, None)
            if block != NO_BLOCK:
                live.pop(block_at.get(address, NO_BLOCK), None)  # of which the free is not in the ring
                block_at[address] = block
                begun = live[block] = Block(block, size, thread, time, stack)
                if size >= self.least:
                    self.remember(begun)

    def remember(self, block: Block) -> None:
        """Remember one of the largest blocks so far, the later of equal ones."""
        heapq.heappush(self.large, (block.size, block.number, block))
        if len(self.large) > KEPT_REQUESTS:
            heapq.heappop(self.large)
            self.least = self.large[0][0]

    def event(self, operation: int, thread: int, time: int, size: int, number: int) -> None:
        """Handle an event other than a call."""
        window = self.window
        if operation == Operation.THREAD_BEGIN:
            window.thread_ids[thread] = number
        elif operation == Operation.THREAD_NAME:
            window.names[thread] = self.tables.text(number)
        elif operation == Operation.LOST:
            window.lost += number
        elif operation == Operation.REFUSAL:
            window.refusal_count += 1
            window.refusals.append(Refusal(time, size, thread, number))

    def finish(self) -> Window:
        """The result."""
        self.window.largest = [block for *_, block in sorted(self.large, reverse=True)]
        self.window.refusals = self.window.refusals[::-1][:KEPT_REQUESTS]
        return self.window


def by_origin(window: Window, reader: TraceReader) -> list[tuple[str, Part]]:
    """The blocks not freed, by the innermost line of the stack, or else by size: most bytes first."""
    if not window.has_stacks:
        return _parts(window, reader, lambda block: block.size, lambda size: f"{size:,} bytes")
    tables = reader.tables
    return _parts(window, reader, lambda block: block.stack, lambda stack: innermost(tables, stack))


def by_stack(window: Window, reader: TraceReader) -> list[tuple[str, Part]]:
    """The blocks not freed, by stack; empty if there are no stacks."""
    if not window.has_stacks:
        return []
    tables = reader.tables
    return _parts(window, reader, lambda block: block.stack, lambda stack: nearest(whole_stack(tables, stack)))


def _parts(
    window: Window, reader: TraceReader, key: Callable[[Block], Key], name: Callable[[Key], str]
) -> list[tuple[str, Part]]:
    alike: defaultdict[Key, Part] = defaultdict(Part)
    for block in window.live.values():
        weight = blocks_behind(block.size, reader.header.mean_gap)
        part = alike[key(block)]
        part.blocks += weight
        part.bytes += weight * block.size
    found: defaultdict[str, Part] = defaultdict(Part)
    for what, part in alike.items():
        named = found[name(what)]
        named.blocks += part.blocks
        named.bytes += part.bytes
    return sorted(found.items(), key=lambda entry: entry[1].bytes, reverse=True)
