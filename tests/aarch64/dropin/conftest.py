"""libsnugmalloc.so for aarch64: cross-compiled by gcc, with all its checks, and from the wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ...builds import build_library
from ...conftest import WheelFor
from ...dropin.conftest import compile_program
from ...targets import Target

__all__ = ["compile_program"]  # defined again here, and so for this folder's target


@pytest.fixture(scope="session")
def library(target: Target) -> Path:
    """The library as gcc makes it."""
    return build_library("snugmalloc", "release", target.toolchain)


@pytest.fixture(scope="session")
def checking_library(target: Target) -> Path:
    """The library that checks its invariants as it goes."""
    return build_library("snugmalloc", "debug", target.toolchain)


@pytest.fixture(scope="session")
def library_of_the_wheel(wheel_for: WheelFor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as Zig makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    zipfile.ZipFile(wheel_for("aarch64")).extractall(folder)
    return folder / "snugmalloc" / "lib" / "libsnugmalloc.so"
