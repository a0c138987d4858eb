"""The copies of figures that processes publish by SNUG_PUBLISH: read, and removed when the process is gone."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from snugmalloc.engine.dropin import publish
from snugmalloc.launch.inside import WORDS, Inside, add_up

VARIABLE = "SNUG_PUBLISH"
NAME = re.compile(r"(\d+)\.snugstats")
START_FIELD = 22 - 3  # of /proc/PID/stat, behind the name in parentheses


def published_folder(process: Path) -> Path | None:
    """Where the process of a folder of /proc publishes: as it was started, or else as this one is told."""
    try:
        entries = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        entries = []
    told = dict(entry.partition(b"=")[::2] for entry in entries).get(VARIABLE.encode())
    name = os.fsdecode(told) if told else os.environ.get(VARIABLE, "")
    return Path(name) if name else None


def read_published(process: Path) -> Inside | None:
    """What the process of a folder of /proc has published of itself; None where it has not."""
    folder = published_folder(process)
    if folder is None:
        return None
    try:
        owners = (0, os.geteuid(), process.stat().st_uid)
        content = _read(folder / f"{process.name}.snugstats", owners)
    except OSError:
        return None
    start = start_time(process)
    return _figures(content) if start is not None and _start(content) == start else None


def open_published(process: Path) -> int:
    """A descriptor of the file that the process of a folder of /proc publishes, to be written to as well.

    Raises OSError where there is none, or it is not the process's.
    """
    folder = published_folder(process)
    if folder is None:
        raise FileNotFoundError
    owners = (os.geteuid(), process.stat().st_uid)
    descriptor = _open(folder / f"{process.name}.snugstats", owners, os.O_RDWR)
    if _start(os.pread(descriptor, publish.FILE_BYTES, 0)) != start_time(process):
        os.close(descriptor)
        raise FileNotFoundError
    return descriptor


def start_time(process: Path) -> int | None:
    """When the process of a folder of /proc began, in the kernel's ticks; None when it has ended."""
    try:
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[START_FIELD])
    except (OSError, IndexError, ValueError):
        return None


def remove_stale(folder: Path, proc: Path) -> None:
    """Remove this user's files there of processes that have ended."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        found = NAME.fullmatch(name)
        if found and _is_stale(folder / name, proc / found[1]):
            (folder / name).unlink(missing_ok=True)


def _is_stale(file: Path, process: Path) -> bool:
    try:
        start = _start(_read(file, (os.geteuid(),)))
    except OSError:
        return False
    now = start_time(process)
    return now is None or (start is not None and start != now)


def _read(file: Path, owners: tuple[int, ...]) -> bytes:
    """The file, if it is one and belongs to one of these users. Raises OSError."""
    descriptor = _open(file, owners, os.O_RDONLY)
    try:
        return os.read(descriptor, publish.FILE_BYTES)
    finally:
        os.close(descriptor)


def _open(file: Path, owners: tuple[int, ...], how: int) -> int:
    descriptor = os.open(file, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners:
        os.close(descriptor)
        raise PermissionError
    return descriptor


def _start(content: bytes) -> int | None:
    """When the process began that published this; None as long as the file is not complete."""
    if len(content) < publish.FILE_BYTES or _word(content, 0) != publish.PUBLISHED_MAGIC:
        return None
    return _word(content, publish.START)


def _word(content: bytes, offset: int) -> int:
    return int.from_bytes(content[offset : offset + 8], "little")


def _figures(content: bytes) -> Inside | None:
    slots = range(publish.SLOTS, publish.COMMAND_AT, WORDS.size)
    return add_up([WORDS.unpack_from(content, slot) for slot in slots])
