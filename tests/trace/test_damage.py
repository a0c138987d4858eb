"""Traces that end early or are damaged: read as far as they go, and one line says what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import strategies as st

from snugmalloc.trace import (
    Event,
    Flags,
    Header,
    Operation,
    TraceError,
    TraceReader,
    TraceWriter,
    rebuild_index,
)
from snugmalloc.trace.columns import pack_columns, unpack_columns
from snugmalloc.trace.format import (
    HEAD,
    HEADER,
    HEADER_CHECKED,
    MAGIC,
    Form,
    Head,
    Kind,
    adler,
    pack_chunk,
    pack_header,
)
from snugmalloc.trace.gathering import Gatherer
from snugmalloc.trace.index import unpack_index
from snugmalloc.trace.rows import unpack_rows
from snugmalloc.trace.survey import survey
from snugmalloc.trace.tables import Tables, read_tables

from .sample import EVERYTHING, WAYS, Arguments, arithmetic, expected, for_all, read, traces, write
from .test_round_trip import GOLDEN

EVENTS: list[Arguments] = [
    {"operation": Operation.MALLOC, "thread": n % 3, "time": 10 * n, "size": n, "address": 64 * n}
    for n in range(1, 30)
] + [{"operation": Operation.FREE, "thread": 1, "time": 400 + n, "old": 64 * n} for n in range(1, 20)]


def payload_of(events: list[Arguments]) -> bytes:
    """Columns of up to 12 events."""
    gatherer = Gatherer()
    for event in events[:12]:
        row: Arguments = dict.fromkeys(("size", "number", "address", "old", "stack"), 0)
        gatherer.add(**row | {"refused": False} | event)
    return pack_columns(gatherer.take(), EVERYTHING) if events else b""


def damaged(payload: bytes, place: int, put: bytes) -> bytes:
    """The payload with other bytes at a place."""
    return payload[:place] + put + payload[place + len(put) :]


payloads = st.one_of(
    st.binary(max_size=60),
    st.lists(st.integers(0, 40), max_size=60).map(bytes),
    st.tuples(traces, st.integers(0, 200), st.binary(max_size=3)).map(
        lambda made: damaged(payload_of(made[0]), made[1], made[2])
    ),
)
FILES = ("columns", "rows", "many")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Traces with nothing wrong: two small ones, and one of many chunks."""
    many = write(tmp_path_factory.mktemp("whole") / "many.snug", EVENTS)
    return {"columns": GOLDEN / "columns.snug", "rows": GOLDEN / "rows.snug", "many": many}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.snug"


def read_what_is_there(path: Path) -> tuple[list[Event], str | None]:
    with TraceReader(path) as reader:
        return list(reader.events()), reader.damage


def is_prefix(name: str, part: list[Event], events: list[Event]) -> bool:
    """Whether these are the first of the events; of rows, whether they are the first of each thread.

    Rows that other threads did not write any more are missing, and so which block a pointer belongs to.
    """
    if name != "rows":
        return part == events[: len(part)]
    return all(
        [event._replace(block=0, freed=0) for event in part if event.thread == thread]
        == [event._replace(block=0, freed=0) for event in events if event.thread == thread][:count]
        for thread, count in Counter(event.thread for event in part).items()
    )


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_gives_its_first_events(whole: dict[str, Path], path: Path, name: str) -> None:
    content, events = whole[name].read_bytes(), read(whole[name])
    lengths = set()
    for end in range(HEADER.size, len(content) + 1):
        path.write_bytes(content[:end])
        found, damage = read_what_is_there(path)
        assert is_prefix(name, found, events)
        lengths.add(len(found))
        assert damage is None or (damage.startswith("trace.snug: ends within a chunk") and "\n" not in damage)
    assert {0, len(events)} <= lengths


@pytest.mark.parametrize("end", range(HEADER.size))
def test_a_file_cut_off_within_its_header_is_no_trace(whole: dict[str, Path], path: Path, end: int) -> None:
    path.write_bytes(whole["many"].read_bytes()[:end])
    with pytest.raises(TraceError, match=r"^trace.snug: (not a .snug trace|ends within its header)$"):
        TraceReader(path)


def test_a_file_cut_off_between_chunks_is_whole_but_has_no_index(whole: dict[str, Path], path: Path) -> None:
    with TraceReader(whole["many"]) as reader:
        assert reader.has_index
        place, _ = reader.chunks[3]
    path.write_bytes(whole["many"].read_bytes()[:place])
    with TraceReader(path) as reader:
        assert (len(reader.chunks), reader.has_index, reader.damage) == (3, False, None)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_always_found(whole: dict[str, Path], path: Path, name: str) -> None:
    content, events = whole[name].read_bytes(), read(whole[name])
    for place in range(len(content)):
        for change in (0x01, 0x80, 0xFF):
            path.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
            try:
                with TraceReader(path) as reader:
                    found = list(reader.events())
                    assert reader.verify() or not reader.has_index
            except TraceError as error:
                assert place < HEADER.size
                assert "\n" not in str(error)
            else:
                assert is_prefix(name, found, events), (place, change)


@for_all(
    name=st.sampled_from(FILES),
    cuts=st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=80)), max_size=4),
)
def test_anything_may_be_in_a_file(whole: dict[str, Path], name: str, cuts: list[tuple[int, bytes]]) -> None:
    content = bytearray(whole[name].read_bytes())
    for place, put in cuts:
        content[HEADER.size + place : HEADER.size + place + len(put)] = put
    path = whole["many"].with_name("anything.snug")
    path.write_bytes(content)
    with TraceReader(path) as reader:
        list(reader.events())
        assert reader.verify() or bytes(content) == whole[name].read_bytes()


