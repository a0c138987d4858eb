"""Owns a trace's history: the life of each block, and the live bytes."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from snugmalloc.trace.operations import Operation

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
        """Whether a block is live after `call` calls."""
        return self.begun[block] <= call and not NEVER < self.ended[block] <= call

    def live_at(self, call: int) -> list[int]:
        """The blocks that are live after this many calls."""
        lives = zip(self.begun, self.ended, strict=True)
        return [
            block for block, (begun, ended) in enumerate(lives) if begun <= call and not NEVER < ended <= call
        ]


@dataclass
class History:
    """The history of a trace, call by call."""

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
        """The name of a thread, or else its system id, or else its number in the trace."""
        return self.names.get(thread) or str(self.thread_ids.get(thread, thread))

    @property
    def given_back(self) -> int:
        """Bytes given back to the system."""
        return sum(self.event_bytes[operation] for operation in GIVE_BACK)

    @property
    def peak_call(self) -> int:
        """The number of calls at the peak of live bytes."""
        return max(range(len(self.live)), key=self.live.__getitem__) + 1 if self.live else 0
