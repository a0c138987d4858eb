"""libosmem.so for aarch64, cross-compiled by gcc."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...builds import build_library
from ...osmem.conftest import compile_program
from ...targets import Target

__all__ = ["compile_program"]  # defined again here, and so for this folder's target


@pytest.fixture(scope="session")
def library(target: Target) -> Path:
    """The library as it is shipped."""
    return build_library("osmem", "release", target.toolchain)


@pytest.fixture(scope="session")
def checking_library(target: Target) -> Path:
    """The library that checks its invariants after every call."""
    return build_library("osmem", "debug", target.toolchain)
