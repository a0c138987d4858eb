"""Owns the size classes: requests up to 16 KiB are rounded up to one of 60 sizes, of which threads keep lists.

    class 1 to 16     16, 32, 48, ... 256 bytes                   objects in slabs, which are pages
    class 17 to 28    272, 288, 304, 336, 368, 400, 448, 512,     the largest objects of which a page holds
                      576, 672, 816, 1024                         15, 14, 13, ... 4
    class 29 to 60    1152, 1280, ... 2048, 2304, ... 16384       8 for each doubling; blocks of the heap

Larger ones are blocks, which coalesce: a slab stays as long as one of its objects is in use.

The class of a size is one load from a table. Until the tables are filled, before the first thread cache is
made, they have 0, a class without a list.

    CLASSES          for each number of units that a request may have: its class, for malloc's fast path
    COUNTED_CLASSES  the same, filled instead of CLASSES where every request must miss the fast path
    BLOCK_CLASSES    for each number of units of a block: the class whose blocks have exactly this size, or 0
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import Half, Int, Word, highest_bit, reserve, store_byte
from .layout import HEADER, PAGE_UNITS, UNIT, UNIT_SHIFT, units_for

SLAB_LIMIT = 1024  # objects are at most so large
LISTED_LIMIT = 16384  # no list has anything larger
EXACT_CLASSES = 16
SLAB_CLASSES = 28
SMALL_CLASSES = 24  # up to 512 bytes
MIN_IN_SLAB = 4
BLOCKS_PER_DOUBLING_SHIFT: Int = 3
BLOCKS_PER_DOUBLING = 1 << 3
ALL_CLASSES = SLAB_CLASSES + 4 * BLOCKS_PER_DOUBLING
FIRST_DOUBLING: Int = 6  # classes of blocks begin above 2^6 units

UNITS: tuple[Half, ...] = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    17, 18, 19, 21, 23, 25, 28, 32, 36, 42, 51, 64,
    72, 80, 88, 96, 104, 112, 120, 128,
    144, 160, 176, 192, 208, 224, 240, 256,
    288, 320, 352, 384, 416, 448, 480, 512,
    576, 640, 704, 768, 832, 896, 960, 1024,
)  # fmt: skip
MAX_LISTED_UNITS = LISTED_LIMIT // UNIT + 1  # of a block: 16 KiB and a tag

CLASSES = reserve(LISTED_LIMIT // UNIT + 1)
COUNTED_CLASSES = reserve(LISTED_LIMIT // UNIT + 1)
BLOCK_CLASSES = reserve(MAX_LISTED_UNITS + 1)


def class_of(size: Word) -> Word:
    """The size class of `size`, at most LISTED_LIMIT. Size 0 is a byte."""
    units = (size + UNIT - 1) >> UNIT_SHIFT if size != 0 else ONE
    if units <= EXACT_CLASSES:
        return units
    if size <= SLAB_LIMIT:
        return SLAB_CLASSES + MIN_IN_SLAB - PAGE_UNITS // units
    doubling = highest_bit(units - 1)
    part = (units - 1) >> (doubling - BLOCKS_PER_DOUBLING_SHIFT)
    return SLAB_CLASSES + (doubling - FIRST_DOUBLING - 1) * BLOCKS_PER_DOUBLING + part + 1


def has_objects(size_class: Word) -> bool:
    """Whether the class is one of objects in slabs, and not of blocks."""
    return size_class <= SLAB_CLASSES


def object_bytes(size_class: Word) -> Word:
    """The largest request of a class, and the size of its objects."""
    return UNITS[size_class] << UNIT_SHIFT


def class_block_units(size_class: Word) -> Word:
    """The units of a block with room for the largest request of its class."""
    return UNITS[size_class] + ONE


def usable_in_class(size_class: Word) -> Word:
    """The usable bytes of an object or block of the class."""
    if has_objects(size_class):
        return object_bytes(size_class)
    return (class_block_units(size_class) << UNIT_SHIFT) - HEADER


def block_units(size: Word) -> Word:
    """The units of a block for `size` bytes: those of its class, if it is one of blocks."""
    if size <= SLAB_LIMIT or size > LISTED_LIMIT:
        return units_for(size if size != 0 else ONE)
    return class_block_units(class_of(size))


def fill_tables(classes: Word) -> None:
    """Write the tables; `classes` is one of the first two."""
    for units in range(LISTED_LIMIT // UNIT + 1):
        store_byte(classes + units, class_of(units << UNIT_SHIFT))
    for size_class in range(SLAB_CLASSES + 1, ALL_CLASSES + 1):
        store_byte(BLOCK_CLASSES + class_block_units(size_class), size_class)
