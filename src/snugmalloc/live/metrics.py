"""Owns which figures of a heap are metrics: their names without a prefix, their units, what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snugmalloc.launch.inside import REASONS, Inside

BYTES = "By"
"""Units are those of UCUM, what is counted in braces, as OpenTelemetry has them."""


@dataclass(frozen=True)
class Gauge:
    """A figure that rises and falls."""

    name: str
    unit: str
    help: str
    value: Callable[[Inside], float]
    is_sum: bool = True
    """Whether the figures of several processes can be added up."""


@dataclass(frozen=True)
class Counter:
    """A figure that only grows, with one value for each value of the label `label`, if there is one."""

    name: str
    unit: str
    help: str
    values: Callable[[Inside], dict[str, float]]
    label: str | None = None


GAUGES = (
    Gauge(
        "live_bytes", BYTES, "In use by the program, or cached by its threads.", lambda heap: heap.live_bytes
    ),
    Gauge("live_blocks", "{block}", "Blocks in use, or cached by threads.", lambda heap: heap.live_blocks),
    Gauge("resident_bytes", BYTES, "Heap that may be resident.", lambda heap: heap.resident_bytes),
    Gauge(
        "kept_free_bytes", BYTES, "Free, and not given back to the system.", lambda heap: heap.kept_free_bytes
    ),
    Gauge("purged_bytes", BYTES, "Free, and given back to the system.", lambda heap: heap.purged_bytes),
    Gauge("heap_bytes", BYTES, "Address space of the heap.", lambda heap: heap.heap_bytes),
    Gauge("mapped_bytes", BYTES, "Large blocks with mappings of their own.", lambda heap: heap.mapped_bytes),
    Gauge("system_bytes", BYTES, "All address space taken from the system.", lambda heap: heap.system_bytes),
    Gauge(
        "peak_system_bytes",
        BYTES,
        "Maximum of system_bytes so far.",
        lambda heap: heap.peak_system_bytes,
        is_sum=False,
    ),
    Gauge("limit_bytes", BYTES, "The limit of SNUG_LIMIT, 0 without one.", lambda heap: heap.limit_bytes),
    Gauge("thread_caches", "{cache}", "Caches of threads.", lambda heap: heap.thread_caches),
)
COUNTERS = (
    Counter("returned_bytes", BYTES, "Given back to the system.", lambda heap: {"": heap.returned_bytes}),
    Counter(
        "system_calls",
        "{call}",
        "System calls for memory.",
        lambda heap: {
            "brk": heap.brk_calls,
            "mmap": heap.mmap_calls,
            "munmap": heap.munmap_calls,
            "mremap": heap.mremap_calls,
            "madvise": heap.madvise_calls,
        },
        "call",
    ),
    Counter(
        "refused_requests",
        "{request}",
        "Requests that returned NULL.",
        lambda heap: {reason.figure.removeprefix("refused_"): reason.count(heap) for reason in REASONS},
        "reason",
    ),
    Counter(
        "calls",
        "{call}",
        "Calls of the program, where SNUG_STATS=1 counts them.",
        lambda heap: (
            {"malloc": heap.malloc_calls, "realloc": heap.realloc_calls, "free": heap.free_calls}
            if heap.counting
            else {}
        ),
        "call",
    ),
)
