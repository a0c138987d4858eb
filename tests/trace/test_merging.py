"""Rows are put in order by NumPy as one by one: the same events in the same chunks, up to the same damage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from snugmalloc.trace import Event, Header, TraceReader, merging, reader
from snugmalloc.trace.format import pack_header
from snugmalloc.trace.operations import ALLOCATIONS
from snugmalloc.trace.rows import Row, RowBuffer

from .sample import EVERYTHING, WAYS, Arguments, arguments, arithmetic, for_all

EVENTS_IN_CHUNK = 4


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples write one trace after the other."""
    return tmp_path_factory.mktemp("traces") / "trace.snug"


@pytest.fixture(scope="module", autouse=True, params=[1, 5, 1000])
def little_at_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """So many events are put in order at a time, and few make a chunk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "EVENTS_AT_ONCE", request.param)
        patch.setattr(merging, "EVENTS_IN_CHUNK", EVENTS_IN_CHUNK)
        patch.setattr(reader, "EVENTS_IN_CHUNK", EVENTS_IN_CHUNK)
        yield


recordings = st.lists(arguments(), min_size=1, max_size=60)


def write_rows(path: Path, events: list[Arguments], seed: int, has_numbers: bool) -> None:
    """The events in rows of several threads, of which some share a time; chunks are handed on now and then."""
    chance = random.Random(seed)
    buffers: dict[int, RowBuffer] = {}
    clock = number = 0
    with path.open("wb") as file:
        file.write(pack_header(Header(EVERYTHING, start=100)))
        for event in events:
            clock += chance.choice((0, 0, 1, 1, 300))
            number += chance.choice((0, 1)) if has_numbers else 0
            refused = event["operation"] in ALLOCATIONS and not event.get("address")
            row = Row(number, **event | {"time": 100 + clock, "refused": refused})
            buffer = buffers.setdefault(row.thread, RowBuffer(row.thread, EVERYTHING))
            buffer.add(row)
            if chance.random() < 0.2:
                file.write(buffer.chunk())
        waiting = [buffer for buffer in buffers.values() if buffer.count]
        chance.shuffle(waiting)
        file.writelines(buffer.chunk() for buffer in waiting)


def read(path: Path, way: str) -> tuple[list[Event], list[int], str | None]:
    """The events, how many stand in each chunk, and what is wrong with the file."""
    with arithmetic(way), TraceReader(path) as trace:
        sizes = [len(columns) for columns in trace.columns()]
        return list(trace.events()), sizes, trace.damage


@for_all(events=recordings, seed=st.integers(0, 1000), has_numbers=st.booleans())
def test_the_order_and_the_blocks_are_the_same(
    path: Path, events: list[Arguments], seed: int, has_numbers: bool
) -> None:
    write_rows(path, events, seed, has_numbers)
    at_once, one_by_one = (read(path, way) for way in WAYS)
    assert at_once == one_by_one
    assert len(at_once[0]) == len(events) and at_once[2] is None
    assert all(size == EVENTS_IN_CHUNK for size in at_once[1][:-1])


@for_all(events=recordings, seed=st.integers(0, 1000), place=st.floats(0, 1, exclude_max=True))
def test_a_damaged_file_is_read_up_to_the_same_event(
    path: Path, events: list[Arguments], seed: int, place: float
) -> None:
    write_rows(path, events, seed, False)
    content = bytearray(path.read_bytes())
    at = 64 + int(place * (len(content) - 64))
    content[at] ^= 0x55
    path.write_bytes(content)
    at_once, one_by_one = (read(path, way) for way in WAYS)
    assert at_once == one_by_one
    assert at_once[2] is not None


@for_all(payload=st.lists(st.integers(0, 300), max_size=12), count=st.integers(1, 4))
def test_what_is_no_rows_is_refused_in_both_ways(path: Path, payload: list[int], count: int) -> None:
    from snugmalloc.trace.format import Form, Head, Kind, pack_chunk
    from snugmalloc.trace.vectors import encode_varints

    head = Head(Kind.ROWS, Form.PLAIN, 0, count, first_time=100, last_time=200)
    path.write_bytes(pack_header(Header(EVERYTHING, start=100)) + pack_chunk(head, encode_varints(payload)))
    at_once, one_by_one = (read(path, way) for way in WAYS)
    assert at_once == one_by_one
