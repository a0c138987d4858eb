"""Owns giving memory back: which free pages the system gets, and when.

Free pages that may be resident are dirty, in the heap and in spare mappings alike. What exceeds a 16th of what
is in use and a mebibyte goes back

- when most was dropped, that is when more is dirty than in use, and use falls: all but an eighth of that goes
  before `free` returns;
- as excess, when memory is calm: at the pace of the last 16 ms it would last for `purge_delay`, a second;
- as excess, in any case, when it was not needed of late: within the last two `purge_delay`, twice what use fell
  by left out. In deep debt four times as long counts as of late;
- at the peak: before more is resident than ever;
- in any case as much as long blocks take, when more would be resident for them than ever.

A page that is needed again costs five times what giving it back did, so what this may cost is bounded: the
calls, as measured by the clock, and each page that is needed again are charged. Drops have an account of their
own, which a 64th of the time that passes pays off; a drop is made when the debt is below 1 us for each page at
the peak. The rest is paid from savings: another 64th of the time, and part of a page fault for each page by
which memory grows beyond its peak; calm memory may run into debt by a tenth of a second. So over time smaller
blocks cost at most a 32nd of the processor time; to free most of what there is gives it back at once, but not
again and again; and enough is left for the peak. Of what long blocks need again an eighth is charged, unless it
is at once: the system's malloc gives such blocks back each time. With `purge_delay` 0 memory always counts as
calm, and an eighth of the time is earned. docs/design.md tells what was tried.

There is no helper thread unless one is asked for (`background`): every PACE operations of the heap somebody
takes a step. A hand goes round the page map and gives back runs of dirty pages; at the peak at first only long
ones, in the next round those of half the length, and so on: best fit uses up small holes first, so long ones
are needed last.

The system calls are made without the lock. Pages on their way are taken out of their free block, so that nobody
is given them meanwhile; one thread at a time does it. In a child that was forked at such a moment the pages are
put back by the next who would give some.
"""

from __future__ import annotations

from ..machine import Int, Word, clock, fork_generation, lock, page_size, purge_memory, unlock
from .block import next_block, size_of
from .coalesce import free_block_at, has_end_grown, settle_end, wilderness
from .figures import Figures, figure, raise_figure
from .heap import return_pages, take_pages
from .large import dirty_spare_pages, unmap_spare, unmap_spares
from .layout import MIB, ONE, PAGE_SHIFT, round_up
from .marks import (
    dirty_end,
    dirty_pages,
    next_dirty,
    next_unmarked,
    spare_pages,
    take_long_refaults,
    take_refaults,
)
from .options import MOST_DELAY, purge_delay
from .pages import (
    crosses_leaf,
    lowest_page,
    next_covered,
    page_address,
    page_links,
    page_of,
    page_tag,
    used_pages,
)
from .segments import trim

PACE = 128  # operations between two steps
STRETCH = 512  # pages that the hand gives back in one step,
STRETCH_SHIFT: Int = 2  # and a quarter of the dirty ones,
GROWTH_AT_ONCE = 400  # pages within PACE operations, as long blocks take them
MOST_STRETCH = 8192  # but no more than these: it takes some 3 ms
CHUNK = 2048  # pages in one call: for so long nobody else can have them
LONG_CHUNK = 1024  # pages: of so many the page map's tags and links go, too
GAP = 512  # clean pages that a call may be about, too, between dirty ones: they cost it next to nothing
SCAN = 1 << 16  # pages that are looked at under the lock at a time,
SCANS = 4  # and in one step, if nothing was dropped, so many times as many
LEFT_PAGES = 256  # dirty pages that are left alone,
LEFT_SHIFT: Int = 4  # and a 16th of those in use
LONG_RUN = 127  # pages: the hand begins with runs of so many

