"""What was written to a trace is read from it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import strategies as st

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
from snugmalloc.trace.format import Head, Kind, pack_chunk, pack_header
from snugmalloc.trace.importing import convert
from snugmalloc.trace.rows import Row, RowBuffer
from snugmalloc.trace.vectors import listed

from .sample import EVERYTHING, WAYS, Arguments, arithmetic, expected, for_all, read, traces, write

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples write one trace after the other."""
    return tmp_path_factory.mktemp("traces") / "trace.snug"


@pytest.mark.parametrize("way", WAYS)
@for_all(events=traces)
def test_events_are_read_as_they_were_written(path: Path, way: str, events: list[Arguments]) -> None:
    with arithmetic(way):
        assert read(write(path, events)) == expected(events)


@for_all(events=traces)
def test_both_ways_write_the_same_file(path: Path, events: list[Arguments]) -> None:
    written = []
    for way in WAYS:
        with arithmetic(way):
            written.append(write(path, events).read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("way", WAYS)
@for_all(events=traces)
def test_without_addresses_the_blocks_are_still_known(path: Path, way: str, events: list[Arguments]) -> None:
    with arithmetic(way):
        found = read(write(path, events, Flags(0)))
    assert [(event.block, event.freed, event.refused) for event in found] == [
        (event.block, event.freed, event.refused) for event in expected(events)
    ]
    assert [event.old != 0 for event in found if event.freed < 0] == [
        event.old != 0 for event in expected(events) if event.freed < 0
    ]
    assert not any(event.address or event.time or event.stack for event in found)


@for_all(events=traces)
def test_a_copy_holds_the_same(path: Path, events: list[Arguments]) -> None:
    write(path, events)
    copy = path.with_name("copy.snug")
    assert convert(path, copy) == (len(events), None)
    assert read(copy) == read(path)
    assert copy.read_bytes() == path.read_bytes()


@for_all(events=traces, seed=st.integers(0, 1000))
def test_rows_of_threads_are_put_in_order(path: Path, events: list[Arguments], seed: int) -> None:
    write_rows(path, events, random.Random(seed))
    assert read(path) == expected(event | {"time": number} for number, event in enumerate(events))


def write_rows(path: Path, events: list[Arguments], chance: random.Random) -> None:
    """The events in chunks of rows, numbered in order; each thread hands its rows on now and then."""
    buffers: dict[int, RowBuffer] = {}
    with path.open("wb") as file:
        file.write(pack_header(Header(EVERYTHING, start=1000)))
        for number, event in enumerate(events):
            row = Row(sequence=number, **event | {"time": 1000 + number})
            buffer = buffers.setdefault(row.thread, RowBuffer(row.thread, EVERYTHING))
            buffer.add(row)
            if chance.random() < 0.3:
                file.write(buffer.chunk())
        file.writelines(buffer.chunk() for buffer in buffers.values() if buffer.count)


def test_without_numbers_the_clock_decides(path: Path) -> None:
    first, second = RowBuffer(1, EVERYTHING), RowBuffer(2, EVERYTHING)
    first.add(Row(0, 10, 1, Operation.MALLOC, size=8, address=0x10))
    first.add(Row(0, 30, 1, Operation.MALLOC, size=9, address=0x10))
    second.add(Row(0, 20, 2, Operation.FREE, old=0x10))
    path.write_bytes(pack_header(Header(EVERYTHING)) + first.chunk() + second.chunk())
    events = read(path)
    assert [(event.time, event.block, event.freed) for event in events] == [
        (10, 0, -1),
        (20, -1, 0),
        (30, 1, -1),
    ]


def test_stacks_are_stored_once_and_read_innermost_first(path: Path) -> None:
    inner, outer = SourceFrame("app.py", 3, "load"), SourceFrame("app.py", 90, "main")
    native = NativeFrame("c0ffee", 0x1234)
    with TraceWriter(path) as writer:
        numbers = [writer.stack([inner, outer]), writer.stack([native, outer]), writer.stack([inner, outer])]
        assert writer.stack([]) == 0
        assert writer.call_from(writer.stack([outer]), inner) == numbers[0]
        writer.add(Operation.MALLOC, size=1, address=16, stack=numbers[1])
    assert numbers[0] == numbers[2] != numbers[1]
    with TraceReader(path) as reader:
        assert reader.tables.frames_of(numbers[0]) == (inner, outer)
        assert reader.tables.frames_of(numbers[1]) == (native, outer)
        assert reader.tables.frames_of(0) == reader.tables.frames_of(999) == ()
        assert len(reader.tables.frames) == 4


def test_names_that_are_not_utf_8_survive(path: Path) -> None:
    name = b"caf\xe9".decode(errors="surrogateescape")
    with TraceWriter(path, about={"program": name}) as writer:
        writer.add(Operation.THREAD_NAME, thread=3, number=writer.text(name))
    with TraceReader(path) as reader:
        (event,) = reader.events()
        assert reader.tables.text(event.number) == reader.about["program"] == name


@pytest.mark.parametrize("way", WAYS)
def test_columns_hold_one_entry_for_each_event(path: Path, way: str) -> None:
    with arithmetic(way):
        write(
            path, [{"operation": Operation.MALLOC, "size": size, "address": 16 * size} for size in range(1, 11)]
        )
        with TraceReader(path) as reader:
            chunks = list(reader.columns())
    assert [(chunk.first, chunk.first_block, len(chunk)) for chunk in chunks] == [(0, 0, 7), (7, 7, 3)]
    assert [size for chunk in chunks for size in listed(chunk.size)] == list(range(1, 11))
    assert list(listed(chunks[1].block)) == [7, 8, 9]


def test_a_file_that_mixes_rows_and_columns_is_read_as_far_as_the_first(path: Path) -> None:
    write(path, [{"operation": Operation.FREE, "old": 1}])
    place = path.stat().st_size
    with path.open("ab") as file:
        buffer = RowBuffer(1, EVERYTHING)
        buffer.add(Row(0, 0, 1, Operation.FREE))
        file.write(buffer.chunk())
    with TraceReader(path) as reader:
        assert [event.old for event in reader.events()] == [1]
        assert reader.damage == (
            f"trace.snug: at byte {place}: rows and columns, of which a trace has one: it was read up to there"
        )


@pytest.mark.parametrize("name", ["columns", "rows"])
def test_files_of_this_version_can_always_be_read(name: str) -> None:
    """The files in golden/ were written when the version was made, and are never written again."""
    with TraceReader(GOLDEN / f"{name}.snug") as reader:
        events = list(reader.events())
        assert reader.verify() == []
    assert [(*event[:7], event.block, event.freed) for event in events] == [
        (Operation.THREAD_BEGIN, 1, 0, 0, 77, 0, 0, -1, -1),
        (Operation.MALLOC, 1, 10, 100, 0, 0x5000, 0, 0, -1),
        (Operation.CALLOC, 2, 20, 4000, 1000, 0x6000, 0, 1, -1),
        (Operation.REALLOC, 2, 25, 300, 0, 0x7010, 0x5000, 2, 0),
        (Operation.ALIGNED, 1, 26, 64, 64, 0x7040, 0, 3, -1),
        (Operation.FREE, 1, 30, 0, 0, 0, 0x6000, -1, 1),
        (Operation.FREE, 1, 31, 0, 0, 0, 0xBAD0, -1, -1),
        (Operation.MALLOC, 2, 40, 2**63, 0, 0, 0, -1, -1),
        (Operation.PURGE, 2, 50, 8192, 0, 0x8000, 0, -1, -1),
    ]
    assert events[7].refused
    assert [str(frame) for frame in reader.tables.frames_of(events[1].stack)] == ["f (a.py:1)", "c0ffee+0x10"]


def test_the_blocks_behind_a_sample_add_up() -> None:
    """Of many blocks of a size, the sampled ones times their weight are as many as there were."""
    chance, gap, size, blocks = random.Random(3), 1000, 400, 20_000
    sampled, ahead = 0, chance.expovariate(1 / gap)
    for _ in range(blocks):
        if ahead < size:
            sampled += 1
            ahead = chance.expovariate(1 / gap)
        else:
            ahead -= size
    assert sampled * blocks_behind(size, gap) == pytest.approx(blocks, rel=0.03)
    assert blocks_behind(size, 0) == 1
    assert blocks_behind(10**9, gap) == pytest.approx(1)


def test_a_payload_that_is_not_what_its_count_says_is_refused(path: Path) -> None:
    head = Head(Kind.COLUMNS, form=0, stored=0, entries=3)  # type: ignore[arg-type]
    path.write_bytes(pack_header(Header()) + pack_chunk(head, bytes(4)))
    with TraceReader(path) as reader:
        assert list(reader.events()) == []
        assert reader.damage == (
            "trace.snug: at byte 64: a chunk of columns is invalid: unknown operations: it was read up to there"
        )
