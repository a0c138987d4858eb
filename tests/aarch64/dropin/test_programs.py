"""Real programs for aarch64 do the same on the drop-in malloc; pip gets them, as they come in wheels."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from snugmalloc.launch.run_report import read_reports

from ...builds import BUILD
from ...dropin.conftest import SOURCES
from ...targets import Run
from .test_dropin import SHIPPED

CMAKE_SCRIPT = """
set(words)
foreach(number RANGE 3000)
  math(EXPR key "(${number} * 7919) % 3001")
  string(SHA256 word "${key}")
  list(APPEND words "${word}")
endforeach()
list(SORT words)
list(REMOVE_DUPLICATES words)
list(JOIN words "," text)
string(REGEX REPLACE "[0-4]+" "-" text "${text}")
string(SHA256 digest "${text}")
message(STATUS "${digest}")
"""


@pytest.fixture(scope="session")
def programs() -> Path:
    """A folder with the contents of two wheels for aarch64, downloaded once."""
    folder = BUILD / "aarch64-programs"
    if not folder.exists():
        wheels = folder.with_suffix(".wheels")
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 28)]
        options = ["--quiet", "--no-deps", "--only-binary=:all:", *platforms, "--dest", str(wheels)]
        names = ["cmake", "clang-format"]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, *names], check=True)
        for wheel in wheels.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder.with_suffix(".unpacked"))
        folder.with_suffix(".unpacked").rename(folder)
    for program in folder.glob("*/data/bin/*"):
        program.chmod(0o755)
    return folder


@pytest.fixture(params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> Path:
    """Each build of the library that is handed out; beside it lies libsnug-run.so."""
    library: Path = request.getfixturevalue(request.param)
    return library


def same(command: list[str], run: Run, library: Path, folder: Path) -> str:
    """Run the command without and with the library, and have that report whether malloc came from it.

    Returns what the command prints.
    """
    plain = run(*command)
    preload = f"{library}:{library.with_name('libsnug-run.so')}"
    ours = run(*command, on=preload, _SNUG_RUN_REPORT=str(folder))
    assert (ours.stdout, ours.stderr) == (plain.stdout, plain.stderr)
    (report,) = read_reports(folder).values()
    assert report.is_on(str(library)) and report.heap
    return ours.stdout


def test_cmake_computes_the_same(programs: Path, run: Run, shipped: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.cmake"
    script.write_text(CMAKE_SCRIPT)
    folder = tmp_path / "reports"
    folder.mkdir()
    same([str(programs / "cmake/data/bin/cmake"), "-P", str(script)], run, shipped, folder)


def test_clang_format_writes_the_same(programs: Path, run: Run, shipped: Path, tmp_path: Path) -> None:
    sources = sorted(map(str, SOURCES.glob("*.c")))
    written = same([str(programs / "clang_format/data/bin/clang-format"), *sources], run, shipped, tmp_path)
    assert "int main" in written
