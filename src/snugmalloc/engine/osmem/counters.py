"""Owns the figures that `os_stats` tells: one word each, in the order of ``os_stats_t`` in osmem.h."""

from __future__ import annotations

from ..machine import Word, load_word, reserve, store_word

LIVE_BYTES = 0
LIVE_BLOCKS = 8
FREE_BYTES = 16  # not counted along: what the others leave, computed when asked for
FREE_BLOCKS = 24
MAPPED_BYTES = 32
MAPPED_BLOCKS = 40
HEAP_BYTES = 48
SYSTEM_BYTES = 56  # computed when asked for
BRK_CALLS = 64
MMAP_CALLS = 72
MUNMAP_CALLS = 80
SPLITS = 88
COALESCINGS = 96
IGNORED_FREES = 104
PUBLISHED = 112  # so many bytes are os_stats_t; what follows is our own
WALL_BLOCKS = 112

COUNTERS = reserve(120)


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
