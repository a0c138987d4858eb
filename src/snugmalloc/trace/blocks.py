"""Owns the life of each block of a trace: where it lies, what allocated it and when, and when it was freed."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from snugmalloc.trace.columns import NO_BLOCK, Columns
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import IS_CALL, Operation
from snugmalloc.trace.reader import OPERATIONS, TraceReader
from snugmalloc.trace.vectors import WORD
from snugmalloc.trace.weight import blocks_behind

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""
GIVE_BACK = (Operation.PURGE, Operation.TRIM, Operation.UNMAP)
NEVER = -1
"""In place of a call: the block was not freed."""


@dataclass
class Blocks:
    """One entry in each array for each block; moments are numbers of calls, counted from 1, and times in ticks.

    A realloc ends one block and begins another.
    """

    size: array[int] = field(default_factory=lambda: array("Q"))
    address: array[int] = field(default_factory=lambda: array("Q"))
    """0 in a trace without addresses."""
    operation: array[int] = field(default_factory=lambda: array("B"))
    """What allocated it."""
    moved: array[int] = field(default_factory=lambda: array("Q"))
    """How many bytes a realloc had to bring from another address; 0 if the trace does not tell."""
    thread: array[int] = field(default_factory=lambda: array("Q"))
    stack: array[int] = field(default_factory=lambda: array("Q"))
    begun: array[int] = field(default_factory=lambda: array("Q"))
    """The call that allocated it."""
    begun_at: array[int] = field(default_factory=lambda: array("Q"))
    """The time of that call."""
    ended: array[int] = field(default_factory=lambda: array("q"))
    """The call that freed it, or NEVER."""
    ended_at: array[int] = field(default_factory=lambda: array("Q"))
    ended_by: array[int] = field(default_factory=lambda: array("Q"))
    """The thread that freed it."""

    def __len__(self) -> int:
        return len(self.size)

    def is_live(self, block: int, call: int) -> bool:
        """Whether a block is live after so many calls."""
        return self.begun[block] <= call and not NEVER < self.ended[block] <= call

    def live_at(self, call: int) -> list[int]:
        """The blocks that are live after so many calls."""
        lives = zip(self.begun, self.ended, strict=True)
        return [
            block for block, (begun, ended) in enumerate(lives) if begun <= call and not NEVER < ended <= call
        ]


@dataclass
class History:
    """All that a trace tells, call by call."""

    blocks: Blocks = field(default_factory=Blocks)
    calls: Counter[Operation] = field(default_factory=Counter)
    """How many calls of each kind."""
    events: Counter[Operation] = field(default_factory=Counter)
    """How many events of each kind that are no calls."""
    event_bytes: Counter[Operation] = field(default_factory=Counter)
    """The sizes of these events, added up."""
    calls_of_thread: Counter[int] = field(default_factory=Counter)
    names: dict[int, str] = field(default_factory=dict)
    """Of threads that have one."""
    thread_ids: dict[int, int] = field(default_factory=dict)
    """What the system calls the threads."""
    refused: int = 0
    unknown_frees: int = 0
    """Pointers that were freed and belong to no block of the trace."""
    missing_frees: int = 0
    """Blocks whose address was handed out again, though the trace does not have their free."""
    lost: int = 0
    """Calls that the recording left out because it could not keep up."""
    last_time: int = 0
    live: array[int] = field(default_factory=lambda: array("Q"))
    """The live bytes after each call; in a sampled trace what they are estimated to be."""
    time: array[int] = field(default_factory=lambda: array("Q"))
    """The time of each call, in ticks since the recording began."""

    @property
    def call_count(self) -> int:
        return len(self.live)

    def thread_name(self, thread: int) -> str:
        """The name of a thread, else what the system calls it, else its number in the trace."""
        return self.names.get(thread) or str(self.thread_ids.get(thread, thread))

    @property
    def given_back(self) -> int:
        """Bytes that went back to the system."""
        return sum(self.event_bytes[operation] for operation in GIVE_BACK)

    @property
    def peak_call(self) -> int:
        """The number of calls after which most bytes were live."""
        return max(range(len(self.live)), key=self.live.__getitem__) + 1 if self.live else 0


def read_history(reader: TraceReader, progress: Progress | None = None) -> History:
    """Read all of a trace."""
    follower = _Follower(reader)
    total = reader.count_events()
    for columns in reader.columns():
        follower.follow(columns)
        if progress:
            progress(columns.first + len(columns), total)
    return follower.history


class _Follower:
    """Follows the events, and knows the live block at each address."""

    def __init__(self, reader: TraceReader) -> None:
        self.history = History()
        self.tables = reader.tables
        self.has_addresses = Flags.ADDRESSES in reader.header.flags
        self.block_at: dict[int, int] = {}
        self.mean_gap = reader.header.mean_gap
        self.live = 0
        self.calls = 0

    def follow(self, columns: Columns) -> None:
        """The next events."""
        history = self.history
        for row in columns.rows():
            operation, refused, thread, time, size, number, address, old, block, freed, stack = row
            if time > history.last_time:
                history.last_time = time
            if not IS_CALL[operation]:
                self.event(OPERATIONS[operation], thread, size, number)
                continue
            self.calls += 1
            history.calls[OPERATIONS[operation]] += 1
            history.calls_of_thread[thread] += 1
            if freed != NO_BLOCK:
                if not (refused and size):
                    self.end(freed, thread, time)
            elif old:
                history.unknown_frees += 1
            if block != NO_BLOCK:
                self.begin(operation, address, freed, thread, time, size, stack)
            elif refused and size:
                history.refused += 1
            history.live.append(min(self.live, WORD))
            history.time.append(time)

    def begin(
        self, operation: int, address: int, freed: int, thread: int, time: int, size: int, stack: int
    ) -> None:
        blocks = self.history.blocks
        block = len(blocks)
        if self.has_addresses:
            unnoticed = self.block_at.get(address)
            if unnoticed is not None:
                self.history.missing_frees += 1
                self.end(unnoticed, thread, time)
            self.block_at[address] = block
        is_moved = freed != NO_BLOCK and blocks.address[freed] != address
        blocks.moved.append(min(blocks.size[freed], size) if is_moved else 0)
        blocks.size.append(size)
        blocks.address.append(address)
        blocks.operation.append(operation)
        blocks.thread.append(thread)
        blocks.stack.append(stack)
        blocks.begun.append(self.calls)
        blocks.begun_at.append(time)
        blocks.ended.append(NEVER)
        blocks.ended_at.append(0)
        blocks.ended_by.append(0)
        self.live += self.bytes_behind(size)

    def bytes_behind(self, size: int) -> int:
        """How many bytes a block stands for."""
        return round(size * blocks_behind(size, self.mean_gap)) if self.mean_gap else size

    def end(self, block: int, thread: int, time: int) -> None:
        blocks = self.history.blocks
        if blocks.ended[block] != NEVER:
            return
        if self.has_addresses:
            del self.block_at[blocks.address[block]]
        blocks.ended[block] = self.calls
        blocks.ended_at[block] = time
        blocks.ended_by[block] = thread
        self.live -= self.bytes_behind(blocks.size[block])

    def event(self, operation: Operation, thread: int, size: int, number: int) -> None:
        history = self.history
        history.events[operation] += 1
        history.event_bytes[operation] += size
        if operation is Operation.THREAD_BEGIN:
            history.thread_ids[thread] = number
        elif operation is Operation.THREAD_NAME:
            history.names[thread] = self.tables.text(number)
        elif operation is Operation.LOST:
            history.lost += number
