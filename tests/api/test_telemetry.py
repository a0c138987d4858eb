"""The heap's figures as metrics of OpenTelemetry: read by its SDK in processes on snugmalloc, and in others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import snugmalloc
from snugmalloc.live.exposition import metrics_of
from snugmalloc.live.metrics import COUNTERS, GAUGES
from snugmalloc.live.processes import Reading
from snugmalloc.live.telemetry import NOT_ON_SNUGMALLOC, name_of

from ..cli.live import fake_heap, fake_sample
from ..docs.documents import blocks_of

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = snugmalloc.get_library("snugmalloc")
MIB = 1 << 20
NOTHING: Mapping[str, str] = {}
READ = """
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from snugmalloc.live import telemetry
reader = InMemoryMetricReader()
is_registered = telemetry.register(MeterProvider([reader]))
def read():
    data = reader.get_metrics_data()
    print(data.to_json(None) if data else "{}")
"""


def run(
    code: str, settings: Mapping[str, str] = NOTHING, *, preloaded: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run code of Python, on snugmalloc or not."""
    environment = {**os.environ, "PYTHONMALLOC": "malloc", **settings}
    environment |= {"LD_PRELOAD": LIBRARY} if preloaded else {}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def readings(code: str, *, counts: bool = False) -> list[dict[str, dict[str, Any]]]:
    """The metrics by name, each time that the code calls `read()`."""
    ended = run(READ + code, {"SNUG_STATS": str(int(counts))})
    assert (ended.returncode, ended.stderr) == (0, "")
    return [metrics_in(json.loads(line)) for line in ended.stdout.splitlines()]


