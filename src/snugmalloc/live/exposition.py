"""Owns the metrics: their names, by the conventions of Prometheus, and their values in a reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from snugmalloc.launch.inside import REASONS
from snugmalloc.live.processes import Missing, Reading, Sample

PREFIX = "snugmalloc_"
PROCESS_LABELS = ("pid", "program")


@dataclass(frozen=True)
class Gauge:
    """A metric with one value for each process."""

    name: str
    help: str
    value: Callable[[Sample], float]


@dataclass(frozen=True)
class Counter:
    """A metric that only grows, with one value for each process and each value of the label `label`, if any."""

    name: str
    """Without the ending `_total`, which is added."""
    help: str
    values: Callable[[Sample], dict[str, float]]
    label: str | None = None


GAUGES = (
    Gauge("live_bytes", "In use by the program, or cached by its threads.", lambda one: one.heap.live_bytes),
    Gauge("live_blocks", "Blocks in use, or cached by threads.", lambda one: one.heap.live_blocks),
    Gauge("resident_bytes", "Heap that may be resident.", lambda one: one.heap.resident_bytes),
    Gauge("kept_free_bytes", "Free, and not given back to the system.", lambda one: one.heap.kept_free_bytes),
    Gauge("purged_bytes", "Free, and given back to the system.", lambda one: one.heap.purged_bytes),
    Gauge("heap_bytes", "Addresses of the heap.", lambda one: one.heap.heap_bytes),
    Gauge("mapped_bytes", "Large blocks with mappings of their own.", lambda one: one.heap.mapped_bytes),
    Gauge("system_bytes", "All addresses had from the system.", lambda one: one.heap.system_bytes),
    Gauge("peak_system_bytes", "The most that system_bytes was.", lambda one: one.heap.peak_system_bytes),
    Gauge("limit_bytes", "The limit of SNUG_LIMIT, 0 without one.", lambda one: one.heap.limit_bytes),
    Gauge("thread_caches", "Caches of threads.", lambda one: one.heap.thread_caches),
    Gauge(
        "process_resident_bytes",
        "All resident memory of the process, beside the heap too.",
        lambda one: one.process_resident_bytes,
    ),
    Gauge("process_threads", "Threads of the process.", lambda one: one.threads),
)
COUNTERS = (
    Counter(
        "returned_bytes",
        "Given back to the system.",
        lambda one: {"": one.heap.returned_bytes},
    ),
    Counter(
        "system_calls",
        "System calls for memory.",
        lambda one: {
            "brk": one.heap.brk_calls,
            "mmap": one.heap.mmap_calls,
            "munmap": one.heap.munmap_calls,
            "mremap": one.heap.mremap_calls,
            "madvise": one.heap.madvise_calls,
        },
        "call",
    ),
    Counter(
        "refused_requests",
        "Requests that were answered with NULL.",
        lambda one: {reason.figure.removeprefix("refused_"): reason.count(one.heap) for reason in REASONS},
        "reason",
    ),
    Counter(
        "calls",
        "Calls of the program, where SNUG_STATS=1 counts them.",
        lambda one: (
            {
                "malloc": one.heap.malloc_calls,
                "realloc": one.heap.realloc_calls,
                "free": one.heap.free_calls,
            }
            if one.heap.counting
            else {}
        ),
        "call",
    ),
)


def metrics_of(reading: Reading) -> Iterator[Metric]:
    """All metrics of the processes of `reading`, and how many were left out."""
    for gauge in GAUGES:
        yield _gauge_family(gauge, reading)
    for counter in COUNTERS:
        yield _counter_family(counter, reading)
    yield GaugeMetricFamily(f"{PREFIX}processes", "Processes with figures.", value=len(reading.samples))
    missing = GaugeMetricFamily(
        f"{PREFIX}unreadable_processes",
        "Processes that have the library and give no figures.",
        labels=["reason"],
    )
    for reason in Missing:
        missing.add_metric([reason], reading.missing.get(reason, 0))
    yield missing


def _gauge_family(gauge: Gauge, reading: Reading) -> Metric:
    family = GaugeMetricFamily(PREFIX + gauge.name, gauge.help, labels=PROCESS_LABELS, unit=_unit(gauge.name))
    for sample in reading.samples:
        family.add_metric(_labels(sample), gauge.value(sample))
    return family


def _counter_family(counter: Counter, reading: Reading) -> Metric:
    labels = [*PROCESS_LABELS, *([counter.label] if counter.label else [])]
    family = CounterMetricFamily(PREFIX + counter.name, counter.help, labels=labels, unit=_unit(counter.name))
    for sample in reading.samples:
        for kind, value in counter.values(sample).items():
            family.add_metric([*_labels(sample), *([kind] if counter.label else [])], value)
    return family


def _labels(sample: Sample) -> list[str]:
    return [str(sample.pid), sample.program]


def _unit(name: str) -> str:
    return "bytes" if name.endswith("_bytes") else ""


class _Processes(Collector):
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """A new reading for each scrape."""
        return metrics_of(self._read())


def as_openmetrics(registry: CollectorRegistry) -> str:
    """The text of all metrics in the OpenMetrics format."""
    generate: Callable[[CollectorRegistry], bytes] = generate_latest
    return generate(registry).decode()


def make_registry(read: Callable[[], Reading]) -> CollectorRegistry:
    """A registry of these metrics alone, which calls `read` for each scrape."""
    registry = CollectorRegistry()
    registry.register(_Processes(read))
    return registry
