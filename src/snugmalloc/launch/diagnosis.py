"""What decides how a process's memory behaves: its allocator, what is preloaded, and the limits around it.

Everything is read from /proc and /sys; `root` may stand for another place of both, in tests.
"""

from __future__ import annotations

import mmap
import os
import platform
import re
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snugmalloc.launch.preload import ALLOCATOR_NAME, SEPARATORS
from snugmalloc.launch.program import PYTHON_NAME

LIBC_NAME = re.compile(r"libc(\.so\.6|-[\d.]+\.so|\.musl.*)|ld-musl.*")
GLIBC_SETTINGS = ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
NO_LIMIT_V1 = 1 << 62  # what the first version of cgroups says for none is about 2^63
GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10


class NoSuchProcess(Exception):
    """A process that is not there or may not be looked at."""


@dataclass(frozen=True)
class Finding:
    """One fact, and what to do about it, if there is anything."""

    name: str
    value: str
    advice: str | None = None


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it."""

    pid: int
    executable: str
    mapped: tuple[str, ...]
    """The files mapped into it, in the order of addresses."""
    mappings: int
    environment: Mapping[str, str]
    status: Mapping[str, str]
    limits: Mapping[str, str]
    """Name of a limit to its soft value, in bytes or `unlimited`."""
    cgroup: str

    @property
    def is_python(self) -> bool:
        """Whether it is a Python interpreter."""
        return bool(PYTHON_NAME.fullmatch(Path(self.executable).name))


def read_process(pid: int, root: Path = Path("/")) -> Process:
    """What /proc has of process `pid`. Raises NoSuchProcess."""
    folder = root / "proc" / str(pid)
    if not folder.exists():
        raise NoSuchProcess(f"there is no process {pid}")
    try:
        maps = (folder / "maps").read_text().splitlines()
        environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        executable = os.readlink(folder / "exe")
    except OSError as error:
        raise NoSuchProcess(f"process {pid} may not be looked at: {error.strerror} (try sudo)") from None
    files = [line.split(maxsplit=5)[5] for line in maps if len(line.split(maxsplit=5)) == 6]
    status = (line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    limits = (re.split(r"\s{2,}", line) for line in (folder / "limits").read_text().splitlines()[1:])
    return Process(
        pid=pid,
        executable=executable,
        mapped=tuple(dict.fromkeys(file for file in files if file.startswith("/"))),
        mappings=len(maps),
        environment=dict(entry.split("=", 1) for entry in environment if "=" in entry),
        status={name: value.strip() for name, value in status},
        limits={fields[0]: fields[1] for fields in limits},
        cgroup=_cgroup(folder),
    )


def _cgroup(folder: Path) -> str:
    """The process's path in the memory controller's tree, of the second version if there is one."""
    paths = [line.split(":", 2) for line in _text(folder / "cgroup").splitlines()]
    for _, controllers, path in paths:
        if controllers == "" or "memory" in controllers.split(","):
            return path
    return "/"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def diagnose(process: Process, root: Path = Path("/")) -> Iterator[Finding]:
    """The findings, the process's own first."""
    yield from _own(process)
    yield from _allocator(process)
    if process.is_python:
        yield _python_objects(process)
    yield from _preloaded(process)
    yield from _settings(process)
    yield from _pages(process, root)
    yield _cgroup_limit(process, root)
    yield _rlimits(process)
    yield from _system(process, root)


def _own(process: Process) -> Iterator[Finding]:
    yield Finding("process", f"{process.pid}: {process.executable}")
    status = process.status
    if "VmRSS" in status:
        amounts = [f"{_kilobytes(status, 'VmRSS')} resident, peak {_kilobytes(status, 'VmHWM')}"]
        if status.get("VmSwap", "0 kB") != "0 kB":
            amounts.append(f"{_kilobytes(status, 'VmSwap')} swapped out")
        yield Finding("memory", ", ".join(amounts))


def _kilobytes(status: Mapping[str, str], name: str) -> str:
    return bytes_text(int(status[name].split()[0]) * KIB)


