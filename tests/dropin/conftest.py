"""libsnugmalloc.so, as shipped and with all its checks, and programs that run on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine

from ..builds import build_library
from .heaps import InterpretedHeap

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
TOO_LONG = 120  # seconds: a program that takes longer hangs

Compile = Callable[..., Path]


class Run(Protocol):
    """Runs a program to its end; fails the test if it does not end with status 0."""

    def __call__(
        self, program: str | Path, *arguments: str, on: Path | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]: ...


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
def compile_program(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a source of this folder, once a session for the same flags."""
    folder = tmp_path_factory.mktemp("programs")

    def compile_once(name: str, *flags: str | Path) -> Path:
        source = SOURCES / name
        program = folder / "-".join([source.stem, *(Path(flag).name for flag in flags)])
        if not program.exists():
            compiler = ["g++", "-std=c++17"] if source.suffix == ".cpp" else ["gcc", "-std=gnu17"]
            subprocess.run([*compiler, *FLAGS, "-o", program, source, *flags], check=True)
        return program

    return compile_once


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a program on the malloc that is preloaded `on`, with `settings` in its environment."""

    def run_once(
        program: str | Path, *arguments: str, on: Path | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **settings, "LD_PRELOAD": str(on) if on else ""}
        command = [str(program), *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TOO_LONG)
        assert ended.returncode == 0, f"{command} on {on}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended

    return run_once


@pytest.fixture(params=[4096, 16384, 65536], ids=lambda page: f"{page // 1024}K")
def machine(request: pytest.FixtureRequest) -> SimulatedMachine:
    """A simulated machine, with pages of each size in turn."""
    return SimulatedMachine(page=request.param)


@pytest.fixture
def heap(machine: SimulatedMachine) -> InterpretedHeap:
    """The interpreted engine on that machine."""
    return InterpretedHeap(machine)
