"""SNUG_HARDEN=1 ends a program at its fault with one line; SNUG_FILL=1 shows memory that nobody wrote."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..targets import Run, Target
from .conftest import Compile

TWICE = "is not in use: freed twice, or never allocated"
FOREIGN = "was not allocated here"
FAULTS = {
    "twice-small": TWICE,
    "twice-block": TWICE,
    "twice-large": TWICE,
    "twice-realloc": TWICE,
    "middle-small": FOREIGN,
    "middle-block": TWICE,  # what stands in front of it reads as the tag of a free block
    "middle-large": TWICE,  # no block begins at that page
    "odd": FOREIGN,
    "stack": FOREIGN,
    "unmapped": FOREIGN,
    "no-address": FOREIGN,
    "overrun": "the tags around the block",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_program_with_one_line(
    fault: str, compile_program: Compile, target: Target, library: Path
) -> None:
    program = compile_program("faults.c", "-Wno-free-nonheap-object", "-Wno-stringop-overflow")
    ended = target.abort(program, fault, on=library, SNUG_HARDEN="1")
    assert ended.stderr.startswith("snugmalloc: ") and ended.stderr.count("\n") == 1
    assert FAULTS[fault] in ended.stderr


@pytest.mark.parametrize("size", [16, 100, 700, 5000, 20_000, 140_000, 1_000_000, 40_000_000])
def test_a_block_that_two_threads_free_at_once_is_told_in_one_line(
    size: int, compile_program: Compile, target: Target, library: Path
) -> None:
    program = compile_program("freed_at_once.c")
    for _ in range(10):
        ended = target.abort(program, str(size), on=library, SNUG_HARDEN="1")
        assert ended.stderr.count("\n") == 1, ended.stderr
        told, _, reason = ended.stderr.removeprefix("snugmalloc: 0x").partition(" ")
        assert int(told, 16) % 16 == 0 and int(told, 16) >> 47 == 0
        assert reason.strip() in (TWICE, FOREIGN)


@pytest.mark.parametrize("way", ["allocates", "leaves", "thread-allocates", "thread-leaves"])
@pytest.mark.parametrize("fault", ["foreign", "inside", "stack", "twice"])
@pytest.mark.parametrize("harden", ["0", "1"])
def test_a_handler_of_the_abort_may_allocate(
    harden: str, fault: str, way: str, compile_program: Compile, run: Run, library: Path
) -> None:
    program = compile_program("after_abort.c", "-Wno-free-nonheap-object")
    ended = run(program, fault, way, on=library, SNUG_HARDEN=harden)
    assert ended.stderr.startswith("snugmalloc: ") and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("setting", ["SNUG_HARDEN", "SNUG_FILL"])
def test_honest_programs_do_not_notice(
    setting: str, compile_program: Compile, run: Run, library: Path, checking_library: Path
) -> None:
    run(compile_program("stress.c"), "4", "20000", "9", "fork", on=library, **{setting: "1"})
    run(compile_program("stress.c"), "2", "2000", "9", on=checking_library, **{setting: "1"})
    run(sys.executable, "-c", "import json", on=library, PYTHONMALLOC="malloc", **{setting: "1"})


@pytest.mark.parametrize("size", [40, 700, 20000])
def test_filled_memory_shows_what_was_not_written_and_what_was_freed(
    size: int, compile_program: Compile, run: Run, library: Path
) -> None:
    ended = run(compile_program("filled.c"), str(size), on=library, SNUG_FILL="1")
    assert ended.stdout == "fresh a5, cleared 00, freed 5a\n"
