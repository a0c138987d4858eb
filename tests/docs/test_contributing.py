"""CONTRIBUTING.md: its commands run, and what it names is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..builds import build_library
from .documents import blocks_of

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
COMMANDS = [block.text for block in blocks_of(TEXT) if block.language == "sh"]


@pytest.fixture(scope="module")
def debug_build() -> None:
    """The library that some of the commands look at, and an earlier one of them builds."""
    build_library("snugmalloc", "debug")


@pytest.mark.usefixtures("debug_build")
@pytest.mark.parametrize("commands", COMMANDS, ids=lambda commands: commands.splitlines()[0][:40])
def test_the_commands_run(commands: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.strip()


def test_what_is_made_is_a_target_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    shown = [word for line in re.findall(r"\bmake ((?:[a-z]+ ?)+)(?:`|  )", TEXT) for word in line.split()]
    assert {"build", "test", "fuzz"} <= set(shown)
    for target in shown:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_what_comes_before_a_commit_is_what_the_tests_begin_with() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (typed,) = re.findall(r"^TYPED := (.*)$", makefile, re.MULTILINE)
    shown = re.findall(r"^      (\S.*)$", TEXT, re.MULTILINE)
    begun = re.findall(r"^\t\$\(BIN\)/(ruff.*|mypy.*)$", makefile, re.MULTILINE)
    assert shown == [command.replace("$(TYPED)", typed) for command in begun]


def test_the_files_that_are_named_are_there() -> None:
    named = re.findall(r"`((?:src|tests|benchmarks|docs|packages|amalgamation)/[\w./-]*)`", TEXT)
    assert len(named) > 10
    for path in named:
        assert (ROOT / path).exists() or "NAME" in path or path.startswith("benchmarks/work/"), path
