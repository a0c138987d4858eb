"""Owns the statistics of `os_stats`: one word for each figure. A figure is given by its offset.

`free_bytes` is not counted: it follows from the others. That and `system_bytes` are computed on request.
"""

from __future__ import annotations

from ..machine import Array, Record, Word, array, reserve


class Figures(Record):
    """The reported figures, in the order of ``os_stats_t`` in osmem.h: the C compiler checks it."""

    live_bytes: Word
    live_blocks: Word
    free_bytes: Word
    free_blocks: Word
    mapped_bytes: Word
    mapped_blocks: Word
    heap_bytes: Word
    system_bytes: Word
    brk_calls: Word
    mmap_calls: Word
    munmap_calls: Word
    splits: Word
    coalescings: Word
    ignored_frees: Word


class OwnFigures(Record):
    """The same, followed by private figures."""

    published: Array[Figures] = array(1)
    wall_blocks: Word


PUBLISHED = Figures.SIZE  # so many bytes are copied out
FIGURES = reserve(OwnFigures.SIZE)
