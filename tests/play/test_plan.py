"""Plans: they say what the trace says, with and without threads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, chain
from pathlib import Path

import pytest
from hypothesis import strategies as st

import snugmalloc
from snugmalloc.play.plan import (
    ALIGNED,
    FREE,
    FREE_NULL,
    KINDS,
    NOWHERE,
    REALLOC,
    START,
    Plan,
    Step,
    live_after_each,
    make_plan,
)
from snugmalloc.trace import NO_BLOCK, Operation, TraceError, TraceReader
from snugmalloc.trace.following import read_history
from snugmalloc.trace.format import Flags, Header

from ..trace.sample import WORD, Arguments, for_all, traces, write
from .programs import Called, program, write_trace

SYSTEMUI = Path(snugmalloc.__file__).parent / "data" / "systemui.zip"
Played = tuple[int, int, int, int, int]
"""A call: its kind, size, shift, and the numbers of the block that it gave and of the one that it was given."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples write one trace after the other."""
    return tmp_path_factory.mktemp("plans") / "made.snug"


def plan_of(path: Path, calls: list[Called], *, keeps_threads: bool = False) -> Plan:
    """The plan of calls, which are written to `path`."""
    return make_plan(write_trace(path, calls), keeps_threads=keeps_threads)


def steps_in_order(plan: Plan) -> list[Step]:
    """All steps but the starts of streams, in the order of the trace."""
    steps = chain.from_iterable(plan.steps(stream) for stream in range(len(plan.streams)))
    return sorted((step for step in steps if step.kind != START), key=lambda step: step.call)


def calls_of_plan(steps: list[Step]) -> Iterator[Played]:
    """What the steps say, with blocks by their numbers."""
    block_in: dict[int, int] = {}
    blocks = 0
    for step in steps:
        if step.kind == FREE_NULL:
            yield FREE, 0, 0, NO_BLOCK, NO_BLOCK
        elif step.kind == FREE:
            yield FREE, 0, 0, NO_BLOCK, block_in.pop(step.place)
        else:
            old = block_in.pop(step.source) if step.source != NOWHERE else NO_BLOCK
            assert step.place not in block_in
            block_in[step.place] = blocks
            yield step.kind, step.size, step.shift, blocks, old
            blocks += 1


def calls_of_trace(calls: list[Called]) -> Iterator[Played]:
    """The same of what went into the trace."""
    block_at: dict[int, int] = {}
    blocks = 0
    for call in calls:
        old = block_at.pop(call.old) if call.old else NO_BLOCK
        if call.operation is Operation.FREE:
            yield FREE, 0, 0, NO_BLOCK, old
            continue
        kind = KINDS[call.operation]
        block_at[call.address] = blocks
        yield kind, call.size, call.number.bit_length() - 1 if kind == ALIGNED else 0, blocks, old
        blocks += 1


@for_all(
    seed=st.integers(0, 2**32), count=st.integers(1, 80), threads=st.integers(1, 4), keeps_threads=st.booleans()
)
def test_the_plan_of_a_program_is_its_calls(
    path: Path, seed: int, count: int, threads: int, keeps_threads: bool
) -> None:
    calls = program(seed, count, threads)
    plan = plan_of(path, calls, keeps_threads=keeps_threads)
    assert list(calls_of_plan(steps_in_order(plan))) == list(calls_of_trace(calls))
    assert (plan.calls, plan.left_out, plan.missing_frees) == (len(calls), 0, 0)
    assert plan.threads == len({call.thread for call in calls})
    assert len(plan.streams) == (plan.threads if keeps_threads else 1)


@for_all(events=traces)
def test_what_is_live_after_each_call_is_what_the_report_says(path: Path, events: list[Arguments]) -> None:
    write(path, events)
    try:
        plan = make_plan(path)
    except TraceError as error:
        assert str(error) == f"{path.name}: contains no calls that can be played"
        return
    with TraceReader(path) as reader:
        live = list(read_history(reader).live)
    after = {step.call: now for step, now in zip(plan.steps(), live_after_each(plan.steps()), strict=True)}
    now = 0
    for number, expected in enumerate(live, 1):
        now = after.get(number, now)
        assert min(now, WORD) == expected, number


@for_all(events=traces, keeps_threads=st.booleans())
def test_no_place_is_used_twice_at_once_and_none_is_freed_that_is_empty(
    path: Path, events: list[Arguments], keeps_threads: bool
) -> None:
    write(path, events)
    try:
        plan = make_plan(path, keeps_threads=keeps_threads)
    except TraceError:
        return
    steps = steps_in_order(plan)
    list(calls_of_plan(steps))
    assert max(step.place for step in steps) < max(plan.place_count, 1)


