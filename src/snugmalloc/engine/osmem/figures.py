"""Owns what `os_stats` reports: one word for each figure, in the order of ``os_stats_t`` in osmem.h."""

from __future__ import annotations

from ..machine import Record, Word, reserve


class Figures(Record):
    """`free_bytes` is not counted along: it is what the others leave. That and `system_bytes` are computed when
    somebody asks.
    """

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
    wall_blocks: Word  # and what follows: our own


PUBLISHED = Figures.wall_blocks  # so many bytes are os_stats_t
FIGURES = reserve(Figures.SIZE)
