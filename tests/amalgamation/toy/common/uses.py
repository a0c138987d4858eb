"""Owns the number of uses: state of a layer that libraries share."""

from __future__ import annotations

from ..machine import Word

used: Word = 0


def note_use() -> None:
    """Count one use."""
    global used
    used += 1


def uses() -> Word:
    """How often anything was used."""
    return used
