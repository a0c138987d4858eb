"""Owns the rule about the break, which others in the process may move as well.

The end of our part of it is remembered, so that growing costs one system call and asking none: libc says
where it has the break, and if that is not where we left it, somebody else moved it. To look where it is and
to move it are two steps, so two who do that at the same moment take the same memory, and no lock is common to
both. Hence a process with threads leaves the break to others once it has met them there.
"""

from __future__ import annotations

from ..machine import Record, Word, has_threads, known_break


class Break(Record, size=16):
    """Our part of the break.

     0  end        where we left it, or 0 before first use
     8  is_shared  whether somebody else was seen to have moved it
    16
    """

    end: Word
    is_shared: Word


def look_at_break(own: Break) -> Word:
    """Where the break is now; it is noted if somebody else has moved it since we did."""
    now = known_break()
    if now != own.end:
        own.is_shared = 1
    return now


def is_contested(own: Break) -> bool:
    """Whether somebody else who uses the break may be about to move it now."""
    return own.is_shared != 0 and has_threads()
