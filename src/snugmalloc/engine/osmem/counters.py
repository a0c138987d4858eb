"""Owns the figures that `os_stats` reports: one word each, in the order of ``os_stats_t`` in osmem.h.

A counter is named by its offset: ``count_up(Counters.splits, 1)``.
"""

from __future__ import annotations

from ..machine import Record, Word, load_word, reserve, store_word


class Counters(Record):
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


PUBLISHED = Counters.wall_blocks  # so many bytes are os_stats_t
COUNTERS = reserve(Counters.SIZE)


def counted(counter: Word) -> Word:
    """What the counter stands at."""
    return load_word(COUNTERS + counter)


def set_counter(counter: Word, value: Word) -> None:
    """Set a counter that is computed."""
    store_word(COUNTERS + counter, value)


def count_up(counter: Word, amount: Word) -> None:
    """Add `amount`."""
    store_word(COUNTERS + counter, load_word(COUNTERS + counter) + amount)


def count_down(counter: Word, amount: Word) -> None:
    """Take `amount` away."""
    store_word(COUNTERS + counter, load_word(COUNTERS + counter) - amount)
