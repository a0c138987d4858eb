"""What is said of a trace: sizes, lifetimes, threads, the peak, what grew, what was short-lived."""

from __future__ import annotations

from pathlib import Path

import pytest

from snugmalloc.trace import (
    Flags,
    Header,
    NativeFrame,
    Operation,
    SourceFrame,
    TraceReader,
    TraceWriter,
    blocks_behind,
)
from snugmalloc.trace.blocks import NEVER
from snugmalloc.trace.following import read_history
from snugmalloc.trace.summary import Group, Summary, summarize
from snugmalloc.trace.survey import survey
from snugmalloc.trace.weight import SMALL

from .sample import EVERYTHING, WAYS, WORD, Arguments, arithmetic, expected, for_all, traces, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.snug"


def summary_of(path: Path) -> Summary:
    with TraceReader(path) as reader:
        return summarize(reader)


def write_service(path: Path, header: Header | None = None, rounds: int = 100) -> None:
    """A program that loads things, some of which it keeps, and forgets a few bytes each time."""
    inner, outer = SourceFrame("app.py", 7, "load"), SourceFrame("app.py", 1, "main")
    leak = SourceFrame("app.py", 30, "remember")
    native = NativeFrame("abc", 4)
    with TraceWriter(path, header or Header()) as writer:
        load, remember = writer.stack([native, inner, outer]), writer.stack([leak, outer])
        writer.add(Operation.THREAD_BEGIN, thread=0, number=41)
        writer.add(Operation.THREAD_NAME, thread=1, number=writer.text("worker"))
        for number in range(rounds):
            now = number * 1_000_000
            writer.add(Operation.MALLOC, time=now, size=5000, address=0x10000, stack=load)
            writer.add(Operation.MALLOC, time=now, size=24, address=16 + 32 * number, stack=remember)
            writer.add(Operation.FREE, thread=1, time=now + 5000, old=0x10000)
        writer.add(Operation.PURGE, size=4096, address=0x20000)


def test_totals_and_groups(path: Path) -> None:
    write_service(path)
    summary = summary_of(path)
    assert summary.total == Group(200, 502_400, 101, 7400, 100, 2400, 100, 100)
    assert summary.peak_call == 299
    assert summary.duration == pytest.approx(0.099005)
    assert {bound: group.blocks for bound, group in summary.by_size.items()} == {32: 100, 16384: 100}
    assert {bound: group.blocks for bound, group in summary.by_calls.items()} == {10: 100}
    assert {bound: group.blocks for bound, group in summary.by_time.items()} == {1e-5: 100}
    assert {thread: group.blocks for thread, group in summary.by_thread.items()} == {0: 200}
    assert summary.history.names == {1: "worker"}
    assert summary.history.thread_ids == {0: 41}
    assert summary.history.event_bytes[Operation.PURGE] == 4096


def test_what_grew_what_was_short_lived_and_what_was_live_at_the_peak_by_line(path: Path) -> None:
    write_service(path)
    summary = summary_of(path)
    assert summary.has_stacks
    assert [name for name, _ in summary.grown] == ["remember (app.py:30)"]
    assert [name for name, _ in summary.short_lived] == ["load (app.py:7)"]
    assert [name for name, _ in summary.at_peak] == ["load (app.py:7)", "remember (app.py:30)"]


def test_without_stacks_sizes_take_the_place_of_lines(path: Path) -> None:
    write_service(path, Header(Flags.ADDRESSES))
    summary = summary_of(path)
    assert not summary.has_stacks
    assert summary.duration is None
    assert summary.by_time == {}
    assert [name for name, _ in summary.grown] == ["24 bytes"]


def test_what_was_freed_in_between_or_stopped_growing_did_not_grow_until_the_end(path: Path) -> None:
    with TraceWriter(path) as writer:
        for number in range(200):
            writer.add(Operation.MALLOC, size=64, address=0x1000 + 64 * number)
            if number < 80:
                writer.add(Operation.MALLOC, size=48, address=0x100000 + 64 * number)
            writer.add(Operation.MALLOC, size=32, address=0x200000 + 64 * number)
            if number == 150:
                for freed in range(100):
                    writer.add(Operation.FREE, old=0x200000 + 64 * freed)
    assert [name for name, _ in summary_of(path).grown] == ["64 bytes"]


def test_a_sampled_trace_is_scaled_up(path: Path) -> None:
    write_service(path, Header(EVERYTHING, mean_gap=10_000))
    summary = summary_of(path)
    assert summary.mean_gap == 10_000
    assert summary.total.blocks == pytest.approx(
        100 * blocks_behind(5000, 10_000) + 100 * blocks_behind(24, 10_000)
    )
    assert summary.by_size[16384].bytes == pytest.approx(100 * 5000 * blocks_behind(5000, 10_000))


