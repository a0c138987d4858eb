"""Owns the purge policy: which free pages are given back to the system, and when.

Free pages that may be resident are dirty, in the heap and in spare mappings alike. Dirty memory beyond a 16th
of what is in use and a mebibyte is given back

- when most was dropped, that is when more is dirty than in use, and use falls: all but an eighth of that goes
  before `free` returns;
- as excess, when memory is calm: at the rate of the last 16 ms it would last for `purge_delay`, a second;
- as excess, in any case, when it was not needed recently: within the last two `purge_delay`, except twice what
  use fell by. In deep debt four times as long counts as recent;
- at the peak: before more is resident than ever;
- in any case as much as long blocks take, when they would make a new peak.

A page that is needed again costs five times as much as purging it, so the cost is bounded: the calls, measured
by the clock, and each page that is needed again are charged. Drops have an account of their own, which a 64th
of the time that passes pays off; a drop is made when the debt is below 1 us for each page at the peak. The rest
is paid from the purge budget: another 64th of the time, and part of a page fault for each page by which memory
grows beyond its peak; calm memory may run into debt by a tenth of a second. So over time smaller blocks cost at
most a 32nd of the processor time; to free most of what there is gives it back at once, but not again and again;
and enough is left for the peak. Refaults of long blocks are charged an eighth, unless they are immediate: the
system's malloc gives such blocks back each time. A call that takes much longer than usual was probably
preempted, and is charged for what a call may take. With `purge_delay` 0 memory always counts as calm, and an
eighth of the time is earned; but nothing counts as needed recently, so all is excess, and the cost of that has
no bound. docs/design.md lists what was tried.

There is no helper thread unless `background` is set: every PACE operations of the heap the current thread takes
a step. A clock hand goes round the page map and gives back runs of dirty pages; at the peak at first only long
ones, in the next round those of half the length, and so on: best fit uses up small holes first, so long ones
are needed last.

The system calls are made without the lock. Pages being purged are taken out of their free block, so that nobody
gets them meanwhile; one thread at a time does it. In a child that was forked at such a moment the pages are put
back by the next thread that purges.
"""

from __future__ import annotations

from ..common.figures import figure, raise_figure
from ..common.sizes import ONE, round_up
from ..machine import Int, Word, clock, fork_generation, page_size, purge_memory, unlikely
from .block import next_block, units_of
from .coalesce import free_block_at, has_end_grown, settle_end, wilderness
from .control import Heap, lock_heap, unlock_heap
from .figures import Figures
from .heap import return_pages, take_pages
from .large import dirty_spare_pages, unmap_spare, unmap_spares
from .layout import MIB, PAGE_SHIFT
from .marks import (
    dirty_end,
    dirty_pages,
    next_dirty,
    next_unmarked,
    spare_pages,
    take_long_refaults,
    take_refaults,
)
from .options import MAX_DELAY, purge_delay
from .pages import (
    crosses_leaf,
    lowest_page,
    next_covered,
    next_granule,
    owner_of_page,
    page_address,
    page_links,
    page_of,
    page_tag,
    used_pages,
)
from .rows import record_given_back
from .segments import trim
from .tracefile import is_recording

PACE = 128  # operations between two steps
STRETCH = 512  # pages that go back in one step,
STRETCH_SHIFT: Int = 2  # and a quarter of the dirty ones,
GROWTH_AT_ONCE = 400  # pages within PACE operations, as long blocks take them
MAX_STRETCH = 8192  # but no more than these: it takes some 3 ms
CHUNK = 2048  # pages in one call, which are unavailable meanwhile
LONG_CHUNK = 1024  # pages: for such chunks the page map's tags and links are purged, too
GAP = 512  # clean pages between dirty ones that a call may include: they cost next to nothing
SCAN = 1 << 16  # pages that are scanned under the lock at a time,
SCANS = 4  # and in one step, if nothing was dropped, this many times as many
LEFT_PAGES = 256  # dirty pages that are left alone,
LEFT_SHIFT: Int = 4  # and a 16th of those in use
LONG_RUN = 127  # pages: a round begins with runs of this length

