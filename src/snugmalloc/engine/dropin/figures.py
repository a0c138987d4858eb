"""Owns what snug_stats tells: one word for each figure, in the order of snugmalloc.h.

Most are kept up to date as the heap works; those marked * are computed when somebody asks. LIVE_BYTES and
LIVE_BLOCKS count what has left the heap, and so what lies in thread caches too, until then.
"""

from __future__ import annotations

from ..machine import Word, load_word, reserve, store_word

VERSION = 0
LIVE_BYTES = 8
LIVE_BLOCKS = 16
PEAK_LIVE_BYTES = 24  # *
CACHED_BYTES = 32  # *
CACHED_BLOCKS = 40  # *
FREE_BYTES = 48  # *
FREE_BLOCKS = 56  # *
PURGED_BYTES = 64
HEAP_BYTES = 72
MAPPED_BYTES = 80
MAPPED_BLOCKS = 88
KEPT_BYTES = 96
SYSTEM_BYTES = 104
PEAK_SYSTEM_BYTES = 112
LIMIT_BYTES = 120
RETURNED_BYTES = 128
BRK_CALLS = 136
MMAP_CALLS = 144
MUNMAP_CALLS = 152
MREMAP_CALLS = 160
MADVISE_CALLS = 168
REFUSED_REQUESTS = 176
THREAD_CACHES = 184
COUNTING = 192
MALLOC_CALLS = 200
REALLOC_CALLS = 208
FREE_CALLS = 216
BACKGROUND_STEPS = 224
STATE = 232  # whether calls are served here: see switch.py
REFUSED_LIMIT = 240  # of REFUSED_REQUESTS, by reason: see refusals.py
REFUSED_SIZE = 248
REFUSED_ADDRESSES = 256
REFUSED_MAPPINGS = 264
REFUSED_LOCKED = 272
REFUSED_MEMORY = 280
PUBLISHED = 288  # so many bytes are copied out
PEAK_OUT_BYTES = 288  # the highest LIVE_BYTES so far
EXACT_LIVE_BYTES = 296  # what the program holds, and the highest so far: while calls are counted
EXACT_PEAK_BYTES = 304

STATS_VERSION = 2

FIGURES = reserve(320)


def figure(which: Word) -> Word:
    """The figure's value."""
    return load_word(FIGURES + which)


def set_figure(which: Word, value: Word) -> None:
    """Write the figure."""
    store_word(FIGURES + which, value)


def raise_figure(which: Word, by: Word) -> None:
    """Add to the figure."""
    store_word(FIGURES + which, load_word(FIGURES + which) + by)


def lower_figure(which: Word, by: Word) -> None:
    """Subtract from the figure."""
    store_word(FIGURES + which, load_word(FIGURES + which) - by)


def count_out(bytes_out: Word, blocks: Word) -> None:
    """So much has left the heap for a program or a thread's cache."""
    live = load_word(FIGURES + LIVE_BYTES) + bytes_out
    store_word(FIGURES + LIVE_BYTES, live)
    raise_figure(LIVE_BLOCKS, blocks)
    if live > load_word(FIGURES + PEAK_OUT_BYTES):
        store_word(FIGURES + PEAK_OUT_BYTES, live)


def count_in(bytes_in: Word, blocks: Word) -> None:
    """So much has come back."""
    lower_figure(LIVE_BYTES, bytes_in)
    lower_figure(LIVE_BLOCKS, blocks)


# ---- What the system gave, and the limit on it ----


def may_take(count: Word) -> bool:
    """Whether the limit lets us take `count` bytes more from the system."""
    limit = load_word(FIGURES + LIMIT_BYTES)
    return limit == 0 or load_word(FIGURES + SYSTEM_BYTES) + count <= limit


def took(count: Word) -> None:
    """The system gave `count` bytes, or 0 if they are counted already: it may be a new peak."""
    system = load_word(FIGURES + SYSTEM_BYTES) + count
    store_word(FIGURES + SYSTEM_BYTES, system)
    if system > load_word(FIGURES + PEAK_SYSTEM_BYTES):
        store_word(FIGURES + PEAK_SYSTEM_BYTES, system)


def gave_back(count: Word) -> None:
    """The system has `count` bytes of address range back."""
    lower_figure(SYSTEM_BYTES, count)
    raise_figure(RETURNED_BYTES, count)
