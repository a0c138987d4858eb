"""What decides how a process's memory behaves: its allocator, what is preloaded, and the limits around it.

Everything is read from /proc and /sys; `root` may stand for another place of both, in tests.
"""

from __future__ import annotations

import mmap
import os
import platform
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snugmalloc.engine.dropin import switch
from snugmalloc.launch.inside import REASONS, STATES, Inside, NotReadable, read_inside
from snugmalloc.launch.preload import ALLOCATOR_NAME, MALLOC_SETTINGS, SEPARATORS, TOLD
from snugmalloc.launch.program import PYTHON_NAME, has_free_threaded_mark
from snugmalloc.launch.published import read_published
from snugmalloc.options import PREFIX, complaint

OWN_NAME = re.compile(r"libsnugmalloc\.so")
LIBC_NAME = re.compile(r"libc(\.so\.6|-[\d.]+\.so|\.musl.*)|ld-musl.*")
GLIBC_SETTINGS = ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
NEAR = 0.75  # of a limit: from there on it is worth a warning
AT_SECURE = 23  # of the auxiliary vector: 1 where the process may do what its caller may not
MOST_COMM = 15  # characters of a process's name that the kernel keeps
FREE_THREADED_FILE = re.compile(r"^python\d\.\d+td?$|^libpython\d\.\d+td?\.so|\.cpython-\d+td?-")
NO_LIMIT_V1 = 1 << 62  # what the first version of cgroups says for none is about 2^63
GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10
MUCH = 16 * MIB  # free memory, if it is more than what is used
OFF_ADVICE = {
    switch.OFF_BY_DISABLE: "unset SNUG_DISABLE and start it again",
    switch.OFF_BY_FILE: "remove the file that SNUG_DISABLE_FILE names and start it again",
    switch.OFF_BY_EXCEPT: "take its name out of SNUG_EXCEPT and start it again",
    switch.OFF_BY_CANARY: "raise SNUG_CANARY, and more processes start on it",
}

SECURE_SETTING = "the process may do what its caller may not (set-user-id and the like): it obeys no options"
SECURE_PRELOAD = (
    "the process may do what its caller may not (set-user-id and the like): "
    "the loader takes only what is set-user-id itself, from the system's folders, for it"
)
NOT_LOADED = "the loader could not load it: is the file there, and of this machine's architecture?"


class NoSuchProcess(Exception):
    """A process that is not there or cannot be read."""


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
    name: str
    """What it was started by: a link, or a script."""
    mapped: tuple[str, ...]
    """The files mapped into it, in the order of addresses."""
    mappings: int
    environment: Mapping[str, str]
    status: Mapping[str, str]
    limits: Mapping[str, str]
    """Name of a limit to its soft value, in bytes or `unlimited`."""
    cgroup: str
    is_secure: bool = False
    """It may do what its caller may not, by set-user-id and the like: it obeys nothing of its environment."""
    inside: Inside | None = None
    """What snugmalloc reports of itself in there; None without it, or where it may not be read."""
    obstacle: str = ""
    """Why it may not be read."""

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
        maps = (folder / "maps").read_text(errors="replace").splitlines()
        environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        executable = os.readlink(folder / "exe")
    except PermissionError as error:
        raise NoSuchProcess(f"process {pid} cannot be read: {error.strerror} (try sudo)") from None
    except OSError:
        raise NoSuchProcess(f"process {pid} has no memory: it is a kernel thread, or has ended") from None
    files = [line.split(maxsplit=5)[5] for line in maps if len(line.split(maxsplit=5)) == 6]
    inside, obstacle = _look_inside(folder, maps)
    status = {
        name: value.strip()
        for name, found, value in (line.partition(":") for line in _text(folder / "status").splitlines())
        if found
    }
    limits = (re.split(r"\s{2,}", line) for line in _text(folder / "limits").splitlines()[1:])
    return Process(
        pid=pid,
        executable=executable,
        name=started_as(folder, status.get("Name", "")),
        mapped=tuple(dict.fromkeys(file for file in files if file.startswith("/"))),
        mappings=len(maps),
        environment=dict(entry.removeprefix(TOLD).split("=", 1) for entry in environment if "=" in entry),
        status=status,
        limits={fields[0]: fields[1] for fields in limits if len(fields) > 1},
        cgroup=_cgroup(folder),
        is_secure=_is_secure(folder),
        inside=inside,
        obstacle=obstacle,
    )


def _look_inside(folder: Path, maps: list[str]) -> tuple[Inside | None, str]:
    """What the library in the process reports of itself, and why it may not be read, if so."""
    base = find_library(maps)
    if base is None:
        return None, ""
    try:
        return read_inside(folder, base), ""
    except NotReadable as error:
        inside = read_published(folder)
        return inside, "" if inside else str(error)


def find_library(maps: Iterable[str]) -> int | None:
    """Where the library lies in a process, by the lines of its /proc/PID/maps; None without it."""
    for line in maps:
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and OWN_NAME.match(Path(fields[5]).name) and int(fields[2], 16) == 0:
            return int(fields[0].partition("-")[0], 16)
    return None


