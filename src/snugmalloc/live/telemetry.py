"""Owns the figures of this process's own heap as instruments of OpenTelemetry.

    >>> from snugmalloc.live import telemetry
    >>> telemetry.register()          # with the global meter provider, or with the one that is given

The metrics are those of docs/metrics.md, by OpenTelemetry's names: `snugmalloc.live` for
`snugmalloc_live_bytes`, since units are not part of a name there. They are read whenever the provider collects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import snugmalloc
from snugmalloc import dropin
from snugmalloc.launch.inside import Inside
from snugmalloc.live.metrics import BYTES, COUNTERS, GAUGES, Counter, Gauge

try:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"snugmalloc.live.telemetry needs {error.name}: pip install 'snugmalloc[otel]'", name=error.name
    ) from None

SCOPE = "snugmalloc"
NOT_ON_SNUGMALLOC = (
    "this process is not on snugmalloc, its heap has no metrics: start it by `snug run -- PROGRAM`, or with "
    "the library in LD_PRELOAD and none of the options that turn it off"
)
_Callback = Callable[[CallbackOptions], Iterator[Observation]]
_CACHED = Gauge(
    "cached_bytes",
    BYTES,
    "The part of snugmalloc.live in thread caches.",
    lambda heap: heap.cached_bytes,
)
"""What only a process itself knows."""


def register(provider: MeterProvider | None = None) -> bool:
    """Register the metrics of this process's heap with `provider`, by default the global one: once a process.

    A process that is not on snugmalloc has none: a warning is logged, and nothing is registered. Whether they
    were.
    """
    if not dropin.is_process_malloc():
        logging.getLogger(__name__).warning(NOT_ON_SNUGMALLOC)
        return False
    meter = (provider or get_meter_provider()).get_meter(SCOPE, snugmalloc.__version__)
    for gauge in (*GAUGES, _CACHED):
        create = meter.create_observable_up_down_counter if gauge.is_sum else meter.create_observable_gauge
        create(name_of(gauge), [_observe_gauge(gauge)], gauge.unit, gauge.help)
    for counter in COUNTERS:
        meter.create_observable_counter(
            name_of(counter), [_observe_counter(counter)], counter.unit, counter.help
        )
    return True


def name_of(metric: Gauge | Counter) -> str:
    """By OpenTelemetry's conventions: in a namespace, and without the unit."""
    return f"{SCOPE}.{metric.name.removesuffix('_bytes')}"


def _read_heap() -> Inside:
    """The figures now, with what is cached among what is live, as it is seen from outside."""
    heap = Inside._make(dropin.stats())
    return heap._replace(
        live_bytes=heap.live_bytes + heap.cached_bytes, live_blocks=heap.live_blocks + heap.cached_blocks
    )


def _observe_gauge(gauge: Gauge) -> _Callback:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(gauge.value(_read_heap()))

    return observe


def _observe_counter(counter: Counter) -> _Callback:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for kind, value in counter.values(_read_heap()).items():
            yield Observation(value, {f"{SCOPE}.{counter.label}": kind} if counter.label else None)

    return observe
