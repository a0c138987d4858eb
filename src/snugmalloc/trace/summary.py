"""Owns the figures of `snug report`: how much, of which sizes, for how long, by whom, and what stayed."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, compress, repeat
from operator import sub
from typing import NamedTuple, TypeVar

from snugmalloc.trace.blocks import NEVER, Blocks, History
from snugmalloc.trace.bounds import CALL_BOUNDS, SIZE_BOUNDS, TIME_BOUNDS, bound_of
from snugmalloc.trace.following import Progress, read_history
from snugmalloc.trace.format import Flags
from snugmalloc.trace.moments import END, find_moment
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.origins import Naming, line_of, origins_of
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.snapshot import Snapshot, take_snapshot
from snugmalloc.trace.weight import blocks_behind

SHORT_LIFE = 16
"""Calls: a block that is freed so soon might as well have been kept by the program."""
SHOWN = 10
CHECKPOINTS = 64
"""At how many moments it is looked whether something grew or shrank."""
KEPT = 0.95
"""What has never fallen below so much of what it was before has not shrunk."""
GREW = 1.1
"""What is so much more at the end than halfway has not stopped growing."""

Key = TypeVar("Key", bound=Hashable)


@dataclass
class Group:
    """The figures of a group of blocks; estimates in a sampled trace."""

    blocks: float = 0
    bytes: float = 0
    peak_blocks: float = 0
    """Live when most was live in the whole trace."""
    peak_bytes: float = 0
    end_blocks: float = 0
    end_bytes: float = 0
    short_blocks: float = 0
    """Freed within SHORT_LIFE calls."""
    freed_elsewhere: float = 0
    """Freed by another thread."""
    cleared_bytes: float = 0
    """Asked for by calloc."""
    moved_bytes: float = 0
    """Brought to another address by realloc."""
    growth: list[float] = field(default_factory=list)
    """Live bytes at evenly spaced calls."""

    def add(
        self,
        alike: int,
        count: float,
        size: int,
        at_peak: bool,
        at_end: bool,
        is_short: bool,
        elsewhere: bool,
        is_cleared: bool,
        moved: int,
    ) -> None:
        """Add blocks that are alike, each with the weight `count`."""
        count *= alike
        many = count * size
        self.blocks += count
        self.bytes += many
        if at_peak:
            self.peak_blocks += count
            self.peak_bytes += many
        if at_end:
            self.end_blocks += count
            self.end_bytes += many
        self.short_blocks += count * is_short
        self.freed_elsewhere += count * elsewhere
        self.cleared_bytes += many * is_cleared
        self.moved_bytes += count * moved

    @property
    def never_shrank(self) -> bool:
        """Whether it grew until the end, and never fell much below what it had been."""
        highest = 0.0
        for live in self.growth:
            if live < highest * KEPT:
                return False
            highest = max(highest, live)
        halfway = self.growth[len(self.growth) // 2] if self.growth else 0.0
        return self.end_blocks > 1 and self.end_bytes > halfway * GREW


class Errors(NamedTuple):
    """The standard errors of estimates in bytes."""

    bytes: float
    peak_bytes: float
    end_bytes: float


@dataclass
class Summary:
    """All figures of a report. Sizes in bytes, times in seconds or None where the trace has none."""

    history: History
    total: Group
    mean_gap: int
    """Of a sampled trace, which does not tell lives in calls, nor what reallocs moved: these figures are 0."""
    errors: Errors
    """Of the total of a sampled trace."""
    peak_call: int
    duration: float | None
    by_size: dict[int | None, Group]
    """By the largest size of the group; None for all that are larger."""
    by_calls: dict[int | None, Group]
    """By the most calls between allocation and free. Blocks that were not freed are in none."""
    by_time: dict[float | None, Group]
    by_thread: dict[int, Group]
    by_origin: dict[str, Group]
    """By the innermost line of the stack where there are stacks, else by size."""
    by_stack: dict[int, Group]
    """By the number of the stack, 0 where a block has none; empty if the trace has no stacks."""
    has_stacks: bool
    snapshot: Snapshot

    @property
    def most_calls(self) -> list[tuple[str, Group]]:
        """The groups with most blocks."""
        return _largest(self.by_origin, lambda group: group.blocks)

    @property
    def most_bytes(self) -> list[tuple[str, Group]]:
        """The groups with most bytes."""
        return _largest(self.by_origin, lambda group: group.bytes)

    @property
    def grown(self) -> list[tuple[str, Group]]:
        """What grew and never shrank, the most live bytes first."""
        return _largest(self.by_origin, lambda group: group.end_bytes * group.never_shrank)

    @property
    def short_lived(self) -> list[tuple[str, Group]]:
        """What was freed soon after it was allocated, most blocks first."""
        return _largest(self.by_origin, lambda group: group.short_blocks)

    @property
    def at_peak(self) -> list[tuple[str, Group]]:
        """What was live at the peak, most bytes first."""
        return _largest(self.by_origin, lambda group: group.peak_bytes)

    @property
    def stacks_of_most_bytes(self) -> list[tuple[int, Group]]:
        """The stacks with most bytes."""
        return _largest(self.by_stack, lambda group: group.bytes)

    @property
    def stacks_at_peak(self) -> list[tuple[int, Group]]:
        """The stacks of what was live at the peak, most bytes first."""
        return _largest(self.by_stack, lambda group: group.peak_bytes)


def _largest(groups: dict[Key, Group], figure: Callable[[Group], float]) -> list[tuple[Key, Group]]:
    there = [(name, group) for name, group in groups.items() if figure(group)]
    return sorted(there, key=lambda entry: figure(entry[1]), reverse=True)[:SHOWN]


def summarize(
    reader: TraceReader, progress: Progress | None = None, at: str = END, naming: Naming = line_of
) -> Summary:
    """Read all of a trace and add up. `at` is the moment, as in `snugmalloc.trace.moments`.

    `naming` names the lines of stacks. Raises TraceError if the trace has no such moment.
    """
    history = read_history(reader, progress)
    moment = find_moment(reader, history, at)
    blocks, peak = history.blocks, history.peak_call
    header = reader.header
    ticks = header.ticks_per_second if Flags.TIMES in header.flags else 0
    traits = Traits.of(blocks, peak, header.mean_gap)
    has_stacks = any(blocks.stack)
    origins = origins_of(blocks, reader.tables, naming)
    by_origin = traits.grouped(origins)
    _follow_growth(by_origin, history, traits, origins)
    by_calls: dict[int | None, Group] = {}
    is_freed = bytes(ended != NEVER for ended in blocks.ended)
    freed = traits.only(is_freed)
    if not header.mean_gap:
        in_calls = map(sub, compress(blocks.ended, is_freed), compress(blocks.begun, is_freed))
        by_calls = freed.grouped(bound_of(CALL_BOUNDS, life) for life in in_calls)
    in_ticks = map(sub, compress(blocks.ended_at, is_freed), compress(blocks.begun_at, is_freed))
    return Summary(
        history=history,
        total=traits.grouped(repeat(None)).get(None, Group()),
        mean_gap=header.mean_gap,
        errors=traits.errors() if header.mean_gap else Errors(0, 0, 0),
        peak_call=peak,
        duration=history.last_time / ticks if ticks else None,
        by_size=traits.grouped(bound_of(SIZE_BOUNDS, size) for size in blocks.size),
        by_calls=by_calls,
        by_time=freed.grouped(bound_of(TIME_BOUNDS, life / ticks) for life in in_ticks) if ticks else {},
        by_thread=traits.grouped(blocks.thread),
        by_origin=by_origin,
        by_stack=traits.grouped(blocks.stack) if has_stacks else {},
        has_stacks=has_stacks,
        snapshot=take_snapshot(header, history, origins, moment),
    )


Trait = tuple[float, int, bool, bool, bool, bool, bool, int]
"""What `Group.add` takes of a block: how many it stands for, its size, and what else its group counts."""


@dataclass
class Traits:
    """The traits of all blocks. There are few different ones beside the blocks: each is kept once."""

    kinds: list[Trait]
    numbers: array[int]
    """Of each block which of these it has."""

    @classmethod
    def of(cls, blocks: Blocks, peak: int, mean_gap: int) -> Traits:
        """Those of the blocks of a trace, most of which was live after `peak` calls."""
        known: dict[Trait, int] = {}
        numbers = array("Q", (known.setdefault(each, len(known)) for each in _traits(blocks, peak, mean_gap)))
        return cls(list(known), numbers)

    def only(self, chosen: bytes) -> Traits:
        """Those of the blocks for which there is a 1."""
        return Traits(self.kinds, array("Q", compress(self.numbers, chosen)))

    def grouped(self, keys: Iterable[Key]) -> dict[Key, Group]:
        """The blocks by what they have in common: the key of each."""
        groups: defaultdict[Key, Group] = defaultdict(Group)
        for (number, key), alike in Counter(zip(self.numbers, keys, strict=False)).items():
            groups[key].add(alike, *self.kinds[number])
        return dict(groups)

    def errors(self) -> Errors:
        """A block that stands for n was sampled with the probability 1/n, whatever the others were."""
        variances = [0.0, 0.0, 0.0]
        for number, alike in Counter(self.numbers).items():
            count, size, at_peak, at_end, *_ = self.kinds[number]
            variance = alike * count * (count - 1) * size * size
            for figure, is_there in enumerate((True, at_peak, at_end)):
                variances[figure] += variance * is_there
        return Errors(*map(math.sqrt, variances))


def _traits(blocks: Blocks, peak: int, mean_gap: int) -> Iterator[Trait]:
    for size, begun, ended, thread, ended_by, operation, moved in zip(
        blocks.size,
        blocks.begun,
        blocks.ended,
        blocks.thread,
        blocks.ended_by,
        blocks.operation,
        blocks.moved,
        strict=True,
    ):
        is_live = ended == NEVER
        yield (
            blocks_behind(size, mean_gap) if mean_gap else 1,
            size,
            begun <= peak and (is_live or ended > peak),
            is_live,
            not is_live and not mean_gap and ended - begun <= SHORT_LIFE,
            not is_live and ended_by != thread,
            operation == Operation.CALLOC,
            0 if mean_gap else moved,
        )


def _follow_growth(groups: dict[str, Group], history: History, traits: Traits, keys: Iterable[str]) -> None:
    """Set the live bytes of each group at CHECKPOINTS calls, the last of which is the last call."""
    calls = history.call_count
    stops = sorted({-(-calls * step // CHECKPOINTS) for step in range(1, CHECKPOINTS + 1)})
    steps = {key: [0.0] * (len(stops) + 1) for key in groups}
    blocks = history.blocks
    weights = [count * size for count, size, *_ in traits.kinds]
    for key, number, begun, ended in zip(keys, traits.numbers, blocks.begun, blocks.ended, strict=True):
        changes = steps[key]
        changes[bisect_left(stops, begun)] += weights[number]
        if ended != NEVER:
            changes[bisect_left(stops, ended)] -= weights[number]
    for key, group in groups.items():
        group.growth = list(accumulate(steps[key][:-1]))
