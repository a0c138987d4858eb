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


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a library of two layers, `below` and `front`, given as text, on the toy's machine."""

    def read_layers(front: str, below: str = "", **defines: int) -> Unit:
        shutil.copy(TOY / "machine.py", tmp_path)
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text('LAYERS = ("below", "front")\n')
        (folder / "below.py").write_text(below)
        (folder / "front.py").write_text(front)
        return read_library(tmp_path, "small", defines)

    return read_layers


@pytest.fixture
def refusals(read: Read, tmp_path: Path) -> Refuse:
    """What is refused in such a library, each as `file:line: what; what to write instead`."""

    def refused(front: str, below: str = "", **defines: int) -> list[str]:
        with pytest.raises(NotInLanguage) as caught:
            read(front, below, **defines)
        return [str(refusal).removeprefix(f"{tmp_path / 'small'}/") for refusal in caught.value.refusals]

    return refused


@pytest.fixture
def write(read: Read, tmp_path: Path) -> Write:
    """Writes the unit for such a library."""

    def write_layers(front: str, below: str = "", **defines: int) -> str:
        return write_unit(read(front, below, **defines), tmp_path)

    return write_layers


@pytest.fixture(scope="session")
def toy_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's library, compiled, with its C beside it."""
    return build_project(TOY, tmp_path_factory.mktemp("release"), "release") / "libtally.so"


@pytest.fixture(scope="session")
def toy_debug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with DEBUG = 1 and its lines."""
    return build_project(TOY, tmp_path_factory.mktemp("debug"), "debug") / "libtally.so"
