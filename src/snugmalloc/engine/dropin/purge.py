"""Owns giving memory back: which free pages the system gets, and when.

Time is counted in operations of the heap, for there is no helper thread. A hand goes round the page map, a
stretch at a time. A page that it finds DIRTY becomes OLD; a page that is still OLD when the hand comes by again
has been free for a whole round, and goes back with its neighbours in one call. A round takes at least
`purge_delay` operations.

What this may cost is bounded by a budget. Each operation earns a point; a call, a page given back, and most of
all a page that was needed again after that, cost points. Without points nothing is given back.
"""

from __future__ import annotations

from ..machine import Word, page_size, purge_memory
from .figures import MADVISE_CALLS, RETURNED_BYTES, raise_figure
from .heap import dirty_pages, give_dirty, take_refaults, trim
from .layout import MIB, ONE, PAGE_SHIFT, round_up
from .options import purge_delay
from .pages import (
    DIRTY,
    DIRTY_BITS,
    OLD,
    PURGED,
    covered_pages,
    eight_kinds,
    kind_of,
    page_address,
    page_of,
    set_kind,
)

STRETCH = 1024  # pages the hand looks at in one go
PACE = 64  # operations between two goes
CALL_COST = 10
PAGE_COST = 2
REFAULT_COST = 40
SAVINGS = 1 << 16  # points that can be saved up
DEBT = 1 << 20  # points; the budget begins here, so that debts stay above zero
SPARE_TOP = MIB  # the break is moved down when so much is free below it

waiting: Word = 0
round_operations: Word = 0
hand: Word = 0
points: Word = 0


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
    for page in range(page_of(low), page_of(high)):
        set_kind(page, PURGED)
    raise_figure(RETURNED_BYTES, high - low)
    count = (high - low) >> PAGE_SHIFT
    give_dirty(count)
    return count


def next_dirty(page: Word, end: Word) -> Word:
    """The first page from `page` on that is DIRTY or OLD, or `end`."""
    while page < end:
        if page & 7 == 0:
            kinds = eight_kinds(page)
            if kinds & (kinds << 1) & DIRTY_BITS == 0:
                page += 8
                continue
        if kind_of(page) >= DIRTY:
            return page
        page += 1
    return end


def spend(cost: Word) -> None:
    """Points are paid; the debt has a floor."""
    global points
    points = points - cost if points > cost else ONE


def visit(start: Word, end: Word) -> None:
    """The hand goes over these pages."""
    page = next_dirty(start, end)
    while page < end:
        first = page
        kind = kind_of(page)
        while page < end and kind_of(page) == kind:
            page += 1
        if kind == DIRTY:
            for aged in range(first, page):
                set_kind(aged, OLD)
        elif points > DEBT:
            spend(CALL_COST + give_back(first, page) * PAGE_COST)
        page = next_dirty(page, end)


def next_round() -> None:
    """The hand has been round, and the delay is over: begin again, and let go of a large free end."""
    global hand, round_operations
    hand = 0
    round_operations = 0
    if trim(SPARE_TOP) != 0:
        spend(CALL_COST)


def take_step() -> None:
    """Earn points, pay for what was needed again, and let the hand go a stretch."""
    global waiting, round_operations, hand, points
    if points == 0:
        points = DEBT + SAVINGS
    points += waiting
    points = DEBT + SAVINGS if points > DEBT + SAVINGS else points
    round_operations += waiting
    waiting = 0
    spend(take_refaults() * REFAULT_COST)
    if dirty_pages() == 0:
        return
    if hand >= covered_pages():
        if round_operations < purge_delay():
            return
        next_round()
    end = hand + STRETCH
    visit(hand, end)
    hand = end


def tick(operations: Word) -> None:
    """So many operations of the heap were done."""
    global waiting
    waiting += operations
    if waiting >= PACE:
        take_step()


def give_all_back(pad: Word) -> bool:
    """Give back every free page now, but `pad` bytes at the end of the heap. Whether there were any."""
    count: Word = 0
    end = covered_pages()
    page = next_dirty(0, end)
    while page < end:
        first = page
        while page < end and kind_of(page) >= DIRTY:
            page += 1
        count += give_back(first, page)
        page = next_dirty(page, end)
    return trim(pad) + count != 0