MOMENT_SHIFT: Int = 20  # the pace is measured in moments of 2^20 ns, about a millisecond,
MOMENTS = 16  # over this many
DROPPED_SHIFT: Int = 3  # dropped memory is purged until an eighth of the pages in use is left,
DROPPED_MORE_SHIFT: Int = 2  # and again as soon as it is a quarter
PEAK_SHIFT: Int = 6  # within a 64th of its maximum so far, memory is at its peak

SHARE_SHIFT: Int = 6  # a 64th of the time that passes is earned,
PROMPT_SHARE_SHIFT: Int = 3  # with `purge_delay` 0 an eighth,
GROWTH_EARNS = 500  # nanoseconds earned for each page beyond the peak: a quarter of its page fault
MAX_BUDGET = 200_000_000
REFAULT_COST = 2200  # nanoseconds, as measured
MOST_CALL_COST = 100_000  # the maximum charge for a call,
MOST_PAGE_COST = 1000  # and for each of its pages
LONG_COST_SHIFT: Int = 3  # refaults of long blocks are charged an eighth,
SOON = 100_000_000  # nanoseconds: except this soon after a purge
EXCESS_CREDIT = 100_000_000  # nanoseconds of debt up to which excess is purged
PATIENCE_SHIFT: Int = 2  # in deeper debt what was not needed for four times `purge_delay` is in excess
DROP_CREDIT = 1000  # and for each page at the peak, up to which drops are purged
DEBT = 1 << 40  # the budget is counted from here, so that debts stay above zero
SPARE_TOP = MIB  # bytes: the break is moved down when this much is free below it
PAGE_UNITS_SHIFT: Int = 8
MOSTLY_SHIFT: Int = 3  # if less than an eighth is dirty it is mostly clean


# ---- How much there is ----


def pages_in_use(heap: Heap) -> Word:
    """The pages in use, in the heap and in mappings."""
    held = figure(heap, Figures.heap_bytes) + figure(heap, Figures.mapped_bytes)
    return (held >> PAGE_SHIFT) - dirty_pages(heap) - spare_pages(heap)


def all_dirty(heap: Heap) -> Word:
    """The free pages that may be resident, in the heap and in spare mappings."""
    return dirty_pages(heap) + dirty_spare_pages(heap)


def resident_pages(heap: Heap) -> Word:
    """All pages that may be resident."""
    clean = (figure(heap, Figures.kept_bytes) >> PAGE_SHIFT) - dirty_spare_pages(heap)
    return (figure(heap, Figures.system_bytes) >> PAGE_SHIFT) - spare_pages(heap) - clean


# ---- The budget ----


def spend(heap: Heap, cost: Word) -> None:
    """Take from the budget, down to a maximum debt."""
    heap.budget = heap.budget - cost if heap.budget > cost else 0


def pay_refaults(heap: Heap, count: Word, dropped_cost: Word, cost: Word) -> None:
    """Charge pages that were needed again: first those that had been dropped, at `dropped_cost` each."""
    dropped = count if count < heap.dropped_pages else heap.dropped_pages
    heap.dropped_pages -= dropped
    heap.drop_debt += dropped * dropped_cost
    spend(heap, (count - dropped) * cost)


def long_cost(since: Word) -> Word:
    """The charge for a page that a long block needs again, by the time since such pages were purged."""
    return REFAULT_COST >> (0 if since < SOON else LONG_COST_SHIFT)