MOMENT_SHIFT: Int = 20  # the pace is told in moments of 2^20 ns, about a millisecond,
MOMENTS = 16  # over so many
DROPPED_SHIFT: Int = 3  # what was dropped goes until an eighth of the pages in use is left,
DROPPED_MORE_SHIFT: Int = 2  # and again as soon as it is a quarter
PEAK_SHIFT: Int = 6  # within a 64th of the most ever, memory is at its peak

SHARE_SHIFT: Int = 6  # a 64th of the time that passes is earned,
PROMPT_SHARE_SHIFT: Int = 3  # with `purge_delay` 0 an eighth,
GROWTH_EARNS = 500  # and so many nanoseconds for each page more than ever: a quarter of its page fault
MOST_SAVINGS = 200_000_000
REFAULT_COST = 2200  # nanoseconds, as measured
LONG_COST_SHIFT: Int = 3  # of what long blocks cost an eighth counts,
SOON = 100_000_000  # nanoseconds: but not so soon after some went back
EXCESS_CREDIT = 100_000_000  # nanoseconds of debt that are no hindrance for what is in excess
PATIENCE_SHIFT: Int = 2  # in deeper debt what was not needed for four times `purge_delay` is in excess
DROP_CREDIT = 1000  # and so many, for each page at the peak, for what was dropped
DEBT = 1 << 40  # savings are counted from here, so that debts stay above zero
SPARE_TOP = MIB  # the break is moved down when so much is free below it
PAGE_UNITS_SHIFT: Int = 8
MOSTLY_SHIFT: Int = 3  # where less than an eighth is dirty it is mostly clean

waiting: Word = 0
hand: Word = 0
savings: Word = 0
last_time: Word = 0
given_time: Word = 0
pace_time: Word = 0
least_used: Word = 0
most_used: Word = 0
epoch_time: Word = 0
epoch_most: Word = 0
earlier_most: Word = 0
most_resident: Word = 0
least_run: Word = 0
last_used: Word = 0
dropped_pages: Word = 0  # given back as they were dropped, and not needed since
drop_debt: Word = 0
is_calm: bool = False
is_falling: bool = False
is_dropped: bool = False
is_at_peak: bool = False

is_busy: bool = False  # somebody gives back: these pages, in this process
busy_forks: Word = 0
chunk_page: Word = 0
chunk_end: Word = 0


# ---- How much there is ----


def pages_in_use() -> Word:
    """The pages that hold something, in the heap and in mappings."""
    held = figure(Figures.heap_bytes) + figure(Figures.mapped_bytes)
    return (held >> PAGE_SHIFT) - dirty_pages() - spare_pages()


def all_dirty() -> Word:
    """The free pages that may be resident, in the heap and in spare mappings."""
    return dirty_pages() + dirty_spare_pages()


def resident_pages() -> Word:
    """All pages that may be resident."""
    clean = (figure(Figures.kept_bytes) >> PAGE_SHIFT) - dirty_spare_pages()
    return (figure(Figures.system_bytes) >> PAGE_SHIFT) - spare_pages() - clean


# ---- Savings ----


def spend(cost: Word) -> None:
    """Savings are spent; debts have a limit."""
    global savings
    savings = savings - cost if savings > cost else 0


def pay_refaults(count: Word, cost: Word) -> None:
    """So many pages were needed again, for so much each: first those that had been dropped."""
    global dropped_pages, drop_debt
    dropped = count if count < dropped_pages else dropped_pages
    dropped_pages -= dropped
    drop_debt += dropped * cost
    spend((count - dropped) * cost)


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
    pay_refaults(take_refaults(), REFAULT_COST)
    was_soon = now - given_time < SOON
    pay_refaults(take_long_refaults(), REFAULT_COST >> (0 if was_soon else LONG_COST_SHIFT))


# ---- When ----


