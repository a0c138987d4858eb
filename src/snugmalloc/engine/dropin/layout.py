"""Owns the units and sizes of the heap.

    unit      16 bytes; every block is a whole number of units, every pointer a multiple of one
    page      4 KiB, whatever the system's page size; one byte of the page map is its kind

Requests go to one of four places by their size:

    up to 1 KiB             an object in a slab, a page cut into objects of one size class
    up to 128 KiB           a block of the heap; up to 16 KiB threads keep lists of them
    up to the threshold     a block of the heap that consists of whole pages
    from the threshold      a mapping of its own
"""

from __future__ import annotations

from ..machine import Int, Word

DEBUG = 0  # 1 in builds that check every invariant every so many visits to the heap

UNIT = 16
UNIT_SHIFT: Int = 4
HEADER = 8

PAGE = 4096
PAGE_SHIFT: Int = 12
PAGE_UNITS = PAGE // UNIT
IN_PAGE = PAGE - 1
PAGE_BASE = 0xFFFF_FFFF_FFFF_F000

ALL_BITS = 0xFFFF_FFFF_FFFF_FFFF

PAGED = 131072  # from so many bytes on a block consists of whole pages of the system, and shares none
MAX_UNITS = 0x3FFF_FFFF  # 30 bits: no block of the heap is larger

MIB = 1 << 20
GIB = 1 << 30


def units_for(size: Word) -> Word:
    """The units of a block with room for `size` bytes and the tag of the next block."""
    return (size + HEADER + UNIT - 1) >> UNIT_SHIFT
