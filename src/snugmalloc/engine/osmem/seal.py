"""Owns the hardened mode (SNUG_HARDEN=1): the seals that authenticate live headers.

A seal is a hash of the block's address and size with a secret word. A live heap block has all of it, a mapped
block (whose links are in use) its upper half in the tags. The cost of every check here is independent of the
size of the heap; only the final error report may walk it.
"""

from __future__ import annotations

from ..machine import (
    Half,
    Word,
    fatal,
    is_mapped,
    multiply,
    option_is_set,
    random_word,
)
from .block import (
    ALIGN,
    FREE,
    LIVE,
    MAPPED,
    META,
    NOWHERE,
    header_of,
    is_edge,
    live_header_of,
    next_block,
    place_of,
    previous_block,
    size_before,
    size_of,
    status_of,
)
from .kernel import is_on_break

UNKNOWN = 0
PLAIN = 1
HARDENED = 2

SEAL_MIX = 0xD6E8_FEB8_6659_FD93
HALF_BITS = 0xFFFF_FFFF
OPTION = b"SNUG_HARDEN"
TRAMPLED = b"snugmalloc: the header of the free block at %x was overwritten; its size now reads %d"

mode: Word = 0


def is_hardened() -> bool:
    """Whether the hardened mode is on; the environment is read once."""
    global mode
    if mode == UNKNOWN:
        mode = HARDENED if option_is_set(OPTION) else PLAIN
    return mode == HARDENED


def seal_for(block: Word) -> Word:
    """The seal that the block should carry."""
    mixed = multiply(block ^ random_word(), SEAL_MIX)
    return multiply(mixed ^ (mixed >> 32) ^ size_of(block), SEAL_MIX)


def half_seal_for(block: Word) -> Half:
    """The seal that a mapped block should carry."""
    return (seal_for(block) >> 32) & HALF_BITS


def set_seal(block: Word) -> None:
    """In hardened mode: seal a live block. Called after every change of its size."""
    if is_hardened():
        if status_of(block) == MAPPED:
            header_of(block).tags = half_seal_for(block)
        else:
            live_header_of(block).seal = seal_for(block)


def is_sealed(block: Word) -> bool:
    """Whether the block is live and carries its seal."""
    if status_of(block) == MAPPED:
        return header_of(block).tags == half_seal_for(block)
    return status_of(block) == LIVE and live_header_of(block).seal == seal_for(block)


def fits_behind(block: Word) -> bool:
    """Whether the next header matches the end of `block`."""
    return is_edge(block) or size_before(next_block(block)) == size_of(block)


def can_be_read(block: Word) -> bool:
    """Whether a header can be read. On the break that is known; elsewhere it takes a system call."""
    if block & (ALIGN - 1) != 0:
        return False
    return is_on_break(block - META) or (is_mapped(block - META) and is_mapped(block - 1))


def is_whole_behind(block: Word) -> bool:
    """As `fits_behind`, for a block whose size may be corrupt."""
    return is_edge(block) or (can_be_read(next_block(block)) and fits_behind(block))


def is_whole_before(block: Word) -> bool:
    """Whether the previous header matches the start of `block`, whose entries may be corrupt."""
    before = previous_block(block)
    return before == 0 or (can_be_read(before) and next_block(before) == block)


def vet_free(block: Word) -> None:
    """In hardened mode: end the process unless a block taken from the free ones still looks like one."""
    if is_hardened() and (status_of(block) != FREE or place_of(block) == NOWHERE or not is_whole_behind(block)):
        fatal(TRAMPLED, block - META, size_of(block))
