"""C programs on libosmem.so that check themselves: alone, in the hardened mode, and under valgrind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ..targets import Run
from .conftest import HERE, Compile

CHECKS = sorted((HERE / "c" / "checks").glob("*.c"))
TRACES = sorted((HERE / "c" / "traces").glob("*.c"))
LEAKS = [
    "--leak-check=full",
    "--show-leak-kinds=definite,indirect",
    "--errors-for-leak-kinds=definite,indirect",
]
MEMCHECK = ["valgrind", "--error-exitcode=9", "--child-silent-after-fork=yes", *LEAKS]


def name_of(source: Path) -> str:
    return source.stem


@pytest.mark.parametrize("harden", ["0", "1"])
@pytest.mark.parametrize("source", CHECKS, ids=name_of)
def test_a_program_finds_what_it_expects(source: Path, harden: str, compile_program: Compile, run: Run) -> None:
    run(compile_program(source), SNUG_HARDEN=harden)


@pytest.mark.parametrize("source", CHECKS + TRACES, ids=name_of)
def test_valgrind_finds_nothing(source: Path, compile_program: Compile) -> None:
    run = subprocess.run([*MEMCHECK, compile_program(source)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("source", CHECKS, ids=name_of)
def test_every_invariant_holds_after_every_call(
    source: Path, compile_program: Compile, run: Run, checking_library: Path
) -> None:
    """The debug build checks the whole heap before it returns; the loader finds it first."""
    run(compile_program(source), LD_LIBRARY_PATH=str(checking_library.parent))
