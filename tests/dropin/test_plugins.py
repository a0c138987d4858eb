"""Plug-ins opened with RTLD_DEEPBIND find the program's malloc, by the way that the real dlopen would take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ..targets import Run, Target
from .conftest import FLAGS, SOURCES, Compile

HOW = ("plain", "deep", "m-plain", "m-deep", "apart")


@pytest.fixture(scope="session")
def program(target: Target, compile_program: Compile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`deepbind.c` with its library, whose RUNPATH alone leads to the plug-in."""
    folder = tmp_path_factory.mktemp("plugins")
    private = folder / "private"
    private.mkdir()
    build = [f"{target.compiler_prefix}gcc", *FLAGS, "-shared", "-fPIC"]
    subprocess.run([*build, "-o", private / "libplugin.so", SOURCES / "plugin.c"], check=True)
    paths = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/private"
    subprocess.run([*build, "-o", folder / "libopener.so", SOURCES / "opener.c", paths, "-ldl"], check=True)
    own_paths = f"-Wl,--enable-new-dtags,-rpath,{folder}"
    return compile_program("deepbind.c", folder / "libopener.so", own_paths, "-ldl")


@pytest.mark.parametrize("how", HOW)
def test_the_expectation_holds_without_the_library(how: str, program: Path, run: Run) -> None:
    run(program, how, "0" if how == "apart" else "1", **({} if how == "apart" else {"MIXED": "1"}))


@pytest.mark.parametrize("how", HOW)
def test_plugins_find_the_programs_malloc(how: str, program: Path, run: Run, library: Path) -> None:
    run(program, how, "0" if how == "apart" else "1", on=library, MIXED="1")


@pytest.mark.parametrize("how", HOW)
def test_so_they_do_in_the_debug_build(how: str, program: Path, run: Run, checking_library: Path) -> None:
    run(program, how, "0" if how == "apart" else "1", on=checking_library, MIXED="1")


@pytest.mark.parametrize("how", HOW)
def test_an_option_leaves_the_flag(how: str, program: Path, run: Run, library: Path) -> None:
    run(program, how, "1" if how.endswith("plain") else "0", on=library, SNUG_DEEPBIND="1")


@pytest.mark.parametrize("how", HOW)
def test_a_process_that_is_off_leaves_it_too_and_blocks_go_back_and_forth(
    how: str, program: Path, run: Run, library: Path
) -> None:
    same = "1" if how.endswith("plain") else "0"
    run(program, how, same, on=library, SNUG_DISABLE="1", **({} if how == "apart" else {"MIXED": "1"}))