@pytest.mark.parametrize("way", WAYS)
def test_a_sample_that_grew_where_it_was_stands_for_as_many_as_it_did(path: Path, way: str) -> None:
    gap, larger = 10_000, SMALL + 1
    with TraceWriter(path, Header(EVERYTHING, mean_gap=gap)) as writer:
        writer.add(Operation.MALLOC, size=40, address=16)
        writer.add(Operation.REALLOC, size=25, old=16, address=16)  # shrinks
        writer.add(Operation.REALLOC, size=48, old=16, address=16)  # grows: the chance is that of 25 bytes
        writer.add(Operation.REALLOC, size=60, old=16, address=800)  # moves: a request like any other
        writer.add(Operation.MALLOC, size=64, address=4096)
        writer.add(Operation.REALLOC, size=larger, old=4096, address=4096)  # large: so it is
    with arithmetic(way), TraceReader(path) as reader:
        summary, counted = summarize(reader), survey(reader)
    chances = {40: 40, 25: 25, 48: 25, 60: 60, 64: 64, larger: larger}
    behind = {size: blocks_behind(chance, gap) for size, chance in chances.items()}
    assert summary.total.blocks == pytest.approx(sum(behind.values()))
    assert summary.total.bytes == pytest.approx(sum(size * count for size, count in behind.items()))
    assert (counted.blocks, counted.bytes) == (round(summary.total.blocks), round(summary.total.bytes))
    assert summary.total.end_bytes == pytest.approx(60 * behind[60] + larger * behind[larger])
    live = [40 * behind[40], 25 * behind[25], 48 * behind[48], 60 * behind[60]]
    assert list(summary.history.live[:4]) == [round(figure) for figure in live]


def test_the_peak_of_a_sampled_trace_is_that_of_the_program(path: Path) -> None:
    """Each of three small blocks stands for some 10,000 bytes, the large one for some 23,000."""
    with TraceWriter(path, Header(mean_gap=10_000)) as writer:
        writer.add(Operation.MALLOC, size=20_000, address=16)
        writer.add(Operation.FREE, old=16)
        for number in range(1, 4):
            writer.add(Operation.MALLOC, size=100, address=64 * number)
    summary = summary_of(path)
    assert summary.peak_call == 5
    assert summary.total.peak_bytes == pytest.approx(3 * 100 * blocks_behind(100, 10_000))


def test_a_realloc_that_is_refused_leaves_the_block(path: Path) -> None:
    with TraceWriter(path) as writer:
        writer.add(Operation.MALLOC, size=10, address=16)
        writer.add(Operation.REALLOC, size=2**40, old=16, refused=True)
        writer.add(Operation.REALLOC, size=20, old=16, address=32)
        writer.add(Operation.REALLOC, size=0, old=32, refused=True)
    with TraceReader(path) as reader:
        history = read_history(reader)
    assert list(history.live) == [10, 10, 20, 0]
    assert list(history.blocks.ended) == [3, 4]
    assert history.refused == 1


def test_a_free_that_the_trace_does_not_have_is_added(path: Path) -> None:
    with TraceWriter(path) as writer:
        writer.add(Operation.MALLOC, size=10, address=16)
        writer.add(Operation.MALLOC, size=7, address=16)
        writer.add(Operation.FREE, old=999)
        writer.add(Operation.FREE, old=0)
        writer.add(Operation.LOST, number=12)
    with TraceReader(path) as reader:
        history = read_history(reader)
    assert list(history.live) == [10, 7, 7, 7]
    assert list(history.blocks.ended) == [2, NEVER]
    assert (history.missing_frees, history.unknown_frees, history.lost) == (1, 1, 12)


@for_all(events=traces)
def test_live_bytes_are_what_was_given_and_not_freed(
    tmp_path_factory: pytest.TempPathFactory, events: list[Arguments]
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "live.snug", events)
    with TraceReader(path) as reader:
        history, counted = read_history(reader), survey(reader)
    live: dict[int, int] = {}
    after = []
    for event, given in zip(expected(events), events, strict=True):
        if event.freed >= 0 and not (event.refused and event.size):
            live.pop(given["old"])
        if event.block >= 0:
            live[event.address] = event.size
        if event.operation <= Operation.FREE:
            after.append(min(sum(live.values()), WORD))
    assert list(history.live) == after
    assert counted.calls == history.call_count == sum(history.calls.values())
    assert counted.blocks == len(history.blocks)
    assert counted.bytes == sum(history.blocks.size)


def test_a_trace_without_events_has_no_figures(path: Path) -> None:
    write(path, [])
    summary = summary_of(path)
    assert summary.total == Group()
    assert (summary.peak_call, summary.grown, summary.by_size) == (0, [], {})
