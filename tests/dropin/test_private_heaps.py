"""Private heaps: their rules, threads and forks in them, refusals, bad pointers, and what each option does to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import snugmalloc

from ..builds import build_library
from ..targets import Run, Target
from .conftest import Compile

CASES = (
    "sizes",
    "impossible",
    "cleared",
    "aligned",
    "resizing",
    "apart",
    "limited",
    "looked_at",
    "given_back",
    "dropped",
)
ALONE = ("given_back", "dropped", "looked_at")
"""Cases about what is resident and when: with options that change that they do not hold."""
SETTINGS: tuple[dict[str, str], ...] = (
    {"SNUG_HARDEN": "1"},
    {"SNUG_FILL": "1"},
    {"SNUG_STATS": "1"},
    {"SNUG_DISABLE": "1"},
    {"SNUG_PURGE_DELAY": "0"},
    {"SNUG_MMAP_THRESHOLD": "20K"},
    {"SNUG_LIMIT": "1M"},
    {"SNUG_PREALLOC": "1G"},
)
LinkedProgram = Callable[[str, Path], Path]


@pytest.fixture(scope="session")
def linked(compile_program: Compile) -> LinkedProgram:
    """Compiles a program that calls the functions of snugmalloc.h in a library."""

    def compile_linked(name: str, library: Path) -> Path:
        include = f"-I{snugmalloc.get_include()}"
        return compile_program(name, include, library, f"-Wl,-rpath,{library.parent}")

    return compile_linked


@pytest.mark.parametrize("case", CASES)
def test_private_heaps_keep_their_rules(case: str, linked: LinkedProgram, run: Run, library: Path) -> None:
    run(linked("heaps.c", library), case)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "".join(settings))
@pytest.mark.parametrize("case", [case for case in CASES if case not in ALONE])
def test_whatever_option_is_set(
    case: str, settings: dict[str, str], linked: LinkedProgram, run: Run, library: Path
) -> None:
    run(linked("heaps.c", library), case, **settings)


# ---- Threads and forks ----


@pytest.mark.parametrize("case", ["shared", "many", "leaves", "fork"])
def test_threads_make_use_and_destroy_heaps(case: str, linked: LinkedProgram, run: Run, library: Path) -> None:
    run(linked("heap_threads.c", library), case)


@pytest.mark.parametrize("settings", SETTINGS[:5], ids=lambda settings: "".join(settings))
@pytest.mark.parametrize("case", ["shared", "many"])
def test_so_they_do_whatever_option_is_set(
    case: str, settings: dict[str, str], linked: LinkedProgram, run: Run, library: Path
) -> None:
    run(linked("heap_threads.c", library), case, **settings)
