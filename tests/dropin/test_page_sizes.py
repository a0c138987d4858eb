"""The compiled library on a machine with larger pages: no call is about a part of one, all else is the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ..builds import build_library
from ..targets import Run
from .conftest import Compile
from .heaps import CompiledHeap, Model
from .test_engine import play
from .test_stress import MODES


@pytest.fixture(scope="session", params=["16384", "65536"])
def library_of_pages(request: pytest.FixtureRequest) -> Path:
    """A checking build that sees larger pages, and ends at the first misaligned call."""
    return build_library("snugmalloc", "debug-16384" if request.param == "16384" else "debug-65536")


def test_the_family_keeps_its_rules(compile_program: Compile, run: Run, library_of_pages: Path) -> None:
    run(compile_program("family.c"), on=library_of_pages)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode) or "plain")
def test_the_stress_passes(
    mode: Sequence[str], compile_program: Compile, run: Run, library_of_pages: Path
) -> None:
    run(compile_program("stress.c"), "3", "3000", "13", *mode, on=library_of_pages)


def test_a_limit_is_a_refusal(compile_program: Compile, run: Run, library_of_pages: Path) -> None:
    run(compile_program("stress.c"), "2", "5000", "5", "tolerant", on=library_of_pages, SNUG_LIMIT="4M")


@pytest.mark.parametrize("size", ["200", "20480", "40960"])
def test_memory_goes_back(size: str, compile_program: Compile, run: Run, library_of_pages: Path) -> None:
    run(compile_program("given_back.c"), "malloc", size, "100", on=library_of_pages, SNUG_PURGE_DELAY="0")


@pytest.mark.parametrize("way", ["calloc", "realloc", "aligned"])
def test_large_blocks_are_zero(way: str, compile_program: Compile, run: Run, library_of_pages: Path) -> None:
    run(compile_program("sparse.c"), "40", way, on=library_of_pages)


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_agree_with_the_model(seed: int, library_of_pages: Path) -> None:
    play(Model(CompiledHeap(library_of_pages), seed), 1000, 200)


def test_blocks_of_whole_pages_have_whole_ones(library_of_pages: Path) -> None:
    heap = CompiledHeap(library_of_pages)
    page = int(library_of_pages.parent.name.removeprefix("debug-"))
    for size in (140_000, 1_000_001, 40_000_000):
        block = heap.malloc(size)
        assert block % page == 0 and heap.usable(block) + 16 >= -(-size // page) * page
        heap.free(block)