def look_at_pace(now: Word) -> None:
    """Every so many moments: would the free pages last for `purge_delay`, if use changed on as it did?"""
    global pace_time, least_used, most_used, is_calm, least_run
    used = pages_in_use()
    if pace_time == 0:
        is_calm = purge_delay() == 0
        pace_time = now
    least_used = used if used < least_used else least_used
    most_used = used if used > most_used else most_used
    moments = now - pace_time >> MOMENT_SHIFT
    if moments >= MOMENTS:
        is_calm = (most_used - least_used) * purge_delay() <= all_dirty() * moments
        least_run = least_run << 1 | 1 if least_run < LONG_RUN else least_run
        pace_time = now
        least_used = used
        most_used = used


def look_at_most(now: Word) -> None:
    """The most that was in use within the last `purge_delay`, and within the one before."""
    global epoch_time, epoch_most, earlier_most
    used = pages_in_use()
    patience = purge_delay() << (PATIENCE_SHIFT if savings + EXCESS_CREDIT < DEBT else 0)
    if now - epoch_time >> MOMENT_SHIFT >= patience:
        epoch_time = now
        earlier_most = epoch_most
        epoch_most = used
    epoch_most = used if used > epoch_most else epoch_most


def look_at_drop() -> None:
    """Most of the memory is free: was it dropped, or is it being filled again?"""
    global last_used, is_falling, is_dropped
    used = pages_in_use()
    is_falling = used <= last_used and (is_falling or all_dirty() > used)
    is_dropped = is_falling and all_dirty() > used >> DROPPED_MORE_SHIFT
    last_used = used


def look_at_peak() -> None:
    """A new peak of resident memory earns time; near the peak free pages go before others come."""
    global savings, most_resident, is_at_peak
    resident = resident_pages()
    if resident > most_resident:
        savings += (resident - most_resident) * GROWTH_EARNS
        most_resident = resident
    is_at_peak = resident + (most_resident >> PEAK_SHIFT) >= most_resident


def needed_before() -> Word:
    """How many free pages may be needed if all is as it was within the last `purge_delay`.

    Twice as many as use fell by: when it grows again, others than those that are free now may be taken.
    """
    used = pages_in_use()
    most = epoch_most if epoch_most > earlier_most else earlier_most
    return most - used + most - used if most > used else 0


def left_alone() -> Word:
    """So many dirty pages always stay."""
    return LEFT_PAGES + (pages_in_use() >> LEFT_SHIFT)


def can_give_excess() -> bool:
    """Whether more is dirty than was needed of late, or memory is calm and that can be afforded."""
    return all_dirty() > left_alone() + needed_before() or (is_calm and savings + EXCESS_CREDIT > DEBT)


def can_give_dropped() -> bool:
    """Whether most of the memory was dropped, and the last drop is paid off."""
    is_left = all_dirty() > pages_in_use() >> DROPPED_SHIFT
    return is_dropped and is_left and drop_debt < most_resident * DROP_CREDIT


def room_wanted() -> Word:
    """How many dirty pages go because memory grew beyond its peak by long blocks, before these are written.

    What they will cost is more than what it costs to give back as much, so it is always done.
    """
    resident = resident_pages()
    is_much = resident > most_resident + GROWTH_AT_ONCE and all_dirty() > left_alone()
    return resident - most_resident if is_much and most_resident != 0 else 0


def can_give_at_peak() -> bool:
    """Whether memory is at its peak, and there are savings."""
    return is_at_peak and savings > DEBT * ONE


def is_wanted() -> bool:
    """Whether pages should go back now."""
    return all_dirty() > left_alone() and (can_give_excess() or can_give_dropped() or can_give_at_peak())


# ---- One at a time ----


def begin() -> bool:
    """Under the lock: nobody else gives back until `finish`. Returns False if somebody does already."""
    global is_busy, busy_forks, chunk_end
    if is_busy and busy_forks == fork_generation():
        return False
    if chunk_end != 0:  # whose thread is in the process that forked this one
        return_pages(chunk_page, chunk_end, False)
        chunk_end = 0
    is_busy = True
    busy_forks = fork_generation()
    return True


