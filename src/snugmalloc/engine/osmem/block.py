"""Owns the bytes of a block's header. Everything above accesses blocks through the functions here.

A block is a header of 32 bytes, followed by the payload. A block is identified by the address of its payload,
which is what a program holds.

    -32         -24      -20        -16                         0
    +-----------+--------+----------+---------------------------+----------------+
    |   size    | status |   tags   |   what the status needs   | payload ...    |
    +-----------+--------+----------+---------------------------+----------------+
     \\____ published in osmem.h ____/\\________ our own _________/^ block

The last 16 bytes are links, of a list (`common.links`) or of a tree (`tree.Node`), or what a live block has
instead (`LiveHeader`).

The drop-in malloc needs only a tag of 8 bytes. Here size and status are published, at these offsets, in front
of free blocks too, and a size is in bytes: the specification says so.

The size of the block before is the boundary tag: both neighbours are found in one step, and nothing is ever
written into a payload, which the specification requires to stay as the program left it.
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
    """The header in front of every payload.

     0  size       the payload's bytes, a multiple of 8
     8  status     0 free, 1 live on the heap, 2 live in a mapping of its own
    12  tags       bits 3 to 31: the size of the previous block (a multiple of 8). 0: no previous block;
                   HUGE: too large for the field, stored in the last word of that (free) block's payload
                   bit 2: edge, this is the last block of its segment
                   bits 0 and 1: place, the list or tree that a free block is in
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
    24  free_before  whether the previous block is free
    25  free_next    whether the next block is free
    26  unused
    32

    The neighbours write the last two, so that freeing a block among live ones reads only its own header (at
    10^6 live blocks each further header is a cache miss).
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
    """The list or tree that a free block is in: WAITING, FRESH or SORTED; NOWHERE for other blocks."""
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
    """The next block; if `block` is the edge, the address where it would be."""
    return end_of(block) + META


def size_before(block: Word) -> Word:
    """The payload size of the previous block, or 0 if there is none in this segment."""
    before = header_of(block).tags & ~FLAG_BITS
    return load_word(block - META - WORD_BYTES) if before == HUGE else before


def previous_block(block: Word) -> Word:
    """The previous block, or 0 if there is none in this segment."""
    before = size_before(block)
    if before == 0:
        return 0
    return block - META - before


def set_size_before(block: Word, before: Word) -> None:
    """Store the payload size of the previous block in `block`."""
    header = header_of(block)
    flags = header.tags & FLAG_BITS
    if before < HUGE:
        header.tags = flags | before
    else:
        header.tags = flags | HUGE
        store_word(block - META - WORD_BYTES, before)


def set_size(block: Word, size: Word) -> None:
    """Write the payload's size, here and in the next block; the edge must be right already."""
    header_of(block).size = size
    if not is_edge(block):
        set_size_before(next_block(block), size)


def is_free_before(block: Word) -> bool:
    """Whether a live block is marked as having a free previous block."""
    return live_header_of(block).free_before != 0


def is_free_next(block: Word) -> bool:
    """Whether a live block is marked as having a free next block."""
    return live_header_of(block).free_next != 0


def set_free_next(block: Word, free: bool) -> None:
    """Store in a live block whether the next one is free."""
    live_header_of(block).free_next = 1 if free else 0


def set_free_before(block: Word, free: bool) -> None:
    """Store in a live block whether the previous one is free."""
    live_header_of(block).free_before = 1 if free else 0


def tell_before(block: Word, free: bool) -> None:
    """Store in the previous block, which is live if there is one, whether `block` is free."""
    before = previous_block(block)
    if before != 0:
        set_free_next(before, free)


def tell_next(block: Word, free: bool) -> None:
    """Store in the next block, which is live if there is one, whether `block` is free."""
    if not is_edge(block):
        set_free_before(next_block(block), free)


def make_block(block: Word, status: Half, size: Word, before: Word, edge: bool) -> None:
    """Write a whole new header, and update the next block, if any."""
    header_of(block).tags = 0
    set_size_before(block, before)
    set_edge(block, edge)
    set_status(block, status)
    set_size(block, size)