def _is_secure(folder: Path) -> bool:
    """Whether the process may do what its caller may not; not known, it may not."""
    try:
        vector = (folder / "auxv").read_bytes()
    except OSError:
        return False
    whole = len(vector) // 16 * 16
    return (AT_SECURE, 1) in struct.iter_unpack("<2Q", vector[:whole])


def started_as(folder: Path, short: str) -> str:
    """The kernel's name of the process, which it takes from the file executed: in full, if argv[0] has it."""
    first = _text(folder / "cmdline").partition("\0")[0].partition(" ")[0]
    full = first.rpartition("/")[2]
    return full if len(short) == MOST_COMM and full.startswith(short) else short


def _cgroup(folder: Path) -> str:
    """The process's path in the memory controller's tree, of the second version if there is one."""
    paths = [line.split(":", 2) for line in _text(folder / "cgroup").splitlines()]
    for _, controllers, path in paths:
        if controllers == "" or "memory" in controllers.split(","):
            return path
    return "/"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def diagnose(process: Process, root: Path = Path("/")) -> Iterator[Finding]:
    """The findings, the process's own first."""
    yield from _own(process)
    yield from _allocator(process)
    yield from _inside(process)
    if process.is_python:
        yield _python_objects(process, root)
    yield from _preloaded(process)
    yield from _settings(process)
    yield from _pages(process, root)
    yield from _cgroup_limits(process, root)
    yield from _rlimits(process)
    yield from _system(process, root)


def _own(process: Process) -> Iterator[Finding]:
    is_named_so = process.name in ("", Path(process.executable).name)
    program = process.executable if is_named_so else f"{process.name} ({process.executable})"
    yield Finding("process", f"{process.pid}: {program}")
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
        yield Finding("allocator", f"several: {names}", "only the first in LD_PRELOAD is used: keep one")
    elif in_use and "snugmalloc" in Path(in_use[0]).name and not preloaded:
        yield Finding("allocator", "the system's malloc; snugmalloc is a second heap beside it")
    elif process.inside and process.inside.is_off:
        value = f"{in_use[0]}, {STATES[process.inside.state]}: every call goes to the system's malloc"
        yield Finding("allocator", value, OFF_ADVICE[process.inside.state])
    elif in_use:
        other = None if "snugmalloc" in Path(in_use[0]).name else "compare it: snug compare -- PROGRAM"
        yield Finding("allocator", in_use[0], other)
    elif libc := [file for file in process.mapped if LIBC_NAME.fullmatch(Path(file).name)]:
        value = f"the system's malloc, {libc[0]} (or one built into the program)"
        yield Finding("allocator", value, "snug run -- PROGRAM")
    else:
        yield Finding("allocator", "its own: statically linked", "nothing can be preloaded into it")


def _inside(process: Process) -> Iterator[Finding]:
    """What the library reports of itself."""
    if process.obstacle:
        advice = "to see whether it is on, and what was refused, its memory must be read: try sudo"
        yield Finding("snugmalloc", f"unknown: {process.obstacle}", advice)
    inside = process.inside
    if inside is None:
        return
    yield Finding("snugmalloc", STATES.get(inside.state, f"state {inside.state}"))
    if inside.is_off or not inside.system_bytes:
        return
    trim = "snug_trim(0), in Python snugmalloc.dropin.trim(), gives it back now"
    much = inside.kept_free_bytes > max(inside.live_bytes, MUCH)
    yield Finding(
        "heap",
        f"{bytes_text(inside.live_bytes)} in use or cached by threads, {bytes_text(inside.kept_free_bytes)} "
        f"free but kept, of {bytes_text(inside.system_bytes)} of address space",
        trim if much else None,
    )
    for reason in REASONS:
        if count := reason.count(inside):
            yield Finding("refused", f"{count:,} {_requests(count)}: {reason.words}", reason.advice)


def _requests(count: int) -> str:
    return "request" if count == 1 else "requests"


def _python_objects(process: Process, root: Path) -> Finding:
    name = Path(process.executable).name
    setting = process.environment.get("PYTHONMALLOC", "")
    own = process.pid == os.getpid()
    names = [name, *(Path(file).name for file in process.mapped)]
    executable = root / "proc" / str(process.pid) / "exe"
    if any(map(FREE_THREADED_FILE.search, names)) or has_free_threaded_mark(executable):
        value = "in the interpreter's own mimalloc: a free-threaded build, which cannot leave them to malloc"
        return Finding("Python's objects", value)
    if setting in MALLOC_SETTINGS:
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
        why = SECURE_PRELOAD if process.is_secure else NOT_LOADED
        yield Finding("preloaded", entry if loaded else f"{entry}: NOT loaded", None if loaded else why)


