"""Builds variants of the engine's libraries for tests, by CMake alone and outside the installed package."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"

Variant = Literal[
    "release", "debug", "debug-16384", "debug-65536", "shards", "undefined", "address", "recording"
]

# What C does not define is a trap: from inside of malloc nothing can be printed by a library that allocates.
TRAPS = "-fsanitize=undefined -fno-sanitize-recover -fsanitize-undefined-trap-on-error"
# The address sanitizer's list of all variables keeps Cython's set-up of a module in the library. It is never
# called: what it needs of Python may be missing.
WEAK = "__attribute__((weak)) RTYPE"
WITHOUT_PYTHON = f"'-DPyAPI_FUNC(RTYPE)={WEAK}' '-DPyAPI_DATA(RTYPE)=extern {WEAK}'"
CONSTANTS = {"shards": "CROWDED=0;VISITS=2"}
FLAGS = {"undefined": f"-g {TRAPS}", "address": f"-g -fsanitize=address {WITHOUT_PYTHON}"}


def build_library(library: str, variant: Variant, toolchain: str | None = None) -> Path:
    """The path of lib<library>.so, up to date: as it is shipped, or with DEBUG = 1 (every invariant checked).

    With a number behind that it sees a machine whose pages have so many bytes, and ends at misaligned calls.
    `shards` checks all, too, and there threads move from heap to heap as if they always waited for each other.
    `undefined` is the shipped one with a trap where C does not define what happens, `address` the one for
    programs that gcc's address sanitizer looks at, `recording` the one that records what it does with locks.
    Builds into a folder of `build`, with a toolchain of cmake/toolchains if one is named. What has not changed
    is not built again. Raises CalledProcessError.
    """
    folder = BUILD / "-".join([variant, *([toolchain] if toolchain else [])])
    return build_project(ROOT, folder, variant, toolchain) / f"lib{library}.so"


def build_project(source: Path, folder: Path, variant: Variant, toolchain: str | None = None) -> Path:
    """Build the libraries of the CMake project `source` in `folder`, which is returned.

    Raises CalledProcessError.
    """
    kind, _, page = variant.partition("-")
    switches = {
        "SNUG_DEBUG": "ON" if kind in ("debug", "shards") else "OFF",
        "SNUG_CONSTANTS": CONSTANTS.get(variant, ""),
        "SNUG_PAGE_SIZE": page,
        "SNUG_RECORD_LOCKS": "ON" if kind == "recording" else "OFF",
        "SNUG_PYTHON": "OFF",
        "CMAKE_C_FLAGS": FLAGS.get(variant, ""),
        "Python_EXECUTABLE": sys.executable,
    }
    if toolchain:
        switches["CMAKE_TOOLCHAIN_FILE"] = str(ROOT / "cmake" / "toolchains" / f"{toolchain}.cmake")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "build.ninja").exists():
            settings = [f"-D{name}={value}" for name, value in switches.items()]
            run_tool("cmake", "-S", str(source), "-B", str(folder), "-G", "Ninja", *settings)
        run_tool("cmake", "--build", str(folder))
    return folder


def run_tool(name: str, *arguments: str) -> None:
    """Run a program of this interpreter's environment, or else of the system; show its output if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = shutil.which(name, path=path)
    if program is None:
        raise FileNotFoundError(f"{name} is not installed: `make build` installs it")
    environment = {**os.environ, "PATH": path}
    outcome = subprocess.run(
        [program, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if outcome.returncode:
        sys.stderr.write(outcome.stdout)
        outcome.check_returncode()
