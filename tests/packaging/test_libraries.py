"""The compiled libraries export what their headers declare, need libc alone and hold no Python."""

from __future__ import annotations

import re
import subprocess

import pytest

from ..builds import ROOT, Variant, build_library

INCLUDE = ROOT / "src" / "snugmalloc" / "include"
PYTHON = re.compile(r"\b_?Py\w*|\b__pyx\w*")
VARIANTS: list[Variant] = ["release", "debug"]


def output_of(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def declared(header: str, prefix: str) -> set[str]:
    """The functions that a header declares."""
    text = re.sub(r"/\*.*?\*/", "", (INCLUDE / header).read_text(), flags=re.DOTALL)
    return set(re.findall(rf"\b({prefix}\w+)\(", text))


@pytest.mark.parametrize("variant", VARIANTS)
def test_libosmem_exports_what_osmem_h_declares(variant: Variant) -> None:
    symbols = output_of("nm", "-D", "--defined-only", build_library("osmem", variant)).splitlines()
    assert {line.split()[-1] for line in symbols} == declared("osmem.h", "os_")


@pytest.mark.parametrize("variant", VARIANTS)
def test_libosmem_holds_no_python_and_needs_libc_alone(variant: Variant) -> None:
    library = build_library("osmem", variant)
    assert not PYTHON.findall(output_of("nm", library))
    dynamic = output_of("readelf", "-d", library)
    assert re.findall(r"NEEDED.*\[(.*)\]", dynamic) == ["libc.so.6"]
    assert re.findall(r"SONAME.*\[(.*)\]", dynamic) == ["libosmem.so"]
