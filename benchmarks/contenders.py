"""Owns what is compared: the allocators, ours with other options, and Python's own under Python."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snugmalloc.launch.allocators import (
    OURS,
    OURS_UNDER_PYMALLOC,
    PYMALLOC,
    SYSTEM,
    Allocator,
    AllocatorError,
    find_allocators,
    installed_names,
)
from snugmalloc.launch.preload import additions
from snugmalloc.options import variables

KEEPING = "snugmalloc-keeping"
VARIANTS = {KEEPING: {"purge_delay": str(1 << 30)}}  # never gives memory back: the price of doing so
# Newer than Debian's: contender, and where a package of the extra `bench` puts its library.
NEWER = {"mimalloc3": Path("cmeel.prefix/lib/libmimalloc.so.3")}
PYMIMALLOC = "pymimalloc"


@dataclass(frozen=True)
class Contender:
    """An allocator with its options; `python` is what PYTHONMALLOC is set to."""

    name: str
    allocator: Allocator
    options: dict[str, str] = field(default_factory=dict)
    python: str = "malloc"

    @property
    def is_peer(self) -> bool:
        """Whether ours is measured against it: neither the system's malloc nor any build of ours."""
        return self.name != SYSTEM and not self.allocator.is_ours and not self.is_for_python

    @property
    def is_for_python(self) -> bool:
        """Whether Python keeps an allocator of its own on it; programs that are no Python do not run on it."""
        return self.python != "malloc"

    def environment(self) -> dict[str, str]:
        """What to add to the environment to run on it."""
        libraries = self.allocator.libraries
        settings = variables(self.options)
        added = additions(libraries, settings, plain_python=False, environment=os.environ)
        return added | {"PYTHONMALLOC": self.python}

    def described(self) -> dict[str, object]:
        """For the raw results: what it was."""
        library = self.allocator.path
        return {
            "library": library.name,
            "version": self.allocator.version,
            "sha256": hashlib.sha256(library.read_bytes()).hexdigest(),
            "options": self.options,
            "peer": self.is_peer,
        }


def read_variant(text: str) -> tuple[str, dict[str, str]]:
    """`NAME:OPTION=VALUE[:OPTION=VALUE]...` as a name and options. Raises AllocatorError."""
    name, *options = text.split(":")
    if not name or not options or not all("=" in option for option in options):
        raise AllocatorError(f"{text!r} is not name:option=value")
    return name, dict(option.split("=", 1) for option in options)


def newer_builds() -> list[str]:
    """Those of NEWER that are installed, as `NAME=PATH`."""
    folder = Path(sysconfig.get_path("platlib"))
    return [f"{name}={folder / path}" for name, path in NEWER.items() if (folder / path).exists()]


def find_contenders(names: Sequence[str], variants: Sequence[str] = ()) -> list[Contender]:
    """`names` as `snug compare --allocators` takes them, or all that is installed; the system's comes first.

    Where ours is among them it comes again with other options: VARIANTS, and each of `variants` (see
    `read_variant`); and at the end, with Python's own allocators, under pymalloc. Raises AllocatorError.
    """
    every = VARIANTS | dict(map(read_variant, variants))
    chosen = [SYSTEM, *(names or [*installed_names(), *newer_builds()]), PYMALLOC]
    if OURS in chosen:
        chosen.append(OURS_UNDER_PYMALLOC)
    found = [
        Contender(allocator.name, allocator, python=PYMALLOC if allocator.keeps_pymalloc else "malloc")
        for allocator in find_allocators(list(dict.fromkeys(chosen)))
    ]
    for contender in list(found):
        if contender.name == OURS:
            found += [Contender(name, contender.allocator, options) for name, options in every.items()]
    if _python_takes("mimalloc"):
        found.append(Contender(PYMIMALLOC, found[0].allocator, python="mimalloc"))
    return sorted(found, key=lambda contender: contender.is_for_python)


def _python_takes(name: str) -> bool:
    """Whether this interpreter starts with PYTHONMALLOC=`name`."""
    command = [sys.executable, "-S", "-c", "pass"]
    return not subprocess.run(
        command, env={**os.environ, "PYTHONMALLOC": name}, capture_output=True, check=False
    ).returncode


__all__ = ["KEEPING", "OURS", "SYSTEM", "AllocatorError", "Contender", "find_contenders"]
