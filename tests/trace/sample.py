"""Traces for the tests: events of any kind, written and read back, with NumPy and without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snugmalloc.trace import Event, Flags, Header, Operation, TraceReader, TraceWriter, vectors
from snugmalloc.trace.operations import ALLOCATIONS, HAS_ADDRESS, HAS_NUMBER, HAS_POINTER, HAS_SIZE

EVERYTHING = Flags.TIMES | Flags.ADDRESSES | Flags.STACKS
WAYS = ("numpy", "plain")
WORD = 2**64 - 1

Arguments = dict[str, Any]
"""What `TraceWriter.add` is given."""


def for_all(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a test have many examples, however long each takes."""
    return lambda test: settings(deadline=None)(given(**strategies)(test))


@contextmanager
def arithmetic(way: str) -> Iterator[None]:
    """Let columns be handled by NumPy, or by plain Python as where it is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        if way == "plain":
            patch.setattr(vectors, "find_spec", lambda name: None)
        vectors.numpy.cache_clear()
        assert (vectors.numpy() is None) is (way == "plain")
        yield
    vectors.numpy.cache_clear()


words = st.one_of(st.integers(0, 300), st.integers(0, WORD), st.sampled_from([WORD, 2**63, 2**32]))
addresses = st.one_of(st.integers(1, 40).map(lambda unit: 0x7F00_0000_0000 + 16 * unit), st.integers(0, WORD))


@st.composite
def arguments(draw: st.DrawFn) -> Arguments:
    """One event; the figures that its operation does not have are left out."""
    operation = draw(st.sampled_from(list(Operation)))
    given: Arguments = {"operation": operation, "thread": draw(st.integers(0, 5)), "time": draw(words)}
    if HAS_SIZE[operation]:
        given["size"] = draw(words)
    if HAS_NUMBER[operation]:
        given["number"] = draw(words)
    if HAS_POINTER[operation]:
        given["old"] = draw(addresses)
    if operation in ALLOCATIONS:
        given["stack"] = draw(st.integers(0, 3))
        given["refused"] = draw(st.booleans())
    if HAS_ADDRESS[operation] and not given.get("refused"):
        given["address"] = draw(addresses)
    return given


traces = st.lists(arguments(), max_size=40)


def expected(events: Iterable[Arguments]) -> list[Event]:
    """What a reader should give of these events: a second, simple way to number blocks."""
    block_at: dict[int, int] = {}
    found, blocks = [], 0
    for event in events:
        operation, address, old = event["operation"], event.get("address", 0), event.get("old", 0)
        is_allocation = operation in ALLOCATIONS
        refused = is_allocation and not address
        freed = block_at.get(old, -1) if old else -1
        if freed >= 0 and not (refused and event.get("size", 0)):
            del block_at[old]
        block = -1
        if is_allocation and not refused:
            block = block_at[address] = blocks
            blocks += 1
        found.append(
            Event(
                operation,
                event["thread"],
                event["time"],
                event.get("size", 0),
                event.get("number", 0),
                address,
                old,
                block,
                freed,
                event.get("stack", 0),
                refused,
            )
        )
    return found


def write(path: Path, events: Iterable[Arguments], flags: Flags = EVERYTHING, events_in_chunk: int = 7) -> Path:
    """A trace of these events, in small chunks."""
    with TraceWriter(path, Header(flags, start=5), {"program": "a b"}, events_in_chunk) as writer:
        for event in events:
            writer.add(**event)
    return path


def read(path: Path) -> list[Event]:
    """The events of a trace that has nothing wrong with it."""
    with TraceReader(path) as reader:
        events = list(reader.events())
        assert reader.damage is None
        assert reader.verify() == []
    return events
