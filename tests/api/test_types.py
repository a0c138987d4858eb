"""What type checkers and `help()` get to see of the installed package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import snugmalloc

SAMPLE = Path(__file__).with_name("typed_sample.py")


def mypy(*arguments: str | Path, module: str = "mypy") -> tuple[int, str]:
    """Exit status and output of mypy, away from the project so that it sees the installed package."""
    command = [sys.executable, "-m", module, *arguments]
    outcome = subprocess.run(command, capture_output=True, text=True, cwd="/")
    return outcome.returncode, outcome.stdout + outcome.stderr


def check_sample(path: Path) -> tuple[int, str]:
    return mypy("--strict", "--config-file=", "--cache-dir=/dev/null", path)


def test_the_types_are_as_documented_and_wrong_uses_are_errors() -> None:
    assert check_sample(SAMPLE)[0] == 0


def test_the_sample_would_notice_a_wrong_type(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(SAMPLE.read_text().replace("os_malloc(8), int)", "os_malloc(8), str)"))
    assert check_sample(wrong)[0] == 1


def test_the_stub_agrees_with_the_extension() -> None:
    status, said = mypy("snugmalloc._osmem", "--ignore-missing-stub", module="mypy.stubtest")
    assert status == 0, said


@pytest.mark.parametrize("name", [name for name in snugmalloc.__all__ if not name.startswith("_")])
def test_every_public_name_has_a_docstring(name: str) -> None:
    assert getattr(snugmalloc, name).__doc__
