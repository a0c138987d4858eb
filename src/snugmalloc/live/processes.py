"""Owns which processes are on the drop-in malloc and what each of them holds, read from outside.

They are those of this user; root sees those of all users. A process that has the library and gives no figures
is counted by the reason.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from snugmalloc.launch.diagnosis import NoSuchProcess, find_library, started_as
from snugmalloc.launch.inside import Inside, NotReadable, read_inside
from snugmalloc.launch.published import VARIABLE, published_folder, read_published, remove_stale

PROC = Path("/proc")
KIB = 1 << 10


class Missing(StrEnum):
    """Why a process that has the library gives no figures."""

    ENDED = "ended"
    NOT_PERMITTED = "not_permitted"
    OFF = "off"
    NO_CALLS = "no_calls"
    OTHER_VERSION = "other_version"


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    pid: int
    program: str
    """What it was started by."""
    threads: int
    process_resident_bytes: int
    """All of the process, its code and stacks too."""
    heap: Inside

    @property
    def fragmentation(self) -> float | None:
        """Resident heap over live bytes."""
        return self.heap.resident_bytes / self.heap.live_bytes if self.heap.live_bytes else None

    @property
    def system_calls(self) -> int:
        """The calls of brk, mmap, munmap, mremap and madvise so far."""
        heap = self.heap
        return heap.brk_calls + heap.mmap_calls + heap.munmap_calls + heap.mremap_calls + heap.madvise_calls


@dataclass(frozen=True)
class Reading:
    """The processes at one moment."""

    time: float
    """In seconds since 1970."""
    samples: tuple[Sample, ...]
    missing: Mapping[Missing, int]
    """How many processes gave no figures."""


def read_all(proc: Path = PROC) -> Reading:
    """All processes of this user that have the library; as root, those of all users."""
    folders = list(_own_folders(proc))
    told = os.environ.get(VARIABLE)
    for folder in {*([Path(told)] if told else []), *filter(None, map(published_folder, folders))}:
        remove_stale(folder, proc)
    return _reading(folders)


def read_one(pid: int, proc: Path = PROC) -> Reading:
    """The process `pid`, missing if it has ended."""
    folder = proc / str(pid)
    return _reading([folder] if folder.exists() else [], missing=[] if folder.exists() else [Missing.ENDED])


def check_process(pid: int, proc: Path = PROC) -> None:
    """Raises NoSuchProcess if there is no process `pid` on the library."""
    folder = proc / str(pid)
    if not folder.exists():
        raise NoSuchProcess(f"there is no process {pid}")
    try:
        maps = _lines(folder / "maps")
    except OSError as error:
        raise NoSuchProcess(f"process {pid} cannot be read: {error.strerror} (try sudo)") from None
    if find_library(maps) is None:
        raise NoSuchProcess(f"process {pid} is not on snugmalloc: snug doctor {pid} says what it uses")


def _own_folders(proc: Path) -> Iterator[Path]:
    user = os.geteuid()
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                if user in (0, folder.stat().st_uid):
                    yield folder
            except OSError:
                continue  # it has ended


def _reading(folders: list[Path], missing: list[Missing] | None = None) -> Reading:
    samples: list[Sample] = []
    counts = Counter(missing)
    for folder in folders:
        found = _look_at(folder)
        if isinstance(found, Sample):
            samples.append(found)
        elif found is not None:
            counts[found] += 1
    return Reading(time.time(), tuple(sorted(samples, key=lambda one: one.pid)), counts)


def _look_at(folder: Path) -> Sample | Missing | None:
    """The process of a folder of /proc, or why it gives no figures; None if it has not the library."""
    try:
        base = find_library(_lines(folder / "maps"))
        if base is None:
            return None
        inside = read_inside(folder, base)
        return _sample(folder, inside) if inside is not None else Missing.OTHER_VERSION
    except NotReadable:
        inside = read_published(folder)
        if inside is not None:
            return _sample(folder, inside)
        return Missing.NOT_PERMITTED if _has_memory(folder) else Missing.ENDED
    except OSError:
        return None


def _sample(folder: Path, inside: Inside) -> Sample | Missing:
    if inside.is_off:
        return Missing.OFF
    if not inside.version:
        return Missing.NO_CALLS
    try:
        status = dict(line.split(":", 1) for line in _lines(folder / "status") if ":" in line)
    except OSError:
        return Missing.ENDED
    if "VmRSS" not in status:
        return Missing.ENDED
    return Sample(
        pid=int(folder.name),
        program=started_as(folder, status["Name"].strip()),
        threads=int(status["Threads"]),
        process_resident_bytes=int(status["VmRSS"].split()[0]) * KIB,
        heap=inside,
    )


def _has_memory(folder: Path) -> bool:
    """Whether the process has not ended."""
    try:
        return bool(_lines(folder / "maps"))
    except OSError:
        return False


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()
