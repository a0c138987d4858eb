"""The generated C under gcc's sanitizers: nothing undefined is done, no byte beside a variable is touched."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from ..builds import build_library
from ..targets import Run
from .conftest import Compile
from .test_programs import CHECKS, TRACES, name_of

UNDERFLOW = """
#include <osmem.h>

int main(void)
{
    _Alignas(32) char not_ours[32] = {1};

    os_free(os_malloc(8));
    os_free(not_ours);
    return not_ours[0];
}
"""

NOWHERE = """
#include <osmem.h>

int main(void)
{
    os_stats(0, sizeof(os_stats_t));
    return 0;
}
"""

# The traces of calls free what was freed already, which the hardened mode forbids.
RUNS = [(source, "0") for source in CHECKS + TRACES] + [(source, "1") for source in CHECKS]


def name_of_run(value: Path | str) -> str:
    """For people."""
    return value if isinstance(value, str) else name_of(value)


@pytest.fixture(scope="session")
def trapping_library() -> Path:
    """libosmem.so with a trap wherever C does not define what happens."""
    return build_library("osmem", "undefined")


@pytest.fixture(scope="session")
def watched_library() -> Path:
    """libosmem.so whose every access the address sanitizer looks at."""
    return build_library("osmem", "address")


@pytest.mark.parametrize(("source", "harden"), RUNS, ids=name_of_run)
def test_nothing_undefined_is_done(
    source: Path, harden: str, compile_program: Compile, run: Run, trapping_library: Path
) -> None:
    run(compile_program(source), LD_LIBRARY_PATH=str(trapping_library.parent), SNUG_HARDEN=harden)


@pytest.mark.parametrize(("source", "harden"), RUNS, ids=name_of_run)
def test_no_byte_beside_a_variable_is_touched(
    source: Path, harden: str, compile_program: Compile, run: Run, watched_library: Path
) -> None:
    program = compile_program(source, "-fsanitize=address")
    run(program, LD_LIBRARY_PATH=str(watched_library.parent), SNUG_HARDEN=harden)


def test_such_an_access_of_the_library_would_be_told(
    compile_program: Compile, watched_library: Path, tmp_path: Path
) -> None:
    source = tmp_path / "underflow.c"
    source.write_text(UNDERFLOW)
    program = compile_program(source, "-fsanitize=address")
    ended = subprocess.run(
        [program], env={"LD_LIBRARY_PATH": str(watched_library.parent)}, capture_output=True, text=True
    )
    assert ended.returncode != 0
    assert "AddressSanitizer: stack-buffer-underflow" in ended.stderr


def test_what_is_undefined_in_the_library_would_be_a_trap(
    compile_program: Compile, library: Path, trapping_library: Path, tmp_path: Path
) -> None:
    source = tmp_path / "nowhere.c"
    source.write_text(NOWHERE)
    program = compile_program(source)
    endings = [
        subprocess.run([program], env={"LD_LIBRARY_PATH": str(found.parent)}).returncode
        for found in (library, trapping_library)
    ]
    assert endings[0] == -signal.SIGSEGV
    assert endings[1] in (-signal.SIGILL, -signal.SIGTRAP)
