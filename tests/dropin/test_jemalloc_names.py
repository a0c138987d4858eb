"""Programs that call jemalloc by its own names beside malloc: they get blocks of one allocator."""

from __future__ import annotations

from pathlib import Path

import pytest

from snugmalloc.launch.allocators import AllocatorError, find_allocators

from ..targets import Run
from .conftest import Compile

NAME = "jemalloc_names.c"
SETTINGS: tuple[dict[str, str], ...] = (
    {},
    {"SNUG_HARDEN": "1"},
    {"SNUG_FILL": "1"},
    {"SNUG_DISABLE": "1"},
    {"SNUG_MMAP_THRESHOLD": "20K"},
)


@pytest.fixture(scope="session")
def jemalloc() -> Path:
    """The library of the system."""
    try:
        (found,) = find_allocators(["jemalloc"])
    except AllocatorError as error:
        pytest.fail(f"{error}: apt-get install libjemalloc2")
    assert found.path is not None
    return found.path


def test_the_expectation_holds_on_jemalloc(compile_program: Compile, run: Run, jemalloc: Path) -> None:
    run(compile_program(NAME, jemalloc))


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "".join(settings) or "plain")
def test_a_program_that_is_linked_to_jemalloc_keeps_it_under_preload(
    settings: dict[str, str], compile_program: Compile, run: Run, jemalloc: Path, library: Path
) -> None:
    run(compile_program(NAME, jemalloc), on=library, **settings)


def test_so_does_one_that_looks_for_the_names(compile_program: Compile, run: Run, library: Path) -> None:
    run(compile_program(NAME), on=library)


def test_all_invariants_hold(compile_program: Compile, run: Run, checking_library: Path) -> None:
    run(compile_program(NAME), on=checking_library)
