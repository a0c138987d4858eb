"""Owns the front door: what osmem.h declares, and nothing else is exported. One lock around each call."""

from __future__ import annotations

from ..machine import (
    ENOMEM,
    Int,
    Word,
    clear_bytes,
    copy_bytes,
    fatal,
    lock,
    page_size,
    product_overflows,
    set_errno,
    trap,
    unlock,
)
from .block import DEBUG, FREE, LIVE, MAPPED, META, round_up, size_of, status_of
from .counters import COUNTERS, IGNORED_FREES, PUBLISHED, count_up
from .heap import allocate, can_grow, grow_into_next, grow_top, release, shrink
from .mapping import map_block, unmap_block
from .seal import is_hardened, set_seal
from .walk import OK, check, total_figures, vet_pointer, walk

THRESHOLD = 131072
LARGEST = 0x7FFF_FFFF_FFFF_FFFF  # PTRDIFF_MAX: no object may be larger
NO_BLOCK = b"snugmalloc: %x is not a pointer that os_malloc gave: the status in front of it reads %d"


def enter() -> bool:
    """Begin a call: the heap is ours until `leave`."""
    return lock()


def leave(held: bool) -> None:
    """End a call; builds that check everything do it here."""
    if DEBUG != 0 and check() != OK:
        trap()
    unlock(held)


def refuse() -> Word:
    """NULL, because there is no memory to be had."""
    set_errno(ENOMEM)
    return 0


def obtain(size: Word, limit: Word) -> Word:
    """A new block's payload of `size` bytes, in a mapping of its own if header and all reach `limit`. Or 0."""
    if size == 0:
        return 0
    if size > LARGEST:
        return refuse()
    rounded = round_up(size)
    block = allocate(rounded) if META + rounded < limit else map_block(rounded)
    if block == 0:
        return refuse()
    set_seal(block)
    return block + META


def dispose(pointer: Word) -> None:
    """Free the block at `pointer`, which is not 0."""
    block = pointer - META
    status = status_of(block)
    if status == LIVE:
        release(block)
    elif status == MAPPED:
        unmap_block(block)
    elif status == FREE:
        count_up(IGNORED_FREES, 1)
    else:
        fatal(NO_BLOCK, pointer, status)


def resize_in_place(block: Word, size: Word) -> bool:
    """Give a live heap block `size` bytes where it stands. Whether that went (or it grew, not enough)."""
    if META + size >= THRESHOLD:
        return False
    if size > size_of(block):
        if can_grow(block):
            return grow_top(size)
        if not grow_into_next(block, size):
            return False
    shrink(block, size)
    return True


def move(pointer: Word, size: Word, kept: Word) -> Word:
    """A new block of `size` bytes with the first `kept` of the old one, which is freed. Or 0, and it is not."""
    target = obtain(size, THRESHOLD)
    if target == 0:
        return 0
    copy_bytes(target, pointer, kept if kept < size else size)
    dispose(pointer)
    return target


def resize(pointer: Word, size: Word) -> Word:
    """`os_realloc` for a pointer and a size that are not 0."""
    block = pointer - META
    status = status_of(block)
    if status == FREE:
        return 0
    if size > LARGEST:
        return refuse()
    before = size_of(block)
    if status == LIVE:
        in_place = resize_in_place(block, round_up(size))
        set_seal(block)
        if in_place:
            return pointer
    elif status != MAPPED:
        fatal(NO_BLOCK, pointer, status)
    return move(pointer, size, before)


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
    if pointer != 0 and status_of(pointer - META) == LIVE:
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
        if is_hardened():
            vet_pointer(pointer)
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
    if is_hardened():
        vet_pointer(pointer)
    dispose(pointer)
    leave(held)


def os_stats(stats: Word, size: Word) -> None:
    """Copy the first `size` bytes of the figures, at most all, to `stats`."""
    held = enter()
    total_figures()
    copy_bytes(stats, COUNTERS, size if size < PUBLISHED else PUBLISHED)
    leave(held)


def os_walk(visitor: Word, context: Word) -> Int:
    """Show every block to the visitor. See osmem.h."""
    held = enter()
    complete = walk(visitor, context)
    leave(held)
    return 0 if complete else 1


def os_check() -> Int:
    """Check every invariant. See osmem.h."""
    held = lock()
    broken = check()
    unlock(held)
    return broken
