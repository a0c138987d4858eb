"""What a program is before it is started: the file behind its name, the interpreter behind a script, whether a
library can be preloaded into it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile
from pathlib import Path

from snugmalloc.launch.elf import ElfHeader, read_dynamic_strings, read_elf

MOST_SCRIPTS = 5  # of interpreters that are scripts, as many as Linux follows
SHEBANG_BYTES = 256
PYTHON_NAME = re.compile(r"python(\d+(\.\d+)*t?)?(-dbg|d)?")
LOADER_NAME = re.compile(r"ld(-linux.*|-musl.*|64|-[\d.]+)?\.so(\.\d+)*")
LOADER_OPTIONS_WITH_VALUE = (
    "--library-path",
    "--inhibit-rpath",
    "--audit",
    "--preload",
    "--argv0",
    "--glibc-hwcaps-prepend",
    "--glibc-hwcaps-mask",
)
FREE_THREADED_NAME = re.compile(r"python\d+\.\d+td?")
ALWAYS_WITH_GIL = re.compile(r"python(2.*|3\.\d|3\.1[012])(-dbg|d)?")
# What a free-threaded interpreter exports to extensions, or the name of the library that does.
FREE_THREADED_MARK = re.compile(rb"\0_Py_MergeZeroLocalRefcount\0|\0libpython\d\.\d+td?\.so")
ASK_FOR_GIL = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"
ASK_SECONDS = 10
LEAK_SANITIZER = re.compile(rb"\0lib[la]san\.so|\0__lsan_")

Step = tuple[Path, tuple[str, ...]]
"""A file that is executed, and what it is given before anything else."""


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
    arguments: tuple[tuple[str, ...], ...]
    """What each file is given: by the command line, or in front of that by the script's first line."""

    @property
    def is_python(self) -> bool:
        """Whether a Python interpreter runs it: `python3 app.py`, a script of a Python package."""
        return any(PYTHON_NAME.fullmatch(name) for name in self._names())

    @property
    def is_free_threaded(self) -> bool:
        """Whether that interpreter has no GIL: by its file, or by running it if that is a script."""
        interpreters = [file for file in self.files if any(map(PYTHON_NAME.fullmatch, _names(file)))]
        return any(_is_free_threaded(file) for file in interpreters)

    @property
    def ignores_python_settings(self) -> bool:
        """Whether that interpreter ignores PYTHONMALLOC, by -E or -I."""
        return any(
            _has_isolating_option(words)
            for file, words in zip(self.files, self.arguments, strict=True)
            if any(map(PYTHON_NAME.fullmatch, _names(file)))
        )

    @property
    def has_leak_sanitizer(self) -> bool:
        """Whether it is built with LeakSanitizer, alone or in AddressSanitizer: it fails when it is traced."""
        try:
            return bool(LEAK_SANITIZER.search(read_dynamic_strings(self.files[-1])))
        except OSError:
            return False

    def _names(self) -> set[str]:
        return {name for file in self.files for name in _names(file)}

    def check_preload(self, library: Path) -> None:
        """Raise ProgramError, with the reason, if the loader would not load `library` into this program."""
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
        if _is_loader(self.files[0]):
            return None  # what the loader is told to run gets no privileges
        if drops_preload(binary):
            return f"{binary} runs with more privileges than you have: the loader ignores LD_PRELOAD"
        return None


def find_program(words: Sequence[str]) -> Program:
    """The program that the command line `words` starts. Raises ProgramError if it cannot be run."""
    found = shutil.which(words[0])
    if found is None:
        raise _not_found(words[0])
    try:
        chain = _follow(Path(found), words[1:])
        file, _ = chain[-1]
        elf = read_elf(file)
        if elf is not None and elf.loader is None and _is_loader(file):
            # The loader loads itself, and obeys LD_PRELOAD for what it runs.
            elf = replace(elf, loader=str(file))
            if (loaded := _loaded(words[1:])) is not None:
                chain.append(loaded)
                elf = read_elf(loaded[0])
    except OSError as error:
        culprit = error.filename or words[0]
        where = words[0] if Path(culprit) == Path(words[0]) else f"{words[0]}: {culprit}"
        raise ProgramError(f"{where}: {error.strerror}", ProgramError.NOT_USABLE) from None
    files, arguments = zip(*chain, strict=True)
    return Program(tuple(words), files, elf, arguments)


