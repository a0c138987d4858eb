"""A trace has the same history whether NumPy follows all events at once or plain Python one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from snugmalloc.trace import Header, TraceReader, TraceWriter
from snugmalloc.trace.blocks import History
from snugmalloc.trace.following import AtOnce, read_history
from snugmalloc.trace.importing import convert

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
