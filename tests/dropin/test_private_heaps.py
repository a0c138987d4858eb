"""Private heaps: their rules, threads and forks in them, refusals, bad pointers, under every option."""

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


def test_freed_and_fresh_memory_is_filled(linked: LinkedProgram, run: Run, library: Path) -> None:
    run(linked("heaps.c", library), "filled", SNUG_FILL="1")
    run(linked("heaps.c", library), "filled", SNUG_FILL="1", SNUG_HARDEN="1")


@pytest.fixture(scope="session", params=["debug", "debug-16384", "debug-65536"])
def checking(request: pytest.FixtureRequest) -> Path:
    """A library that checks its invariants as it goes, on a machine with pages of each size."""
    return build_library("snugmalloc", request.param)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ALONE])
def test_all_invariants_hold(case: str, linked: LinkedProgram, run: Run, checking: Path) -> None:
    run(linked("heaps.c", checking), case, "1")


@pytest.mark.parametrize("case", ["shared", "many", "leaves"])
def test_all_invariants_hold_in_threads(case: str, linked: LinkedProgram, run: Run, checking: Path) -> None:
    run(linked("heap_threads.c", checking), case)


@pytest.mark.parametrize("how", ["calls", "addresses", "data"])
def test_all_invariants_hold_while_memory_is_refused(
    how: str, linked: LinkedProgram, run: Run, checking: Path
) -> None:
    run(linked("heap_refusals.c", checking), how, "5")


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


# ---- Refusals ----


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["calls", "addresses", "data"])
def test_refused_memory_is_an_answer(
    how: str, seed: int, linked: LinkedProgram, run: Run, library: Path
) -> None:
    run(linked("heap_refusals.c", library), how, str(seed))


# ---- Bad pointers ----

NOT_OF_HEAP = "is no block in use of this heap: freed twice, or from elsewhere"
TWICE = "is not in use: freed twice, or never allocated"
FOREIGN = "was not allocated here"
NO_HEAP = "is no heap of snug_heap_create: destroyed already, or never made"
FAULTS = {
    "other": NOT_OF_HEAP,
    "other-mapping": NOT_OF_HEAP,
    "other-realloc": NOT_OF_HEAP,
    "mallocs": NOT_OF_HEAP,
    "mallocs-mapping": NOT_OF_HEAP,
    "mallocs-realloc": NOT_OF_HEAP,
    "stack": NOT_OF_HEAP,
    "heap": NOT_OF_HEAP,
    "twice": TWICE,
    "twice-by-free": TWICE,
    "twice-paged": NOT_OF_HEAP,
    "twice-paged-by-free": TWICE,
    "twice-mapping": NOT_OF_HEAP,
    "twice-mapping-by-free": FOREIGN,  # it was unmapped at once
    "twice-realloc": TWICE,
    "twice-usable": TWICE,
    "odd": NOT_OF_HEAP,
    "odd-by-free": TWICE,
    "odd-realloc": NOT_OF_HEAP,
    "odd-usable": FOREIGN,
    "middle": TWICE,  # what stands in front of it reads as the tag of a free block
    "middle-by-free": TWICE,
    "middle-mapping": NOT_OF_HEAP,
    "middle-mapping-by-free": FOREIGN,
    "middle-mapping-realloc": FOREIGN,
    "page-of-mapping": NOT_OF_HEAP,
    "lost": NOT_OF_HEAP,
    "lost-by-free": FOREIGN,
    "lost-mapping-by-free": FOREIGN,
    "destroyed-twice": NO_HEAP,
    "destroyed-block": NO_HEAP,
}
HARDENED = {**FAULTS, "odd-by-free": FOREIGN, "overrun": "the tags around the block"}
LIBCS_TO_JUDGE = ("twice-mapping-by-free", "lost-by-free", "lost-mapping-by-free")
"""With SNUG_DISABLE=1 these pointers may be libc's."""


def told_by(fault: str, linked: LinkedProgram, target: Target, library: Path, **settings: str) -> str:
    """What a program with this fault tells as it is aborted: one line, without the pointer."""
    program = linked("heap_faults.c", library)
    stderr = target.abort(program, fault, **settings).stderr
    assert stderr.startswith("snugmalloc: ") and stderr.count("\n") == 1
    return stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_pointer_ends_the_program_with_one_line(
    fault: str, linked: LinkedProgram, target: Target, library: Path
) -> None:
    assert FAULTS[fault] in told_by(fault, linked, target, library)


@pytest.mark.parametrize("fault", HARDENED)
def test_so_it_does_where_all_is_looked_at_closely(
    fault: str, linked: LinkedProgram, target: Target, library: Path
) -> None:
    assert HARDENED[fault] in told_by(fault, linked, target, library, SNUG_HARDEN="1")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in LIBCS_TO_JUDGE])
def test_so_it_does_where_malloc_is_libcs(
    fault: str, linked: LinkedProgram, target: Target, library: Path
) -> None:
    assert FAULTS[fault] in told_by(fault, linked, target, library, SNUG_DISABLE="1")