def finish() -> None:
    """Without the lock: others may."""
    global is_busy
    held = lock()
    is_busy = is_busy and busy_forks != fork_generation()
    unlock(held)


# ---- Pages to the system ----


def chunk_from(page: Word, most: Word) -> Word:
    """Where a chunk ends that begins at a dirty page: at most `most` pages of one run, the last dirty, too."""
    stop = next_unmarked(page, page + most)
    end = page
    following = page
    while following < stop:
        end = dirty_end(following, stop)
        gap_end = end + GAP if end + GAP < stop else stop
        following = next_dirty(end, gap_end)
        following = stop if following == gap_end else following
    return end


def take_chunk(least: Word, most: Word) -> bool:
    """Under the lock: the hand goes on to the next run of at least `least` dirty pages and takes up to `most`.

    Returns False if it found none where it looked.
    """
    global hand, chunk_page, chunk_end
    step = page_size() >> PAGE_SHIFT
    hand = next_covered(lowest_page() if hand < lowest_page() else hand, used_pages())
    stop = hand + SCAN if hand + SCAN < used_pages() else used_pages()
    hand = next_dirty(hand, stop)
    while hand < stop:
        first = hand
        hand = chunk_from(first, most)
        low = round_up(first, step)
        high = hand & ~(step - 1)
        if low < high and hand - first >= least and next_dirty(low, high) < high:
            block = free_block_at(low)
            behind_it = page_of(next_block(block, size_of(block)))
            chunk_page = low
            chunk_end = high if high < behind_it else behind_it
            hand = chunk_end
            take_pages(chunk_page, chunk_end)
            return True
        hand = next_dirty(hand, stop)
    return False


def purge_tables(page: Word, stop: Word) -> None:
    """Nothing is noted of these pages: the system gets what is resident of their tags and links, too."""
    if not crosses_leaf(page, stop):
        last = stop - 1
        purge_inside(page_tag(page_address(page)), page_tag(page_address(last)))
        purge_inside(page_links(page_address(page)), page_links(page_address(last)))


def purge_inside(start: Word, stop: Word) -> None:
    """The system gets the whole pages between two addresses."""
    low = round_up(start, page_size())
    high = stop & ~(page_size() - 1)
    if low < high:
        purge_memory(low, high - low)


def give_chunk() -> Word:
    """Without the lock: the system gets what `take_chunk` took. How many pages went."""
    global chunk_end
    page = chunk_page
    count = chunk_end - page
    purged = purge_memory(page_address(page), count << PAGE_SHIFT)
    if count >= LONG_CHUNK:
        purge_tables(page + 1, chunk_end)
    held = lock()
    raise_figure(Figures.madvise_calls, 1)
    if busy_forks == fork_generation() and chunk_end != 0:
        return_pages(page, chunk_end, purged)
        chunk_end = 0
    if purged:
        raise_figure(Figures.returned_bytes, count << PAGE_SHIFT)
    unlock(held)
    return count if purged else 0


def charge(count: Word, cost: Word, is_drop: bool) -> None:
    """So many pages went back, and the call took so many nanoseconds."""
    global dropped_pages, drop_debt, given_time
    given_time = last_time
    cost = cost >> LONG_COST_SHIFT if count >= LONG_CHUNK else cost
    held = lock()
    if is_drop:
        dropped_pages += count
        drop_debt += cost
    else:
        spend(cost)
    look_at_peak()
    unlock(held)


def give_spare() -> bool:
    """Without the lock: unmap a spare mapping if memory should go back now. Whether one went."""
    held = lock()
    wanted = is_wanted()
    is_drop = can_give_dropped()
    before_pages = dirty_spare_pages()
    unlock(held)
    if not wanted or before_pages == 0:
        return False
    before = clock()
    unmapped = unmap_spare(True)
    charge(before_pages - dirty_spare_pages(), clock() - before, is_drop)
    return unmapped


