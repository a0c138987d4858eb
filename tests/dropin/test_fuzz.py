"""Random calls under random refusals: some seeds on each build, and that faults which are planted are found."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import snugmalloc

from ..targets import Run
from .conftest import Compile
from .fuzzing import LINKED, main

PLANTED = (
    "usable",
    "uncleared",
    "unaligned",
    "copied",
    "given_twice",
    "refused",
    "errno",
    "elsewhere",
    "unlimited",
)
ENOUGH = 12
"""Seeds within which a planted fault is found; most are by the first."""
FOUND = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGILL, -signal.SIGBUS, 1}


@pytest.fixture(scope="session")
def fuzzer(compile_program: Compile) -> Path:
    """The program."""
    return compile_program("fuzz.c", *LINKED)


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_systems_malloc_passes(seed: int, fuzzer: Path, run: Run) -> None:
    run(fuzzer, str(seed), "10000")


@pytest.mark.parametrize("seed", range(100, 140))
def test_random_calls_find_nothing(seed: int, fuzzer: Path, run: Run, library: Path) -> None:
    ended = run(fuzzer, str(seed), "20000", on=library)
    assert ended.stderr == ""


@pytest.mark.parametrize("seed", range(200, 220))
def test_random_calls_find_nothing_while_all_is_checked(
    seed: int, fuzzer: Path, run: Run, checking_library: Path
) -> None:
    ended = run(fuzzer, str(seed), "8000", on=checking_library)
    assert ended.stderr == ""


def test_the_same_seed_is_the_same_run(fuzzer: Path, run: Run, library: Path) -> None:
    for seed in range(300, 400):
        head = run(fuzzer, str(seed), "1", on=library).stdout
        if (
            ": 1 threads" in head
            and ", refusals" in head
            and not re.search("BACKGROUND|, forks| 0 heaps", head)
        ):
            break
    traces = [
        re.sub("0x[0-9a-f]+", "", run(fuzzer, str(seed), "3000", "trace", on=library).stderr) for _ in range(2)
    ]
    assert traces[0] == traces[1]
    assert traces[0].count("\n") > 1000


@pytest.fixture
def plant(compile_program: Compile, library: Path) -> Callable[[str], str]:
    """Gives what to preload for a malloc with this fault."""
    flags = ("-I", snugmalloc.get_include(), "-shared", "-fPIC", library)

    def plant_fault(fault: str) -> str:
        planted = compile_program("planted.c", f'-DPLANTED="{fault}"', *flags)
        return f"{planted}:{library}"

    return plant_fault


def test_a_malloc_without_a_fault_passes(plant: Callable[[str], str], fuzzer: Path, run: Run) -> None:
    for seed in range(1, 4):
        run(fuzzer, str(seed), "20000", on=plant("nothing"))


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str, plant: Callable[[str], str], fuzzer: Path) -> None:
    environment = {**os.environ, "LD_PRELOAD": plant(fault)}
    for seed in range(1, ENOUGH + 1):
        ended = subprocess.run(
            [fuzzer, str(seed), "20000"], env=environment, capture_output=True, text=True, timeout=600
        )
        if ended.returncode:
            break
    assert ended.returncode in FOUND
    assert f"fuzz {seed} 20000: thread " in ended.stderr


def test_seeds_are_tried_until_time_is_up() -> None:
    ended = CliRunner().invoke(main, ["--minutes", "0.02", "--seed", "7", "--steps", "100"])
    assert re.fullmatch(r"[1-9]\d* seeds from 7 on, 100 steps each: nothing found\n", ended.output)
