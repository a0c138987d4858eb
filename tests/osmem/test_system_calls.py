"""The system calls of C programs on libosmem.so, as strace sees them, against what their comments say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from snugmalloc.engine.simulated import SystemCall

from .conftest import HERE, Compile
from .notation import Notation

TRACES = sorted((HERE / "c" / "traces").glob("*.c"))
EXPECTED = re.compile(r".*\b(STEP|FREE)\(.*// ?(= (?P<result>\S+))? ?(?P<calls>.*)")
SEEN = [
    re.compile(r"(?P<name>brk)\((?P<first>NULL|0x\w+)\) += (?P<result>0x\w+)"),
    re.compile(
        r"(?P<name>mmap)\(NULL, (?P<first>\d+), PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\)"
        r" += (?P<result>0x\w+)"
    ),
    re.compile(r"(?P<name>munmap)\((?P<first>0x\w+), (?P<second>\d+)\) += (?P<result>0)"),
]
BEFORE = re.compile(r"munmap\(0x1, (\d+)\)")
AFTER = re.compile(r"munmap\(0x3, (\d+)\)")


class Step(NamedTuple):
    """A STEP of a program: its line in the source, the system calls in it, its result."""

    line: int
    calls: list[SystemCall]
    result: int


def steps_of(log: str) -> Iterator[Step]:
    """The steps in strace's output, in order; whatever is between them is not ours."""
    line = 0
    calls: list[SystemCall] = []
    for text in log.splitlines():
        if before := BEFORE.match(text):
            line, calls = int(before[1]), []
        elif after := AFTER.match(text):
            yield Step(line, calls, int(after[1]))
            line = 0
        elif line:
            calls.append(system_call(text))


def system_call(text: str) -> SystemCall:
    """A line of strace's output; one that is none of the three calls, or has other flags, is an error."""
    seen = next(filter(None, (pattern.fullmatch(text) for pattern in SEEN)), None)
    assert seen is not None, text
    fields = seen.groupdict()
    arguments = [int(fields[name], 0) for name in ("first", "second") if fields.get(name, "NULL") != "NULL"]
    return SystemCall(fields["name"], tuple(arguments) or (0,), int(fields["result"], 0))


def traced(program: Path, log: Path) -> str:
    """Run the program under strace; all its system calls."""
    subprocess.run(["strace", "-o", str(log), str(program)], check=True)
    return log.read_text()


def seen_in(log: str) -> dict[int, tuple[str, list[str]]]:
    """Result and system calls by source line, as the specification writes them."""
    notation, seen = Notation(), {}
    for step in steps_of(log):
        calls = notation.system_calls(step.calls)
        seen[step.line] = notation.address(step.result), calls
    return seen


def expected_of(source: Path) -> dict[int, tuple[str | None, list[str]]]:
    """What the comments behind the steps say, by source line."""
    expected = {}
    for number, text in enumerate(source.read_text().splitlines(), 1):
        if "STEP(" in text or "FREE(" in text:
            comment = EXPECTED.fullmatch(text)
            assert comment is not None, f"{source.name}:{number} does not say what must be seen"
            expected[number] = comment["result"], comment["calls"].split()
    return expected


@pytest.mark.parametrize("source", TRACES, ids=lambda source: source.stem)
def test_a_program_makes_the_system_calls_it_says(
    source: Path, compile_program: Compile, tmp_path: Path
) -> None:
    seen = seen_in(traced(compile_program(source), tmp_path / "log"))
    expected = expected_of(source)
    assert seen.keys() == expected.keys()
    for line, (result, calls) in expected.items():
        assert seen[line] == (result or seen[line][0], calls), f"{source.name}:{line}"
