"""Owns giving memory back: which free pages the system gets, and when.

There is no helper thread: every PACE operations of the heap somebody takes a step. A hand goes round the page
map and gives back runs of free pages, at first only long ones, in the next round those of half the length, and
so on: best fit uses up small holes first, so long ones are needed last. Some is left: a 16th of what is in use,
and a mebibyte, so that small heaps are left alone.

A page that is needed again costs five times what giving it back did. So the hand moves only

- while the heap is calm: at the pace of the last moments, its free pages would last for `purge_delay`; a
  program that drops much and builds it up again at once finds its pages where it left them;
- or when most of the heap was dropped: more pages are free than in use, and those in use become fewer;
- or at the peak: before more memory is in use than ever, free pages go.

What it may cost is bounded by savings of time. Time that passes earns a share of itself, and each new page a
part of what the kernel took to give it; the calls, as measured by the clock, and each page that is needed again
are paid from that. A calm heap may run into debt for it. What was dropped has an account of its own: a debt
that time pays off, and that must be small before it is done again. So to free most of the heap gives it back at
once, but not again and again, and enough is left for the peak. With `purge_delay` 0 the heap always counts as
calm, and more is earned.
"""

from __future__ import annotations

from ..machine import Int, Word, clock, page_size, purge_memory
from .figures import HEAP_BYTES, MADVISE_CALLS, RETURNED_BYTES, SYSTEM_BYTES, figure, raise_figure
from .heap import dirty_pages, give_dirty, spare_pages, take_refaults, trim
from .layout import MIB, ONE, PAGE_SHIFT, round_up
from .options import MOST_DELAY, purge_delay
from .pages import (
    DIRTY,
    DIRTY_TO_BLOCKS,
    EIGHT_BLOCKS,
    PURGED,
    eight_kinds,
    kind_of,
    page_address,
    page_of,
    set_kinds,
    used_pages,
)

PACE = 128  # operations between two steps
STRETCH = 512  # pages that the hand gives back in one step,
STRETCH_SHIFT: Int = 2  # and a quarter of the dirty ones,
MOST_STRETCH = 8192  # but no more than these: it takes some 3 ms
LEFT_PAGES = 256  # dirty pages that are left alone,
LEFT_SHIFT: Int = 4  # and a 16th of those in use
LONG_RUN = 127  # pages: the hand begins with runs of so many

MOMENT_SHIFT: Int = 20  # the pace is told in moments of 2^20 ns, about a millisecond,
MOMENTS = 16  # over so many
DROPPED_SHIFT: Int = 3  # what was dropped goes until an eighth of the pages in use is left
PEAK_SHIFT: Int = 6  # within a 64th of the most ever, memory is at its peak

SHARE_SHIFT: Int = 6  # a 64th of the time that passes is earned,
PROMPT_SHARE_SHIFT: Int = 3  # with `purge_delay` 0 an eighth,
GROWTH_EARNS = 500  # and so many nanoseconds for each page more than ever: a quarter of its page fault
MOST_SAVINGS = 200_000_000
REFAULT_COST = 2200  # nanoseconds, as measured
CALM_CREDIT = 100_000_000  # nanoseconds of debt that are no hindrance when the heap is calm
DROP_CREDIT = 1000  # and so many, for each page at the peak, when it was dropped
DEBT = 1 << 40  # savings are counted from here, so that debts stay above zero
SPARE_TOP = MIB  # the break is moved down when so much is free below it

waiting: Word = 0
hand: Word = 0
savings: Word = 0
last_time: Word = 0
pace_time: Word = 0
least_used: Word = 0
most_used: Word = 0
most_resident: Word = 0
least_run: Word = 0
last_used: Word = 0
dropped_pages: Word = 0  # given back as they were dropped, and not needed since
drop_debt: Word = 0
is_calm: bool = False
is_dropped: bool = False
is_at_peak: bool = False


# ---- Pages to the system ----


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
    """The first page from `page` on that is DIRTY, or `end`."""
    while page < end:
        if page & 7 == 0:
            kinds = eight_kinds(page)
            if kinds & (kinds << DIRTY_TO_BLOCKS) & EIGHT_BLOCKS == 0:
                page += 8
                continue
        if kind_of(page) == DIRTY:
            return page
        page += 1
    return end


# ---- Savings ----


def spend(cost: Word) -> None:
    """Savings are spent; debts have a limit."""
    global savings
    savings = savings - cost if savings > cost else 0


def pay_refaults(count: Word) -> None:
    """So many pages were needed again: first those that had been dropped."""
    global dropped_pages, drop_debt
    dropped = count if count < dropped_pages else dropped_pages
    dropped_pages -= dropped
    drop_debt += dropped * REFAULT_COST
    spend((count - dropped) * REFAULT_COST)


