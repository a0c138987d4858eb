"""Owns the way into a running process: its memory, and the engine's modules on it, which know how a heap lies.

The process is not stopped and need not know of it. `attach` takes the right to trace it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from snugmalloc.engine.backend import Backend
from snugmalloc.engine.dropin.outside import OUTSIDE_LAYOUT, Outside
from snugmalloc.engine.interpreted import FreshEngine
from snugmalloc.launch.diagnosis import find_library
from snugmalloc.launch.inside import FIGURES, OUTSIDE, SHARDS, STATES, Inside, Memory, NotReadable, read_inside

PROC = Path("/proc")
OWN_MEMORY = 1 << 60  # where no process has any
PAGE = 4096


class CannotAttach(Exception):
    """A process that cannot be looked into, and why."""


class RemoteMachine:
    """As much of a machine as it takes to read: what is loaded is another process's, page by page."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.pages: dict[int, bytes] = {}
        self._reserved = OWN_MEMORY

    def load(self, address: int, width: int) -> int:
        """`width` bytes, as they were when their page was read first."""
        at = address % PAGE
        if at + width > PAGE:
            return int.from_bytes(self.memory.read(address, width), "little")
        return int.from_bytes(self.page(address - at)[at : at + width], "little")

    def page(self, address: int) -> bytes:
        """The page that begins there."""
        page = self.pages.get(address)
        if page is None:
            page = self.pages[address] = self.memory.read(address, PAGE)
        return page

    def forget(self) -> None:
        """What is loaded from now on is read anew."""
        self.pages.clear()

    def reserve(self, count: int) -> int:
        """Modules get addresses for memory of their own, which nobody uses here."""
        self._reserved += -(-count // PAGE) * PAGE
        return self._reserved


@dataclass(frozen=True)
class Attached:
    """A process that is on the heap, open to be looked into."""

    pid: int
    proc: Path
    memory: Memory
    figures_at: int
    shards_at: int
    """Where the list of shards is; 0 without one."""
    outside_at: int

    @cached_property
    def machine(self) -> RemoteMachine:
        """The process as a machine."""
        return RemoteMachine(self.memory)

    @cached_property
    def engine(self) -> Any:
        """The engine's modules on its memory."""
        known = {"PROCESS_HEAP": self.figures_at, "ROOT": self.memory.word(self.outside_at + Outside.root)}
        return FreshEngine("dropin", cast(Backend, self.machine), known)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return has_memory(self.proc)

    def maps(self) -> list[str]:
        """The lines of its /proc/PID/maps."""
        return (self.proc / "maps").read_text(errors="replace").splitlines()


def has_memory(proc: Path) -> bool:
    """Whether the process of a folder of /proc has not ended."""
    try:
        return bool((proc / "maps").read_bytes())
    except OSError:
        return False


@contextmanager
def attach(pid: int, root: Path = PROC, *, to_write: bool = False) -> Iterator[Attached]:
    """The process `pid`, if it is on the heap of this version of the library. Raises CannotAttach."""
    proc = root / str(pid)
    if not proc.exists():
        raise CannotAttach(f"there is no process {pid}")
    try:
        maps = (proc / "maps").read_text(errors="replace").splitlines()
        if not maps:
            raise CannotAttach(f"process {pid} has no memory: it is a kernel thread, or has ended")
        base = find_library(maps)
        if base is None:
            raise CannotAttach(f"process {pid} is not on snugmalloc: snug doctor {pid} says what it uses")
        file = (proc / "mem").open("r+b" if to_write else "rb", buffering=0)
    except OSError as error:
        why = "it has ended" if not proc.exists() else f"{error.strerror} (try sudo)"
        raise CannotAttach(f"process {pid} cannot be read: {why}") from None
    with file:
        yield _attached(pid, proc, base, Memory(file.fileno()))


def _attached(pid: int, proc: Path, base: int, memory: Memory) -> Attached:
    try:
        inside = read_inside(proc, base)
        words = [memory.find_symbol(base, name) for name in (FIGURES, SHARDS, OUTSIDE)]
        figures_at, shards_at, outside_at = (0 if place is None else memory.word(place) for place in words)
        _check(pid, inside, memory.word(outside_at + Outside.layout) if outside_at else 0)
        return Attached(pid, proc, memory, figures_at, shards_at, outside_at)
    except (OSError, NotReadable) as error:
        why = str(error) if has_memory(proc) else "it has ended"
        raise CannotAttach(f"process {pid} cannot be read: {why}") from None


def _check(pid: int, inside: Inside | None, layout: int) -> None:
    """Raises CannotAttach where there is no heap that is known here."""
    if inside is not None and inside.is_off:
        raise CannotAttach(f"process {pid} is not on the heap: {STATES[inside.state]}")
    if inside is not None and not inside.version:
        raise CannotAttach(f"process {pid} has not called malloc so far")
    if inside is None or layout != OUTSIDE_LAYOUT:
        raise CannotAttach(f"process {pid} has another version of snugmalloc: use the snug that belongs to it")
