"""Recordings beside what the library is not told of: children made past libc, clocks of other libraries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.trace import Operation, TraceReader

SOURCES = Path(__file__).parent.parent / "dropin" / "c"
LIBRARY = snugmalloc.get_library("snugmalloc")
FLAGS = ["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin"]
CALLS = 60_000  # of past_libc.c: blocks that each process takes at a time
WAYS = {
    "whole": {"SNUG_RECORD": "of.%p.snug"},
    "followed": {"SNUG_RECORD": "of.%p.snug", "SNUG_RECORD_FOLLOW": "1"},
    "stacks": {"SNUG_RECORD": "of.%p.snug", "SNUG_RECORD_STACKS": "native"},
    "sampled": {"SNUG_RECORD": "of.%p.snug", "SNUG_RECORD_SAMPLE": "4K"},
    "ring": {"SNUG_RECORD": "ring:1M:of.%p.ring"},
}


def build(folder: Path, name: str, *flags: str) -> Path:
    built = folder / Path(name).stem
    subprocess.run(["gcc", *FLAGS, *flags, SOURCES / name, "-o", built], check=True)
    return built


def record(folder: Path, way: str, program: list[str | Path], preloaded: str) -> None:
    """Run a program in this folder, recorded in this way; it ends with status 0 and complains of nothing."""
    ended = subprocess.run(
        program,
        env={**os.environ, **WAYS[way], "LD_PRELOAD": preloaded},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("memory", ["copied", "shared"])
def test_a_child_made_past_libc_lives_on_and_is_not_recorded(way: str, memory: str, tmp_path: Path) -> None:
    record(tmp_path, way, [build(tmp_path, "past_libc.c"), memory], LIBRARY)
    for trace in tmp_path.glob("of.*.snug"):
        with TraceReader(trace) as reader:
            assert reader.verify() == []
            taken = sum(event.operation is Operation.MALLOC for event in reader.events())
        if way != "sampled" and memory == "copied":
            assert 4 * CALLS <= taken < 5 * CALLS
    assert len(list(tmp_path.glob("of.*"))) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_preloaded_clock_that_allocates_and_stands_still_is_not_asked(
    way: str, is_first: bool, tmp_path: Path
) -> None:
    clock = build(tmp_path, "own_clock.c", "-shared", "-fPIC")
    preloaded = f"{clock}:{LIBRARY}" if is_first else f"{LIBRARY}:{clock}"
    record(tmp_path, way, [build(tmp_path, "stress.c"), "2", "20000", "3"], preloaded)
    for trace in tmp_path.glob("of.*.snug"):
        with TraceReader(trace) as reader:
            assert reader.verify() == []
            times = [event.time for event in reader.events()]
        assert times[0] < times[-1]
    assert len(list(tmp_path.glob("of.*"))) == 1
