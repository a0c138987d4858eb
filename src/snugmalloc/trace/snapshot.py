"""Owns what was live at a moment of a trace, and what held pages back: by line, stack, size, age, thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from snugmalloc.trace.blocks import Blocks, History
from snugmalloc.trace.bounds import CALL_BOUNDS, SIZE_BOUNDS, TIME_BOUNDS, bound_of
from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.moments import Moment
from snugmalloc.trace.pins import Ledger, draw_up_ledger, why_there_is_no_ledger
from snugmalloc.trace.weight import blocks_behind

Key = TypeVar("Key", bound=Hashable)


@dataclass
class Part:
    """The figures of a group of live blocks; estimates in a sampled trace."""

    blocks: float = 0
    bytes: float = 0
    held: float = 0
    """Free bytes of pages that these blocks hold back."""

    def add(self, blocks: float, size: float, held: float) -> None:
        """Some more."""
        self.blocks += blocks
        self.bytes += size
        self.held += held


@dataclass
class Census:
    """Live blocks, counted."""

    total: Part
    by_origin: dict[str, Part]
    """By the innermost line of the stack where there are stacks, else by size."""
    by_stack: dict[int, Part]
    """By the number of the stack; 0 is no stack."""
    by_size: dict[int | None, Part]
    """By the largest size of the part; None for all that are larger."""
    by_age: dict[float | None, Part]
    """By the most seconds since they were allocated, or calls if the trace has no times."""
    by_thread: dict[int, Part]


@dataclass
class Snapshot:
    """One moment of a trace."""

    moment: Moment
    live: Census
    has_times: bool
    ledger: Ledger | None
    pinning: Census | None
    """The blocks that hold pages back."""
    no_ledger: str | None
    """Why it is not known which blocks do."""


def take_snapshot(header: Header, history: History, origins: list[str], moment: Moment) -> Snapshot:
    """What was live at this moment; `origins` has the line of each block."""
    counter = _Counter(header, history.blocks, origins, moment)
    live = history.blocks.live_at(moment.call)
    no_ledger = why_there_is_no_ledger(header)
    ledger = None if no_ledger else draw_up_ledger(history.blocks, live, header.page_size)
    held_by = ledger.held_by if ledger else {}
    return Snapshot(
        moment,
        counter.count(live, held_by),
        counter.has_times,
        ledger,
        counter.count(held_by, held_by) if ledger else None,
        no_ledger,
    )


class _Counter:
    """Counts blocks that are live at a moment."""

    def __init__(self, header: Header, blocks: Blocks, origins: list[str], moment: Moment) -> None:
        self.mean_gap = header.mean_gap
        self.ticks = header.ticks_per_second if Flags.TIMES in header.flags else 0
        self.has_times = bool(self.ticks)
        self.blocks = blocks
        self.origins = origins
        self.moment = moment

    def count(self, chosen: Iterable[int], held_by: dict[int, float]) -> Census:
        """The census of the blocks that were chosen."""
        blocks, origins = self.blocks, self.origins
        alike: defaultdict[tuple[str, int, int, float | None, int], Part] = defaultdict(Part)
        for block in chosen:
            size = blocks.size[block]
            key = origins[block], blocks.stack[block], size, self.age(block), blocks.thread[block]
            weight = blocks_behind(size, self.mean_gap) if self.mean_gap else 1
            alike[key].add(weight, weight * size, held_by.get(block, 0.0))
        parts = alike.items()
        return Census(
            total=_merged((None, part) for _, part in parts).get(None, Part()),
            by_origin=_merged((key[0], part) for key, part in parts),
            by_stack=_merged((key[1], part) for key, part in parts),
            by_size=_merged((bound_of(SIZE_BOUNDS, key[2]), part) for key, part in parts),
            by_age=_merged((key[3], part) for key, part in parts),
            by_thread=_merged((key[4], part) for key, part in parts),
        )

    def age(self, block: int) -> float | None:
        """The bound of the block's age."""
        if self.ticks:
            age = max(0, self.moment.time - self.blocks.begun_at[block])
            return bound_of(TIME_BOUNDS, age / self.ticks)
        return bound_of(CALL_BOUNDS, self.moment.call - self.blocks.begun[block])


def _merged(parts: Iterable[tuple[Key, Part]]) -> dict[Key, Part]:
    """The parts of the same key as one."""
    found: defaultdict[Key, Part] = defaultdict(Part)
    for key, part in parts:
        found[key].add(part.blocks, part.bytes, part.held)
    return dict(found)