def earn(heap: Heap, now: Word) -> None:
    """Earn a share of the time since the last call, and charge the pages that were needed again."""
    if heap.last_time == 0:
        heap.budget = DEBT
        heap.last_time = now
    share = now - heap.last_time >> (PROMPT_SHARE_SHIFT if purge_delay() == 0 else SHARE_SHIFT)
    heap.budget += share
    heap.budget = DEBT + MAX_BUDGET if heap.budget > DEBT + MAX_BUDGET else heap.budget
    heap.drop_debt = heap.drop_debt - share if heap.drop_debt > share else 0
    heap.last_time = now
    pay_refaults(heap, take_refaults(heap), REFAULT_COST * ONE, REFAULT_COST * ONE)
    dropped_cost = long_cost(now - heap.dropped_time)
    pay_refaults(heap, take_long_refaults(heap), dropped_cost, long_cost(now - heap.given_time))


# ---- When ----


def look_at_pace(heap: Heap, now: Word) -> None:
    """At intervals: update whether the free pages would last for `purge_delay` at the recent rate of use."""
    used = pages_in_use(heap)
    if heap.pace_time == 0:
        heap.is_calm = 1 if purge_delay() == 0 else 0
        heap.pace_time = now
    heap.minimum_used = used if used < heap.minimum_used else heap.minimum_used
    heap.maximum_used = used if used > heap.maximum_used else heap.maximum_used
    moments = now - heap.pace_time >> MOMENT_SHIFT
    if moments >= MOMENTS:
        change = heap.maximum_used - heap.minimum_used
        heap.is_calm = 1 if change * purge_delay() <= all_dirty(heap) * moments else 0
        heap.minimum_run = heap.minimum_run << 1 | 1 if heap.minimum_run < LONG_RUN else heap.minimum_run
        heap.pace_time = now
        heap.minimum_used = used
        heap.maximum_used = used


def look_at_maximum(heap: Heap, now: Word) -> None:
    """Update the maximum in use within the last `purge_delay`, and within the previous one."""
    used = pages_in_use(heap)
    patience = purge_delay() << (PATIENCE_SHIFT if heap.budget + EXCESS_CREDIT < DEBT else 0)
    if now - heap.epoch_time >> MOMENT_SHIFT >= patience:
        heap.epoch_time = now
        heap.earlier_maximum = heap.epoch_maximum
        heap.epoch_maximum = used
    heap.epoch_maximum = used if used > heap.epoch_maximum else heap.epoch_maximum


def look_at_drop(heap: Heap) -> None:
    """Update whether most of the memory was dropped, or is being filled again."""
    used = pages_in_use(heap)
    heap.is_falling = 1 if used <= heap.last_used and (heap.is_falling != 0 or all_dirty(heap) > used) else 0
    heap.is_dropped = 1 if heap.is_falling != 0 and all_dirty(heap) > used >> DROPPED_MORE_SHIFT else 0
    heap.last_used = used


def look_at_peak(heap: Heap) -> None:
    """Earn time for a new peak of resident memory; near the peak purge before taking new pages."""
    resident = resident_pages(heap)
    if resident > heap.peak_resident:
        heap.budget += (resident - heap.peak_resident) * GROWTH_EARNS
        heap.peak_resident = resident
    heap.is_at_peak = 1 if resident + (heap.peak_resident >> PEAK_SHIFT) >= heap.peak_resident else 0


def needed_before(heap: Heap) -> Word:
    """How many free pages may be needed, judging by the last `purge_delay`.

    Twice as many as use fell by: when it grows again, it may take other pages than those that are free now.
    """
    used = pages_in_use(heap)
    maximum = heap.epoch_maximum if heap.epoch_maximum > heap.earlier_maximum else heap.earlier_maximum
    return maximum - used + maximum - used if maximum > used else 0


def left_alone(heap: Heap) -> Word:
    """The number of dirty pages that always stay."""
    return LEFT_PAGES + (pages_in_use(heap) >> LEFT_SHIFT)


def can_give_excess(heap: Heap) -> bool:
    """Whether more is dirty than was needed recently, or memory is calm and the budget suffices."""
    is_affordable = heap.is_calm != 0 and heap.budget + EXCESS_CREDIT > DEBT
    return is_affordable or all_dirty(heap) > left_alone(heap) + needed_before(heap)


