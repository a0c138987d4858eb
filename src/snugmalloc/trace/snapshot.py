"""Owns what was live at a moment of a trace, and what held pages back: by line, stack, size, age, thread."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from snugmalloc.trace.alike import number_kinds
from snugmalloc.trace.blocks import History
from snugmalloc.trace.bounds import CALL_BOUNDS, SIZE_BOUNDS, TIME_BOUNDS, bound_at, bound_of
from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.moments import Moment
from snugmalloc.trace.origins import Origins
from snugmalloc.trace.pins import Ledger, draw_up_ledger, why_there_is_no_ledger
from snugmalloc.trace.vectors import numpy
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


def take_snapshot(header: Header, history: History, origins: Origins, moment: Moment) -> Snapshot:
    """What was live at this moment; `origins` says what blocks come from."""
    counter = _Counter(header, history, origins, moment)
    live = history.blocks.live_at(moment.call)
    no_ledger = why_there_is_no_ledger(header)
    ledger = None if no_ledger else draw_up_ledger(history.blocks, live, header.page_size)
    return Snapshot(
        moment,
        counter.count(live, [ledger.held_by.get(block, 0.0) for block in live] if ledger else None),
        counter.has_times,
        ledger,
        counter.count(list(ledger.held_by), list(ledger.held_by.values())) if ledger else None,
        no_ledger,
    )


class _Alike(NamedTuple):
    """What blocks are counted by that are alike."""

    stack: int
    size: int
    age: int
    """The place of their age among the bounds."""
    thread: int


class _Counter:
    """Counts blocks that are live at a moment."""

    def __init__(self, header: Header, history: History, origins: Origins, moment: Moment) -> None:
        self.mean_gap = header.mean_gap
        self.ticks = header.ticks_per_second if Flags.TIMES in header.flags else 0
        self.has_times = bool(self.ticks)
        self.history = history
        self.origins = origins
        self.moment = moment

    def count(self, chosen: Sequence[int], held: Sequence[float] | None = None) -> Census:
        """The census of the blocks that were chosen, and of how much each of them holds back."""
        count = self._count_at_once if numpy() and len(chosen) else self._count_one_by_one
        parts = count(chosen, held if held is not None else [0.0] * len(chosen)).items()
        ages: Sequence[float] = TIME_BOUNDS if self.ticks else CALL_BOUNDS
        return Census(
            total=_merged((None, part) for _, part in parts).get(None, Part()),
            by_origin=_merged((self.origins.of(kind.stack, kind.size), part) for kind, part in parts),
            by_stack=_merged((kind.stack, part) for kind, part in parts),
            by_size=_merged((bound_of(SIZE_BOUNDS, kind.size), part) for kind, part in parts),
            by_age=_merged((bound_at(ages, kind.age), part) for kind, part in parts),
            by_thread=_merged((kind.thread, part) for kind, part in parts),
        )

    def _count_one_by_one(self, chosen: Sequence[int], held: Sequence[float]) -> dict[_Alike, Part]:
        blocks = self.history.blocks
        alike: defaultdict[_Alike, Part] = defaultdict(Part)
        for block, held_bytes in zip(chosen, held, strict=True):
            size = blocks.size[block]
            kind = _Alike(blocks.stack[block], size, self._age(block), blocks.thread[block])
            weight = blocks_behind(blocks.chance[block], self.mean_gap) if self.mean_gap else 1
            alike[kind].add(weight, weight * size, held_bytes)
        return dict(alike)

    def _age(self, block: int) -> int:
        """The place of the block's age among the bounds."""
        if self.ticks:
            age = max(0, self.moment.time - self.history.begun_at(block))
            return bisect_left(TIME_BOUNDS, age / self.ticks)
        return bisect_left(CALL_BOUNDS, self.moment.call - self.history.blocks.begun[block])

    def _count_at_once(self, chosen: Sequence[int], held: Sequence[float]) -> dict[_Alike, Part]:
        """The same by NumPy, added up in the same order."""
        np, blocks = numpy(), self.history.blocks
        places = np.asarray(chosen)
        columns = (
            np.asarray(blocks.stack)[places],
            np.asarray(blocks.size)[places],
            self._ages(np.asarray(blocks.begun)[places]),
            np.asarray(blocks.thread)[places],
        )
        numbers, first = number_kinds(columns)
        kinds = [
            _Alike._make(kind) for kind in zip(*(column[first].tolist() for column in columns), strict=True)
        ]
        if self.mean_gap:
            weights = np.array(
                [blocks_behind(blocks.chance[block], self.mean_gap) for block in places.tolist()]
            )
            counts = np.bincount(numbers, weights).tolist()
            sizes = np.bincount(numbers, weights * columns[1]).tolist()
        else:
            counts = np.bincount(numbers).tolist()
            sizes = [count * kind.size for count, kind in zip(counts, kinds, strict=True)]
        held_bytes = np.bincount(numbers, np.asarray(held)).tolist()
        return dict(zip(kinds, map(Part, counts, sizes, held_bytes), strict=True))

    def _ages(self, begun: Any) -> Any:
        np, moment = numpy(), self.moment
        if not self.ticks:
            return np.searchsorted(CALL_BOUNDS, moment.call - begun.astype(np.int64))
        since = np.asarray(self.history.time)[begun - 1]
        ages = np.where(since < moment.time, np.uint64(moment.time) - since, np.uint64(0))
        return np.searchsorted(TIME_BOUNDS, ages / self.ticks)


def _merged(parts: Iterable[tuple[Key, Part]]) -> dict[Key, Part]:
    """The parts of the same key as one."""
    found: defaultdict[Key, Part] = defaultdict(Part)
    for key, part in parts:
        found[key].add(part.blocks, part.bytes, part.held)
    return dict(found)
