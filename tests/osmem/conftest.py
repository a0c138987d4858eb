"""libosmem.so and the C programs on it, for the tests of this folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..builds import build_library
from ..targets import Target
from .heaps import CompiledHeap, InterpretedHeap

HERE = Path(__file__).parent
INCLUDE = HERE.parents[1] / "src" / "snugmalloc" / "include"
Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def library() -> Path:
    """libosmem.so: of the environment variable SNUG_OSMEM_LIBRARY, else the installed one."""
    named = os.environ.get("SNUG_OSMEM_LIBRARY")
    if named:
        return Path(named)
    import snugmalloc

    return Path(snugmalloc.get_library("osmem"))


@pytest.fixture(scope="session")
def checking_library() -> Path:
    """libosmem.so that checks its invariants after every call."""
    return build_library("osmem", "debug")


@pytest.fixture(scope="session")
def compile_program(target: Target, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a C source of this folder to a program on libosmem.so, once a session for the same flags."""
    folder = tmp_path_factory.mktemp("programs")
    flags = [
        *target.compiler_flags,
        "-std=gnu11",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pthread",
        f"-I{INCLUDE}",
        f"-I{HERE / 'c'}",
    ]

    def compile_once(source: Path, *more: str) -> Path:
        program = folder / "-".join([source.parent.name, source.stem, *more])
        if not program.exists():
            paths = [f"-I{INCLUDE}", f"-I{HERE / 'c'}", f"-Wl,-rpath,{library.parent}"]
            gcc = f"{target.compiler_prefix}gcc"
            command = [gcc, *flags, *more, "-o", str(program), str(source), str(library), *paths]
            subprocess.run(command, check=True)
        return program

    return compile_once


@pytest.fixture
def interpreted() -> InterpretedHeap:
    """The interpreted engine on a fresh simulated machine."""
    return InterpretedHeap()


@pytest.fixture(scope="session")
def driver(compile_program: Compile) -> Path:
    """The program that plays calls on the compiled engine."""
    return compile_program(HERE / "c" / "driver.c")


@pytest.fixture
def compiled(driver: Path) -> Iterator[CompiledHeap]:
    """The compiled engine in a process of its own."""
    heap = CompiledHeap(driver)
    yield heap
    heap.close()
