"""libsnugmalloc.so, as shipped and with all its checks, and the programs of the tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine

from ..builds import build_library
from ..targets import Target
from .heaps import INTERPRETED, InterpretedHeap

SOURCES = Path(__file__).parent / "c"
FLAGS = [
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-builtin",
    "-pthread",
    "-Wno-use-after-free",
    "-Wno-address",
]
Compile = Callable[..., Path]
Make = Callable[..., InterpretedHeap]


def numbers(ended: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """What a program told: a name and a number in each line."""
    return {name: int(number) for name, number in (line.split() for line in ended.stdout.splitlines())}


@pytest.fixture(scope="session")
def library() -> Path:
    """libsnugmalloc.so of the installed package."""
    return Path(snugmalloc.get_library("snugmalloc"))


@pytest.fixture(scope="session")
def checking_library() -> Path:
    """libsnugmalloc.so that checks its invariants as it goes."""
    return build_library("snugmalloc", "debug")


@pytest.fixture(scope="session")
def compile_program(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a source of this folder, once a session for the same flags."""
    folder = tmp_path_factory.mktemp("programs")

    def compile_once(name: str, *flags: str | Path) -> Path:
        source = SOURCES / name
        program = folder / "-".join([source.stem, *(Path(flag).name for flag in flags)])
        if not program.exists():
            compiler, standard = ("g++", "c++17") if source.suffix == ".cpp" else ("gcc", "gnu17")
            command = [f"{target.compiler_prefix}{compiler}", f"-std={standard}"]
            subprocess.run(
                [*command, *FLAGS, *target.compiler_flags, "-o", program, source, *flags], check=True
            )
        return program

    return compile_once


@pytest.fixture(scope="session")
def held_up(compile_program: Compile) -> Path:
    """A library to preload, with which each call that gives memory back is held up."""
    return compile_program("held_up.c", "-shared", "-fPIC")


@pytest.fixture(params=[4096, 16384, 65536], ids=lambda page: f"{page // 1024}K")
def machine(request: pytest.FixtureRequest) -> SimulatedMachine:
    """A simulated machine, with pages of each size in turn."""
    return SimulatedMachine(page=request.param)


@pytest.fixture
def heap(machine: SimulatedMachine) -> InterpretedHeap:
    """The interpreted engine on that machine."""
    return InterpretedHeap(machine)


@pytest.fixture(params=INTERPRETED)
def make_heap(request: pytest.FixtureRequest) -> Make:
    """Makes a heap of each kind in turn, given a machine and constants."""
    return INTERPRETED[request.param]


@pytest.fixture
def any_heap(machine: SimulatedMachine, make_heap: Make) -> InterpretedHeap:
    """The interpreted engine's heap of each kind, on that machine."""
    return make_heap(machine)
