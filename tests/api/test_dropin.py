"""The drop-in malloc from Python: a second heap when it is only imported, the process's own under preload."""

from __future__ import annotations

import os
import subprocess
import sys
from inspect import get_annotations
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc import dropin, view
from snugmalloc.engine.dropin.figures import STATS_VERSION, Figures


def test_a_block_keeps_what_is_written_until_it_is_freed() -> None:
    address = dropin.malloc(100)
    view(address, 5)[:] = b"hello"
    address = dropin.realloc(address, 100_000)
    assert bytes(view(address, 5)) == b"hello"
    assert dropin.usable_size(address) >= 100_000
    dropin.free(address)
    assert dropin.check() == 0


def test_calloc_gives_zeroes() -> None:
    dirty = dropin.malloc(5000)
    view(dirty, 5000)[:] = b"\xff" * 5000
    dropin.free(dirty)
    address = dropin.calloc(50, 100)
    assert bytes(view(address, 5000)) == bytes(5000)
    dropin.free(address)


@pytest.mark.parametrize(("size", "error"), [(-1, ValueError), (2**64, OverflowError), (2**63, MemoryError)])
def test_what_cannot_be_is_an_exception(size: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        dropin.malloc(size)


def test_realloc_to_nothing_is_refused_before_anything_is_freed() -> None:
    address = dropin.malloc(10)
    with pytest.raises(ValueError, match="use free"):
        dropin.realloc(address, 0)
    dropin.free(address)


def test_the_figures_are_those_of_the_engine() -> None:
    assert tuple(get_annotations(Figures)) == dropin.ProcessStats._fields
    header = (Path(snugmalloc.get_include()) / "snugmalloc.h").read_text()
    assert f"#define SNUG_STATS_VERSION {STATS_VERSION}\n" in header
    assert dropin.stats().version == STATS_VERSION


def test_imported_it_is_a_second_heap() -> None:
    assert not dropin.is_process_malloc()
    before = dropin.stats().live_bytes
    address = dropin.malloc(50_000)
    assert dropin.stats().live_bytes >= before + 50_000
    dropin.free(address)


def test_preloaded_it_is_the_heap_of_the_process() -> None:
    program = (
        "from snugmalloc import dropin\n"
        "before = dropin.stats().live_bytes\n"
        "held = [bytes(1000) for _ in range(10_000)]\n"
        "grown = dropin.stats().live_bytes - before\n"
        "print(dropin.is_process_malloc(), grown > 10_000_000, dropin.check())\n"
    )
    environment = {
        **os.environ,
        "LD_PRELOAD": snugmalloc.get_library("snugmalloc"),
        "PYTHONMALLOC": "malloc",
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True True 0\n", "")


def test_trim_gives_memory_back() -> None:
    held = [dropin.malloc(50_000) for _ in range(200)]
    for address in held:
        view(address, 50_000)[:] = bytes(50_000)
    for address in held:
        dropin.free(address)
    dropin.trim()
    assert dropin.stats().purged_bytes > 5_000_000
    assert not dropin.trim()


@pytest.mark.parametrize("preload", ["", snugmalloc.get_library("snugmalloc")], ids=["imported", "preloaded"])
def test_off_the_functions_call_libcs(preload: str) -> None:
    code = """
from snugmalloc import dropin
address = dropin.malloc(24)
assert dropin.usable_size(address) == 24
address = dropin.realloc(address, 5000)
dropin.free(address)
dropin.free(dropin.calloc(3, 8))
dropin.trim()
assert dropin.stats().state == 2 and dropin.check() == 0
assert not dropin.is_process_malloc()
"""
    environment = {**os.environ, "LD_PRELOAD": preload, "SNUG_DISABLE": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_the_reasons_of_refusals_are_among_the_figures() -> None:
    before = dropin.stats()
    for size in (2**63, 2**64 - 1, 2**50):
        with pytest.raises(MemoryError):
            dropin.malloc(size)
    after = dropin.stats()
    assert after.refused_size == before.refused_size + 2
    assert after.refused_addresses == before.refused_addresses + 1
    reasons = [name for name in after._fields if name.startswith("refused_") and name != "refused_requests"]
    assert sum(getattr(after, name) for name in reasons) == after.refused_requests
