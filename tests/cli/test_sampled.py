"""Sampled recordings as a user meets them: told as estimates, and refused where every call is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snugmalloc.trace import TraceReader

from .programs import PYTHON, snug

SIZE, COUNT = 12_345 + 33, 4_000
HOLD = f"a = [bytes({SIZE - 33}) for _ in range({COUNT})]; print(len(a))"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("traces") / "of.snug"
    ended = snug("record", "--sample", "16K", "-o", file, PYTHON, "-c", HOLD)
    assert (ended.returncode, ended.stdout) == (0, f"{COUNT}\n")
    assert " sampled calls, " in ended.stderr
    return file


def rows_of(shown: str) -> dict[str, str]:
    """The overview of a report or of `snug trace info`."""
    lines = (line.split("  ", 1) for line in shown.splitlines() if "  " in line.strip())
    return {name.strip(): value.strip() for name, value in lines}


def test_the_trace_has_samples_only(trace: Path) -> None:
    with TraceReader(trace) as reader:
        assert reader.header.mean_gap == 16 << 10
        assert reader.about["program"].startswith(PYTHON)
        assert 1_500 < sum(event.size == SIZE for event in reader.events()) < 2_700


def test_the_report_tells_estimates(trace: Path) -> None:
    outcome = snug("report", trace, COLUMNS="150")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    rows = rows_of(outcome.stdout)
    assert "all figures of blocks are estimates" in rows["sampled"]
    assert "every 16.0 KiB on average" in rows["sampled"]
    assert " ± " in rows["allocated"] and " ± " in rows["peak"]
    assert rows["short-lived"].startswith("unknown: the trace is sampled")
    assert "unknown: the trace is sampled" in rows["held back"]
    assert "sampled calls" in rows["trace"]
    for unknown in (
        "Freed blocks by lifetime in calls",
        "moved by realloc",
        "Freed within",
        " calls of 1 thread\n",
    ):
        assert unknown not in outcome.stdout.replace("sampled calls", "")
    assert "Freed blocks by lifetime in time" in outcome.stdout


def test_the_figures_of_the_report_are_those_of_the_program(trace: Path) -> None:
    figures = json.loads(snug("report", trace, "--json", "-").stdout)
    assert figures["mean_gap"] == 16 << 10
    blocks = figures["by_size"][[size["up_to"] for size in figures["by_size"]].index(16384)]
    assert blocks["blocks"] == pytest.approx(COUNT, rel=0.1)
    assert figures["total"]["peak_bytes"] == pytest.approx(COUNT * SIZE, rel=0.2)
    assert 0 < figures["standard_errors"]["peak_bytes"] < 0.05 * COUNT * SIZE
    assert figures["total"]["short_blocks"] is figures["by_calls"] is figures["total"]["moved_bytes"] is None
    assert figures["moment"]["held"] is None


def test_info_tells_an_estimate(trace: Path) -> None:
    rows = rows_of(snug("trace", "info", trace, COLUMNS="150").stdout)
    assert rows["sampled"] == "one sample every 16.0 KiB on average: what was allocated is an estimate"
    told = json.loads(snug("trace", "info", trace, "--json", "-").stdout)
    figures = json.loads(snug("report", trace, "--json", "-").stdout)
    assert told["bytes"] == round(figures["total"]["bytes"])
    assert told["blocks"] == round(figures["total"]["blocks"])


def test_a_difference_of_estimates_does_not_compare_calls(trace: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.snug"
    assert snug("record", "-o", whole, PYTHON, "-c", HOLD).returncode == 0
    outcome = snug("diff", trace, whole, COLUMNS="150")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    rows = rows_of(outcome.stdout)
    assert "one sample every 16.0 KiB on average: estimates" in rows["A"]
    assert "calls" not in rows and "moved by realloc" not in rows
    assert "peak" in rows


@pytest.mark.parametrize("command", [("replay",), ("replay", "--policy", "best-fit"), ("tune",)])
def test_what_needs_every_call_refuses_in_one_line(trace: Path, command: tuple[str, ...]) -> None:
    outcome = snug(*command, trace)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == f"snug: {trace.name}: is sampled, and only a trace of every call can be played\n"


def test_all_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "of.snug"
    ended = snug("record", "--sample", "all", "-o", file, PYTHON, "-c", HOLD, SNUG_RECORD_SAMPLE="1M")
    assert ended.returncode == 0 and "sampled" not in ended.stderr
    with TraceReader(file) as reader:
        assert reader.header.mean_gap == 0


@pytest.mark.parametrize("value", ["", "none", "2G", "-5", "512KB"])
def test_a_mean_gap_that_is_none_is_told_before_anything_runs(tmp_path: Path, value: str) -> None:
    file = tmp_path / "of.snug"
    ended = snug("record", "--sample", value, "-o", file, PYTHON, "-c", HOLD)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{value}: all, or 0 to 1G bytes, as 512K" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and not file.exists()


def test_children_are_sampled_when_they_are_followed(tmp_path: Path) -> None:
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
    name = tmp_path / "of.%p.snug"
    ended = snug("record", "--follow", "--sample", "16K", "-o", name, PYTHON, "-c", start)
    assert ended.returncode == 0
    gaps = []
    for path in tmp_path.iterdir():
        with TraceReader(path) as reader:
            gaps.append(reader.header.mean_gap)
    assert gaps == [16 << 10] * 2
