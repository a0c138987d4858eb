"""Symbols of libosmem.so as a tracer sees them."""

from __future__ import annotations

import subprocess

import pytest

from ..builds import Variant, build_library


@pytest.mark.parametrize("variant", ["release", "debug"])
def test_no_inner_symbol_looks_like_one_of_the_functions(variant: Variant) -> None:
    """A tracer sets its breakpoints by the prefix os_, on local symbols too."""
    command = ["nm", "--defined-only", str(build_library("osmem", variant))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    local = {name for _, kind, name in map(str.split, lines) if kind.islower()}
    assert local and not [name for name in local if name.startswith("os_")]
