"""The source package holds all that the build needs; the wheel built from it, all that the user needs."""

from __future__ import annotations

import tomllib
import zipfile
from platform import machine

import pytest

from ..builds import ROOT
from ..conftest import WheelFor

SOURCES = ROOT / "src"
INSTALLED = {".py", ".pyi", ".pyx", ".pxd", ".h", ".typed", ".html"}


@pytest.fixture(scope="module")
def wheel(wheel_for: WheelFor) -> set[str]:
    """The names of the files in the wheel for this machine."""
    return set(zipfile.ZipFile(wheel_for(machine())).namelist())


def test_the_wheel_holds_every_source_of_the_package(wheel: set[str]) -> None:
    sources = (path for path in SOURCES.rglob("*") if path.suffix in INSTALLED)
    assert {path.relative_to(SOURCES).as_posix() for path in sources} <= wheel


def test_the_wheel_holds_the_libraries_and_the_extensions(wheel: set[str]) -> None:
    libraries = ("libosmem.so", "libsnugmalloc.so", "libsnug-run.so", "snug-launch", "snug-play")
    assert {f"snugmalloc/lib/{name}" for name in libraries} <= wheel
    assert {f"snugmalloc/{name}.abi3.so" for name in ("_osmem", "_replay")} <= wheel


def test_the_wheel_holds_nothing_that_only_the_build_needs(wheel: set[str]) -> None:
    assert {name.partition("/")[0].split("-")[0] for name in wheel} == {"snugcommand", "snugmalloc"}


def test_the_wheel_has_the_command_and_the_licence(wheel: set[str]) -> None:
    information = {name.partition("/")[2] for name in wheel if ".dist-info/" in name}
    assert {"entry_points.txt", "licenses/LICENSE"} <= information


def test_all_packages_name_the_same_authors() -> None:
    (author,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["authors"]
    name, address = author["name"], f"{author['name']} <{author['email']}>"
    assert f"\nMaintainer: {address}\n" in (ROOT / "debian" / "control").read_text()
    assert f"\n -- {address}  " in (ROOT / "debian" / "changelog").read_text()
    for file in (ROOT / "debian" / "copyright", ROOT / "LICENSE"):
        assert f"2026 {name}\n" in file.read_text()


def test_the_trace_comes_with_its_notice(wheel: set[str]) -> None:
    assert {f"snugmalloc/data/{name}" for name in ("systemui.zip", "NOTICE", "README.md")} <= wheel
