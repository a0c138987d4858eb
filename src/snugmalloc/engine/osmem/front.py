"""Owns the exported functions: those that osmem.h declares, and nothing else."""

from __future__ import annotations

from ..machine import (
    Int,
    Word,
    clear_bytes,
    copy_bytes,
    lock,
    page_size,
    process_lock,
    product_overflows,
    unlock,
)
from .block import LIVE, status_of
from .calls import THRESHOLD, dispose, enter, leave, obtain, refuse, resize, vet
from .figures import FIGURES, PUBLISHED
from .walk import check, total_figures, walk


def os_malloc(size: Word) -> Word:
    """`size` bytes. See osmem.h."""
    held = enter()
    pointer = obtain(size, THRESHOLD)
    leave(held)
    return pointer


def os_calloc(nmemb: Word, size: Word) -> Word:
    """`nmemb` times `size` bytes that read as zero. See osmem.h."""
    if product_overflows(nmemb, size):
        return refuse()
    held = enter()
    pointer = obtain(nmemb * size, page_size())
    if pointer != 0 and status_of(pointer) == LIVE:
        clear_bytes(pointer, nmemb * size)
    leave(held)
    return pointer


def os_realloc(pointer: Word, size: Word) -> Word:
    """The block at `pointer` with room for `size` bytes. See osmem.h."""
    held = enter()
    moved: Word = 0
    if pointer == 0:
        moved = obtain(size, THRESHOLD)
    else:
        vet(pointer)
        if size == 0:
            dispose(pointer)
        else:
            moved = resize(pointer, size)
    leave(held)
    return moved


def os_free(pointer: Word) -> None:
    """Free the block at `pointer`. See osmem.h."""
    if pointer == 0:
        return
    held = enter()
    vet(pointer)
    dispose(pointer)
    leave(held)


def os_stats(stats: Word, size: Word) -> None:
    """Copy the first `size` bytes of the figures, at most all, to `stats`."""
    held = enter()
    total_figures()
    copy_bytes(stats, FIGURES, size if size < PUBLISHED else PUBLISHED)
    leave(held)


def os_walk(visitor: Word, context: Word) -> Int:
    """Show every block to the visitor. See osmem.h."""
    held = enter()
    complete = walk(visitor, context)
    leave(held)
    return 0 if complete else 1


def os_check() -> Int:
    """Check every invariant. See osmem.h."""
    held = lock(process_lock())
    broken = check()
    unlock(process_lock(), held)
    return broken
