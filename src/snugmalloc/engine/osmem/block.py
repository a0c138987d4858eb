"""Owns the bytes of a block's header. Everything above speaks of blocks through the helpers here.

A block is a header of 32 bytes and, right behind it, the payload. A block is named by the address of its
payload, which is what a program holds.

    -32         -24      -20        -16                         0
    +-----------+--------+----------+---------------------------+----------------+
    |   size    | status |   tags   |   what the status needs   | payload ...    |
    +-----------+--------+----------+---------------------------+----------------+
     \\____ published in osmem.h ____/\\________ our own _________/^ block

The last 16 bytes are links, of a list (`common.links`) or of a tree (`tree.Node`), or what a live block has
instead (`LiveHeader`).

The drop-in malloc gets by with a tag of 8 bytes. Here size and status are published, at these places, in front
of free blocks too, and a size is in bytes: the specification says so.

The size of the block before is the boundary tag: both neighbours are found in one step, and nothing is ever
written into a payload, of which the specification says that it stays as the program left it.
"""

from __future__ import annotations

from ..common.links import Links
from ..common.sizes import WORD_BYTES
from ..machine import Array, Byte, Half, Record, Word, array, load_word, store_word

META = 32
ALIGN = 8
MINSPLIT = META + ALIGN

DEBUG = 0  # 1 in builds that check every invariant after every call

FREE: Half = 0
LIVE: Half = 1
MAPPED: Half = 2

NOWHERE: Half = 0  # not free
WAITING: Half = 1  # freed, not yet merged with its neighbours
FRESH: Half = 2  # merged, in its bin's list
SORTED: Half = 3  # merged, in its bin's tree

PLACE_BITS: Half = 3
EDGE_BIT: Half = 4
FLAG_BITS: Half = 7
HUGE: Half = 0xFFFF_FFF8


class Header(Record, size=META):
    """What stands in front of every payload.

     0  size       the payload's bytes, a multiple of 8
     8  status     0 free, 1 live on the heap, 2 live in a mapping of its own
    12  tags       bits 3 to 31: the size of the block before, whole (a multiple of 8). 0: no block before;
                   HUGE: too large for the field, and in the last word of that (free) block's payload
                   bit 2: edge, this is the last block of its segment
                   bits 0 and 1: place, where a free block is kept
    16  by_status  free: its neighbours in the list or its children in the tree that its place names
                   mapped: its neighbours in the list of mappings
                   live: LiveHeader
    32
    """

    size: Word
    status: Half
    tags: Half
    by_status: Array[Byte] = array(16)


class LiveHeader(Record, size=META):
    """The header of a live block of the heap.

     0  common
    16  seal         in hardened mode
    24  free_before  whether the block before is free
    25  free_next    whether the next one is
    26  unused
    32

    The neighbours write the last two, so that freeing a block among live ones reads no header but its own (at
    10^6 live blocks each further one is a cache miss).
    """

    common: Array[Byte] = array(Header.by_status)
    seal: Word
    free_before: Byte
    free_next: Byte
    unused: Array[Byte] = array(6)


def header_of(block: Word) -> Header:
    """The block's header."""
    return Header(block - META)


def live_header_of(block: Word) -> LiveHeader:
    """The header of a live block of the heap."""
    return LiveHeader(block - META)


def links_at(block: Word) -> Links:
    """The links of a block that is free or mapped."""
    return Links(block - Links.SIZE)


def size_of(block: Word) -> Word:
    """The payload's size in bytes."""
    return header_of(block).size


def status_of(block: Word) -> Half:
    """FREE, LIVE or MAPPED."""
    return header_of(block).status


def set_status(block: Word, status: Half) -> None:
    """Write the status."""
    header_of(block).status = status


def place_of(block: Word) -> Half:
    """Where a free block is kept: WAITING, FRESH or SORTED; NOWHERE for others."""
    return header_of(block).tags & PLACE_BITS


def set_place(block: Word, place: Half) -> None:
    """Write the place."""
    header = header_of(block)
    header.tags = header.tags & ~PLACE_BITS | place


def is_edge(block: Word) -> bool:
    """Whether `block` is the last of its segment."""
    return header_of(block).tags & EDGE_BIT != 0


def set_edge(block: Word, edge: bool) -> None:
    """Write whether `block` is the last of its segment."""
    header = header_of(block)
    header.tags = header.tags | EDGE_BIT if edge else header.tags & ~EDGE_BIT


def end_of(block: Word) -> Word:
    """Where the block ends."""
    return block + size_of(block)


def next_block(block: Word) -> Word:
    """The next block, or what would be one if the block is the edge."""
    return end_of(block) + META


def size_before(block: Word) -> Word:
    """The payload size of the block before, or 0 if there is none in this segment."""
    before = header_of(block).tags & ~FLAG_BITS
    return load_word(block - META - WORD_BYTES) if before == HUGE else before


def previous_block(block: Word) -> Word:
    """The block before, or 0 if there is none in this segment."""
    before = size_before(block)
    if before == 0:
        return 0
    return block - META - before


def set_size_before(block: Word, before: Word) -> None:
    """Tell `block` the payload size of the block before it."""
    header = header_of(block)
    flags = header.tags & FLAG_BITS
    if before < HUGE:
        header.tags = flags | before
    else:
        header.tags = flags | HUGE
        store_word(block - META - WORD_BYTES, before)


def set_size(block: Word, size: Word) -> None:
    """Write the payload's size, and tell the next block; the edge must be right already."""
    header_of(block).size = size
    if not is_edge(block):
        set_size_before(next_block(block), size)


def is_free_before(block: Word) -> bool:
    """Whether a live block knows that the one before it is free."""
    return live_header_of(block).free_before != 0


def is_free_next(block: Word) -> bool:
    """Whether a live block knows that the next one is free."""
    return live_header_of(block).free_next != 0


def set_free_next(block: Word, free: bool) -> None:
    """Tell a live block whether the next one is free."""
    live_header_of(block).free_next = 1 if free else 0


def set_free_before(block: Word, free: bool) -> None:
    """Tell a live block whether the one before it is free."""
    live_header_of(block).free_before = 1 if free else 0


def tell_before(block: Word, free: bool) -> None:
    """Tell the block before, which is live if there is one, whether `block` is free."""
    before = previous_block(block)
    if before != 0:
        set_free_next(before, free)


def tell_next(block: Word, free: bool) -> None:
    """Tell the next block, which is live if there is one, whether `block` is free."""
    if not is_edge(block):
        set_free_before(next_block(block), free)


def make_block(block: Word, status: Half, size: Word, before: Word, edge: bool) -> None:
    """Write a whole new header; the next block, if any, is told."""
    header_of(block).tags = 0
    set_size_before(block, before)
    set_edge(block, edge)
    set_status(block, status)
    set_size(block, size)
