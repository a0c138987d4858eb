"""Every function of the malloc family against its manual page, on the system's malloc and on ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import snugmalloc

from ..targets import Run
from .conftest import SOURCES, Compile

GROUPS = re.findall(r"^    GROUP\((\w+)\)", (SOURCES / "family.c").read_text(), re.MULTILINE)
GLIBC_ONLY = ("mallinfo_follows_what_is_live", "malloc_info_writes_xml")  # have no twins


@pytest.mark.parametrize("group", GROUPS)
def test_the_expectation_holds_on_the_systems_malloc(group: str, compile_program: Compile, run: Run) -> None:
    run(compile_program("family.c"), group)


@pytest.mark.parametrize("group", GROUPS)
def test_the_expectation_holds_under_preload(
    group: str, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("family.c"), group, on=library)


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in GLIBC_ONLY])
def test_the_twins_keep_the_same_rules(group: str, compile_program: Compile, run: Run, library: Path) -> None:
    include = f"-I{snugmalloc.get_include()}"
    program = compile_program("family.c", "-DTWINS", include, library, f"-Wl,-rpath,{library.parent}")
    run(program, group)


def test_the_family_holds_with_every_invariant_checked(
    compile_program: Compile, run: Run, checking_library: Path
) -> None:
    run(compile_program("family.c"), on=checking_library)


def test_operators_new_and_delete_hold_on_the_systems_malloc(compile_program: Compile, run: Run) -> None:
    run(compile_program("operators.cpp"))


def test_operators_new_and_delete_hold_under_preload(compile_program: Compile, run: Run, library: Path) -> None:
    run(compile_program("operators.cpp"), on=library)


def test_operators_work_in_a_program_linked_to_the_library(
    compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("operators.cpp", library, f"-Wl,-rpath,{library.parent}"))


def test_small_alignment_is_kept_where_it_was_asked_for(
    compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("family.c"), "blocks_are_aligned_usable_and_apart", on=library, SNUG_ALIGN="8")
