"""The packages that are handed out, each built once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from distribution.wheels import build_source, build_wheel

WheelFor = Callable[[str], Path]


@pytest.fixture(scope="session")
def source_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist."""
    return build_source(tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel_for(source_package: Path, tmp_path_factory: pytest.TempPathFactory) -> WheelFor:
    """Gives the wheel for a processor, which is made of the sdist."""
    folder = tmp_path_factory.mktemp("wheels")
    return cache(lambda processor: build_wheel(source_package, processor, folder))
