"""What the tests of the Python API share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

Outcome = subprocess.CompletedProcess[str]


@pytest.fixture
def fresh() -> Callable[..., Outcome]:
    """Runs Python code in a process of its own, and so on a heap that nobody has used; returns its outcome."""

    def run(code: str, **environment: str) -> Outcome:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, env=environment or None
        )

    return run
