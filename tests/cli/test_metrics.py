"""`snug metrics`: what it says of real and of made-up processes, by the client's own parsers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml
from prometheus_client import parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from snugmalloc.live.exposition import as_openmetrics, make_registry, metrics_of
from snugmalloc.live.processes import Missing, Reading, Sample, read_all, read_one

from .live import GIB, MIB, fake_heap, fake_sample
from .programs import SNUG, snug
from .test_state import REFUSED, fake_process, running

DOCS = Path(__file__).resolve().parents[2] / "docs"
parse_text: Callable[[str], Iterable[Metric]] = parser.text_string_to_metric_families
parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families
ACCEPT = "application/openmetrics-text; version=1.0.0"


def values(families: list[Metric], **labels: str) -> dict[str, float]:
    """The values of the samples that have these labels, by name and the labels beyond them."""
    found = {}
    for family in families:
        for sample in family.samples:
            if sample.labels.items() >= labels.items():
                rest = [text for name, text in sample.labels.items() if name not in ("pid", "program")]
                found[" ".join([sample.name, *rest])] = sample.value
    return found


def of_process(text: str, pid: int) -> dict[str, float]:
    """The values of one process in the text of OpenMetrics."""
    return values(list(parse_openmetrics(text)), pid=str(pid))


# ---- Real processes ----


def test_a_process_is_reported_with_what_it_holds() -> None:
    with running("kept = bytearray(40 << 20); small = [bytes(5000) for _ in range(10000)]") as pid:
        ended = snug("metrics", "--pid", str(pid))
    assert (ended.returncode, ended.stderr) == (0, "")
    found = of_process(ended.stdout, pid)
    live, resident = found["snugmalloc_live_bytes"], found["snugmalloc_resident_bytes"]
    assert 85 * MIB < live < resident < found["snugmalloc_process_resident_bytes"] + 10 * MIB
    assert found["snugmalloc_mapped_bytes"] > 40 * MIB and found["snugmalloc_process_threads"] == 1
    assert found["snugmalloc_system_calls_total brk"] > 0 and found["snugmalloc_system_calls_total mmap"] > 0
    assert not any(name.startswith("snugmalloc_calls_total") for name in found)
    assert values(list(parse_openmetrics(ended.stdout)))["snugmalloc_processes"] == 1


def test_processes_are_found_and_labelled_by_program() -> None:
    with running("") as first, running("") as second:
        families = list(parse_openmetrics(snug("metrics").stdout))
    (live,) = (family for family in families if family.name == "snugmalloc_live_bytes")
    programs = {int(sample.labels["pid"]): sample.labels["program"] for sample in live.samples}
    assert programs[first] == programs[second] and programs[first].startswith("python")


def test_the_metrics_of_several_heaps_are_their_sums() -> None:
    code = "import threading\nkept = []\n"
    code += "work = lambda: kept.extend(bytearray(3000) for _ in range(20000))\n"
    code += "threads = [threading.Thread(target=work) for _ in range(4)]\n"
    code += "[thread.start() for thread in threads]; [thread.join() for thread in threads]"
    with running(code, SNUG_HEAPS="8") as pid:
        found = of_process(snug("metrics", "--pid", str(pid)).stdout, pid)
    assert found["snugmalloc_live_bytes"] > 4 * 20000 * 3000


def test_refusals_and_counted_calls_are_reported() -> None:
    with running(REFUSED.replace("LIMITED", "4"), SNUG_LIMIT="16M", SNUG_STATS="1") as pid:
        found = of_process(snug("metrics", "--pid", str(pid)).stdout, pid)
    refused = {name.split()[1]: value for name, value in found.items() if "refused_requests_total" in name}
    assert refused == {"limit": 4, "size": 3, "addresses": 2, "mappings": 0, "locked": 0, "memory": 0}
    assert found["snugmalloc_limit_bytes"] == 16 * MIB
    assert found["snugmalloc_calls_total malloc"] > found["snugmalloc_calls_total free"] > 0


def test_a_process_that_is_off_is_left_out_and_counted() -> None:
    with running("", SNUG_DISABLE="1") as pid:
        families = list(parse_openmetrics(snug("metrics", "--pid", str(pid)).stdout))
    found = values(families)
    assert found["snugmalloc_unreadable_processes off"] == 1 and found["snugmalloc_processes"] == 0
    assert not values(families, pid=str(pid))


def test_they_are_served_anew_until_interrupted() -> None:
    with (
        running("") as pid,
        subprocess.Popen(
            [str(SNUG), "metrics", "--listen", "127.0.0.1:0", "--pid", str(pid)],
            stderr=subprocess.PIPE,
            text=True,
        ) as server,
    ):
        assert server.stderr is not None
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", server.stderr.readline())

        def scrape() -> dict[str, float]:
            request = urllib.request.Request(address, headers={"Accept": ACCEPT})
            with urllib.request.urlopen(request, timeout=600) as answer:
                return values(list(parse_openmetrics(answer.read().decode())))

        assert scrape()["snugmalloc_processes"] == 1
        subprocess.run(["kill", "-9", str(pid)], check=True)
        while (found := scrape())["snugmalloc_processes"]:
            pass
        assert found["snugmalloc_unreadable_processes ended"] + found["snugmalloc_processes"] <= 1
        server.send_signal(signal.SIGTERM)
        assert (server.wait(300), server.stderr.read()) == (128 + signal.SIGTERM, "")


def test_an_address_in_use_is_told() -> None:
    command = [str(SNUG), "metrics", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        (address,) = re.findall(r"127\.0\.0\.1:\d+", server.stderr.readline())
        ended = snug("metrics", "--listen", address)
        server.terminate()
    assert (ended.returncode, ended.stderr) == (1, f"snug: {address}: Address already in use\n")


def test_the_textfile_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "snug.prom"
    file.write_text("old\n")
    before = file.stat().st_ino
    with running("") as pid:
        ended = snug("metrics", "--textfile", file, "--pid", str(pid))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["snug.prom"] and file.stat().st_ino != before
    families = list(parse_text(file.read_text()))
    assert values(families, pid=str(pid))["snugmalloc_live_bytes"] > 0
    assert {family.name: family.type for family in families}["snugmalloc_returned_bytes"] == "counter"


def test_a_textfile_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "none" / "snug.prom"
    ended = snug("metrics", "--textfile", file)
    assert (ended.returncode, ended.stderr) == (1, f"snug: {file}: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "9500"], "9500 is not HOST:PORT, such as 127.0.0.1:9500"),
        (["--listen", "127.0.0.1:65536"], "127.0.0.1:65536 is not HOST:PORT"),
        (["--listen", "127.0.0.1:1", "--textfile", "x"], "--listen and --textfile exclude each other"),
        (["--pid", "4194304"], "there is no process 4194304"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], words: str) -> None:
    ended = snug("metrics", *arguments)
    assert ended.returncode != 0 and words in ended.stderr and ended.stderr.count("\n") == 1


def test_a_process_on_another_allocator_is_told() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        ended = snug("metrics", "--pid", str(process.pid))
        process.communicate()
    assert ended.stderr == (
        f"snug: process {process.pid} is not on snugmalloc: snug doctor {process.pid} says what it uses\n"
    )


def test_without_the_extra_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ModuleNotFoundError(name='prometheus_client')")
    ended = snug("metrics", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr == "snug: snug metrics needs prometheus_client: pip install 'snugmalloc[metrics]'\n"


# ---- Made-up processes ----


def test_processes_without_figures_are_counted_by_reason(tmp_path: Path) -> None:
    fake_process(tmp_path, bytes(8192))
    assert read_all(tmp_path / "proc").missing == {Missing.OTHER_VERSION: 1}
    (tmp_path / "proc/7/mem").unlink()
    assert read_all(tmp_path / "proc").missing == {Missing.NOT_PERMITTED: 1}
    (tmp_path / "proc/7/maps").write_text("10000-20000 r--p 00000000 08:01 2 /usr/lib/libc.so.6\n")
    assert read_all(tmp_path / "proc").missing == {}
    assert read_one(8, tmp_path / "proc").missing == {Missing.ENDED: 1}


def test_names_that_need_quoting_come_through() -> None:
    sample = fake_sample(7, program='a "b"\\\n', heap=fake_heap(live_bytes=3 * GIB))
    text = exposed(Reading(0, (sample,), {}))
    (live,) = (family for family in parse_openmetrics(text) if family.name == "snugmalloc_live_bytes")
    assert [(one.labels["program"], one.value) for one in live.samples] == [(sample.program, 3 * GIB)]


def exposed(reading: Reading) -> str:
    """What is served for `reading`."""
    return as_openmetrics(make_registry(lambda: reading))


# ---- The documents ----


def known_names() -> dict[str, set[str]]:
    """All names that can be queried, and the labels of each."""
    samples: tuple[Sample, ...] = (fake_sample(7, heap=fake_heap(counting=1)),)
    return {
        sample.name: set(sample.labels)
        for family in metrics_of(Reading(0, samples, {}))
        for sample in family.samples
    }


def check_query(query: str) -> None:
    """Each name and each label of the query is one there is."""
    names = known_names()
    used = re.findall(r"snugmalloc_\w+", query)
    assert used
    for name in used:
        assert name in names, query
    labels = {label for name in used for label in names[name]} | {"instance"}
    matched = [text for group in re.findall(r"{([^}]*)}", query) for text in re.findall(r"(\w+)=", group)]
    grouped = [text.strip() for group in re.findall(r"by \(([^)]*)\)", query) for text in group.split(",")]
    assert {*matched, *grouped} <= labels, query


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = json.loads((DOCS / "metrics" / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) >= 8
    for query in queries:
        check_query(query)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert len({(place["x"], place["y"]) for place in places}) == len(places)


def test_the_alerts_ask_for_what_there_is() -> None:
    (group,) = yaml.safe_load((DOCS / "metrics" / "alerts.yml").read_text())["groups"]
    assert len(group["rules"]) == 2
    for rule in group["rules"]:
        check_query(rule["expr"])
        labels = set.intersection(
            *(known_names()[name] for name in re.findall(r"snugmalloc_\w+", rule["expr"]))
        )
        assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= labels


def test_the_page_has_each_metric() -> None:
    page = (DOCS / "metrics.md").read_text()
    assert set(re.findall(r"`(snugmalloc_\w+)`", page)) == set(known_names())


def test_a_scrape_that_asks_for_no_process_is_valid() -> None:
    assert values(list(parse_openmetrics(exposed(Reading(0, (), {})))))["snugmalloc_processes"] == 0
