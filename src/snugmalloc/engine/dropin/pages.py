"""Owns the window of addresses that the heap lives in, and what is known of each of its pages.

    base                                                     base + 64 GiB
    | page 0 | page 1 | page 2 | ...                         |

    page map   one byte a page: its kind
    records    16 bytes a page, for what would lie at the page's very beginning: so a page can be given back to
               the system whole, and a slab can use it whole

         0                 4               8            12           16
         +-----------------+---------------+------------+------------+
         | tag of the block whose payload  |  next      |  previous  |
         | begins with the page            |            |            |
         +-----------------+---------------+------------+------------+

Both tables are reserved once, for the whole window, and become memory as the heap grows into it. A kind times
16 is where a thread's cache has the list for a slab's objects; for all other kinds there is an entry that takes
nothing.

Where addresses are limited the window is smaller, and also where the kernel refuses the reservation.
"""

from __future__ import annotations

from ..machine import (
    Int,
    Word,
    address_limit,
    commit_range,
    load_byte,
    load_word,
    reserve_range,
    store_byte,
    store_word,
    unlikely,
)
from .layout import ALL_BITS, ONE, PAGE_SHIFT, UNIT_SHIFT, round_up

WINDOW_PAGES = 1 << 24
LEAST_WINDOW = 1 << 15
RECORD = 16
RECORD_SHIFT = 4
FROM_ADDRESS = 8  # an offset in the window shifted right by so much is the offset of its record
LINKS = 8
STEP = 8192  # pages: the tables become memory in such steps

FOREIGN = 0  # not ours, or nothing known
BLOCKS = 64  # has blocks in use, or tags; smaller kinds: a slab of objects of so many units
LONG = 65  # the page behind the one in which a long block in use begins, wholly inside it
FRESH = 66  # wholly inside a free block, never touched: reads as zero
PURGED = 67  # wholly inside a free block, given back: reads as zero
DIRTY = 68  # wholly inside a free block, and still has what was in it
EIGHT_BLOCKS = 0x4040_4040_4040_4040  # no slab has this bit; of the others,
DIRTY_BITS = 0x0404_0404_0404_0404  # DIRTY has this one,
SPARE_BITS = 0x0202_0202_0202_0202  # FRESH and PURGED this one
DIRTY_TO_BLOCKS: Int = 4  # how far it is from there to the first

base: Word = 0
window: Word = 0
covered: Word = 0
used: Word = 0
page_map: Word = 0
records: Word = 0


# ---- Places ----


def window_base() -> Word:
    """The address of page 0."""
    return base


def window_end() -> Word:
    """The address behind the window."""
    return base + (window << PAGE_SHIFT)


def used_pages() -> Word:
    """The pages that were ever ours are before this one."""
    return used


def use_pages(end: Word) -> None:
    """Pages before this one are ours now."""
    global used
    used = end if end > used else used


def page_of(address: Word) -> Word:
    """The number of the page of an address in the window."""
    return (address - base) >> PAGE_SHIFT


def page_address(page: Word) -> Word:
    """Where the page begins."""
    return base + (page << PAGE_SHIFT)


def unit_of(address: Word) -> Word:
    """The number of the unit at `address`: 32 bits."""
    return (address - base) >> UNIT_SHIFT


def unit_address(unit: Word) -> Word:
    """Where the unit begins."""
    return base + (unit << UNIT_SHIFT)


def record_at(address: Word) -> Word:
    """The record of the page that begins at `address`."""
    return records + ((address - base) >> FROM_ADDRESS)


def kind_at(address: Word) -> Word:
    """The kind of the page of any address; FOREIGN outside the window."""
    page = ((address - base) & ALL_BITS) >> PAGE_SHIFT
    if unlikely(page >= covered):
        return FOREIGN
    return load_byte(page_map + page)


def is_long(block: Word) -> bool:
    """Whether a block in use is long, from the page map alone: nothing of the block itself is read."""
    return load_byte(page_map + page_of(block) + 1) == LONG


# ---- Kinds ----


def kind_of(page: Word) -> Word:
    """The kind of a page that is covered."""
    return load_byte(page_map + page)


def set_kind(page: Word, kind: Word) -> None:
    """Write the kind of a page."""
    store_byte(page_map + page, kind)


def eight_kinds(page: Word) -> Word:
    """The kinds of eight pages; behind the covered ones there are always as many."""
    return load_word(page_map + page)


def set_eight_kinds(page: Word, kinds: Word) -> None:
    """Write the kinds of eight pages."""
    store_word(page_map + page, kinds)


def set_kinds(page: Word, end: Word, kind: Word) -> None:
    """Write the kind of all pages from `page` to `end`."""
    while page < end:
        store_byte(page_map + page, kind)
        page += 1


# ---- Setting up ----


def set_up_window(start: Word) -> bool:
    """Reserve the tables for a window that begins at the page `start`. Whether that went."""
    global base, window, page_map, records
    pages = WINDOW_PAGES * ONE
    while pages > LEAST_WINDOW and pages >> 1 << PAGE_SHIFT >= address_limit():
        pages >>= 1
    tables = reserve_range(0, pages + (pages << RECORD_SHIFT))
    while tables == 0 and pages > LEAST_WINDOW:
        pages >>= 1
        tables = reserve_range(0, pages + (pages << RECORD_SHIFT))
    if tables == 0:
        return False
    base = start
    window = pages
    page_map = tables
    records = tables + pages
    return True


def has_window() -> bool:
    """Whether the window is set up."""
    return window != 0


def cover(start: Word, end: Word) -> bool:
    """Make the tables memory for the pages of these addresses, and for the one behind. Whether that went."""
    global covered
    first = page_of(start) & ~(STEP - 1)
    last = round_up(page_of(end) + 8, STEP)
    if last > window:
        return False
    if covered < last and not commit_range(page_map + covered, last - covered):
        return False
    if not commit_range(records + (first << RECORD_SHIFT), (last - first) << RECORD_SHIFT):
        return False
    if covered < last:
        covered = last
    return True
