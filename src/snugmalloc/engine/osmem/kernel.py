"""Owns every system call of the heap: `brk`, `mmap`, `munmap`, counted; and its part of the break."""

from __future__ import annotations

from ..common.brk import Break, is_contested, look_at_break
from ..common.figures import raise_figure
from ..machine import Word, map_memory, move_break, reserve, system_break, unmap_memory
from .figures import FIGURES, Figures

OWN_BREAK = reserve(Break.SIZE)

start: Word = 0


def heap_end() -> Word:
    """The end of our part of the break: where the next block over brk would stand. 0 before first use."""
    return Break(OWN_BREAK).end


def find_break() -> None:
    """At first use: ask the kernel for the break, once and for all."""
    global start
    raise_figure(FIGURES, Figures.brk_calls, 1)
    start = system_break()
    Break(OWN_BREAK).end = start


def is_on_break(address: Word) -> bool:
    """Whether the address is between the first break and our end: there is memory, ours or others'."""
    return address >= start and address < heap_end()


def foreign_break() -> Word:
    """Where somebody else has moved the break to, or 0 if it is no higher than we left it."""
    now = look_at_break(Break(OWN_BREAK))
    return now if now > heap_end() else 0


def is_break_contested() -> bool:
    """Whether another user of the break may move it at the same time."""
    return is_contested(Break(OWN_BREAK))


def extend_break(target: Word) -> bool:
    """Move the break up to `target`, which becomes our end. Returns True on success."""
    raise_figure(FIGURES, Figures.brk_calls, 1)
    if not move_break(target):
        return False
    Break(OWN_BREAK).end = target
    return True


def map_pages(length: Word) -> Word:
    """A new mapping of `length` bytes, or 0."""
    raise_figure(FIGURES, Figures.mmap_calls, 1)
    return map_memory(length)


def unmap_pages(address: Word, length: Word) -> bool:
    """Give a mapping back. Returns True on success."""
    raise_figure(FIGURES, Figures.munmap_calls, 1)
    return unmap_memory(address, length)
