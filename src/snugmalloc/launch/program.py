"""What a program is before it is started: the file behind its name, the interpreter behind a script, whether a
library can be preloaded into it."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snugmalloc.launch.elf import ElfHeader, read_elf

SCRIPT_DEPTH = 4  # as many interpreters of interpreters as Linux follows
SHEBANG_BYTES = 256
PYTHON_NAME = re.compile(r"python(\d+(\.\d+)*t?)?(-dbg|d)?")
FREE_THREADED_NAME = re.compile(r"python\d+\.\d+td?")


class ProgramError(Exception):
    """A program that cannot be started, or not with a library preloaded; `status` is a shell's status for
    it."""

    NOT_FOUND = 127
    NOT_USABLE = 126

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Program:
    """A command line, and the files that it starts."""

    words: tuple[str, ...]
    files: tuple[Path, ...]
    """The program's file, then the interpreter of each script; the last one is not a script."""
    elf: ElfHeader | None
    """Of the last file; None if that is no ELF file."""

    @property
    def is_python(self) -> bool:
        """Whether a Python interpreter runs it: `python3 app.py`, a script of a Python package."""
        return any(PYTHON_NAME.fullmatch(name) for name in self._names())

    @property
    def is_free_threaded(self) -> bool:
        """Whether that interpreter is built without the GIL; such a build stops at PYTHONMALLOC=malloc."""
        return any(FREE_THREADED_NAME.fullmatch(name) for name in self._names())

    def _names(self) -> set[str]:
        return {name for file in self.files for name in (file.name, file.resolve().name)}

    def check_preload(self, library: Path) -> None:
        """Raises ProgramError, with why, if the dynamic loader would not load `library` into this program."""
        reason = self._obstacle(library)
        if reason is not None:
            raise ProgramError(f"{self.words[0]}: {reason}", ProgramError.NOT_USABLE)

    def _obstacle(self, library: Path) -> str | None:
        binary = self.files[-1]
        if self.elf is None:
            # execve refuses it and the shell's rule applies: /bin/sh runs a text without a shebang.
            return f"{binary} is neither an ELF program nor a script that names its interpreter"
        wanted = read_elf(library)
        if wanted is not None and not self.elf.runs_with(wanted):
            return f"{binary} is built for {self.elf.architecture}, the library for {wanted.architecture}"
        if self.elf.loader is None:
            return f"{binary} is statically linked: its malloc is inside it and no library can be preloaded"
        if "musl" in Path(self.elf.loader).name:
            return f"{binary} is built for musl ({self.elf.loader}), the library for glibc"
        if drops_preload(binary):
            return f"{binary} runs with more privileges than you have: the loader ignores LD_PRELOAD"
        return None


def find_program(words: Sequence[str]) -> Program:
    """The program that the command line `words` starts. Raises ProgramError if it cannot be run."""
    found = shutil.which(words[0])
    if found is None:
        there = Path(words[0])
        if "/" in words[0] and there.exists():
            why = "is a folder" if there.is_dir() else "is not executable"
            raise ProgramError(f"{words[0]} {why}", ProgramError.NOT_USABLE)
        raise ProgramError(f"{words[0]}: no such program", ProgramError.NOT_FOUND)
    files = [Path(found)]
    try:
        while (interpreter := _interpreter(files[-1])) is not None and len(files) <= SCRIPT_DEPTH:
            files.append(interpreter)
        elf = read_elf(files[-1])
    except OSError as error:
        message = f"{words[0]}: {error.filename}: {error.strerror}"
        raise ProgramError(message, ProgramError.NOT_USABLE) from None
    return Program(tuple(words), tuple(files), elf)


def _interpreter(script: Path) -> Path | None:
    """The program that a script names in its first line, found if that is `env`; None if it is no script."""
    with script.open("rb") as file:
        first = file.read(SHEBANG_BYTES)
    if not first.startswith(b"#!"):
        return None
    words = first[2:].split(b"\n", 1)[0].decode(errors="replace").split()
    if not words:
        return None
    if Path(words[0]).name != "env":
        return Path(words[0])
    # env [-S] [-options] [NAME=VALUE]... PROGRAM
    named = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)
    found = shutil.which(named) if named else None
    return Path(found or words[0])


def drops_preload(binary: Path) -> bool:
    """Whether the loader runs `binary` in secure mode: set-user-id, set-group-id, capabilities beyond ours."""
    status = binary.stat()
    if os.statvfs(binary).f_flag & os.ST_NOSUID:
        return False
    if status.st_mode & stat.S_ISUID and status.st_uid != os.geteuid():
        return True
    if status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP and status.st_gid != os.getegid():
        return True
    try:
        return bool(os.getxattr(binary, "security.capability")) and os.geteuid() != 0
    except OSError:
        return False
