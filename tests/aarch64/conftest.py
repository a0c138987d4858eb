"""The target of this folder's tests: aarch64."""

from __future__ import annotations

from platform import machine

import pytest

from ..conftest import run
from ..targets import AARCH64, Target

__all__ = ["run"]  # defined again here, and so on this folder's target


@pytest.fixture(scope="session")
def target() -> Target:
    """An emulated aarch64."""
    if machine() == "aarch64":
        pytest.skip("this machine is an aarch64: all other tests run on one")
    return AARCH64
