"""The fault zoo: one small program per fault; its first comment says what must happen, plain and hardened.

``exit 0``: the program ends well and nothing is printed. ``abort "text"``: it is aborted, and the only line on
stderr begins with ``snugmalloc: `` and has the text. ``undefined``: anything may happen, so it is not run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..targets import Target
from .conftest import HERE, Compile

ZOO = sorted((HERE / "zoo").glob("*.c"))
MODES = {"plain": "0", "hardened": "1"}
EXPECTATION = r"^ \* {mode}: (?P<what>exit 0|undefined|abort)(?: \"(?P<text>.*)\")?(?: \(.*)?$"


def expectation(source: Path, mode: str) -> tuple[str, str]:
    """What the program's comment says of the mode, and the text that goes with an abort."""
    found = re.search(EXPECTATION.format(mode=mode), source.read_text(), re.MULTILINE)
    assert found is not None, f"{source.name} does not say what must happen when {mode}"
    return found["what"], found["text"]


def check_fault(source: Path, mode: str, compile_program: Compile, target: Target) -> None:
    """Run the program, and compare its end with what its comment says."""
    what, text = expectation(source, mode)
    end = target.run if what == "exit 0" else target.abort
    ended = end(compile_program(source), SNUG_HARDEN=MODES[mode])
    if what == "exit 0":
        assert ended.stderr == ""
    else:
        assert re.fullmatch(rf"snugmalloc: .*{re.escape(text)}.*\n", ended.stderr)


DEFINED = [(source, mode) for source in ZOO for mode in MODES if expectation(source, mode)[0] != "undefined"]


@pytest.mark.parametrize(("source", "mode"), DEFINED, ids=lambda value: getattr(value, "stem", value))
def test_a_fault_ends_as_its_program_says(
    source: Path, mode: str, compile_program: Compile, target: Target
) -> None:
    check_fault(source, mode, compile_program, target)