def visit(most: Word) -> Word:
    """Without the lock: the hand goes on to the end of its round, or until `most` pages went back, or enough.

    How many went. What was dropped goes whole.
    """
    given: Word = 0
    looks: Word = 0
    going = True
    while going:
        held = lock()
        is_drop = can_give_dropped()
        is_all = is_drop or can_give_excess()
        least = ONE if is_all else least_run
        going = is_wanted() and hand < used_pages() and (is_drop or (given < most and looks < SCANS))
        found = going and take_chunk(least, CHUNK if is_all else STRETCH)
        unlock(held)
        if found:
            before = clock()
            count = give_chunk()
            charge(count, clock() - before, is_drop)
            given += count
        else:
            looks += 1
    return given


def move_hand() -> None:
    """Without the lock: the hand goes on; when it has been round, shorter runs are long enough."""
    global hand, least_run
    is_lasting = can_give_excess() or can_give_dropped()
    while give_spare():
        pass
    most = STRETCH + (dirty_pages() >> STRETCH_SHIFT)
    most = MOST_STRETCH if most > MOST_STRETCH else most
    given = visit(most)
    if hand >= used_pages():
        hand = 0
        least_run >>= 1
        visit(most - given if given < most else 0)
    if is_lasting:
        held = lock()
        trim(SPARE_TOP)
        unlock(held)


def give_room(count: Word) -> None:
    """Without the lock: so many dirty pages go, or all there are, whatever they cost."""
    global hand
    is_new_round = False
    before = dirty_spare_pages()
    while count != 0 and before != 0 and unmap_spare(True):
        gone_pages = before - dirty_spare_pages()
        count = count - gone_pages if count > gone_pages else 0
        before = dirty_spare_pages()
    while count != 0:
        held = lock()
        found = take_chunk(ONE, count if count < CHUNK else CHUNK)
        unlock(held)
        if found:
            given = give_chunk()
            count = count - given if count > given else 0
        elif hand >= used_pages():
            count = 0 if is_new_round else count
            is_new_round = True
            hand = 0
    held = lock()
    look_at_peak()
    unlock(held)


def lower_break() -> None:
    """Under the lock: where the heap's end became free at one stroke and is clean, the break moves down.

    The policy has given it back already, and it may be that no further call comes.
    """
    if has_end_grown() and dirty_pages() < wilderness() >> PAGE_UNITS_SHIFT >> MOSTLY_SHIFT:
        trim(SPARE_TOP)
    settle_end()


def take_step() -> None:
    """Without the lock: look at clock, pace and peak; where pages should go back, the hand moves on."""
    global waiting
    held = lock()
    waiting = 0
    if purge_delay() == MOST_DELAY:
        settle_end()
        unlock(held)
        return
    lower_break()
    now = clock()
    earn(now)
    look_at_pace(now)
    look_at_most(now)
    look_at_drop()
    room = room_wanted()
    if room == 0:
        look_at_peak()
    begun = (room != 0 or is_wanted()) and begin()
    unlock(held)
    if begun:
        give_room(room)
        move_hand()
        finish()


def is_use_falling() -> bool:
    """Whether most of the memory was dropped, and at the last step use had not risen since."""
    return is_falling


def is_time(operations: Word) -> bool:
    """Under the lock: so many operations of the heap were done. Whether it is time to take a step."""
    global waiting
    waiting += operations
    return waiting >= PACE or has_end_grown()


def give_all_back(pad: Word) -> bool:
    """Without the lock: all free memory goes back now, but `pad` bytes at the heap's end. Whether any did."""
    global hand
    any_given = unmap_spares()
    held = lock()
    begun = begin()
    unlock(held)
    if begun:
        hand = 0
        while hand < used_pages():
            held = lock()
            found = take_chunk(ONE, CHUNK)
            unlock(held)
            if found and give_chunk() != 0:
                any_given = True
        finish()
    held = lock()
    trimmed = trim(pad)
    unlock(held)
    return any_given or trimmed != 0
