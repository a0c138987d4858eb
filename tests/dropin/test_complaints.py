"""What is wrong in the environment is reported once: by the first process with the entry and the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from snugmalloc.engine import SimulatedMachine

from ..targets import Run
from .heaps import InterpretedHeap

UNKNOWN = "snugmalloc: no such option, ignored: SNUG_NOSUCH=1\n"
MALFORMED = "snugmalloc: not a value of this option, ignored: SNUG_LIMIT=much\n"
WRONG = [("SNUG_NOSUCH", "1", UNKNOWN), ("SNUG_LIMIT", "much", MALFORMED)]
TREE = "ls /dev/null; sh -c 'ls /dev/null; ls /dev/null | cat; (ls /dev/null; ls /dev/null)'; true"


@pytest.mark.parametrize(("name", "value", "line"), WRONG)
def test_a_tree_of_processes_tells_it_once(name: str, value: str, line: str, run: Run, library: Path) -> None:
    assert run("bash", "-c", TREE, on=library, **{name: value}).stderr == line


@pytest.mark.parametrize(("name", "value", "line"), WRONG)
def test_what_the_parent_did_not_have_is_told(
    name: str, value: str, line: str, run: Run, library: Path
) -> None:
    script = f"ls /dev/null; {name}={value} bash -c {TREE!r}; ls /dev/null"
    assert run("bash", "-c", script, on=library).stderr == line


def test_another_value_than_the_parents_is_told(run: Run, library: Path) -> None:
    script = "SNUG_NOSUCH=1 ls /dev/null; SNUG_NOSUCH=12 ls /dev/null; true"
    assert run("bash", "-c", script, on=library, SNUG_NOSUCH="1").stderr == UNKNOWN + UNKNOWN.replace("1", "12")


@pytest.mark.parametrize(("name", "value", "line"), WRONG)
def test_a_parent_without_the_library_has_told_nothing(
    name: str, value: str, line: str, run: Run, library: Path
) -> None:
    script = f"LD_PRELOAD={library} ls /dev/null; LD_PRELOAD={library} bash -c {TREE!r}"
    assert run("bash", "-c", script, **{name: value}).stderr == 2 * line


def test_a_long_entry_is_told_once(run: Run, library: Path) -> None:
    stderr = run("bash", "-c", TREE, on=library, SNUG_NOSUCH="x" * 50_000).stderr
    assert stderr.count("snugmalloc: no such option") == 1


@pytest.mark.parametrize("told", [True, False])
def test_the_engine_asks_the_machine(told: bool) -> None:
    machine = SimulatedMachine(environment={b"SNUG_NOSUCH": b"1", b"SNUG_CANARY": b"x", b"SNUG_EXCEPT": b"/"})
    if told:
        machine.parent_told = {name + b"=" + value for name, value in machine.environment.items()}
    InterpretedHeap(machine).malloc(1)
    assert len(machine.warnings) == (0 if told else 3)