@pytest.mark.parametrize("way", WAYS)
@for_all(payload=payloads, count=st.integers(0, 12))
def test_a_payload_with_a_right_checksum_may_be_anything(way: str, payload: bytes, count: int) -> None:
    head = Head(Kind.ROWS, Form.PLAIN, len(payload), count)
    readers: list[Callable[[], object]] = [
        lambda: unpack_columns(payload, count, 0, 0, EVERYTHING),
        lambda: list(unpack_rows(head, payload, EVERYTHING)),
        lambda: unpack_index(payload, count),
        lambda: read_tables(Tables(), payload, count),
    ]
    with arithmetic(way):
        for read_payload in readers:
            with suppress(TraceError):
                read_payload()


@for_all(payload=payloads, count=st.integers(0, 12))
def test_both_ways_refuse_the_same_payloads(payload: bytes, count: int) -> None:
    outcomes: list[list[tuple[int, ...]] | None] = []
    for way in WAYS:
        with arithmetic(way):
            try:
                outcomes.append(list(unpack_columns(payload, count, 0, 0, EVERYTHING).rows()))
            except TraceError:
                outcomes.append(None)
    assert outcomes[0] == outcomes[1]


def test_an_empty_chunk_is_passed_over(path: Path) -> None:
    payload = pack_columns(Gatherer().take(), Flags(0))
    chunk = pack_chunk(Head(Kind.COLUMNS, Form.PLAIN, 0), payload)
    path.write_bytes(pack_header(Header(Flags(0))) + chunk)
    assert read(path) == []
    with TraceReader(path) as reader:
        assert survey(reader).calls == 0


def test_a_chunk_that_is_missing_is_noticed(whole: dict[str, Path], path: Path) -> None:
    with TraceReader(whole["many"]) as reader:
        place, head = [chunk for chunk in reader.chunks if chunk[1].kind is Kind.COLUMNS][2]
    content = whole["many"].read_bytes()
    path.write_bytes(content[:place] + content[place + head.size :])
    found, damage = read_what_is_there(path)
    assert len(found) == head.first
    assert damage == (
        f"trace.snug: at byte {place}: a chunk does not follow the one before: it was read up to there"
    )


def test_events_before_a_damaged_chunk_are_given_and_the_place_is_told(
    whole: dict[str, Path], path: Path
) -> None:
    with TraceReader(whole["many"]) as reader:
        place, head = [chunk for chunk in reader.chunks if chunk[1].kind is Kind.COLUMNS][2]
    content = bytearray(whole["many"].read_bytes())
    content[place + HEAD.size + head.stored // 2] ^= 1
    path.write_bytes(content)
    found, damage = read_what_is_there(path)
    assert len(found) == head.first
    assert damage == f"trace.snug: at byte {place}: the checksum of a chunk is wrong: it was read up to there"
    with TraceReader(path) as reader:
        assert reader.verify() == [f"trace.snug: the chunk at byte {place}: the checksum of a chunk is wrong"]


def test_an_index_that_was_damaged_is_not_needed(whole: dict[str, Path], path: Path) -> None:
    path.write_bytes(whole["many"].read_bytes()[:-1] + b"?")
    with TraceReader(path) as reader:
        assert not reader.has_index
        assert list(reader.events()) == expected(EVENTS)


@pytest.mark.parametrize("name", FILES)
def test_the_index_can_be_rebuilt_after_any_end(whole: dict[str, Path], path: Path, name: str) -> None:
    content = whole[name].read_bytes()
    for end in range(HEADER.size, len(content), 7):
        path.write_bytes(content[:end])
        before, _ = read_what_is_there(path)
        rebuild_index(path)
        assert read(path) == before
        with TraceReader(path) as reader:
            assert reader.has_index


@pytest.mark.parametrize("cut", [0, 1, 500])
def test_the_index_of_a_damaged_file_is_not_rebuilt(whole: dict[str, Path], path: Path, cut: int) -> None:
    content = bytearray(whole["many"].read_bytes())
    del content[len(content) - cut :]
    content[HEADER.size + HEAD.size] ^= 1
    path.write_bytes(content)
    with pytest.raises(TraceError, match=r"^trace.snug: .*checksum"):
        rebuild_index(path)
    assert path.read_bytes() == content


def test_what_a_program_that_ends_without_close_wrote_can_be_read(path: Path) -> None:
    writer = TraceWriter(path, events_in_chunk=5)
    for event in EVENTS[:13]:
        writer.add(**event)
    found, damage = read_what_is_there(path)
    writer.file.close()
    assert (found, damage) == (expected(EVENTS[:10]), None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .snug trace"),
        (b"1: malloc 0xa 10\n", "not a .snug trace"),
        ((GOLDEN / "rows.snug").read_bytes()[:40] + bytes(30), "the header is damaged"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(TraceError, match=rf"^trace.snug: {message}$"):
        TraceReader(path)


def test_a_later_version_is_refused_by_its_number(path: Path) -> None:
    content = bytearray((GOLDEN / "rows.snug").read_bytes())
    content[len(MAGIC)] = 2
    content[HEADER_CHECKED : HEADER.size] = adler(bytes(content[:HEADER_CHECKED]))
    path.write_bytes(content)
    with pytest.raises(TraceError, match=r"is of version 2 of the format, and this snug reads version 1$"):
        TraceReader(path)
