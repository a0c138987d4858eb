"""The C programs that check the four functions, and the fault zoo, on aarch64."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...osmem.conftest import Compile
from ...osmem.test_programs import (
    test_a_program_finds_what_it_expects,
    test_every_invariant_holds_after_every_call,
)
from ...osmem.test_zoo import DEFINED, check_fault
from ...targets import Target

__all__ = ["test_a_program_finds_what_it_expects", "test_every_invariant_holds_after_every_call"]
# They bound their memory by setrlimit, which qemu does not carry out.
NOT_EMULATED = {"refused_brk", "refused_mmap"}
EMULATED = [(source, mode) for source, mode in DEFINED if source.stem not in NOT_EMULATED]


@pytest.mark.parametrize(("source", "mode"), EMULATED, ids=lambda value: getattr(value, "stem", value))
def test_a_fault_ends_as_its_program_says(
    source: Path, mode: str, compile_program: Compile, target: Target
) -> None:
    check_fault(source, mode, compile_program, target)
