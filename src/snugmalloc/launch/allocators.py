"""The allocators that a program can run on: the system's malloc, snugmalloc, and the peers installed here."""

from __future__ import annotations

import contextlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import snugmalloc
from snugmalloc.launch.elf import read_elf
from snugmalloc.launch.preload import preload_list
from snugmalloc.launch.run_report import read_reports

SYSTEM = "system"
PYMALLOC = "pymalloc"
OURS = "snugmalloc"
OURS_UNDER_PYMALLOC = "snugmalloc-pymalloc"
UNDER_PYMALLOC = (PYMALLOC, OURS_UNDER_PYMALLOC)  # Python keeps its own allocator of small objects
# What tables and plots call an allocator, where that is not its name.
LABELS = {PYMALLOC: "stock Python"}

# Peer: the libraries it may be installed as, the preferred one first.
PEERS = {
    "jemalloc": ("libjemalloc.so.2",),
    "mimalloc": ("libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
}
FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/{machine}-linux-gnu")

# Run with the library preloaded: whether it is one of ours, and the version that it reports.
ASK = """
import ctypes, sys
process = ctypes.CDLL(None)
def text(name, *arguments):
    function = getattr(process, name)
    function.restype = ctypes.c_char_p
    return function(*arguments).decode()
is_ours = hasattr(process, "snug_version")
print(is_ours)
if is_ours:
    print(text("snug_version"))
elif hasattr(process, "mi_version"):
    digits = process.mi_version()
    base = 100 if digits >= 10000 else 10  # three digits up to 2.x, five since
    print(f"{digits // base**2}.{digits // base % base}.{digits % base}")
elif hasattr(process, "tc_version"):
    print(text("tc_version", None, None, None).removeprefix("gperftools "))
elif hasattr(process, "mallctl"):
    value, size = ctypes.c_char_p(), ctypes.c_size_t(8)
    process.mallctl(b"version", ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    print(value.value.decode().split("-")[0])
elif sys.argv[1] == "system":
    print(text("gnu_get_libc_version"))
"""


class AllocatorError(Exception):
    """An allocator that is not there or does not load."""


@dataclass(frozen=True)
class Allocator:
    """An allocator: the name that tables show, the file that malloc comes from, its version if known."""

    name: str
    path: Path
    version: str | None
    is_ours: bool = False
    """Whether it is a build of snugmalloc, whatever its name: it exports `snug_version`."""

    @property
    def is_preloaded(self) -> bool:
        """Whether it is loaded by LD_PRELOAD, and not what the system gives."""
        return self.name not in (SYSTEM, PYMALLOC)

    @property
    def keeps_pymalloc(self) -> bool:
        """Whether a Python program keeps its own allocator of small objects on it."""
        return self.name in UNDER_PYMALLOC

    @property
    def label(self) -> str:
        """The name for people."""
        return LABELS.get(self.name, self.name)

    @property
    def libraries(self) -> list[Path]:
        """What to preload for it."""
        return [self.path] if self.is_preloaded else []


def installed_names() -> list[str]:
    """The allocators that `find_allocators` would find by these names, in the order of tables."""
    return [SYSTEM, *(name for name in PEERS if _peer_library(name)), *([OURS] if _own_library() else [])]


def find_allocators(names: Sequence[str]) -> list[Allocator]:
    """The allocators called `names`: `system`, `snugmalloc`, a peer, or `name=path` for any other library.

    `pymalloc` and `snugmalloc-pymalloc` are the system's malloc and ours under Python's own allocator.

    Each is loaded once in a process of its own to see that malloc comes from it. Raises AllocatorError.
    """
    return [_find(name) for name in names]


def _find(text: str) -> Allocator:
    name, given, path = text.partition("=")
    if given:
        if not name or not path:
            raise AllocatorError(f"{text!r} is not name=path")
        return _ask(name, Path(path).absolute())
    if name in (SYSTEM, PYMALLOC):
        return _ask(name, None)
    ours = (OURS, OURS_UNDER_PYMALLOC)
    library = _own_library() if name in ours else _peer_library(name)
    if library is None:
        known = ", ".join([SYSTEM, OURS, *PEERS])
        what = (
            f"{name} is not installed"
            if name in (*PEERS, *ours)
            else f"there is no allocator {name!r} (there are {known})"
        )
        raise AllocatorError(f"{what}; any library can be given as {name}=PATH")
    return _ask(name, library)


def _ask(name: str, library: Path | None) -> Allocator:
    """Load `library` in a process of its own and ask where malloc comes from and for the version."""
    if library is not None and not library.exists():
        raise AllocatorError(f"{name}: {library}: no such file")
    companion = Path(snugmalloc.get_library("snug-run"))
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "LD_PRELOAD": preload_list([*([library] if library else []), companion], ""),
            "_SNUG_RUN_REPORT": folder,
        }
        command = [sys.executable, "-I", "-S", "-c", ASK, SYSTEM if library is None else ""]
        asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        reports = list(read_reports(Path(folder)).values())
    complaints = asked.stderr.strip().splitlines()
    if asked.returncode or not reports:
        raise AllocatorError(
            f"{name}: a program with {library} preloaded fails: {(complaints or ['no reason given'])[-1]}"
        )
    if library is not None and not reports[0].is_on(str(library)):
        why = (complaints or [f"malloc still comes from {reports[0].malloc_from}"])[0]
        raise AllocatorError(f"{name}: {library} cannot be preloaded: {why}")
    path = library or Path(reports[0].malloc_from or "")
    ours, version = (*asked.stdout.splitlines(), "")[:2]
    return Allocator(name, path, version or _version_in_name(path), ours == str(True))


def _version_in_name(library: Path) -> str | None:
    """`2.3` for libname.so.2.3."""
    found = re.search(r"\.so\.([\d.]+)$", library.resolve().name)
    return found[1] if found else None


def _own_library() -> Path | None:
    try:
        return Path(snugmalloc.get_library(OURS))
    except ValueError:
        return None


def _peer_library(name: str) -> Path | None:
    """The library of a peer that fits this machine: from the loader's cache, else from the usual folders."""
    own = read_elf(Path(sys.executable))
    for library in PEERS.get(name, ()):
        for path in (*_cached(library), *_in_folders(library)):
            with contextlib.suppress(OSError):  # not there, or damaged
                header = read_elf(path)
                if header and own and header.runs_with(own):
                    return path
    return None


def _cached(library: str) -> Iterator[Path]:
    """Where the loader's cache (`ldconfig -p`) has `library`."""
    ldconfig = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if ldconfig is None:
        return
    listed = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        name, _, path = line.strip().partition(" => ")
        if path and name.split()[0] == library:
            yield Path(path)


def _in_folders(library: str) -> Iterator[Path]:
    for folder in FOLDERS:
        yield Path(folder.format(machine=platform.machine())) / library
