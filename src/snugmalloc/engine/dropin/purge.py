"""Owns giving memory back: which free pages the system gets, and when.

Time is counted in operations of the heap, for there is no helper thread. A hand goes round the page map, a
stretch at a time. A page that it finds DIRTY becomes OLD; a page that is still OLD when the hand comes by again
has been free for a whole round, and goes back with its neighbours in one call. A round takes at least
`purge_delay` operations.

Some is left: a 16th of what is in use, and a mebibyte, so that small heaps are left alone.

What this may cost is bounded by savings of time. Time that passes earns a share of itself; a call, each page
that it gives back, and each page that is needed again after that, cost what they usually take. Without savings
nothing is given back.
"""

from __future__ import annotations

from ..machine import Int, Word, clock, lowest_bit, page_size, purge_memory
from .figures import HEAP_BYTES, MADVISE_CALLS, RETURNED_BYTES, figure, raise_figure
from .heap import dirty_pages, give_dirty, spare_pages, take_refaults, trim
from .layout import MIB, PAGE_SHIFT, round_up
from .options import purge_delay
from .pages import (
    DIRTY,
    DIRTY_TO_BLOCKS,
    EIGHT_BLOCKS,
    OLD,
    OLD_TO_BLOCKS,
    PURGED,
    eight_kinds,
    kind_of,
    page_address,
    page_of,
    set_eight_kinds,
    set_kinds,
    used_pages,
)

PACE = 128  # operations between two goes of the hand
STRETCH = 64  # pages that it looks at in one go,
STRETCH_SHIFT: Int = 5  # and a 32nd of all
LEFT_PAGES = 256  # dirty pages that are left alone,
LEFT_SHIFT: Int = 4  # and a 16th of those in use

SHARE_SHIFT: Int = 5  # a 32nd of the time that passes is earned
FIRST_SAVINGS = 180_000_000  # nanoseconds a process begins with
MOST_SAVINGS = 180_000_000
CALL_COST = 1000  # nanoseconds, as measured: a call,
PAGE_COST = 350  # a page given back by it,
REFAULT_COST = 1600  # a page that is needed again
DEBT = 1 << 40  # savings are counted from here, so that debts stay above zero
SPARE_TOP = MIB  # the break is moved down when so much is free below it

waiting: Word = 0
round_operations: Word = 0
hand: Word = 0
savings: Word = 0
last_time: Word = 0


def give_back(start: Word, end: Word) -> Word:
    """Give the system the pages from `start` to `end`, whole free pages. How many of ours went."""
    system_page = page_size()
    low = round_up(page_address(start), system_page)
    high = page_address(end) & ~(system_page - 1)
    if low >= high:
        return 0
    raise_figure(MADVISE_CALLS, 1)
    if not purge_memory(low, high - low):
        return 0
    set_kinds(page_of(low), page_of(high), PURGED)
    raise_figure(RETURNED_BYTES, high - low)
    count = (high - low) >> PAGE_SHIFT
    give_dirty(count)
    return count


def next_dirty(page: Word, end: Word) -> Word:
    """The first page from `page` on that is DIRTY or OLD, or `end`."""
    while page < end:
        if page & 7 == 0:
            kinds = eight_kinds(page)
            if kinds & (kinds << DIRTY_TO_BLOCKS) & EIGHT_BLOCKS == 0:
                page += 8
                continue
        if kind_of(page) >= DIRTY:
            return page
        page += 1
    return end


def spend(cost: Word) -> None:
    """Savings are spent; debts have a limit."""
    global savings
    savings = savings - cost if savings > cost else 0


def earn() -> None:
    """A share of the time since the last time is earned."""
    global savings, last_time
    now = clock()
    savings = DEBT + FIRST_SAVINGS if last_time == 0 else savings + (now - last_time >> SHARE_SHIFT)
    savings = DEBT + MOST_SAVINGS if savings > DEBT + MOST_SAVINGS else savings
    last_time = now


def give_back_old(first: Word) -> None:
    """Give back the OLD pages from `first` on; those that the system does not take are young again."""
    end = first
    while kind_of(end) == OLD:
        end += 1
    count = give_back(first, end)
    spend(CALL_COST + count * PAGE_COST)
    if count == 0:
        set_kinds(first, end, DIRTY)


def visit(start: Word, end: Word) -> None:
    """The hand goes over these pages, eight at a time; `start` is a multiple of 8."""
    page = start
    while page < end:
        kinds = eight_kinds(page)
        dirty = kinds & (kinds << DIRTY_TO_BLOCKS) & EIGHT_BLOCKS
        old = dirty & (kinds << OLD_TO_BLOCKS)
        if old != 0 and savings > DEBT:
            give_back_old(page + (lowest_bit(old) >> 3))
        else:
            if dirty != 0:
                set_eight_kinds(page, kinds | dirty >> OLD_TO_BLOCKS)
            page += 8


def next_round() -> None:
    """The hand has been round, and the delay is over: begin again, and let go of a large free end."""
    global hand, round_operations
    hand = 0
    round_operations = 0
    trim(SPARE_TOP)


def is_too_much() -> bool:
    """Whether more pages are dirty than shall be left."""
    dirty = dirty_pages()
    in_use = (figure(HEAP_BYTES) >> PAGE_SHIFT) - dirty - spare_pages()
    return dirty > LEFT_PAGES + (in_use >> LEFT_SHIFT)


def take_step() -> None:
    """Earn, pay for what was needed again, and let the hand go a stretch."""
    global waiting, round_operations, hand
    round_operations += waiting
    waiting = 0
    if not is_too_much():
        return
    earn()
    spend(take_refaults() * REFAULT_COST)
    if savings <= DEBT:
        return
    if hand >= used_pages():
        if round_operations < purge_delay():
            return
        next_round()
    end = hand + STRETCH + (used_pages() >> STRETCH_SHIFT & ~7)
    end = used_pages() if end > used_pages() else end
    visit(hand, end)
    hand = end


def is_time(operations: Word) -> bool:
    """So many operations of the heap were done. Whether it is time to take a step."""
    global waiting
    waiting += operations
    return waiting >= PACE


def give_all_back(pad: Word) -> bool:
    """Give back every free page now, but `pad` bytes at the end of the heap. Whether there were any."""
    count: Word = 0
    end = used_pages()
    page = next_dirty(0, end)
    while page < end:
        first = page
        while page < end and kind_of(page) >= DIRTY:
            page += 1
        count += give_back(first, page)
        page = next_dirty(page, end)
    return trim(pad) + count != 0
