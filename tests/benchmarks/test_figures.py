"""The figures of their own: instructions that callgrind counts, those of the program's loop apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.contenders import find_contenders
from benchmarks.figures import PATTERNS, count_instructions, own_instructions
from snugmalloc.launch.allocators import OURS, SYSTEM

ANNOTATED = """\
Ir
--------------------------------------------------------------------------------
2,068,985 (100.0%)  PROGRAM TOTALS

1,200,000 (58.00%)  ???:malloc [/lib/libc.so.6]
  378,058 (18.27%)  ???:replacements [/bench/calls]
      113 ( 0.01%)  ???:main [/bench/calls]
        9 ( 0.01%)  ???:main [/elsewhere/bench/calls]
"""


def test_a_programs_own_instructions_are_those_of_its_file() -> None:
    assert own_instructions(ANNOTATED, Path("/bench/calls")) == 378_058 + 113


def test_the_loop_is_the_same_whatever_the_allocator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "WORK", tmp_path)
    names = [SYSTEM, OURS]
    contenders = {c.name: c for c in find_contenders([OURS]) if c.name in names}
    alone = {name: count_instructions([contenders[name]], 2000, 6000) for name in names}
    (system, system_loop), (ours, ours_loop) = alone[SYSTEM], alone[OURS]
    assert system_loop == ours_loop
    assert system_loop["pair64"] == system_loop["pair8192"]
    for pattern in PATTERNS:
        assert 0 < system_loop[pattern] < min(system[SYSTEM][pattern], ours[OURS][pattern])
