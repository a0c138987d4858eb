"""Owns growth by the break, which others in the process may move as well.

The end of our part is remembered, so that growing costs one system call and checking costs none: libc knows
where the break is, and if that is not where we left it, somebody else moved it. Reading the break and moving it
are two steps, so two threads that do so at the same time would take the same memory: there is no lock common to
both. Hence a process with threads stops using the break once it has found others using it.
"""

from __future__ import annotations

from ..machine import Record, Word, has_threads, known_break


class Break(Record, size=16):
    """Our part of the break.

     0  end        where we left it, or 0 before first use
     8  is_shared  whether somebody else has moved it
    16
    """

    end: Word
    is_shared: Word


def look_at_break(own: Break) -> Word:
    """The current break; remembers it if somebody else has moved it since we did."""
    now = known_break()
    if now != own.end:
        own.is_shared = 1
    return now


def is_contested(own: Break) -> bool:
    """Whether another user of the break may move it at the same time."""
    return own.is_shared != 0 and has_threads()
