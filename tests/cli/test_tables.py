"""Tables where there is little room: every figure is there in full."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.table import Table

from snugmalloc.cli.tables import print_table

from .programs import PYTHON, snug


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(console, table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def figures() -> Table:
    table = Table()
    table.add_column("allocator", no_wrap=True)
    table.add_column("peak resident", justify="right")
    table.add_column("final resident", justify="right")
    table.add_row("snugmalloc", "67.41 MiB [green](0.90)[/green]", "unknown")
    table.add_row("", "second", "")
    return table


def test_a_table_that_fits_is_a_table() -> None:
    assert "│ snugmalloc │ 67.41 MiB (0.90) │" in printed(figures(), 80)


def test_a_table_that_does_not_fit_is_stacked() -> None:
    lines = [line.rstrip() for line in printed(figures(), 35).splitlines()]
    assert lines == [
        "allocator: snugmalloc",
        "  peak resident: 67.41 MiB (0.90)",
        "  final resident: unknown",
        "  peak resident: second",
    ]


@pytest.mark.parametrize("width", range(20, 140, 7))
@pytest.mark.parametrize(
    "words",
    [
        ["compare", "-n", "2", "--allocators", "system,jemalloc", "--", "true"],
        ["doctor"],
        ["run", "--report", "--", "bash", "-c", f"{PYTHON} -c ''; true"],
    ],
    ids=["compare", "doctor", "run"],
)
def test_no_figure_is_cut_off_at_any_width(words: list[str], width: int) -> None:
    ended = snug(*words, COLUMNS=str(width))
    shown = ended.stdout + ended.stderr
    assert ended.returncode == 0
    assert "…" not in shown
    assert max(len(line) for line in shown.splitlines()) <= width
    assert len(re.findall(r"[\d.]+\s(?:\s*)[KMG]iB", shown)) >= 4


def test_the_demo_fits_on_a_narrow_terminal() -> None:
    ended = snug("demo", COLUMNS="30")
    assert ended.returncode == 0
    _, _, shown = ended.stdout.partition("\n")
    drawn = [line for line in shown.splitlines() if line.startswith("+0x") or "▅" in line]
    assert len(drawn) > 8 and max(map(len, drawn)) <= 30 and "…" not in shown