def _not_found(name: str) -> ProgramError:
    there = Path(name)
    if "/" in name and there.exists():
        why = "is a folder" if there.is_dir() else "is not executable"
        return ProgramError(f"{name} {why}", ProgramError.NOT_USABLE)
    return ProgramError(f"{name or repr(name)}: no such program", ProgramError.NOT_FOUND)


def _follow(program: Path, arguments: Sequence[str]) -> list[Step]:
    """`program`, then the interpreter of each script. Raises OSError where Linux would."""
    chain: list[Step] = [(program, tuple(arguments))]
    while True:
        file = chain[-1][0]
        if not stat.S_ISREG(file.stat().st_mode):
            raise OSError(errno.EACCES, "not a regular file", str(file))
        if not os.access(file, os.X_OK):
            raise OSError(errno.EACCES, "not executable", str(file))
        interpreter = _interpreter(file)
        if interpreter is None:
            return chain
        if len(chain) > MOST_SCRIPTS:
            why = f"a script, its interpreter too, and so on: Linux follows {MOST_SCRIPTS} of them"
            raise OSError(errno.ELOOP, why, str(program))
        chain.append(interpreter)


def _interpreter(script: Path) -> Step | None:
    """The program that a script names in its first line, found if that is `env`; None if it is no script."""
    with script.open("rb") as file:
        first = file.read(SHEBANG_BYTES)
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:].split(b"\n", 1)[0]).split()
    if not words:
        return None
    if Path(words[0]).name != "env":
        return Path(words[0]), tuple(words[1:])
    # env [-S] [-options] [NAME=VALUE]... PROGRAM [ARGUMENT]...
    named = list(dropwhile(lambda word: word.startswith("-") or "=" in word, words[1:]))
    found = shutil.which(named[0]) if named else None
    return (Path(found), tuple(named[1:])) if found else (Path(words[0]), tuple(words[1:]))


def _names(file: Path) -> tuple[str, str]:
    """What `file` is called, by itself and behind links."""
    return file.name, file.resolve().name


def _has_isolating_option(arguments: Sequence[str]) -> bool:
    """Whether a Python with these arguments ignores its environment."""
    words = iter(arguments)
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            return False
        for place, letter in enumerate(word[1:], 2):
            if letter in "EI":
                return True
            if letter in "cm-":
                return False
            if letter in "WX":
                if place == len(word):
                    next(words, None)
                break
    return False


def _is_free_threaded(interpreter: Path) -> bool:
    names = _names(interpreter)
    if any(map(FREE_THREADED_NAME.fullmatch, names)):
        return True
    if any(map(ALWAYS_WITH_GIL.fullmatch, names)):
        return False
    if has_free_threaded_mark(interpreter):
        return True
    try:
        if read_elf(interpreter) is not None:
            return False
        asked = subprocess.run(
            [interpreter.absolute(), "-I", "-S", "-c", ASK_FOR_GIL],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.stdout.strip() == b"1"


def has_free_threaded_mark(file: Path) -> bool:
    """Whether the ELF file `file` is a free-threaded interpreter, or needs the library of one."""
    try:
        return bool(FREE_THREADED_MARK.search(read_dynamic_strings(file)))
    except OSError:
        return False


def _is_loader(file: Path) -> bool:
    """Whether `file` is the dynamic loader itself."""
    return any(LOADER_NAME.fullmatch(name) for name in _names(file))


def _loaded(arguments: Sequence[str]) -> Step | None:
    """The program that the loader is told to run: ld.so [OPTION]... PROGRAM; None if it is not there."""
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            return (Path(word), tuple(words)) if Path(word).is_file() else None
        if word in LOADER_OPTIONS_WITH_VALUE:
            next(words, None)
    return None


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
