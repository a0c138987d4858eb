"""Owns what `os_stats` reports: one word for each figure. A figure is named by its offset.

`free_bytes` is not counted along: it is what the others leave. That and `system_bytes` are computed when
somebody asks.
"""

from __future__ import annotations

from ..machine import Array, Record, Word, array, reserve


class Figures(Record):
    """What is reported, in the order of ``os_stats_t`` in osmem.h: the C compiler compares the two."""

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
    """The same, and what is for us alone behind it."""

    published: Array[Figures] = array(1)
    wall_blocks: Word


PUBLISHED = Figures.SIZE  # so many bytes are copied out
FIGURES = reserve(OwnFigures.SIZE)
