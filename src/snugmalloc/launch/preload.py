"""The environment in which a program starts on an allocator: LD_PRELOAD, the options, PYTHONMALLOC."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

SONAME = "libsnugmalloc.so.0"  # by which the loader finds the library where a package of the system has put it
SEPARATORS = re.compile("[: ]+")  # where ld.so splits LD_PRELOAD; there is no way to quote
ALLOCATOR_NAME = re.compile(
    r"lib(snugmalloc|jemalloc|mimalloc|tcmalloc|snmalloc|rpmalloc|hoard|mesh|hardened_malloc)"
)
MALLOC_SETTINGS = ("malloc", "malloc_debug")  # of PYTHONMALLOC: with them every object comes from malloc
WITH_GIL_SETTINGS = (*MALLOC_SETTINGS, "pymalloc", "pymalloc_debug")  # a free-threaded Python does not start
TOLD = "_SNUG_RUN_TOLD_"  # hides a name that the library need not report; the companion takes it off


class PreloadError(Exception):
    """A library whose path LD_PRELOAD cannot contain."""


def preload_entry(library: Path) -> str:
    """`library` as LD_PRELOAD can name it: its path, or, if that has a space or a colon, that of a link.

    The link stands in a folder of this user's own, in XDG_RUNTIME_DIR or the temporary folder, under a name
    made from the path: it is there for the program's children too, and the next run uses it again. Raises
    PreloadError when no such folder can be had.
    """
    path = str(library.absolute())
    if not SEPARATORS.search(path):
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    link = _link_folder() / f"{digest}-{SEPARATORS.sub('_', library.name)}"
    if not link.is_symlink():
        with contextlib.suppress(FileExistsError):  # another process was quicker
            link.symlink_to(path)
    return str(link)


def _link_folder() -> Path:
    """A folder without spaces that only this user can write to, made if need be."""
    bases = [os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/var/tmp", "/dev/shm"]
    for base in bases:
        if not base or SEPARATORS.search(base):
            continue
        folder = Path(base) / f"snugmalloc-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
        except OSError:
            continue
        if status.st_uid == os.getuid() and not folder.is_symlink() and not status.st_mode & 0o022:
            return folder
    raise PreloadError(
        "LD_PRELOAD cannot name a path with a space or a colon, and no folder for a link was found"
    )


def preload_list(libraries: list[Path], present: str) -> str:
    """LD_PRELOAD for `libraries`, then those of `present` (the variable as it is) that are no allocators."""
    kept = [
        entry for entry in SEPARATORS.split(present) if entry and not ALLOCATOR_NAME.match(Path(entry).name)
    ]
    return ":".join([*map(preload_entry, libraries), *kept])


def additions(
    libraries: list[Path], settings: Mapping[str, str], *, plain_python: bool, environment: Mapping[str, str]
) -> dict[str, str]:
    """What to add to `environment` so that a program starts with `libraries` preloaded and `settings`.

    `plain_python` turns Python's own allocator of small objects off, so that every object comes from malloc.
    """
    added = {"LD_PRELOAD": preload_list(libraries, environment.get("LD_PRELOAD", "")), **settings}
    if plain_python and environment.get("PYTHONMALLOC") not in MALLOC_SETTINGS:
        added["PYTHONMALLOC"] = "malloc"
    return added
