"""Programs for the tests of the commands that run programs."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

SNUG = Path(sys.executable).with_name("snug")
PYTHON = str(Path(sys.executable).resolve())
TRUE = Path(shutil.which("true") or "/bin/true").resolve()
AARCH64 = 183
MACHINE_OFFSET = 18  # of e_machine in an ELF header
NOBODY = 65534


def snug(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """`snug` as a program of its own, with `settings` in its environment."""
    environment = {**os.environ, **settings}
    return subprocess.run(
        [SNUG, *arguments], env=environment, capture_output=True, text=True, timeout=600, errors="replace"
    )


def make_static(folder: Path) -> Path:
    """A statically linked program."""
    source, program = folder / "static.c", folder / "static"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    return program


def make_foreign(folder: Path) -> Path:
    """A program of another architecture, by its header."""
    binary = bytearray(TRUE.read_bytes())
    struct.pack_into("<H", binary, MACHINE_OFFSET, AARCH64)
    program = folder / "foreign"
    program.write_bytes(binary)
    program.chmod(0o755)
    return program


def make_set_user_id(folder: Path) -> Path:
    """A program that runs as somebody else: made so by root, else one of the system's."""
    if os.geteuid() != 0:
        return Path(shutil.which("su") or "/bin/su")
    program = folder / "set-user-id"
    shutil.copy(TRUE, program)
    os.chown(program, NOBODY, NOBODY)
    program.chmod(0o4755)
    folder.chmod(0o755)
    return program


def make_leak_checked(folder: Path) -> Path:
    """A program with LeakSanitizer that leaks nothing."""
    source, program = folder / "checked.c", folder / "checked"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-fsanitize=leak", "-o", program, source], check=True)
    return program


def make_python(folder: Path, name: str, *, is_free_threaded: bool) -> Path:
    """A stand-in for a Python: answers whether it is free-threaded, and else prints its PYTHONMALLOC."""
    answer = "1" if is_free_threaded else "0"
    body = (
        f'#!/bin/sh\ncase "$*" in *Py_GIL_DISABLED*) echo {answer} ;; *) echo "${{PYTHONMALLOC-unset}}" ;; esac'
    )
    return make_script(folder, body, name)


def make_python_binary(path: Path, *, is_free_threaded: bool, library: str | None = None) -> Path:
    """A stand-in for a Python with the marks that a real one has: what it exports, itself or from `library`.

    It prints its PYTHONMALLOC.
    """
    function = f"void {'_Py_MergeZeroLocalRefcount' if is_free_threaded else '_Py_Dealloc'}(void)"
    flags: list[str | Path] = ["-rdynamic"]
    if library is not None:
        flags = ["-Wl,--no-as-needed", path.with_name(library), f"-Wl,-rpath,{path.parent}"]
        _compile(f"{function} {{}}", path.with_name(library), "-shared", "-fPIC", f"-Wl,-soname,{library}")
    code = f"""
#include <stdio.h>
#include <stdlib.h>
{function} {"{}" if library is None else ";"}
int main(void) {{ char *setting = getenv("PYTHONMALLOC"); puts(setting ? setting : "unset"); getchar(); }}
"""
    _compile(code, path, *flags)
    return path


def _compile(code: str, path: Path, *flags: str | Path) -> None:
    command: list[str | Path] = ["gcc", "-o", path, "-x", "c", "-", "-x", "none", *flags]
    subprocess.run(command, input=code, text=True, check=True)


def make_script(folder: Path, first_line: str, name: str = "script") -> Path:
    """A script that begins with `first_line`."""
    script = folder / name
    script.write_text(f"{first_line}\n")
    script.chmod(0o755)
    return script