@for_all(seed=st.integers(0, 2**32), count=st.integers(2, 60), threads=st.integers(2, 6))
def test_each_thread_begins_behind_the_call_before_its_first(
    path: Path, seed: int, count: int, threads: int
) -> None:
    calls = program(seed, count, threads)
    plan = plan_of(path, calls, keeps_threads=True)
    streams = [list(plan.steps(number)) for number in range(len(plan.streams))]
    starts = [(step.place, step.call) for stream in streams for step in stream if step.kind == START]
    assert sorted(number for number, _ in starts) == list(range(1, len(streams)))
    order = list(dict.fromkeys(call.thread for call in calls))
    for number, stream in enumerate(streams):
        assert [step.call for step in stream if step.kind != START] == [
            call for call, made in enumerate(calls, 1) if made.thread == order[number]
        ]
    for number, call in starts:
        assert streams[number][0].call == call
        (starter,) = (
            stream for stream in streams if any(s.kind == START and s.place == number for s in stream)
        )
        at = next(index for index, step in enumerate(starter) if step.kind == START and step.place == number)
        assert max(step.call for step in starter[:at] if step.kind != START) == call - 1


# ---- Times ----


@for_all(
    gaps=st.lists(st.integers(0, 10_000), min_size=1, max_size=60),
    threads=st.integers(1, 4),
    keeps_threads=st.booleans(),
    pace=st.sampled_from([0.5, 1.0, 4.0]),
    ticks=st.sampled_from([1000, 10**9, 2_400_000_000]),
)
def test_each_step_of_a_paced_plan_has_the_time_of_its_call(
    path: Path, gaps: list[int], threads: int, keeps_threads: bool, pace: float, ticks: int
) -> None:
    times = list(accumulate(gaps))
    calls = program(len(gaps), len(gaps), threads)
    write_trace(path, calls, times, Header(ticks_per_second=ticks))
    plan = make_plan(path, keeps_threads=keeps_threads, pace=pace)
    assert plan.pace == pace
    assert [len(found) for found in plan.times] == [len(list(plan.steps(n))) for n in range(len(plan.streams))]
    for stream, found in enumerate(plan.times):
        for step, time in zip(plan.steps(stream), found, strict=True):
            since = (times[step.call - 1] - times[0]) * 10**9 / ticks / pace
            assert time == pytest.approx(since, abs=0.5), step


def test_a_plan_that_is_not_paced_has_no_times(path: Path) -> None:
    plan = make_plan(write_trace(path, program(1, 10), range(10)), keeps_threads=True)
    assert (plan.pace, plan.times) == (None, [])


def test_a_time_that_never_comes_is_cut(path: Path) -> None:
    calls = [Called(Operation.MALLOC, 0, 8, 0, 16 * number, 0) for number in range(1, 4)]
    plan = make_plan(write_trace(path, calls, [500, 900, 2**63]), pace=0.001)
    assert list(plan.times[0]) == [0, 400_000, 2**62]


@pytest.mark.parametrize(
    "header", [Header(Flags.ADDRESSES), Header(ticks_per_second=0)], ids=["without times", "without ticks"]
)
def test_a_trace_without_times_cannot_be_paced(path: Path, header: Header) -> None:
    write_trace(path, program(1, 10), header=header)
    message = f"{path.name}: has no times, and can only be played without --paced"
    with pytest.raises(TraceError, match=f"^{message}$"):
        make_plan(path, pace=1.0)
    assert make_plan(path).calls == 10


def test_places_are_used_again(path: Path) -> None:
    calls = [
        call
        for _ in range(50)
        for call in (
            Called(Operation.MALLOC, 0, 8, 0, 16, 0),
            Called(Operation.FREE, 0, 0, 0, 0, 16),
        )
    ]
    assert plan_of(path, calls).place_count == 1
    assert plan_of(path, calls, keeps_threads=True).place_count == 50


def test_a_realloc_of_an_unknown_block_is_a_malloc(path: Path) -> None:
    plan = plan_of(path, [Called(Operation.REALLOC, 0, 100, 0, 32, 16)])
    (step,) = plan.steps()
    assert (step.size, step.source, step.kind) == (100, NOWHERE, KINDS[Operation.MALLOC])
    plan = plan_of(path, [Called(Operation.REALLOC, 0, 100, 0, 32, 0)])
    (step,) = plan.steps()
    assert (step.size, step.source, step.kind) == (100, NOWHERE, REALLOC)


def test_text_is_planned_as_the_file_made_of_it() -> None:
    plan = make_plan(SYSTEMUI)
    assert (plan.name, plan.calls, plan.threads) == ("systemui.zip", 786_097, 393)
    assert (plan.left_out, plan.missing_frees, plan.lost, plan.damage) == (0, 0, 0, None)
    assert max(live_after_each(plan.steps())) == 10_441_709


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1: thread_done 0x0\n", "trace.txt: contains no calls that can be played"),
        ("1: free 0xdead\n", "trace.txt: contains no calls that can be played"),
        ("hello\n", "trace.txt: is neither a .snug trace nor text of memory_replay, mtrace or heaptrack"),
        ("1: malloc 0xa 1\n1: malloc\n", "trace.txt, line 2: not a call: '1: malloc'"),
    ],
)
def test_what_cannot_be_played_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "trace.txt").write_text(text)
    with pytest.raises(TraceError) as raised:
        make_plan(tmp_path / "trace.txt")
    assert str(raised.value) == message
