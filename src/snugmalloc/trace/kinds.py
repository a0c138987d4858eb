"""Owns the kinds of blocks of a trace: what reports count blocks by, and how many are alike in all of it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from typing import Any, NamedTuple

from snugmalloc.trace.alike import count_alike
from snugmalloc.trace.blocks import NEVER, History
from snugmalloc.trace.bounds import CALL_BOUNDS, TIME_BOUNDS
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.vectors import numpy
from snugmalloc.trace.weight import blocks_behind

SHORT_LIFE = 16
"""Calls: a block that is freed so soon might as well have been kept by the program."""


class Kind(NamedTuple):
    """Blocks that are alike."""

    size: int
    chance: int
    """In a sampled trace: the size by which it is more or less likely in it; else 0."""
    thread: int
    stack: int
    at_peak: bool
    """Live when most was live."""
    at_end: bool
    is_short: bool
    """Freed within SHORT_LIFE calls; in a sampled trace that is not known."""
    elsewhere: bool
    """Freed by another thread."""
    is_cleared: bool
    moved: int
    """How many bytes a realloc had to bring from another address; in a sampled trace that is not known."""
    calls: int
    """The place in CALL_BOUNDS of its life; 0 of blocks that were not freed."""
    seconds: int
    """The place in TIME_BOUNDS of its life; 0 of blocks that were not freed, and in a trace without times."""

    def trait(self, mean_gap: int) -> tuple[float, int, bool, bool, bool, bool, bool, int]:
        """How many blocks it stands for, its size, and what else is counted."""
        behind = blocks_behind(self.chance, mean_gap) if mean_gap else 1
        flags = self.at_peak, self.at_end, self.is_short, self.elsewhere, self.is_cleared
        return (behind, self.size, *flags, self.moved)


def find_kinds(history: History, mean_gap: int, ticks: int) -> dict[Kind, int]:
    """How many blocks of each kind there are, in the order in which these come. `ticks` is a second's; or 0."""
    if numpy():
        found = count_alike(len(history.blocks), _Columns(history, mean_gap, ticks))
        return {Kind._make(kind): alike for kind, alike in found.items()}
    return Counter(_one_by_one(history, mean_gap, ticks))


def _one_by_one(history: History, mean_gap: int, ticks: int) -> Iterator[Kind]:
    blocks, time, peak = history.blocks, history.time, history.peak_call
    for size, chance, thread, stack, begun, ended, ended_by, operation, moved in zip(
        blocks.size,
        blocks.chance or repeat(0),
        blocks.thread,
        blocks.stack,
        blocks.begun,
        blocks.ended,
        blocks.ended_by,
        blocks.operation,
        blocks.moved,
        strict=False,
    ):
        is_live = ended == NEVER
        life = 0 if is_live else ended - begun
        span = 0 if is_live or not ticks else time[ended - 1] - time[begun - 1]
        yield Kind(
            size,
            chance,
            thread,
            stack,
            begun <= peak and (is_live or ended > peak),
            is_live,
            not is_live and not mean_gap and life <= SHORT_LIFE,
            not is_live and ended_by != thread,
            operation == Operation.CALLOC,
            0 if mean_gap else moved,
            bisect_left(CALL_BOUNDS, life),
            bisect_left(TIME_BOUNDS, span / ticks) if ticks else 0,
        )


class _Columns:
    """The same as columns of NumPy, for some blocks at a time."""

    def __init__(self, history: History, mean_gap: int, ticks: int) -> None:
        self.history = history
        self.mean_gap = mean_gap
        self.ticks = ticks
        self.peak = history.peak_call

    def __call__(self, part: slice) -> tuple[Any, ...]:
        np, blocks = numpy(), self.history.blocks
        size, thread, stack, ended_by, operation, moved = (
            np.asarray(column)[part]
            for column in (
                blocks.size,
                blocks.thread,
                blocks.stack,
                blocks.ended_by,
                blocks.operation,
                blocks.moved,
            )
        )
        begun, ended = (np.asarray(calls)[part].astype(np.int64) for calls in (blocks.begun, blocks.ended))
        nothing = np.zeros(len(size), np.uint8)
        is_live = ended == NEVER
        life = np.where(is_live, 0, ended - begun)
        return (
            size,
            np.asarray(blocks.chance)[part] if self.mean_gap else nothing,
            thread,
            stack,
            (begun <= self.peak) & (is_live | (ended > self.peak)),
            is_live,
            ~is_live & (life <= SHORT_LIFE) if not self.mean_gap else nothing != 0,
            ~is_live & (ended_by != thread),
            operation == Operation.CALLOC,
            nothing if self.mean_gap else moved,
            np.searchsorted(CALL_BOUNDS, life).astype(np.uint8),
            self._seconds(begun, ended, is_live) if self.ticks else nothing,
        )

    def _seconds(self, begun: Any, ended: Any, is_live: Any) -> Any:
        np = numpy()
        time = np.asarray(self.history.time)
        since = time[begun - 1]
        until = time[np.where(is_live, begun, ended) - 1]
        spans = np.where(until > since, until - since, 0)
        return np.searchsorted(TIME_BOUNDS, spans / self.ticks).astype(np.uint8)