def earn(now: Word) -> None:
    """A share of the time since the last time is earned, and pages that were needed again are paid."""
    global savings, last_time, drop_debt
    if last_time == 0:
        savings = DEBT
        last_time = now
    share = now - last_time >> (PROMPT_SHARE_SHIFT if purge_delay() == 0 else SHARE_SHIFT)
    savings += share
    savings = DEBT + MOST_SAVINGS if savings > DEBT + MOST_SAVINGS else savings
    drop_debt = drop_debt - share if drop_debt > share else 0
    last_time = now
    pay_refaults(take_refaults())


def can_afford() -> bool:
    """Whether there are savings, or this is worth a debt."""
    return savings > (DEBT - CALM_CREDIT if is_calm else DEBT * ONE)


def can_drop() -> bool:
    """Whether what is dropped can go: most of the heap is free, and the last drop is paid off."""
    return is_dropped and drop_debt < most_resident * DROP_CREDIT


# ---- When ----


def pages_in_use() -> Word:
    """The heap's pages that hold something."""
    return (figure(HEAP_BYTES) >> PAGE_SHIFT) - dirty_pages() - spare_pages()


def is_too_much() -> bool:
    """Whether more pages are dirty than shall be left."""
    return dirty_pages() > LEFT_PAGES + (pages_in_use() >> LEFT_SHIFT)


def look_at_pace(now: Word) -> None:
    """Every so many moments: would the free pages last, if use went on to change as it did?"""
    global pace_time, least_used, most_used, least_run, is_calm
    used = pages_in_use()
    least_used = used if used < least_used else least_used
    most_used = used if used > most_used else most_used
    moments = now - pace_time >> MOMENT_SHIFT
    if moments >= MOMENTS:
        is_calm = (most_used - least_used) * purge_delay() <= dirty_pages() * moments
        least_run = least_run << 1 | 1 if least_run < LONG_RUN else least_run
        pace_time = now
        least_used = used
        most_used = used


def look_at_drop() -> None:
    """Most of the heap is free: was it dropped, or is it being filled again?"""
    global last_used, is_dropped
    used = pages_in_use()
    is_dropped = used <= last_used and dirty_pages() > (used >> DROPPED_SHIFT if is_dropped else used)
    last_used = used


def look_at_peak() -> None:
    """A new peak of resident memory earns time; near the peak free pages go before others come."""
    global savings, most_resident, is_at_peak
    resident = (figure(SYSTEM_BYTES) >> PAGE_SHIFT) - spare_pages()
    if resident > most_resident:
        savings += (resident - most_resident) * GROWTH_EARNS
        most_resident = resident
    is_at_peak = resident + (most_resident >> PEAK_SHIFT) >= most_resident


def is_wanted() -> bool:
    """Whether pages should go back now."""
    return is_too_much() and (((is_calm or is_at_peak) and can_afford()) or can_drop())


# ---- The hand ----


def run_end(page: Word) -> Word:
    """Where the run of dirty pages ends that begins at `page`."""
    while kind_of(page) == DIRTY:
        page += 1
    return page


def give_back_run(first: Word, end: Word) -> Word:
    """Give back a run of pages, and pay for it. How many of ours went."""
    global dropped_pages, drop_debt
    is_drop = can_drop()
    before = clock()
    count = give_back(first, end)
    cost = clock() - before
    if is_drop:
        dropped_pages += count
        drop_debt += cost
    else:
        spend(cost)
    look_at_peak()
    return count


def visit(most: Word) -> Word:
    """The hand goes on to the end of its round, or until `most` pages went back, or enough. How many went."""
    global hand
    given: Word = 0
    hand = next_dirty(hand, used_pages())
    while hand < used_pages() and given < most and is_wanted():
        stop = run_end(hand)
        if is_calm or is_dropped or stop - hand >= least_run:
            given += give_back_run(hand, stop)
        hand = next_dirty(stop, used_pages())
    return given


def move_hand() -> None:
    """The hand goes on; when it has been round, shorter runs are long enough."""
    global hand, least_run
    most = STRETCH + (dirty_pages() >> STRETCH_SHIFT)
    most = MOST_STRETCH if most > MOST_STRETCH else most
    given = visit(most)
    if given < most and hand >= used_pages():
        hand = 0
        least_run >>= 1
        visit(most - given)
    if is_calm:
        trim(SPARE_TOP)


def take_step() -> None:
    """Look at the clock, the pace and the peak; where pages should go back, the hand moves on."""
    global waiting
    waiting = 0
    if purge_delay() == MOST_DELAY:
        return
    now = clock()
    earn(now)
    look_at_pace(now)
    look_at_drop()
    look_at_peak()
    if is_wanted():
        move_hand()


def is_time(operations: Word) -> bool:
    """So many operations of the heap were done. Whether it is time to take a step."""
    global waiting
    waiting += operations
    return waiting >= PACE


def give_all_back(pad: Word) -> bool:
    """Give back every free page now, but `pad` bytes at the end of the heap. Whether there were any."""
    count: Word = 0
    page = next_dirty(0, used_pages())
    while page < used_pages():
        stop = run_end(page)
        count += give_back(page, stop)
        page = next_dirty(stop, used_pages())
    return trim(pad) + count != 0
