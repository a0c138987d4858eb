"""Owns clearing: a new block reads as zero to its last usable byte, without writing what already does.

block  |part of a page|  page  |  page  |  page  |part of a page|
        always written  pages that are UNCLEARED: written, or replaced by fresh ones where they are many;
                        for the others the system gives fresh ones anyway
"""

from __future__ import annotations

from ..common.sizes import round_up
from ..machine import Word, clear_bytes, page_size, purge_memory
from .block import next_block, payload_bytes
from .layout import IN_PAGE
from .pages import UNCLEARED, kind_of, page_address, page_of

GIVEN_ANEW = (
    1024  # pages; fewer are written: to fault a page in again costs several times as much as to clear it
)


def clear_pages(page: Word, end: Word) -> None:
    """Make the pages from `page` to `end` read as zero."""
    start = page_address(page)
    stop = page_address(end)
    low = round_up(start, page_size())
    high = stop & ~(page_size() - 1)
    if end - page < GIVEN_ANEW or not purge_memory(low, high - low):
        clear_bytes(start, stop - start)
        return
    clear_bytes(start, low - start)
    clear_bytes(high, stop - high)


def uncleared_end(page: Word, end: Word) -> Word:
    """The end of the run of UNCLEARED pages from `page` on, at most `end`."""
    while page < end and kind_of(page) == UNCLEARED:
        page += 1
    return page


def clear_block(block: Word, size: Word) -> None:
    """Make a new block of `size` units read as zero, to the last usable byte. Without the lock."""
    stop = block + payload_bytes(block, size)
    page = page_of(block + IN_PAGE)
    end = page_of(next_block(block, size))
    if page > end:
        clear_bytes(block, stop - block)
        return
    clear_bytes(block, page_address(page) - block)
    while page < end:
        run_end = uncleared_end(page, end)
        if run_end != page:
            clear_pages(page, run_end)
            page = run_end
        else:
            page += 1
    if page_address(end) < stop:
        clear_bytes(page_address(end), stop - page_address(end))
