"""snug trace and snug report as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snugmalloc.trace import Operation, TraceWriter

SNUG = Path(sys.executable).with_name("snug")
TEXT = """\
1: malloc 0xa0 1000
1: calloc 0xb0 2 50
2: realloc 0xa1 0xa0 3000
2: free 0xb0
1: memalign 0xc0 64 100
1: free 0xdead
"""


def snug(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SNUG, *arguments], capture_output=True, text=True)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "app.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def trace(text: Path) -> Path:
    path = text.with_suffix(".snug")
    outcome = snug("trace", "convert", text, "-o", path)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    return path


def test_info_counts(trace: Path) -> None:
    printed = json.loads(snug("trace", "info", trace, "--json", "-").stdout)
    assert printed["operations"] == {
        "malloc": 1,
        "calloc": 1,
        "realloc": 1,
        "aligned": 1,
        "free": 2,
        "thread_begin": 2,
    }
    assert (printed["calls"], printed["blocks"], printed["bytes"], printed["threads"]) == (6, 4, 4200, 2)
    assert (printed["holds"], printed["has_index"], printed["damage"]) == (["addresses"], True, None)
    assert printed["file_bytes"] == trace.stat().st_size
    shown = snug("trace", "info", trace).stdout
    assert "1 malloc, 1 calloc, 1 realloc, 1 aligned, 2 free" in shown
    assert "6 calls of 2 threads" in shown


def test_what_programs_are_called_is_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "[red]app.snug"
    with TraceWriter(path, about={"program": "app [bold]x[/bold]"}) as writer:
        writer.add(Operation.MALLOC, thread=0, time=0, size=1, address=16)
    for command in (("trace", "info"), ("report",)):
        shown = snug(*command, path)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "[red]app.snug" in shown.stdout and "app [bold]x[/bold]" in shown.stdout


def test_report_tells_sizes_and_the_peak(trace: Path) -> None:
    printed = json.loads(snug("report", trace, "--json", "-").stdout)
    assert printed["total"] == {
        "blocks": 4,
        "bytes": 4200,
        "peak_blocks": 2,
        "peak_bytes": 3100,
        "end_blocks": 2,
        "end_bytes": 3100,
        "short_blocks": 2,
        "freed_elsewhere": 2,
        "cleared_bytes": 100,
        "moved_bytes": 1000,
    }
    assert (printed["peak_call"], printed["unknown_frees"], printed["origin"]) == (3, 1, "size")
    assert [group["up_to"] for group in printed["by_size"]] == [128, 1024, 4096]
    shown = snug("report", trace).stdout
    for title in ("By size:", "By lifetime", "By the thread", "Live at the peak:", "Freed within 16 calls:"):
        assert title in shown
    assert "3,000 bytes" in shown


@pytest.mark.parametrize(
    "command",
    [
        ("trace", "info"),
        ("report",),
        ("replay", "--json", "-", "-n", "1", "--allocators", "osmem"),
        ("replay", "--policy", "buddy"),
    ],
    ids=" ".join,
)
def test_a_file_that_ends_early_is_read_as_far_as_it_goes_and_a_line_says_so(
    trace: Path, command: tuple[str, ...]
) -> None:
    trace.write_bytes(trace.read_bytes()[:-30])
    outcome = snug(*command, trace)
    assert outcome.returncode == 0
    assert outcome.stdout
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("snug: app.snug: ends within a chunk: it was read up to byte ")


def test_verify_tells_what_is_damaged(trace: Path) -> None:
    outcome = snug("trace", "verify", trace)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    content = bytearray(trace.read_bytes())
    content[140] ^= 1
    trace.write_bytes(content)
    outcome = snug("trace", "verify", trace)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "snug: app.snug: the chunk at byte 64: the checksum of a chunk is wrong\n"


def test_what_is_left_out_makes_the_file_smaller(text: Path, trace: Path) -> None:
    smaller = text.with_name("smaller.snug")
    assert snug("trace", "convert", trace, "-o", smaller, "--without", "times,addresses").returncode == 0
    printed = json.loads(snug("trace", "info", smaller, "--json", "-").stdout)
    assert (printed["holds"], printed["calls"]) == ([], 6)
    assert smaller.stat().st_size < trace.stat().st_size


@pytest.mark.parametrize("command", [("trace", "info"), ("trace", "verify"), ("report",)], ids=" ".join)
def test_a_file_that_is_no_snug_trace_is_told_in_one_line(text: Path, command: tuple[str, ...]) -> None:
    outcome = snug(*command, text)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "snug: app.txt: is not a .snug trace: convert it with snug trace convert\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["convert", "app.txt", "-o", "x", "--without", "sizes"],
            2,
            "snug trace convert: Invalid value for '--without': sizes is none of times, addresses, stacks"
            " (see: snug trace convert --help)",
        ),
        (
            ["convert", "app.txt"],
            2,
            "snug trace convert: Missing option '-o' / '--output'. (see: snug trace convert --help)",
        ),
        (["convert", "app.txt", "-o", "/nosuch/x"], 1, "snug: /nosuch/x: No such file or directory"),
        (["convert", "app.txt", "-o", "/dev/full"], 1, "snug: /dev/full: No space left on device"),
        (
            ["convert", "poem.txt", "-o", "x"],
            1,
            "snug: poem.txt: is neither a .snug trace nor text of memory_replay, mtrace or heaptrack",
        ),
        (
            ["convert", "app.txt", "-o", "app.txt"],
            1,
            "snug: app.txt: is the input: choose another output file",
        ),
        (["sing"], 2, "snug trace: No such command 'sing'. (see: snug trace --help)"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: Path, arguments: list[str], status: int, message: str) -> None:
    text.with_name("poem.txt").write_text("Two roads diverged\n")
    outcome = subprocess.run([SNUG, "trace", *arguments], cwd=text.parent, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (status, "", f"{message}\n")
    assert text.read_text() == TEXT
