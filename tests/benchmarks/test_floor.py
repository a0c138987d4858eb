"""The floor: a program's resident memory with and without the heap's free pages, from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.contenders import find_contenders
from benchmarks.floor import Held, page, run_on, sample
from snugmalloc.launch.allocators import OURS, PYMALLOC

MB = 1_000_000
HOLDS = "import time; kept = [bytes(700) for _ in range(60_000)]; kept = kept[::64]; time.sleep(0.4)"


def test_free_pages_are_what_is_above_the_floor() -> None:
    ours, stock = (next(c for c in find_contenders([OURS]) if c.name == name) for name in (OURS, PYMALLOC))
    command = [sys.executable, "-c", HOLDS]
    held = run_on(ours, command)
    assert 0 < held.floor < held.resident
    held = run_on(stock, command)
    assert held.floor == held.resident > 5 * MB  # in the mean, the time before the blocks are there included


def test_a_process_that_is_no_more_gives_no_sample() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert sample(Path(f"/proc/{process.pid}")) is None


def test_the_page_has_geometric_means() -> None:
    found = {
        "one": {PYMALLOC: Held(100 * MB, 100 * MB), OURS: Held(50 * MB, 25 * MB)},
        "two": {PYMALLOC: Held(100 * MB, 100 * MB), OURS: Held(200 * MB, 100 * MB)},
    }
    lines = page(found).splitlines()
    assert "| one | 100.0 MB | 0.50 | 0.25 |" in lines
    assert "| geometric mean |  | 1.00 | 0.50 |" in lines
