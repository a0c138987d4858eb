"""Owns the bytes of a block's tag and links. Everything above accesses blocks through the functions here.

A block is identified by the address of its payload, a multiple of 16. Its tag of 8 bytes is in front:

    -8              -4               0                     16 * size - 8
    +---------------+----------------+---------------------+----------------+
    | size and flags| size before    | payload ...         | tag of the next|
    +---------------+----------------+---------------------+----------------+
                                     ^ block                                ^ the next block

    size         bits 2 to 31 of the half: the units to the next block; 0 in the sentinel at a segment's end
    flags        bit 0: in use; bit 1: in use by the heap itself
    size before  bits 0 to 29 of the half: the units of the previous block, or 0 if there is none
                 bit 31: it is free

So both boundary tags take 8 bytes, and the payload is 16 * size - 8 bytes. A free block of two units and more
keeps its links in its bin, two addresses, in its payload. The smallest block is one unit. Whether the block
free is stored here as well, because its own tag is rarely in the processor's cache (3 % of the time of random
sizes).

If the payload begins with a page, the block's tag and links are those of the page, beside the page map: the
heap stores nothing in a page that is wholly inside a free block, so it can be given back. A block that begins
and ends with a page has 16 * size bytes for its payload.
"""

from __future__ import annotations

from ..common.links import Links
from ..machine import Int, Word
from .layout import HEADER, IN_PAGE, PAGE_UNITS, UNIT_SHIFT
from .pages import Tag, page_links, page_tag

USED = 1
OWN = 2
SIZE_SHIFT: Int = 2
FREE_BEFORE = 0x8000_0000
BEFORE_BITS = 0x3FFF_FFFF


def tag_at(block: Word) -> Tag:
    """The block's tag."""
    if block & IN_PAGE != 0:
        return Tag(block - HEADER)
    return page_tag(block)


def links_at(block: Word) -> Links:
    """A free block's two links."""
    if block & IN_PAGE != 0:
        return Links(block)
    return page_links(block)


def units_of(block: Word) -> Word:
    """The block's units."""
    return tag_at(block).size >> SIZE_SHIFT


def is_used(block: Word) -> bool:
    """Whether the block is not free."""
    return tag_at(block).size & USED != 0


def is_own(block: Word) -> bool:
    """Whether the heap itself uses the block."""
    return tag_at(block).size & OWN != 0


def units_before(block: Word) -> Word:
    """The units of the previous block, or 0 if there is none."""
    return tag_at(block).before & BEFORE_BITS


def free_before(block: Word) -> Word:
    """The units of the previous block if it is free, else 0."""
    before = tag_at(block).before
    return before & BEFORE_BITS if before & FREE_BEFORE != 0 else 0


def set_tag(block: Word, size: Word, flags: Word) -> None:
    """Write the block's size and flags; its entry for the previous block stays."""
    tag_at(block).size = size << SIZE_SHIFT | flags


def set_units_before(block: Word, before: Word) -> None:
    """Store in the block the units of the previous block, with FREE_BEFORE if that is free."""
    tag_at(block).before = before


def next_block(block: Word, size: Word) -> Word:
    """The block behind one of `size` units."""
    return block + (size << UNIT_SHIFT)


def usable_bytes(size: Word) -> Word:
    """The payload of a block of `size` units that does not consist of whole pages, in bytes."""
    return (size << UNIT_SHIFT) - HEADER


def payload_bytes(block: Word, size: Word) -> Word:
    """The payload of any block of `size` units, in bytes."""
    if block & IN_PAGE == 0 and size & (PAGE_UNITS - 1) == 0:
        return size << UNIT_SHIFT
    return usable_bytes(size)