def metrics_in(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    scopes = [scope for resource in data["resource_metrics"] for scope in resource["scope_metrics"]]
    (scope,) = scopes
    assert (scope["scope"]["name"], scope["scope"]["version"]) == ("snugmalloc", snugmalloc.__version__)
    return {metric["name"]: metric for metric in scope["metrics"]}


def values(metric: dict[str, Any]) -> dict[str, float]:
    """The values of a metric by that of its attribute; "" where there is none."""
    points = metric["data"]["data_points"]
    return {" ".join(point["attributes"].values()): point["value"] for point in points}


def value(metric: dict[str, Any]) -> float:
    (only,) = values(metric).values()
    return only


def test_each_reading_has_what_the_heap_holds_then() -> None:
    before, full, after = readings(
        "from snugmalloc import dropin\nread()\n"
        "kept = [bytes(5000) for _ in range(8000)]; large = bytearray(40 << 20); read()\n"
        "del kept, large; dropin.trim(); read()\n"
    )
    grown = value(full["snugmalloc.live"]) - value(before["snugmalloc.live"])
    assert 78 * MIB < grown < 84 * MIB
    assert value(full["snugmalloc.live_blocks"]) - value(before["snugmalloc.live_blocks"]) > 8000
    assert value(full["snugmalloc.mapped"]) >= 40 * MIB > value(after["snugmalloc.mapped"])
    assert value(full["snugmalloc.resident"]) >= value(full["snugmalloc.live"])
    assert value(after["snugmalloc.live"]) < value(before["snugmalloc.live"]) + 4 * MIB
    assert value(after["snugmalloc.resident"]) < value(before["snugmalloc.resident"]) + 8 * MIB
    assert value(after["snugmalloc.returned"]) > value(full["snugmalloc.returned"]) + 70 * MIB
    assert value(after["snugmalloc.peak_system"]) >= value(full["snugmalloc.system"])
    assert 0 < value(full["snugmalloc.cached"]) < value(full["snugmalloc.live"])


def test_what_can_be_added_up_is_a_sum_and_counters_only_grow() -> None:
    (metrics,) = readings("read()")
    assert metrics.keys() == {name_of(metric) for metric in (*GAUGES, *COUNTERS)} - {"snugmalloc.calls"} | {
        "snugmalloc.cached"
    }
    growing = {name for name, metric in metrics.items() if metric["data"].get("is_monotonic")}
    assert growing == {name_of(counter) for counter in COUNTERS} - {"snugmalloc.calls"}
    assert [name for name, metric in metrics.items() if "is_monotonic" not in metric["data"]] == [
        "snugmalloc.peak_system"
    ]
    assert {metric["unit"] for metric in metrics.values()} == {
        "By",
        "{block}",
        "{cache}",
        "{call}",
        "{request}",
    }


def test_calls_and_refusals_are_told_apart_by_an_attribute() -> None:
    (metrics,) = readings(
        "from snugmalloc import dropin\n"
        "for size in (1 << 63, 1 << 63, 1 << 50):\n"
        "    try: dropin.malloc(size)\n"
        "    except MemoryError: pass\n"
        "read()",
        counts=True,
    )
    refused = values(metrics["snugmalloc.refused_requests"])
    assert refused == {"limit": 0, "size": 2, "addresses": 1, "mappings": 0, "locked": 0, "memory": 0}
    assert values(metrics["snugmalloc.system_calls"]).keys() == {"brk", "mmap", "munmap", "mremap", "madvise"}
    assert values(metrics["snugmalloc.system_calls"])["brk"] > 0
    calls = values(metrics["snugmalloc.calls"])
    assert calls["malloc"] > calls["free"] > 0
    (point, *_) = metrics["snugmalloc.calls"]["data"]["data_points"]
    assert point["attributes"].keys() == {"snugmalloc.call"}


def test_a_forked_child_reads_its_own_heap() -> None:
    parent, child = readings(
        "import os, sys\nread(); sys.stdout.flush()\n"
        "if os.fork() == 0:\n"
        "    kept = bytearray(50 << 20); read(); sys.stdout.flush(); os._exit(0)\n"
        "os.wait()\n"
    )
    assert value(child["snugmalloc.live"]) > value(parent["snugmalloc.live"]) + 49 * MIB


def test_the_exporter_for_prometheus_makes_the_names_of_snug_metrics() -> None:
    ended = run(
        "from opentelemetry.exporter.prometheus import PrometheusMetricReader\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from prometheus_client import REGISTRY\n"
        "from snugmalloc.live import telemetry\n"
        "telemetry.register(MeterProvider([PrometheusMetricReader()]))\n"
        "for family in REGISTRY.collect():\n"
        "    for sample in family.samples: print(sample.name)\n",
        {"SNUG_STATS": "1"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    made = {name for name in ended.stdout.split() if name.startswith("snugmalloc_")}
    sample = fake_sample(7, heap=fake_heap(counting=1))
    known = {one.name for family in metrics_of(Reading(0, (sample,), {})) for one in family.samples}
    assert made - {"snugmalloc_cached_bytes"} == {name for name in known if "process" not in name}
    assert "snugmalloc_cached_bytes" in made


@pytest.mark.parametrize(("preloaded", "settings"), [(False, {}), (True, {"SNUG_DISABLE": "1"})])
def test_a_process_that_is_not_on_snugmalloc_is_told_in_one_line(
    preloaded: bool, settings: dict[str, str]
) -> None:
    ended = run(READ + "read(); print(is_registered)", settings, preloaded=preloaded)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "{}\nFalse\n", f"{NOT_ON_SNUGMALLOC}\n")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ModuleNotFoundError(name='opentelemetry')")
    ended = run("import snugmalloc.live.telemetry", {"PYTHONPATH": str(tmp_path)})
    said = "snugmalloc.live.telemetry needs opentelemetry: pip install 'snugmalloc[otel]'"
    assert ended.stderr.splitlines()[-1] == f"ModuleNotFoundError: {said}"


# ---- The document ----


def test_the_example_of_the_document_runs() -> None:
    (example,) = [
        block.text for block in blocks_of((ROOT / "docs/metrics.md").read_text()) if block.language == "python"
    ]
    ended = run(example)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert metrics_in(json.loads(ended.stdout))["snugmalloc.live"]["unit"] == "By"


def test_the_document_has_each_name() -> None:
    told = set(re.findall(r"`(snugmalloc\.[a-z_]+)`", (ROOT / "docs/metrics.md").read_text()))
    attributes = {f"snugmalloc.{counter.label}" for counter in COUNTERS if counter.label}
    assert told == {name_of(metric) for metric in (*GAUGES, *COUNTERS)} | attributes | {"snugmalloc.cached"}
