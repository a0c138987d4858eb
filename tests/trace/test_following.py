"""A trace has the same history and summary whether NumPy takes many events at once or plain Python each one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from snugmalloc.trace import Flags, Header, Operation, SourceFrame, TraceReader, TraceWriter, alike
from snugmalloc.trace.blocks import History
from snugmalloc.trace.export import Request
from snugmalloc.trace.export.profile import profile_of
from snugmalloc.trace.following import AtOnce, read_history
from snugmalloc.trace.importing import convert
from snugmalloc.trace.summary import Summary, summarize

from .sample import EVERYTHING, WAYS, Arguments, arguments, arithmetic, for_all
from .test_pins import SYSTEMUI

events = st.lists(arguments(), max_size=60)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples write one trace after the other."""
    return tmp_path_factory.mktemp("traces") / "trace.snug"


def write(path: Path, given: list[Arguments], mean_gap: int = 0) -> None:
    """The events, in small chunks."""
    with TraceWriter(path, Header(EVERYTHING, start=5, mean_gap=mean_gap), events_in_chunk=7) as writer:
        for event in given:
            writer.add(**event)


def small(event: Arguments) -> Arguments:
    """The same with a size that can be added up."""
    return event | {"size": event["size"] % 5000} if "size" in event else event


def history(path: Path, way: str) -> History:
    """What a trace tells by NumPy or without."""
    with arithmetic(way), TraceReader(path) as reader:
        return read_history(reader)


def assert_same(path: Path) -> None:
    by_numpy, plain = (history(path, way) for way in WAYS)
    assert by_numpy == plain
    assert list(by_numpy.calls_of_thread) == list(plain.calls_of_thread)


@pytest.mark.parametrize("mean_gap", [0, 1000])
@for_all(given=events)
def test_events_of_any_kind(path: Path, mean_gap: int, given: list[Arguments]) -> None:
    write(path, [small(event) for event in given], mean_gap)
    with TraceReader(path) as reader:
        follower = AtOnce(reader)
        for columns in reader.columns():
            follower.follow(columns)
        assert follower.finish() is not None
    assert_same(path)


@for_all(given=events)
def test_sizes_of_which_the_sum_is_more_than_a_word(path: Path, given: list[Arguments]) -> None:
    write(path, given)
    assert_same(path)


def test_a_real_trace(tmp_path: Path) -> None:
    trace = tmp_path / "systemui.snug"
    convert(SYSTEMUI, trace)
    assert_same(trace)
    assert history(trace, "numpy").call_count == 786_097


# ---- Summaries ----


def summary(path: Path, way: str, at: str) -> Summary:
    """What is reported of a trace by NumPy or without."""
    with arithmetic(way), TraceReader(path) as reader:
        return summarize(reader, at=at)


def assert_same_summary(path: Path, at: str) -> None:
    by_numpy, plain = (summary(path, way, at) for way in WAYS)
    assert by_numpy == plain
    for name in ("by_size", "by_calls", "by_time", "by_thread", "by_origin", "by_stack"):
        assert list(getattr(by_numpy, name)) == list(getattr(plain, name)), name
    for name in ("by_origin", "by_stack", "by_size", "by_age", "by_thread"):
        assert list(getattr(by_numpy.snapshot.live, name)) == list(getattr(plain.snapshot.live, name)), name


@pytest.mark.parametrize("at", ["peak", "end"])
@pytest.mark.parametrize("mean_gap", [0, 1000])
@for_all(given=events)
def test_summaries_of_events_of_any_kind(path: Path, mean_gap: int, at: str, given: list[Arguments]) -> None:
    write(path, given, mean_gap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alike, "ROWS_AT_ONCE", 5)
        assert_same_summary(path, at)


@pytest.mark.parametrize("mean_gap", [0, 1000])
@pytest.mark.parametrize("flags", [EVERYTHING, Flags.ADDRESSES, Flags.TIMES | Flags.STACKS])
def test_summaries_and_profiles_of_many_blocks(tmp_path: Path, flags: Flags, mean_gap: int) -> None:
    trace = tmp_path / "many.snug"
    with TraceWriter(trace, Header(flags, mean_gap=mean_gap)) as writer:
        stacks = [writer.stack([SourceFrame("app.py", line, "call")]) for line in range(5)]
        for number in range(20_000):
            size, place = 1 + number * number % 3000, 4096 + number * 7919 % 501 * 48
            stack, thread = stacks[number % 5], number % 3
            writer.add(
                Operation.MALLOC, time=number << 20, size=size, address=place, stack=stack, thread=thread
            )
            if number % 7:
                writer.add(Operation.FREE, time=number << 20 | 5 << number % 20, old=place, thread=number % 2)
    for at in ("peak", "7000", "end"):
        assert_same_summary(trace, at)
        if Flags.STACKS in flags and not mean_gap:
            profiles = []
            for way in WAYS:
                with arithmetic(way), TraceReader(trace) as reader:
                    profiles.append(profile_of(reader, Request(at=at)))
            assert profiles[0] == profiles[1]


@pytest.mark.parametrize("at", ["peak", "300000", "end"])
def test_the_summary_of_a_real_trace(tmp_path: Path, at: str) -> None:
    trace = tmp_path / "systemui.snug"
    convert(SYSTEMUI, trace)
    assert_same_summary(trace, at)
