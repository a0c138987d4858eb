"""Owns what `snug report` says of a trace: how much, of which sizes, for how long, by whom, and what stayed."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, compress, repeat
from operator import sub
from typing import TypeVar

from snugmalloc.trace.blocks import NEVER, Blocks, History, Progress, read_history
from snugmalloc.trace.format import Flags
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import SourceFrame
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
SIZE_BOUNDS = (16, 32, 64, 128, 256, 512, 1 << 10, 1 << 12, 1 << 14, 1 << 17, 1 << 20)
CALL_BOUNDS = (10, 100, 1000, 10_000, 100_000, 1_000_000)
TIME_BOUNDS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 60.0)


@dataclass
class Group:
    """Blocks that have something in common. In a sampled trace all figures are estimates."""

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
    growth: list[float] = field(default_factory=list)
    """Live bytes at evenly spaced calls."""

    def add(
        self, count: float, size: int, at_peak: bool, at_end: bool, is_short: bool, elsewhere: bool
    ) -> None:
        """One more block, which stands for `count`."""
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


@dataclass
class Summary:
    """All figures of a report. Sizes in bytes, times in seconds or None where the trace has none."""

    history: History
    total: Group
    mean_gap: int
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
    has_stacks: bool

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
        """What was live when most was live, most bytes first."""
        return _largest(self.by_origin, lambda group: group.peak_bytes)


def _largest(groups: dict[str, Group], figure: Callable[[Group], float]) -> list[tuple[str, Group]]:
    there = [(name, group) for name, group in groups.items() if figure(group)]
    return sorted(there, key=lambda entry: figure(entry[1]), reverse=True)[:SHOWN]


def summarize(reader: TraceReader, progress: Progress | None = None) -> Summary:
    """Read all of a trace and add up."""
    history = read_history(reader, progress)
    blocks, peak = history.blocks, history.peak_call
    header = reader.header
    ticks = header.ticks_per_second if Flags.TIMES in header.flags else 0
    traits = list(_traits(blocks, peak, header.mean_gap))
    has_stacks = any(blocks.stack)
    origins = _lines(reader, blocks.stack) if has_stacks else [f"{size:,} bytes" for size in blocks.size]
    by_origin = _group(traits, origins)
    _follow_growth(by_origin, history, traits, origins)
    is_freed = bytes(ended != NEVER for ended in blocks.ended)
    freed = list(compress(traits, is_freed))
    in_calls = map(sub, compress(blocks.ended, is_freed), compress(blocks.begun, is_freed))
    in_ticks = map(sub, compress(blocks.ended_at, is_freed), compress(blocks.begun_at, is_freed))
    return Summary(
        history=history,
        total=_group(traits, repeat(None)).get(None, Group()),
        mean_gap=header.mean_gap,
        peak_call=peak,
        duration=history.last_time / ticks if ticks else None,
        by_size=_group(traits, [_bound(SIZE_BOUNDS, size) for size in blocks.size]),
        by_calls=_group(freed, [_bound(CALL_BOUNDS, life) for life in in_calls]),
        by_time=_group(freed, [_bound(TIME_BOUNDS, life / ticks) for life in in_ticks]) if ticks else {},
        by_thread=_group(traits, blocks.thread),
        by_origin=by_origin,
        has_stacks=has_stacks,
    )


Traits = tuple[float, int, bool, bool, bool, bool]
"""What `Group.add` takes."""
Key = TypeVar("Key", bound=Hashable)
Bound = TypeVar("Bound", int, float)


def _traits(blocks: Blocks, peak: int, mean_gap: int) -> Iterator[Traits]:
    """Of each block: how many it stands for, its size, and what else its group counts."""
    for size, begun, ended, thread, ended_by in zip(
        blocks.size, blocks.begun, blocks.ended, blocks.thread, blocks.ended_by, strict=True
    ):
        is_live = ended == NEVER
        yield (
            blocks_behind(size, mean_gap) if mean_gap else 1,
            size,
            begun <= peak and (is_live or ended > peak),
            is_live,
            not is_live and ended - begun <= SHORT_LIFE,
            not is_live and ended_by != thread,
        )


def _group(traits: Iterable[Traits], keys: Iterable[Key]) -> dict[Key, Group]:
    """The blocks by what they have in common."""
    groups: defaultdict[Key, Group] = defaultdict(Group)
    for block, key in zip(traits, keys, strict=False):
        groups[key].add(*block)
    return dict(groups)


def _bound(bounds: Sequence[Bound], value: Bound) -> Bound | None:
    """The least of the bounds that is no less than the value."""
    at = bisect_left(bounds, value)
    return bounds[at] if at < len(bounds) else None


def _lines(reader: TraceReader, stacks: Iterable[int]) -> list[str]:
    """The innermost frame of each stack, of those in source lines if there are any."""
    names: dict[int, str] = {}
    for stack in set(stacks):
        frames = reader.tables.frames_of(stack)
        lines = [frame for frame in frames if isinstance(frame, SourceFrame)]
        names[stack] = str(next(chain(lines, frames), "unknown"))
    return [names[stack] for stack in stacks]


def _follow_growth(
    groups: dict[str, Group], history: History, traits: Iterable[Traits], keys: Iterable[str]
) -> None:
    """Set the live bytes of each group at CHECKPOINTS calls, the last of which is the last call."""
    calls = history.call_count
    stops = sorted({-(-calls * step // CHECKPOINTS) for step in range(1, CHECKPOINTS + 1)})
    steps = {key: [0.0] * (len(stops) + 1) for key in groups}
    blocks = history.blocks
    for key, (count, size, *_), begun, ended in zip(keys, traits, blocks.begun, blocks.ended, strict=True):
        changes = steps[key]
        changes[bisect_left(stops, begun)] += count * size
        if ended != NEVER:
            changes[bisect_left(stops, ended)] -= count * size
    for key, group in groups.items():
        group.growth = list(accumulate(steps[key][:-1]))
