"""Owns profiles: what each stack allocated, and what of it is live at a moment."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat

from snugmalloc.trace.alike import count_alike
from snugmalloc.trace.blocks import Blocks
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.export import Request
from snugmalloc.trace.following import read_history
from snugmalloc.trace.format import Flags
from snugmalloc.trace.moments import Moment, find_moment
from snugmalloc.trace.origins import UNKNOWN
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import Frame, SourceFrame
from snugmalloc.trace.vectors import numpy
from snugmalloc.trace.weight import blocks_behind

NO_STACK = (SourceFrame("", 0, UNKNOWN),)
"""Stands for the stack of blocks that have none."""


@dataclass
class Profile:
    """The stacks of a trace. In a sampled trace the values are estimates."""

    values: dict[int, list[int]]
    """By the number of the stack: a number for each of VALUES."""
    frames: dict[int, tuple[Frame, ...]]
    """Of each stack, the innermost first."""
    moment: Moment
    nanoseconds: int
    """How long the recording was; 0 if the trace has no times."""


def profile_of(reader: TraceReader, request: Request) -> Profile:
    """Read all of a trace and add up by stack. Raises TraceError if it has no stacks."""
    if Flags.STACKS not in reader.header.flags or len(reader.tables.stacks) == 1:
        raise TraceError(f"{reader.name}: has no stacks, which profiles need")
    history = read_history(reader, request.progress)
    moment = find_moment(reader, history, request.at)
    blocks, mean_gap = history.blocks, reader.header.mean_gap
    sums: defaultdict[int, list[float]] = defaultdict(lambda: [0, 0, 0, 0])
    for (stack, size, chance, is_live), alike in _alike(blocks, moment.call).items():
        count = alike * blocks_behind(chance, mean_gap) if mean_gap else alike
        of_stack = sums[stack]
        of_stack[0] += count
        of_stack[1] += count * size
        if is_live:
            of_stack[2] += count
            of_stack[3] += count * size
    ticks = reader.header.ticks_per_second if Flags.TIMES in reader.header.flags else 0
    return Profile(
        values={stack: [round(value) for value in values] for stack, values in sorted(sums.items())},
        frames={stack: reader.tables.frames_of(stack) or NO_STACK for stack in sums},
        moment=moment,
        nanoseconds=history.last_time * 10**9 // ticks if ticks else 0,
    )


def _alike(blocks: Blocks, call: int) -> Mapping[tuple[int, ...], int]:
    """How many blocks are of the same stack, size and chance, and are live after so many calls, or are not."""
    np = numpy()
    live = blocks.live_at(call)
    if not np:
        is_live = bytearray(len(blocks))
        for block in live:
            is_live[block] = 1
        return Counter(zip(blocks.stack, blocks.size, blocks.chance or repeat(0), is_live, strict=False))
    live_flags = np.zeros(len(blocks), bool)
    live_flags[np.asarray(live, np.int64)] = True
    columns = (blocks.stack, blocks.size, blocks.chance or np.zeros(len(blocks), np.uint8), live_flags)
    return count_alike(len(blocks), lambda part: [np.asarray(column)[part] for column in columns])


def clean(text: str) -> str:
    """The text with a replacement for bytes that are no UTF-8."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