def _settings(process: Process) -> Iterator[Finding]:
    for name, value in sorted(process.environment.items()):
        if name.startswith(PREFIX) and process.is_secure:
            yield Finding("setting", f"{name}={value}: not in force", SECURE_SETTING)
        elif name.startswith(PREFIX):
            yield Finding("setting", f"{name}={value}", complaint(name, value))
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


@dataclass(frozen=True)
class Bound:
    """A limit in bytes, and how much of it is taken, if that is known."""

    most: int
    taken: int | None

    @property
    def is_near(self) -> bool:
        """Whether most of it is taken."""
        return self.taken is not None and self.taken >= self.most * NEAR

    def __str__(self) -> str:
        of_it = "" if self.taken is None else f", {bytes_text(self.taken)} of it taken"
        return bytes_text(self.most) + of_it


def _cgroup_limits(process: Process, root: Path) -> Iterator[Finding]:
    """The tightest limits on the way from the process's group to the root of the tree."""
    tree = root / "sys/fs/cgroup"
    hard = [
        *_bounds(tree, process.cgroup, "memory.max", "memory.current"),
        *_bounds(tree / "memory", process.cgroup, "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ]
    if hard:
        limit = min(hard, key=lambda bound: bound.most)
        near = "near: " if limit.is_near else ""
        advice = (
            f"{near}beyond it the kernel kills the process; raise it, or "
            f"SNUG_LIMIT={limit.most * 9 // 10 // MIB}M makes malloc return NULL first"
        )
        yield Finding("cgroup limit", str(limit), advice)
    else:
        yield Finding("cgroup limit", "none")
    for limit in sorted(_bounds(tree, process.cgroup, "memory.high", "memory.current"), key=lambda b: b.most)[
        :1
    ]:
        advice = "near: beyond it the kernel throttles the process to reclaim memory; raise memory.high"
        yield Finding("cgroup throttle", str(limit), advice if limit.is_near else None)


def _bounds(tree: Path, cgroup: str, limit_file: str, use_file: str) -> Iterator[Bound]:
    """The limits that are set in the groups of one tree. The file cache that can go is not counted as taken."""
    path = Path(cgroup.lstrip("/"))
    for folder in (tree / part for part in (path, *path.parents)):
        limit, use = _text(folder / limit_file), _text(folder / use_file)
        if limit.isdigit() and int(limit) < NO_LIMIT_V1:
            cached = re.search(r"^(?:total_)?inactive_file (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            taken = max(0, int(use) - int(cached[1] if cached else 0)) if use.isdigit() else None
            yield Bound(int(limit), taken)


def _rlimits(process: Process) -> Iterator[Finding]:
    limited = False
    for name, what, option, field in (
        ("Max address space", "address space (ulimit -v)", "as", "VmSize"),
        ("Max data size", "data (ulimit -d)", "data", "VmData"),
    ):
        text = process.limits.get(name, "unlimited")
        if not text.isdigit():
            continue
        limited = True
        taken = process.status.get(field)
        bound = Bound(int(text), int(taken.split()[0]) * KIB if taken else None)
        when = (
            "near: malloc will soon return NULL" if bound.is_near else "malloc returns NULL when it is reached"
        )
        more = f"prlimit --pid {process.pid} --{option}={2 * bound.most}"
        yield Finding("limits", f"{what} {bound}", f"{when}; raise it if need be: {more}")
    if not limited:
        yield Finding("limits", "address space and data: unlimited")


def _system(process: Process, root: Path) -> Iterator[Finding]:
    memory = dict(line.split(":", 1) for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    yield _overcommit(_text(root / "proc/sys/vm/overcommit_memory"), memory)
    most = _text(root / "proc/sys/vm/max_map_count")
    if most.isdigit():
        advice = (
            "near: mmap will fail, and malloc return NULL; raise it, as root: "
            f"sysctl vm.max_map_count={2 * int(most)}"
        )
        near = process.mappings >= int(most) * NEAR
        value = f"{process.mappings:,} of at most {int(most):,}"
        yield Finding("mappings", value, advice if near else None)
    if "MemAvailable" in memory:
        available, total = _kilobytes(memory, "MemAvailable"), _kilobytes(memory, "MemTotal")
        swap = int(memory.get("SwapTotal", "0").split()[0])
        swap_text = bytes_text(swap * KIB) if swap else "none"
        yield Finding("machine", f"{available} available of {total}, swap {swap_text}")


def _overcommit(mode: str, memory: Mapping[str, str]) -> Finding:
    meaning = {"0": "0, heuristic", "1": "1, always", "2": "2, strict"}.get(mode, mode or "unknown")
    if mode != "2":
        return Finding("overcommit", meaning)
    advice = "what is reserved counts as used: leave room in vm.overcommit_ratio"
    if "CommitLimit" in memory and "Committed_AS" in memory:
        most, taken = (int(memory[name].split()[0]) * KIB for name in ("CommitLimit", "Committed_AS"))
        bound = Bound(most, taken)
        return Finding("overcommit", f"{meaning}: {bound}", ("near: " if bound.is_near else "") + advice)
    return Finding("overcommit", meaning, advice)