def bytes_text(count: int) -> str:
    """`count` bytes in the largest unit that fits."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count} bytes"


def _allocator(process: Process) -> Iterator[Finding]:
    """By what is mapped: an allocator that is built into the program does not show."""
    found = [file for file in process.mapped if ALLOCATOR_NAME.match(Path(file).name)]
    preloaded = [Path(entry).resolve() for entry in preload_entries(process)]
    in_use = [file for file in found if Path(file).resolve() in preloaded] or found
    if len(in_use) > 1:
        names = ", ".join(in_use)
        yield Finding("allocator", f"several: {names}", "only the first in LD_PRELOAD is used: leave one")
    elif in_use and "snugmalloc" in Path(in_use[0]).name and not preloaded:
        yield Finding("allocator", "the system's malloc; snugmalloc is a second heap beside it")
    elif in_use:
        other = None if "snugmalloc" in Path(in_use[0]).name else "compare it: snug compare -- PROGRAM"
        yield Finding("allocator", in_use[0], other)
    elif libc := [file for file in process.mapped if LIBC_NAME.fullmatch(Path(file).name)]:
        value = f"the system's malloc, {libc[0]} (or one built into the program)"
        yield Finding("allocator", value, "snug run -- PROGRAM")
    else:
        yield Finding("allocator", "its own: statically linked", "nothing can be preloaded into it")


def _python_objects(process: Process) -> Finding:
    name = Path(process.executable).name
    setting = process.environment.get("PYTHONMALLOC", "")
    own = process.pid == os.getpid()
    if name.removesuffix("d").endswith("t") or (own and sysconfig.get_config_var("Py_GIL_DISABLED")):
        return Finding("Python's objects", "in the interpreter's own mimalloc: a free-threaded build", None)
    if setting.startswith("malloc"):
        return Finding("Python's objects", f"from malloc (PYTHONMALLOC={setting})")
    advice = "PYTHONMALLOC=malloc puts them on the allocator (snug run sets it)"
    version = f" of Python {platform.python_version()}" if own else ""
    return Finding("Python's objects", f"up to 512 bytes in pymalloc{version}", advice)


def preload_entries(process: Process) -> list[str]:
    """The entries of LD_PRELOAD with which the process was started."""
    return [entry for entry in SEPARATORS.split(process.environment.get("LD_PRELOAD", "")) if entry]


def _preloaded(process: Process) -> Iterator[Finding]:
    entries = preload_entries(process)
    if not entries:
        yield Finding("preloaded", "nothing")
        return
    names = {Path(file).name for file in process.mapped} | {
        Path(file).resolve().name for file in process.mapped
    }
    for entry in entries:
        loaded = Path(entry).name in names or Path(entry).resolve().name in names
        why = "the loader could not load it: is the file there, and of this machine's architecture?"
        yield Finding("preloaded", entry if loaded else f"{entry}: NOT loaded", None if loaded else why)


def _settings(process: Process) -> Iterator[Finding]:
    for name, value in sorted(process.environment.items()):
        if name.startswith("SNUG_"):
            yield Finding("setting", f"{name}={value}")
        elif name in GLIBC_SETTINGS:
            yield Finding("setting", f"{name}={value}", "only glibc's malloc reads it")


def _pages(process: Process, root: Path) -> Iterator[Finding]:
    yield Finding("page size", bytes_text(mmap.PAGESIZE))
    modes = _text(root / "sys/kernel/mm/transparent_hugepage/enabled")
    chosen = re.search(r"\[(\w+)\]", modes)
    mode = chosen[1] if chosen else "not there"
    if process.status.get("THP_enabled") == "0":
        yield Finding("huge pages", f"{mode}, but turned off for this process")
    elif mode == "always":
        advice = (
            "the kernel may make 2 MiB resident where 4 KiB are used; as root: "
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
        )
        yield Finding("huge pages", mode, advice)
    else:
        yield Finding("huge pages", mode)


def _cgroup_limit(process: Process, root: Path) -> Finding:
    """The tightest limit on the way from the process's group to the root of the tree."""
    limits = []
    for tree, file in (
        (root / "sys/fs/cgroup", "memory.max"),
        (root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ):
        path = Path(process.cgroup.lstrip("/"))
        for part in (path, *path.parents):
            text = _text(tree / part / file)
            if text.isdigit() and int(text) < NO_LIMIT_V1:
                limits.append(int(text))
    if not limits:
        return Finding("cgroup limit", "none")
    limit = min(limits)
    advice = f"beyond it the kernel kills; SNUG_LIMIT={limit * 9 // 10 // MIB}M makes malloc answer NULL before"
    return Finding("cgroup limit", bytes_text(limit), advice)


def _rlimits(process: Process) -> Finding:
    names = {"Max address space": "address space (ulimit -v)", "Max data size": "data (ulimit -d)"}
    found = [
        f"{text} {bytes_text(int(process.limits[name]))}"
        for name, text in names.items()
        if process.limits.get(name, "unlimited").isdigit()
    ]
    if not found:
        return Finding("limits", "address space and data: unlimited")
    return Finding(
        "limits", ", ".join(found), "malloc answers NULL when they are reached: raise them if need be"
    )


def _system(process: Process, root: Path) -> Iterator[Finding]:
    overcommit = _text(root / "proc/sys/vm/overcommit_memory")
    meaning = {"0": "0, by guess", "1": "1, always", "2": "2, strict"}.get(overcommit, overcommit or "unknown")
    strict = "what is reserved counts as used: leave room in vm.overcommit_ratio" if overcommit == "2" else None
    yield Finding("overcommit", meaning, strict)
    most = _text(root / "proc/sys/vm/max_map_count")
    if most.isdigit():
        near = process.mappings * 2 > int(most)
        advice = "near the most that the kernel allows: raise vm.max_map_count" if near else None
        yield Finding("mappings", f"{process.mappings:,} of at most {int(most):,}", advice)
    memory = dict(line.split(":", 1) for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    if "MemAvailable" in memory:
        available, total = _kilobytes(memory, "MemAvailable"), _kilobytes(memory, "MemTotal")
        swap = int(memory.get("SwapTotal", "0").split()[0])
        swap_text = bytes_text(swap * KIB) if swap else "none"
        yield Finding("machine", f"{available} available of {total}, swap {swap_text}")
