"""Owns the rules of the four functions: which memory a request gets, and how a block is resized or given back.

Everything here happens within one call, between `enter` and `leave`, under one lock.
"""

from __future__ import annotations

from ..common.figures import raise_figure
from ..common.sizes import LARGEST, round_up
from ..machine import ENOMEM, Word, copy_bytes, fatal, lock, process_lock, set_errno, trap, unlock
from .block import ALIGN, DEBUG, FREE, LIVE, MAPPED, META, size_of, status_of
from .figures import FIGURES, Figures
from .heap import allocate, can_grow, grow_into_next, grow_top, release, shrink
from .mapping import map_block, unmap_block
from .seal import is_hardened, set_seal
from .walk import OK, check, vet_pointer

THRESHOLD = 131072
NO_BLOCK = b"snugmalloc: %x was not returned by os_malloc: the status in front of it reads %d"


def enter() -> bool:
    """Begin a call: take the lock, which is held until `leave`."""
    return lock(process_lock())


def leave(held: bool) -> None:
    """End a call; debug builds check all invariants here."""
    if DEBUG != 0 and check() != OK:
        trap()
    unlock(process_lock(), held)


def refuse() -> Word:
    """Refuse a request for lack of memory: NULL, with errno ENOMEM."""
    set_errno(ENOMEM)
    return 0


def vet(pointer: Word) -> None:
    """In hardened mode: end the process unless `pointer` is a live block."""
    if is_hardened():
        vet_pointer(pointer)


def obtain(size: Word, limit: Word) -> Word:
    """A new block of `size` bytes, in a mapping of its own if its total size reaches `limit`; or 0."""
    if size == 0:
        return 0
    if size > LARGEST:
        return refuse()
    rounded = round_up(size, ALIGN)
    block = allocate(rounded) if META + rounded < limit else map_block(rounded)
    if block == 0:
        return refuse()
    set_seal(block)
    return block


def dispose(pointer: Word) -> None:
    """Free the block at `pointer`, which is not 0."""
    status = status_of(pointer)
    if status == LIVE:
        release(pointer)
    elif status == MAPPED:
        unmap_block(pointer)
    elif status == FREE:
        raise_figure(FIGURES, Figures.ignored_frees, 1)
    else:
        fatal(NO_BLOCK, pointer, status)


def resize_in_place(block: Word, size: Word) -> bool:
    """Resize a live heap block to `size` bytes in place.

    Returns True on success; else the block may have grown, but not enough.
    """
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
    status = status_of(pointer)
    if status == FREE:
        return 0
    if size > LARGEST:
        return refuse()
    before = size_of(pointer)
    if status == LIVE:
        in_place = resize_in_place(pointer, round_up(size, ALIGN))
        set_seal(pointer)
        if in_place:
            return pointer
    elif status != MAPPED:
        fatal(NO_BLOCK, pointer, status)
    return move(pointer, size, before)
