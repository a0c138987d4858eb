"""Owns the break and every system call of the heap: `brk`, `mmap`, `munmap`, counted.

The end of our part of the break is remembered, so that growing costs one system call and asking none. Anybody
else in the process may move the break as well; libc says where it has it, and then our end is behind. To look
where the break is and to move it are two steps, so two who do that at the same moment take the same memory, and
no lock is common to both. Hence in a process with threads we leave the break to others once we have met them
there.
"""

from __future__ import annotations

from ..machine import Word, has_threads, known_break, map_memory, move_break, system_break, unmap_memory
from .block import round_up
from .counters import Counters, count_up

start: Word = 0
end: Word = 0
shared: Word = 0


def heap_end() -> Word:
    """The end of our part of the break: where the next block over brk would stand. 0 before first use."""
    return end


def find_break() -> None:
    """At first use: ask the kernel for the break, once and for all."""
    global start, end
    count_up(Counters.brk_calls, 1)
    start = round_up(system_break())
    end = start


def is_on_break(address: Word) -> bool:
    """Whether the address is between the first break and our end: there is memory, ours or others'."""
    return address >= start and address < end


def foreign_break() -> Word:
    """Where somebody else has moved the break to, or 0 if it is where we left it."""
    global shared
    now = known_break()
    if now > end:
        shared = 1
        return now
    return 0


def is_contested() -> bool:
    """Whether somebody else who uses the break may be about to move it now."""
    return shared != 0 and has_threads()


def extend_break(target: Word) -> bool:
    """Move the break up to `target`, which becomes our end. Whether the kernel did it."""
    global end
    count_up(Counters.brk_calls, 1)
    if not move_break(target):
        return False
    end = target
    return True


def map_pages(length: Word) -> Word:
    """A new mapping of `length` bytes, or 0."""
    count_up(Counters.mmap_calls, 1)
    return map_memory(length)


def unmap_pages(address: Word, length: Word) -> bool:
    """Give a mapping back. Whether the kernel took it."""
    count_up(Counters.munmap_calls, 1)
    return unmap_memory(address, length)
