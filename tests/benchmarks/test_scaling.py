"""The benchmark of many threads: what is counted and divided, and the programs by number of threads."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.catalogue import ALL, WORKLOADS, Workload
from benchmarks.harness import Figure
from benchmarks.scaling import (
    COUNTING,
    CPU,
    FUTEXES,
    MOST_THREADS,
    PATTERNS,
    PEAK,
    WALL,
    counted_calls,
    page_of,
    per_operation,
    scaled,
    tables,
)
from benchmarks.suite import Cell, told

Compile = Callable[[str], Path]


@pytest.fixture(scope="session")
def compile_workload(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a program of the workloads, once a session."""
    folder = tmp_path_factory.mktemp("workloads")

    @cache
    def compile_once(name: str) -> Path:
        subprocess.run(
            ["gcc", "-O1", WORKLOADS / f"{name}.c", "-o", folder / name, "-pthread", "-lm"], check=True
        )
        return folder / name

    return compile_once


def test_a_runs_figures_become_those_of_an_operation() -> None:
    cell = Cell(
        "sharing 8",
        "a",
        0,
        {"cpu_s": 3.0, "wall_s": 2.0, "peak_resident_bytes": 5e6},
        {"operations": 1000.0, "ops_per_s": 1e9 / 250},
    )
    assert per_operation(cell) == Cell("sharing 8", "a", 0, {WALL: 250.0, CPU: 3e6, PEAK: 5e6})


def test_a_failed_run_and_one_that_counted_stay_as_they_are() -> None:
    for cell in (
        Cell("sharing 8", "a", 0, failure="killed by SIGSEGV"),
        Cell("sharing 8", "a", COUNTING, {FUTEXES: 7.0}),
    ):
        assert per_operation(cell) == cell


def test_calls_are_read_from_what_strace_tells() -> None:
    line = "--------- ----------------\n"
    summary = f"    calls syscall\n{line}     1234 futex\n{line}     1234 total\n"
    assert counted_calls(summary) == 1234
    assert counted_calls("") == 0


def test_a_scaled_workload_has_its_threads_and_its_part_of_the_work() -> None:
    whole = Workload("sharing", "own", lambda amount: ["sharing", str(amount)])
    eight = scaled(whole, 60, 8)
    assert eight.name == "sharing 8"
    assert eight.command(100) == ["sharing", "60", "8"]
    assert eight.command(1) == ["sharing", "1", "8"]


def test_each_pattern_has_a_table_of_each_metric_and_what_failed_is_empty() -> None:
    once = {
        WALL: Figure(50, 40, 60),
        CPU: Figure(90, 90, 90),
        FUTEXES: Figure(1234, 1, 2),
        PEAK: Figure(2e6, 1, 3),
    }
    text = tables({"slots 1": {"a": once}, "slots 2": {"b": once}}, ["a", "b"], [1, 2])
    section = text.partition("## slots\n")[2].partition("## ")[0]
    assert "| a | 50 (20.00) |  |" in section
    assert "| b |  | 50 (20.00) |" in section
    assert "| a | 90 |  |" in section
    assert "| a | 1,234 |  |" in section
    assert "| a | 2.0 |  |" in section
    assert text.count("| allocator | 1 | 2 |") == 4 * len(PATTERNS)


def test_the_page_tells_what_failed() -> None:
    assert page_of({}, ["a"], [1], 3, 100, ["slots 2 on a: killed"]).endswith("- slots 2 on a: killed\n")
    assert "failed" not in page_of({}, ["a"], [1], 3, 100, [])


def test_every_pattern_is_a_workload_of_the_catalogue() -> None:
    assert {pattern.name for pattern in PATTERNS} <= {workload.name for workload in ALL}


@pytest.mark.parametrize("threads", [1, 3, MOST_THREADS])
@pytest.mark.parametrize("name", [pattern.name for pattern in PATTERNS])
def test_a_program_works_with_any_number_of_threads(name: str, threads: int, compile_workload: Compile) -> None:
    ended = subprocess.run(
        [compile_workload(name), "1", str(threads)], capture_output=True, text=True, timeout=600
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert told(ended.stdout)["operations"] > 0


@pytest.mark.parametrize("threads", ["0", str(MOST_THREADS + 1), "many"])
def test_a_program_says_how_many_threads_it_takes(threads: str, compile_workload: Compile) -> None:
    ended = subprocess.run([compile_workload("slots"), "1", threads], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.endswith(f": 1 to {MOST_THREADS} threads\n")


@pytest.mark.parametrize("wrong", ["", "0", "1,,2", "65", "two", "-1"])
def test_numbers_of_threads_that_cannot_be_are_told_in_one_line(wrong: str) -> None:
    ended = CliRunner().invoke(main, ["scaling", "--threads", wrong])
    assert ended.exit_code == 2
    assert f"{wrong!r}: numbers from 1 to {MOST_THREADS}" in ended.output
