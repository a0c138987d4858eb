"""Owns what can be said of a trace without following its blocks: how many of what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import compress
from operator import mul

from snugmalloc.trace.columns import NO_BLOCK
from snugmalloc.trace.operations import CALLS, IS_CALL, Operation
from snugmalloc.trace.reader import OPERATIONS, TraceReader
from snugmalloc.trace.vectors import listed
from snugmalloc.trace.weight import Chances, blocks_behind


@dataclass
class Survey:
    """The events of a trace, counted."""

    operations: Counter[Operation] = field(default_factory=Counter)
    refused: int = 0
    blocks: float = 0
    bytes: float = 0
    """Asked for, and given; estimates, if the trace is sampled."""
    threads: set[int] = field(default_factory=set)
    last_time: int = 0
    """In ticks since the recording began."""

    @property
    def calls(self) -> int:
        """How many calls there are."""
        return sum(count for operation, count in self.operations.items() if operation in CALLS)


def survey(reader: TraceReader) -> Survey:
    """Read all of a trace and count."""
    found = Survey()
    mean_gap, chances = reader.header.mean_gap, Chances()
    for columns in reader.columns():
        for operation, count in Counter(listed(columns.operation)).items():
            found.operations[OPERATIONS[operation]] += count
        gave = [block != NO_BLOCK for block in listed(columns.block)]
        found.refused += sum(listed(columns.refused))
        sizes = list(compress(listed(columns.size), gave))
        counts: list[float] = [1] * len(sizes)
        if mean_gap:
            places = compress(
                zip(listed(columns.size), listed(columns.address), listed(columns.freed), strict=True), gave
            )
            counts = [blocks_behind(chances.add(*place), mean_gap) for place in places]
        found.blocks += sum(counts)
        found.bytes += sum(map(mul, sizes, counts))
        threads = listed(columns.thread)
        if mean_gap:  # one of them stands for all that have no sample
            threads = list(compress(threads, bytes(columns.operation).translate(IS_CALL)))
        found.threads.update(threads)
        found.last_time = max(found.last_time, *listed(columns.time))
    found.blocks, found.bytes = round(found.blocks), round(found.bytes)
    return found
