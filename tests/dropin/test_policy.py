"""What the policy of giving back guarantees, on a machine that counts resident pages and whose time is ours."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .heaps import MIB
from .resident import CALL, MOMENT, Program

PURGE_DELAY = 1024 * MOMENT
KINDS = (9_000, 60_000, 300_000, 1_500_000, 3_000_000)  # blocks, long ones, of whole pages, mappings
TABLES = MIB // 4  # what the page map and blocks in caches may take, in programs of this size
STEP = 2 * MIB  # the most that may be freed between two steps
REFAULT = 2200  # nanoseconds that a page costs when it is needed again,
HELD_UP = 20 * MOMENT  # a call that takes so long was
SOON = 100_000_000  # and an eighth of that for a long block, unless it went back so shortly before

few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def most_after_drop(live: int) -> int:
    """How much of what was dropped may stay: it goes down to an eighth of what lives whenever it is a quarter.

    What was freed since the last step is looked at in the next.
    """
    return max(live // 4, MIB + live // 16) + TABLES + STEP


@pytest.mark.parametrize("size", KINDS)
@pytest.mark.parametrize("keep", [0, 10, 4])
def test_most_of_the_memory_goes_before_free_returns(size: int, keep: int) -> None:
    program = Program()
    program.take_all(size, 24 * MIB)
    program.keep_one_in(keep)
    assert program.free_resident <= most_after_drop(program.live)
    assert program.heap.check() == 0


@pytest.mark.parametrize("size", KINDS)
@pytest.mark.parametrize("keep", [0, 10, 4])
def test_so_it_does_where_each_call_is_held_up(size: int, keep: int) -> None:
    """On a busy machine a thread may wait for the processor in the midst of a call."""
    program = Program()
    program.machine.call_takes = HELD_UP
    program.take_all(size, 24 * MIB)
    program.keep_one_in(keep)
    assert program.free_resident <= most_after_drop(program.live)


@few
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(2, 8)), min_size=2, max_size=5), st.booleans())
def test_so_it_is_with_kinds_mixed(parts: list[tuple[int, int]], backwards: bool) -> None:
    program = Program()
    for size, share in parts:
        program.take_all(size, share * MIB)
        program.take_all(200, 20_000)
    program.held.sort(reverse=backwards)
    program.keep_one_in(0)
    assert program.free_resident <= most_after_drop(0)
    assert program.heap.check() == 0


@few
@given(st.sampled_from(KINDS), st.integers(2, 4), st.integers(0, 3))
def test_what_is_in_excess_goes_within_the_delay(size: int, keep: int, kind: int) -> None:
    program = Program()
    program.take_all(KINDS[kind], 8 * MIB)
    lasting = len(program.held)
    program.take_all(size, 6 * MIB)
    for block in [block for index, block in enumerate(program.held[lasting:]) if index % keep]:
        program.drop(block)
    program.small_work(PURGE_DELAY + 17 * MOMENT)
    assert program.free_resident <= program.live // 16 + MIB + TABLES + 2 * 30_000
    assert program.heap.check() == 0


@few
@given(
    st.sampled_from((200_000, 1_500_000, 3_000_000, 6_000_000)),
    st.integers(10_000, 20_000_000),
    st.integers(0, 4),
    st.integers(1, 3),
)
def test_a_block_that_comes_and_goes_is_not_paid_for_each_time(
    size: int, nanoseconds: int, base: int, count: int
) -> None:
    program = Program()
    program.take_all(100_000, base * MIB)
    lasting = len(program.held)
    rounds, peak, began = 40, 0, program.machine.clock()
    for _ in range(rounds):
        for _ in range(count):
            program.take(size)
        peak = max(peak, len(program.machine.resident))
        program.machine.pass_time(nanoseconds)
        for block in program.held[lasting:]:
            program.drop(block)
    cost = program.machine.refaults * REFAULT + program.machine.calls() * CALL
    # of excess, of the growth to the peak, of what was dropped; and the last drop that was let go
    credits = 100_000_000 + peak * (500 + 1000 + REFAULT) + 20 * CALL
    assert cost <= (program.machine.clock() - began) // 32 + credits


@pytest.mark.parametrize(("since_drop", "since_given"), [(10 * SOON, 0), (0, 10 * SOON)])
def test_what_is_needed_again_counts_by_when_it_went_and_not_when_others_did(
    since_drop: int, since_given: int
) -> None:
    program = Program()
    program.machine.pass_time(20 * SOON)
    engine, now = program.heap.engine, program.machine.clock()
    heap = engine.process_heap()
    heap.last_time, heap.dropped_time, heap.given_time = now, now - since_drop, now - since_given
    heap.drop_debt, heap.dropped_pages, heap.long_refaults = 0, 1000, 1500
    heap.budget = engine.DEBT
    engine.earn(heap, now)
    assert heap.drop_debt == 1000 * (REFAULT if since_drop < SOON else REFAULT // 8)
    assert engine.DEBT - heap.budget == 500 * (REFAULT if since_given < SOON else REFAULT // 8)
    assert heap.dropped_pages == 0


@few
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 6)), min_size=1, max_size=4))
def test_with_the_longest_delay_nothing_is_given_back(parts: list[tuple[int, int]]) -> None:
    program = Program(SNUG_PURGE_DELAY=b"1G")
    for size, share in parts:
        program.take_all(size, share * MIB)
        program.keep_one_in(3)
        program.small_work(3 * PURGE_DELAY, steps=4)
    program.keep_one_in(0)
    program.small_work(3 * PURGE_DELAY, steps=4)
    assert not program.machine.given_back
    assert program.heap.check() == 0


@pytest.mark.parametrize("size", KINDS)
def test_without_delay_what_is_free_goes_at_once(size: int) -> None:
    program = Program(SNUG_PURGE_DELAY=b"0")
    program.take_all(size, 8 * MIB)
    program.keep_one_in(2)
    program.small_work(17 * MOMENT)
    assert program.free_resident <= program.live // 16 + MIB + TABLES + 2 * 30_000


def test_a_clean_heap_below_the_break_goes_with_what_was_dropped() -> None:
    program = Program()
    program.take_all(12_000, 24 * MIB)
    program.keep_one_in(0)
    program.small_work(2 * MOMENT, steps=2)
    assert program.heap.figure("heap_bytes") <= 4 * MIB
