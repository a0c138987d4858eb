"""Made-up figures of processes, for the tests of what looks at running processes."""

from __future__ import annotations

from snugmalloc.engine.dropin.figures import STATS_VERSION
from snugmalloc.launch.inside import UNDECIDED, Inside
from snugmalloc.live.processes import Sample

MIB, GIB = 1 << 20, 1 << 30


def fake_heap(**figures: int) -> Inside:
    """The figures of a process that is on; those that are not named are 0."""
    return UNDECIDED._replace(version=STATS_VERSION, state=1, **figures)


def fake_sample(pid: int, program: str = "server", heap: Inside | None = None) -> Sample:
    """A process of two threads with that heap."""
    heap = heap or fake_heap(live_bytes=30 * MIB, heap_bytes=50 * MIB, system_bytes=50 * MIB)
    return Sample(pid, program, 2, heap.resident_bytes + 8 * MIB, heap)