def can_give_dropped(heap: Heap) -> bool:
    """Whether most of the memory was dropped, and the last drop is paid."""
    is_left = all_dirty(heap) > pages_in_use(heap) >> DROPPED_SHIFT
    return heap.is_dropped != 0 and is_left and heap.drop_debt < heap.peak_resident * DROP_CREDIT


def room_wanted(heap: Heap) -> Word:
    """How many dirty pages to purge because long blocks make a new peak, before these are written.

    The new pages cost more than purging as many, so it is always done.
    """
    resident = resident_pages(heap)
    is_much = resident > heap.peak_resident + GROWTH_AT_ONCE and all_dirty(heap) > left_alone(heap)
    return resident - heap.peak_resident if is_much and heap.peak_resident != 0 else 0


def can_give_at_peak(heap: Heap) -> bool:
    """Whether memory is at its peak, and there is a budget."""
    return heap.is_at_peak != 0 and heap.budget > DEBT * ONE


def is_wanted(heap: Heap) -> bool:
    """Whether pages should be purged now."""
    if all_dirty(heap) <= left_alone(heap):
        return False
    return can_give_excess(heap) or can_give_dropped(heap) or can_give_at_peak(heap)


# ---- One at a time ----


def begin(heap: Heap) -> bool:
    """Under the lock: begin purging, by this thread alone until `finish`. Returns False if another does."""
    if heap.is_busy != 0 and heap.busy_forks == fork_generation():
        return False
    if heap.chunk_end != 0:  # whose thread is in the process that forked this one
        return_pages(heap, heap.chunk_page, heap.chunk_end, False)
        heap.chunk_end = 0
    heap.is_busy = 1
    heap.busy_forks = fork_generation()
    return True


def finish(heap: Heap) -> None:
    """Without the lock: let others purge."""
    held = lock_heap(heap)
    heap.is_busy = 1 if heap.is_busy != 0 and heap.busy_forks != fork_generation() else 0
    unlock_heap(heap, held)


# ---- Pages to the system ----


def chunk_from(page: Word, maximum: Word) -> Word:
    """The end of a chunk that begins at a dirty page: up to `maximum` pages of one run that ends dirty."""
    stop = next_unmarked(page, page + maximum)
    end = page
    following = page
    while following < stop:
        end = dirty_end(following, stop)
        gap_end = end + GAP if end + GAP < stop else stop
        following = next_dirty(end, gap_end)
        following = stop if following == gap_end else following
    return end


def next_own_dirty(heap: Heap, page: Word, stop: Word) -> Word:
    """The first dirty page of this heap from `page` on, or `stop`."""
    page = next_dirty(page, stop)
    while page < stop and owner_of_page(page) != heap:
        page = next_dirty(next_granule(page), stop)
    return page if page < stop else stop


def whole_to(end: Word, step: Word) -> Word:
    """The end of the last free system page, of `step` pages, of a run of dirty pages that ends at `end`.

    The pages behind it may be clean. A run that begins inside such a page has pages in use before it.
    """
    stop = round_up(end, step)
    return stop if next_unmarked(end, stop) == stop else stop - step


def take_chunk(heap: Heap, minimum: Word, maximum: Word) -> bool:
    """Under the lock: go to the next run of at least `minimum` dirty pages and take up to `maximum`.

    Returns False if it found none where it looked.
    """
    step = page_size() >> PAGE_SHIFT
    end = used_pages(heap)
    start = lowest_page(heap) if heap.clock_hand < lowest_page(heap) else heap.clock_hand
    start = next_covered(start, end)
    stop = start + SCAN if start + SCAN < end else end
    heap.clock_hand = next_own_dirty(heap, start, stop)
    while heap.clock_hand < stop:
        first = heap.clock_hand
        heap.clock_hand = chunk_from(first, maximum)
        low = round_up(first, step)
        high = whole_to(heap.clock_hand, step)
        if low < high and heap.clock_hand - first >= minimum and next_dirty(low, high) < high:
            block = free_block_at(heap, low)
            behind_it = page_of(next_block(block, units_of(block)))
            heap.chunk_page = low
            heap.chunk_end = high if high < behind_it else behind_it
            heap.clock_hand = heap.chunk_end
            take_pages(heap, heap.chunk_page, heap.chunk_end)
            return True
        heap.clock_hand = next_own_dirty(heap, heap.clock_hand, stop)
    return False


