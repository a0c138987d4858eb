"""Owns profiles: what each stack allocated, and what of it is live at a moment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.export import Request
from snugmalloc.trace.following import read_history
from snugmalloc.trace.format import Flags
from snugmalloc.trace.moments import Moment, find_moment
from snugmalloc.trace.origins import UNKNOWN
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import Frame, SourceFrame
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
    live = set(blocks.live_at(moment.call))
    sums: defaultdict[int, list[float]] = defaultdict(lambda: [0, 0, 0, 0])
    for block, (stack, size) in enumerate(zip(blocks.stack, blocks.size, strict=True)):
        count = blocks_behind(size, mean_gap) if mean_gap else 1
        of_stack = sums[stack]
        of_stack[0] += count
        of_stack[1] += count * size
        if block in live:
            of_stack[2] += count
            of_stack[3] += count * size
    ticks = reader.header.ticks_per_second if Flags.TIMES in reader.header.flags else 0
    return Profile(
        values={stack: [round(value) for value in values] for stack, values in sorted(sums.items())},
        frames={stack: reader.tables.frames_of(stack) or NO_STACK for stack in sums},
        moment=moment,
        nanoseconds=history.last_time * 10**9 // ticks if ticks else 0,
    )


def clean(text: str) -> str:
    """The text with a replacement for bytes that are no UTF-8."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
