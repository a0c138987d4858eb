"""The generated C under gcc's sanitizers: nothing undefined is done, no byte beside a variable is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import snugmalloc

from ..builds import build_library
from ..targets import Run, Target
from .conftest import Compile
from .fuzzing import LINKED
from .test_family import GLIBC_ONLY, GROUPS
from .test_hardened import FAULTS
from .test_stress import MODES

PROGRAMS = ("family.c", "operators.cpp", "edges.c", "short_threads.c", "fork_handlers.c", "beside_break.c")


@pytest.fixture(scope="session")
def trapping_library() -> Path:
    """libsnugmalloc.so with a trap wherever C does not define what happens."""
    return build_library("snugmalloc", "undefined")


@pytest.mark.parametrize("harden", ["0", "1"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_undefined_is_done(
    name: str, harden: str, compile_program: Compile, run: Run, trapping_library: Path
) -> None:
    run(compile_program(name), on=trapping_library, SNUG_HARDEN=harden)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode) or "plain")
def test_nor_by_threads_that_free_each_others_blocks(
    mode: Sequence[str], compile_program: Compile, run: Run, trapping_library: Path
) -> None:
    run(compile_program("stress.c"), "4", "20000", "13", *mode, on=trapping_library)


@pytest.mark.parametrize("seed", range(400, 415))
def test_nor_by_random_calls(seed: int, compile_program: Compile, run: Run, trapping_library: Path) -> None:
    run(compile_program("fuzz.c", *LINKED), str(seed), "10000", on=trapping_library)


@pytest.mark.parametrize("fault", FAULTS)
def test_nor_where_the_program_does(
    fault: str, compile_program: Compile, target: Target, trapping_library: Path
) -> None:
    program = compile_program("faults.c", "-Wno-free-nonheap-object", "-Wno-stringop-overflow")
    ended = target.abort(program, fault, on=trapping_library, SNUG_HARDEN="1")
    assert FAULTS[fault] in ended.stderr


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in GLIBC_ONLY])
def test_beside_a_malloc_that_watches_no_byte_beside_a_variable_is_touched(
    group: str, compile_program: Compile, run: Run
) -> None:
    library = build_library("snugmalloc", "address")
    flags = ("-fsanitize=address", "-DTWINS", "-I", snugmalloc.get_include(), library)
    run(compile_program("family.c", *flags, f"-Wl,-rpath,{library.parent}"), group)
