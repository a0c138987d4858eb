"""The source package holds all that the build needs; the wheel built from it, all that the user needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ..builds import ROOT

SOURCES = ROOT / "src"
INSTALLED = {".py", ".pyi", ".pyx", ".pxd", ".h", ".typed"}


@pytest.fixture(scope="module")
def source_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    make = f"from scikit_build_core.build import build_sdist; build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", make], cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel_file(source_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is made of it."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.unpack_archive(source_package, folder)
    (sources,) = folder.iterdir()
    make = f"from scikit_build_core.build import build_wheel; build_wheel({str(folder)!r})"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-c", make], cwd=sources, env=environment, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> set[str]:
    """The names of the files in the wheel."""
    return set(zipfile.ZipFile(wheel_file).namelist())


def test_the_wheel_holds_every_source_of_the_package(wheel: set[str]) -> None:
    sources = (path for path in SOURCES.rglob("*") if path.suffix in INSTALLED)
    assert {path.relative_to(SOURCES).as_posix() for path in sources} <= wheel


def test_the_wheel_holds_the_libraries_and_the_extensions(wheel: set[str]) -> None:
    assert "snugmalloc/lib/libosmem.so" in wheel
    assert {name[1] for name in map(re.compile(r"snugmalloc/(\w+)\.cpython.*\.so").match, wheel) if name} >= {
        "_osmem",
        "_replay",
    }


def test_the_wheel_holds_nothing_that_only_the_build_needs(wheel: set[str]) -> None:
    assert {name.partition("/")[0].split("-")[0] for name in wheel} == {"snugcommand", "snugmalloc"}


def test_the_wheel_has_the_command_and_the_licence(wheel: set[str]) -> None:
    information = {name.partition("/")[2] for name in wheel if ".dist-info/" in name}
    assert {"entry_points.txt", "licenses/LICENSE"} <= information


def test_the_trace_comes_with_its_notice(wheel: set[str]) -> None:
    assert {f"snugmalloc/data/{name}" for name in ("systemui.zip", "NOTICE", "README.md")} <= wheel


def test_the_demo_runs_from_the_wheel_alone(wheel_file: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel_file).extractall(tmp_path)
    code = "import snugmalloc; print(snugmalloc.__file__); from snugmalloc.cli import main; main(['demo'])"
    # Without `site` an editable installation of the package does not stand in front of the wheel's files.
    demo = [sys.executable, "-S", "-c", code]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{sysconfig.get_path('purelib')}"}
    outcome = subprocess.run(demo, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(str(tmp_path))
    assert "calls per second" in outcome.stdout
