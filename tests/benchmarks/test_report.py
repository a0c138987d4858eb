"""The layout of the suite's tables and plots."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from benchmarks import plots, report
from benchmarks.harness import Figure, command_line
from benchmarks.summary import Table

PEAK, MEAN = "peak_resident_bytes", "mean_resident_bytes"


@pytest.fixture
def table() -> Table:
    """One workload with a stage; a peer, ours, and Python's own where it has a place."""
    stage = "resident end"
    samples = {
        "web": {
            "system": {"cpu_s": [2.0], PEAK: [100e6], MEAN: [80e6], stage: [50e6]},
            "peer": {"cpu_s": [1.0, 1.2, 1.4], PEAK: [200e6], stage: [60e6]},
            "snugmalloc": {"cpu_s": [1.8], PEAK: [90e6], MEAN: [20e6], stage: [10e6]},
        }
    }
    return Table.of(samples, ["peer"])


def test_a_row_has_the_system_in_its_unit_and_the_others_as_ratios(table: Table) -> None:
    rows = report.metric_table(table, "cpu_s").splitlines()
    assert rows[0] == "| workload | system | peer | snugmalloc | snugmalloc / best peer |"
    assert rows[2] == "| web | 2.00 s (2.00-2.00) | 0.60 (0.50-0.70) | 0.90 (0.90-0.90) | 1.50 |"


def test_memory_is_told_in_millions_of_bytes(table: Table) -> None:
    assert "| 100.0 MB (100.0-100.0) |" in report.metric_table(table, PEAK)


def test_the_means_have_a_row_for_each_allocator(table: Table) -> None:
    rows = report.means_table(table).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| system", "| peer", "| snugmalloc"]
    assert rows[4].startswith("| snugmalloc | 0.90 |  | 0.90 | 0.25 |  |  | 1 |")


def test_python_programs_are_told_as_multiples_of_stock_python() -> None:
    samples = {
        "python-web": {
            "system": {"cpu_s": [3.0], PEAK: [110e6], MEAN: [90e6]},
            "snugmalloc": {"cpu_s": [1.0], PEAK: [50e6], MEAN: [40e6]},
            "pymalloc": {"cpu_s": [2.0], PEAK: [100e6], MEAN: [80e6]},
        },
        "redis": {"system": {"cpu_s": [1.0], PEAK: [1e6]}, "snugmalloc": {"cpu_s": [1.0], PEAK: [1e6]}},
    }
    section = report.stock_python(Table.of(samples, []))
    assert "redis" not in section
    assert "| snugmalloc | 0.50 | 0.50 | 0.50 |  | 1 |" in section
    assert "| pymalloc | 1.00 | 1.00 | 1.00 |  | 1 |" in section
    assert "| python-web | 2.00 s (2.00-2.00) | 1.50 (1.50-1.50) | 0.50 (0.50-0.50) |" in section
    assert "| python-web | 80.0 MB (80.0-80.0) | 1.12 (1.12-1.12) | 0.50 (0.50-0.50) |" in section


def test_without_a_python_program_there_is_nothing_to_tell_of_stock_python(table: Table) -> None:
    assert report.stock_python(table) == ""
    assert "stock Python" not in report.page(table, [], 5, 100, {}, "suite").partition("\n## ")[2]


def test_the_stages_that_a_workload_tells_become_rows(table: Table) -> None:
    assert report.stages_table(table).splitlines()[2] == "| web: end | 50 | 60 | 10 |"


def test_what_failed_is_told_at_the_end(table: Table) -> None:
    page = report.page(table, [], 5, 100, {"git on peer": "killed by SIGSEGV"}, "suite")
    assert page.endswith("## What failed\n\n- git on peer: killed by SIGSEGV\n")
    assert "What failed" not in report.page(table, [], 5, 100, {}, "suite")


def test_the_plots_are_well_formed_and_name_every_allocator(table: Table) -> None:
    points = [plots.Point("system", 1, 1, 1), plots.Point("snugmalloc", 0.9, 0.9, None)]
    bars = {"web": {"peer": Figure(0.6, 0.5, 0.7), "snugmalloc": Figure(9, 8, 10)}}
    for picture in (plots.cloud(points, 1), plots.bars("Time", bars, ["system", "peer", "snugmalloc"])):
        texts = [element.text for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
        assert "snugmalloc" in texts


def test_a_bar_that_is_too_long_is_cut_and_its_value_written() -> None:
    picture = plots.bars("Time", {"web": {"peer": Figure(9, 8, 10)}}, ["peer"])
    assert ">9.0</text>" in picture


def test_a_command_line_tells_no_path_but_the_files_name() -> None:
    told = command_line(["suite"], True, ["mimalloc", "new=/home/someone/libnew.so"])
    assert told == "python -m benchmarks suite --quick --allocators mimalloc,new=libnew.so"
