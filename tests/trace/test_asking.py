"""Stacks in recordings are what the interpreter itself says at the same moment, of calls of all kinds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snugmalloc.trace import Operation, SourceFrame, TraceReader

from .test_stacks import INTERPRETERS, Stack, run

ASKING = Path(__file__).with_name("asking.py")
MOST_CALLS = 512


def frames_told(told: Path) -> dict[int, Stack]:
    """By the size of the request the stack that the interpreter gave."""
    lines = map(json.loads, told.read_text().splitlines())
    return {size: tuple(SourceFrame(*frame) for frame in frames) for size, frames in lines}


def stacks_recorded(trace: Path, sizes: dict[int, Stack]) -> dict[int, set[Stack]]:
    """By the size of the request the stacks that were recorded."""
    found: dict[int, set[Stack]] = {size: set() for size in sizes}
    with TraceReader(trace) as reader:
        assert reader.verify() == []
        for event in reader.events():
            if event.operation is not Operation.FREE and event.size in found:
                found[event.size].add(reader.tables.frames_of(event.stack))
    return found


def frames_left_out(trace: Path) -> int:
    """How many frames the recording says it left out.

    Interpreters with locks of their own meet at the table of definitions, and wait there for a bounded time.
    """
    with TraceReader(trace) as reader:
        return int(reader.about.get("frames left out", "0"))


def cut(stack: Stack) -> Stack:
    """Of a deep recursion as many calls as a recording has."""
    half = MOST_CALLS // 2
    return stack if len(stack) <= MOST_CALLS else stack[: half + len(stack) % half]


def ways() -> Iterator[tuple[str, str]]:
    """Each interpreter, and once more with its compiler on where it has one."""
    question = "import sys; print(getattr(sys, '_jit', None) is not None and sys._jit.is_available())"
    for version, python in INTERPRETERS.items():
        yield version, "0"
        answer = subprocess.run([python, "-c", question], capture_output=True, text=True, check=True).stdout
        if answer.strip() == "True":
            yield version, "1"


@pytest.mark.parametrize(("version", "jit"), list(ways()))
def test_stacks_are_what_the_interpreter_says(version: str, jit: str, tmp_path: Path) -> None:
    told, trace = tmp_path / "told.json", tmp_path / "of.snug"
    run([INTERPRETERS[version], str(ASKING), str(told)], trace, PYTHON_JIT=jit)
    expected = frames_told(told)
    assert len(expected) > 1000
    recorded = stacks_recorded(trace, expected)
    wrong = {size: stack for size, stack in expected.items() if cut(stack) not in recorded[size]}
    most = min(frames_left_out(trace), len(expected) // 50)
    assert len(wrong) <= most, [(expected[size], recorded[size]) for size in list(wrong)[:3]]
