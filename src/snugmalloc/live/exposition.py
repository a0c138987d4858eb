"""Owns the metrics for Prometheus: their names by its conventions, and their values in a reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from snugmalloc.live.metrics import BYTES, COUNTERS, GAUGES, Counter, Gauge
from snugmalloc.live.processes import Missing, Reading, Sample

PREFIX = "snugmalloc_"
PROCESS_LABELS = ("pid", "program")


def metrics_of(reading: Reading) -> Iterator[Metric]:
    """All metrics of the processes of `reading`, and how many were left out."""
    for gauge in GAUGES:
        yield _gauge_family(gauge, reading)
    yield from _process_families(reading)
    for counter in COUNTERS:
        yield _counter_family(counter, reading)
    yield GaugeMetricFamily(f"{PREFIX}processes", "Processes with figures.", value=len(reading.samples))
    missing = GaugeMetricFamily(
        f"{PREFIX}unreadable_processes",
        "Processes that have the library but no figures.",
        labels=["reason"],
    )
    for reason in Missing:
        missing.add_metric([reason], reading.missing.get(reason, 0))
    yield missing


def _gauge_family(gauge: Gauge, reading: Reading) -> Metric:
    family = GaugeMetricFamily(PREFIX + gauge.name, gauge.help, labels=PROCESS_LABELS, unit=_unit(gauge.unit))
    for sample in reading.samples:
        family.add_metric(_labels(sample), gauge.value(sample.heap))
    return family


def _process_families(reading: Reading) -> Iterator[Metric]:
    """What is known of a process beside its heap."""
    resident = GaugeMetricFamily(
        f"{PREFIX}process_resident_bytes",
        "Resident memory of the whole process.",
        labels=PROCESS_LABELS,
        unit=_unit(BYTES),
    )
    threads = GaugeMetricFamily(f"{PREFIX}process_threads", "Threads of the process.", labels=PROCESS_LABELS)
    for sample in reading.samples:
        resident.add_metric(_labels(sample), sample.process_resident_bytes)
        threads.add_metric(_labels(sample), sample.threads)
    yield resident
    yield threads


def _counter_family(counter: Counter, reading: Reading) -> Metric:
    labels = [*PROCESS_LABELS, *([counter.label] if counter.label else [])]
    family = CounterMetricFamily(PREFIX + counter.name, counter.help, labels=labels, unit=_unit(counter.unit))
    for sample in reading.samples:
        for kind, value in counter.values(sample.heap).items():
            family.add_metric([*_labels(sample), *([kind] if counter.label else [])], value)
    return family


def _labels(sample: Sample) -> list[str]:
    return [str(sample.pid), sample.program]


def _unit(unit: str) -> str:
    """A unit of UCUM by the name that Prometheus has for it; what is counted has none."""
    return "bytes" if unit == BYTES else ""


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
