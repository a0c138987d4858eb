"""A toy engine to amalgamate and to compile, and small ones written by a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from amalgamation.emit import write_unit
from amalgamation.language import read_library
from amalgamation.model import NotInLanguage, Unit

from ..builds import build_project

TOY = Path(__file__).parent / "toy"

Read = Callable[..., Unit]
Refuse = Callable[..., list[str]]
Write = Callable[..., str]


def write_common(engine: Path, layers: tuple[str, str]) -> None:
    """Give the small library two layers of the shared folder."""
    (engine / "small" / "__init__.py").write_text('LAYERS = ("common.low", "common.high", "below", "front")\n')
    (engine / "common").mkdir(exist_ok=True)
    for name, text in zip(("low", "high"), layers, strict=True):
        (engine / "common" / f"{name}.py").write_text(text)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a library of two layers, `below` and `front`, given as text, on the toy's machine.

    With `common` there are `common.low` and `common.high`, too, below both.
    """

    def read_layers(front: str, below: str = "", common: tuple[str, str] | None = None, **defines: int) -> Unit:
        shutil.copy(TOY / "machine.py", tmp_path)
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text('LAYERS = ("below", "front")\n')
        (folder / "below.py").write_text(below)
        (folder / "front.py").write_text(front)
        if common:
            write_common(tmp_path, common)
        return read_library(tmp_path, "small", defines)

    return read_layers


@pytest.fixture
def refusals(read: Read, tmp_path: Path) -> Refuse:
    """What is refused in such a library, each as `file:line: what; what to write instead`."""

    def refused(
        front: str, below: str = "", common: tuple[str, str] | None = None, **defines: int
    ) -> list[str]:
        with pytest.raises(NotInLanguage) as caught:
            read(front, below, common, **defines)
        told = map(str, caught.value.refusals)
        return [text.removeprefix(f"{tmp_path}/").removeprefix("small/") for text in told]

    return refused


@pytest.fixture
def write(read: Read, tmp_path: Path) -> Write:
    """Writes the unit for such a library."""

    def write_layers(front: str, below: str = "", common: tuple[str, str] | None = None, **defines: int) -> str:
        return write_unit(read(front, below, common, **defines), tmp_path)

    return write_layers


@pytest.fixture(scope="session")
def toy_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's library, compiled, with its C beside it."""
    return build_project(TOY, tmp_path_factory.mktemp("release"), "release") / "libtally.so"


@pytest.fixture(scope="session")
def toy_debug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with DEBUG = 1 and its lines."""
    return build_project(TOY, tmp_path_factory.mktemp("debug"), "debug") / "libtally.so"
