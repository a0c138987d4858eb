"""Owns the statistics of snug_stats: one word for each figure. A figure is given by its offset.

Most are kept up to date; those marked * are computed on request. `live_bytes` and `live_blocks` count what has
left the heap, and so what lies in thread caches too, until then.
"""

from __future__ import annotations

from ..common.figures import lower_figure, raise_figure
from ..machine import Array, Record, Word, array, load_word, store_word


class Figures(Record):
    """The reported figures, in the order of ``snug_stats_t`` in snugmalloc.h: the C compiler checks it."""

    version: Word
    live_bytes: Word
    live_blocks: Word
    peak_live_bytes: Word  # *
    cached_bytes: Word  # *
    cached_blocks: Word  # *
    free_bytes: Word  # *
    free_blocks: Word  # *
    purged_bytes: Word
    heap_bytes: Word
    mapped_bytes: Word
    mapped_blocks: Word
    kept_bytes: Word
    system_bytes: Word
    peak_system_bytes: Word
    limit_bytes: Word
    returned_bytes: Word
    brk_calls: Word
    mmap_calls: Word
    munmap_calls: Word
    mremap_calls: Word
    madvise_calls: Word
    refused_requests: Word
    thread_caches: Word
    counting: Word
    malloc_calls: Word
    realloc_calls: Word
    free_calls: Word
    background_steps: Word
    state: Word  # whether calls are served here: see switch.py
    refused_limit: Word  # of refused_requests, by reason: see refusals.py
    refused_size: Word
    refused_addresses: Word
    refused_mappings: Word
    refused_locked: Word
    refused_memory: Word


class OwnFigures(Record):
    """The same, followed by private figures."""

    published: Array[Figures] = array(1)
    peak_out_bytes: Word  # the highest live_bytes so far
    exact_live_bytes: Word  # what the program holds, and the highest so far: while calls are counted
    exact_peak_bytes: Word


STATS_VERSION = 2
PUBLISHED = Figures.SIZE  # so many bytes are copied out


def count_out(heap: Word, bytes_out: Word, blocks: Word) -> None:
    """Count bytes and blocks that were taken from the heap, for the program or a thread's cache."""
    live = load_word(heap + Figures.live_bytes) + bytes_out
    store_word(heap + Figures.live_bytes, live)
    raise_figure(heap, Figures.live_blocks, blocks)
    if live > load_word(heap + OwnFigures.peak_out_bytes):
        store_word(heap + OwnFigures.peak_out_bytes, live)


def count_in(heap: Word, bytes_in: Word, blocks: Word) -> None:
    """Count bytes and blocks that returned to the heap."""
    lower_figure(heap, Figures.live_bytes, bytes_in)
    lower_figure(heap, Figures.live_blocks, blocks)


# ---- What the system gave, and the limit on it ----


def may_take(heap: Word, count: Word) -> bool:
    """Whether the limit allows taking `count` more bytes from the system."""
    limit = load_word(heap + Figures.limit_bytes)
    return limit == 0 or load_word(heap + Figures.system_bytes) + count <= limit


def took(heap: Word, count: Word) -> None:
    """Count `count` bytes taken from the system, 0 if they are counted already, and update the peak."""
    system = load_word(heap + Figures.system_bytes) + count
    store_word(heap + Figures.system_bytes, system)
    if system > load_word(heap + Figures.peak_system_bytes):
        store_word(heap + Figures.peak_system_bytes, system)


def gave_back(heap: Word, count: Word) -> None:
    """Count `count` bytes of address space returned to the system."""
    lower_figure(heap, Figures.system_bytes, count)
    raise_figure(heap, Figures.returned_bytes, count)
