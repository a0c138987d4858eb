"""The layout of the suite's tables and plots."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

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


def texts_of(picture: Path) -> list[str | None]:
    return [element.text for element in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_the_plot_of_the_means_names_every_allocator(tmp_path: Path) -> None:
    points = [plots.Point("system", 1, 1, 1), plots.Point("snugmalloc", 0.9, 0.9, None)]
    plots.draw_means(points, 1, tmp_path / "means.svg")
    assert {"system", "snugmalloc"} <= set(texts_of(tmp_path / "means.svg"))


def test_the_plot_of_a_metric_names_every_workload_and_every_allocator_that_is_in_it(tmp_path: Path) -> None:
    ratios = {"web": {"peer": Figure(0.6, 0.5, 0.7), "snugmalloc": Figure(9, 8, 10)}, "git": {}}
    plots.draw_ratios("Time", ratios, ["system", "peer", "snugmalloc"], tmp_path / "time.svg")
    texts = texts_of(tmp_path / "time.svg")
    assert {"web", "git", "peer", "snugmalloc", "Time"} <= set(texts)
    assert "system" not in texts


def test_the_suites_plots_are_the_files_that_its_page_shows(table: Table, tmp_path: Path) -> None:
    report.write_plots(table, tmp_path, "some")
    shown = re.findall(r"\]\((.*\.svg)\)", report.page(table, [], 5, 100, {}, "some"))
    assert sorted(shown) == sorted(path.name for path in tmp_path.iterdir())


def test_the_same_figures_give_the_same_plots(table: Table, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        report.write_plots(table, folder, "some")
    one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == other


def test_a_command_line_tells_no_path_but_the_files_name() -> None:
    told = command_line(["suite"], True, ["mimalloc", "new=/home/someone/libnew.so"])
    assert told == "python -m benchmarks suite --quick --allocators mimalloc,new=libnew.so"