def purge_tables(page: Word, stop: Word) -> None:
    """Purge the tags and links of these pages, too, which are unused."""
    if not crosses_leaf(page, stop):
        last = stop - 1
        purge_inside(page_tag(page_address(page)), page_tag(page_address(last)))
        purge_inside(page_links(page_address(page)), page_links(page_address(last)))


def purge_inside(start: Word, stop: Word) -> None:
    """Purge the whole pages between two addresses."""
    low = round_up(start, page_size())
    high = stop & ~(page_size() - 1)
    if low < high:
        purge_memory(low, high - low)


def give_chunk(heap: Heap) -> Word:
    """Without the lock: purge what `take_chunk` took. Returns the number of pages."""
    page = heap.chunk_page
    count = heap.chunk_end - page
    purged = purge_memory(page_address(page), count << PAGE_SHIFT)
    if count >= LONG_CHUNK:
        purge_tables(page + 1, heap.chunk_end)
    held = lock_heap(heap)
    raise_figure(heap, Figures.madvise_calls, 1)
    if heap.busy_forks == fork_generation() and heap.chunk_end != 0:
        return_pages(heap, page, heap.chunk_end, purged)
        heap.chunk_end = 0
    if purged:
        raise_figure(heap, Figures.returned_bytes, count << PAGE_SHIFT)
    unlock_heap(heap, held)
    if unlikely(is_recording()) and purged and heap.is_private == 0:
        record_given_back(page_address(page), count << PAGE_SHIFT)
    return count if purged else 0


def charge(heap: Heap, count: Word, cost: Word, is_drop: bool) -> None:
    """Charge for purged pages and the nanoseconds of the call."""
    most = MOST_CALL_COST + count * MOST_PAGE_COST
    cost = cost if cost < most else most
    cost = cost >> LONG_COST_SHIFT if count >= LONG_CHUNK else cost
    held = lock_heap(heap)
    if is_drop:
        heap.dropped_time = heap.last_time
        heap.dropped_pages += count
        heap.drop_debt += cost
    else:
        heap.given_time = heap.last_time
        spend(heap, cost)
    look_at_peak(heap)
    unlock_heap(heap, held)


def give_spare(heap: Heap) -> bool:
    """Without the lock: unmap a spare mapping if memory should be given back now. Returns True if one was."""
    held = lock_heap(heap)
    wanted = is_wanted(heap)
    is_drop = can_give_dropped(heap)
    before_pages = dirty_spare_pages(heap)
    unlock_heap(heap, held)
    if not wanted or before_pages == 0:
        return False
    before = clock()
    unmapped = unmap_spare(heap, True)
    charge(heap, before_pages - dirty_spare_pages(heap), clock() - before, is_drop)
    return unmapped


def give_round(heap: Heap, maximum: Word) -> Word:
    """Without the lock: purge to the end of the round, or until `maximum` pages or enough were given back.

    Returns the number of pages. Dropped memory is given back whole.
    """
    given: Word = 0
    looks: Word = 0
    going = True
    while going:
        held = lock_heap(heap)
        is_drop = can_give_dropped(heap)
        is_all = is_drop or can_give_excess(heap)
        minimum = ONE if is_all else heap.minimum_run
        going = is_drop or (given < maximum and looks < SCANS)
        going = going and is_wanted(heap) and heap.clock_hand < used_pages(heap)
        found = going and take_chunk(heap, minimum, CHUNK if is_all else STRETCH)
        unlock_heap(heap, held)
        if found:
            before = clock()
            count = give_chunk(heap)
            charge(heap, count, clock() - before, is_drop)
            given += count
        else:
            looks += 1
    return given


