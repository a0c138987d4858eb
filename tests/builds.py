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
OPTIONS = {"release": "OFF", "debug": "ON"}


def build_library(library: str, variant: Literal["release", "debug"]) -> Path:
    """The path of lib<library>.so, up to date: as it is shipped, or with DEBUG = 1 (every invariant checked).

    Builds into build/<variant>; what has not changed is not built again. Raises CalledProcessError.
    """
    folder = BUILD / variant
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "build.ninja").exists():
            switches = [
                f"-DSNUG_DEBUG={OPTIONS[variant]}",
                "-DSNUG_PYTHON=OFF",
                f"-DPython_EXECUTABLE={sys.executable}",
            ]
            run_tool("cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", *switches)
        run_tool("cmake", "--build", str(folder))
    return folder / f"lib{library}.so"


def run_tool(name: str, *arguments: str) -> None:
    """Run a program of this interpreter's environment, or else of the system; its output is shown on failure."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = shutil.which(name, path=path)
    if program is None:
        raise FileNotFoundError(f"{name} is not installed: `make build` installs it")
    outcome = subprocess.run(
        [program, *arguments],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if outcome.returncode:
        sys.stderr.write(outcome.stdout)
        outcome.check_returncode()
