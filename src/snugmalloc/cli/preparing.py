"""Owns what `snug run` and `snug compare` look at, and report, before the program starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from snugmalloc.cli.streams import tell
from snugmalloc.launch.preload import MALLOC_SETTINGS, WITH_GIL_SETTINGS
from snugmalloc.launch.program import Program, ProgramError, find_program
from snugmalloc.options import complaints


def prepare(words: tuple[str, ...], libraries: list[Path]) -> Program:
    """The program that `words` start, once it is sure that `libraries` can be preloaded into it.

    Ends the command with the status a shell would give, 127 or 126, and a line that says why.
    """
    try:
        program = find_program(words)
        for library in libraries:
            program.check_preload(library)
    except ProgramError as error:
        tell(str(error))
        raise click.exceptions.Exit(error.status) from None
    return program


def wants_plain_python(program: Program, keep_pymalloc: bool, environment: Mapping[str, str]) -> bool:
    """Whether to set PYTHONMALLOC=malloc; reports if a Python program's objects will not come from malloc."""
    if not program.is_python or keep_pymalloc:
        return False
    if program.is_free_threaded:
        _tell_free_threaded(program.words[0], environment.get("PYTHONMALLOC", ""))
        return False
    if program.ignores_python_settings:
        tell(
            f"{program.words[0]} is a Python that ignores PYTHONMALLOC (-E or -I): "
            "objects up to 512 bytes come from its own allocator"
        )
        return False
    setting = environment.get("PYTHONMALLOC", "")
    if not setting or setting in MALLOC_SETTINGS:
        return True
    tell(
        f"PYTHONMALLOC={setting} is kept: objects up to 512 bytes come from Python's own allocator; unset it, "
        "and they come from malloc"
    )
    return False


def _tell_free_threaded(name: str, setting: str) -> None:
    what = f"{name} is a free-threaded Python: its objects come from its own mimalloc"
    if setting in WITH_GIL_SETTINGS:
        tell(f"{what}, and it does not start with PYTHONMALLOC={setting}: unset it")
    else:
        tell(f"{what}, and only the rest comes from malloc")


def tell_ignored(environment: Mapping[str, str]) -> list[str]:
    """Report each option in `environment` that the allocator will ignore; their names."""
    ignored = complaints(environment)
    for name, why in ignored.items():
        tell(f"{name}={environment[name]}: {why}")
    return list(ignored)


def can_be_traced(program: Program, environment: Mapping[str, str]) -> bool:
    """Whether the program can run traced; reports if not."""
    options = environment.get("ASAN_OPTIONS", "") + environment.get("LSAN_OPTIONS", "")
    if not program.has_leak_sanitizer or "detect_leaks=0" in options:
        return True
    tell(
        f"{program.words[0]} has LeakSanitizer, which fails when it is traced: it runs as with --no-trace, and "
        "its final resident memory stays unknown"
    )
    return False