def move_hand(heap: Heap) -> None:
    """Without the lock: advance the clock hand; after a full round, accept shorter runs."""
    is_lasting = can_give_excess(heap) or can_give_dropped(heap)
    while give_spare(heap):
        pass
    maximum = STRETCH + (dirty_pages(heap) >> STRETCH_SHIFT)
    maximum = MAX_STRETCH if maximum > MAX_STRETCH else maximum
    given = give_round(heap, maximum)
    if heap.clock_hand >= used_pages(heap):
        heap.clock_hand = 0
        heap.minimum_run >>= 1
        give_round(heap, maximum - given if given < maximum else 0)
    if is_lasting:
        held = lock_heap(heap)
        trim(heap, SPARE_TOP)
        unlock_heap(heap, held)


def give_room(heap: Heap, count: Word) -> None:
    """Without the lock: purge this many dirty pages, or all there are, at any cost."""
    is_new_round = False
    before = dirty_spare_pages(heap)
    while count != 0 and before != 0 and unmap_spare(heap, True):
        gone_pages = before - dirty_spare_pages(heap)
        count = count - gone_pages if count > gone_pages else 0
        before = dirty_spare_pages(heap)
    while count != 0:
        held = lock_heap(heap)
        found = take_chunk(heap, ONE, count if count < CHUNK else CHUNK)
        unlock_heap(heap, held)
        if found:
            given = give_chunk(heap)
            count = count - given if count > given else 0
        elif heap.clock_hand >= used_pages(heap):
            count = 0 if is_new_round else count
            is_new_round = True
            heap.clock_hand = 0
    held = lock_heap(heap)
    look_at_peak(heap)
    unlock_heap(heap, held)


def lower_break(heap: Heap) -> None:
    """Under the lock: move the break down where the heap's end became free at once and is clean.

    The policy has purged it already, and there may be no further call.
    """
    if has_end_grown(heap) and dirty_pages(heap) < wilderness(heap) >> PAGE_UNITS_SHIFT >> MOSTLY_SHIFT:
        trim(heap, SPARE_TOP)
    settle_end(heap)


def take_step(heap: Heap) -> None:
    """Without the lock: update clock, pace and peak, and purge if the policy says so."""
    held = lock_heap(heap)
    heap.waiting = 0
    if purge_delay() == MAX_DELAY:
        settle_end(heap)
        unlock_heap(heap, held)
        return
    lower_break(heap)
    now = clock()
    earn(heap, now)
    look_at_pace(heap, now)
    look_at_maximum(heap, now)
    look_at_drop(heap)
    room = room_wanted(heap)
    if room == 0:
        look_at_peak(heap)
    begun = (room != 0 or is_wanted(heap)) and begin(heap)
    unlock_heap(heap, held)
    if begun:
        give_room(heap, room)
        move_hand(heap)
        finish(heap)


def is_use_falling(heap: Heap) -> bool:
    """Whether most of the memory was dropped, and use had not risen by the last step."""
    return heap.is_falling != 0


def is_time(heap: Heap, operations: Word) -> bool:
    """Under the lock: count operations of the heap. Returns True if it is time to take a step."""
    heap.waiting += operations
    return heap.waiting >= PACE or has_end_grown(heap)


def give_all_back(heap: Heap, pad: Word) -> bool:
    """Without the lock: give back all free memory except `pad` bytes at the end. Returns True if any was."""
    any_given = unmap_spares(heap)
    held = lock_heap(heap)
    begun = begin(heap)
    unlock_heap(heap, held)
    if begun:
        heap.clock_hand = 0
        while heap.clock_hand < used_pages(heap):
            held = lock_heap(heap)
            found = take_chunk(heap, ONE, CHUNK)
            unlock_heap(heap, held)
            if found and give_chunk(heap) != 0:
                any_given = True
        finish(heap)
    held = lock_heap(heap)
    trimmed = trim(heap, pad)
    unlock_heap(heap, held)
    return any_given or trimmed != 0
