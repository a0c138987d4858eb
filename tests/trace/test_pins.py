"""The pin ledger: which live blocks keep pages that are otherwise free, against a model of single bytes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from snugmalloc.trace import Flags, Header, Operation, SourceFrame, TraceReader, TraceWriter
from snugmalloc.trace.blocks import Blocks
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.following import read_history
from snugmalloc.trace.importing import convert
from snugmalloc.trace.moments import find_moment, is_moment
from snugmalloc.trace.pins import USUAL_PAGE, Ledger, draw_up_ledger
from snugmalloc.trace.summary import Summary, summarize

from .sample import EVERYTHING, WAYS, WORD, arithmetic, for_all

SYSTEMUI = Path(__file__).resolve().parents[2] / "src" / "snugmalloc" / "data" / "systemui.zip"
PAGE = 32
"""Bytes of the model's pages: so small that blocks span several."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.snug"


def blocks_at(places: Iterable[tuple[int, int]]) -> Blocks:
    """Blocks of which nothing matters but where they begin and how large they are."""
    blocks = Blocks()
    for address, size in places:
        blocks.address.append(address)
        blocks.size.append(size)
    return blocks


@st.composite
def layouts(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Blocks beside each other, with gaps between them."""
    end = draw(st.integers(1, 1 << 40))
    places = []
    for gap, size in draw(st.lists(st.tuples(st.integers(0, 3 * PAGE), st.integers(0, 3 * PAGE)), max_size=20)):
        places.append((end + gap, size))
        end += gap + max(size, 1)
    return draw(st.permutations(places))


def byte_by_byte(places: list[tuple[int, int]], page_size: int) -> Ledger:
    """The ledger, from what lies on every single byte."""
    owners: defaultdict[int, list[int]] = defaultdict(list)
    for block, (address, size) in enumerate(places):
        for byte in range(address, address + max(size, 1)):
            owners[byte // page_size].append(block)
    held_by: defaultdict[int, float] = defaultdict(float)
    pinned = held = 0
    for on_page in owners.values():
        free = page_size - len(on_page)
        if free > page_size // 2:
            pinned += 1
            held += free
            for block in set(on_page):
                held_by[block] += free / len(set(on_page))
    return Ledger(page_size, len(owners), pinned, held, dict(held_by))


@pytest.mark.parametrize("way", WAYS)
@for_all(places=layouts())
def test_the_ledger_is_what_lies_on_every_byte(way: str, places: list[tuple[int, int]]) -> None:
    with arithmetic(way):
        found = draw_up_ledger(blocks_at(places), range(len(places)), PAGE)
    expected = byte_by_byte(places, PAGE)
    assert found.held_by == pytest.approx(expected.held_by)
    expected.held_by = found.held_by
    assert found == expected
    assert sum(found.held_by.values()) == pytest.approx(found.held)


far = st.one_of(st.integers(0, 2**16), st.integers(WORD - 2**16, WORD), st.integers(0, WORD))


@for_all(places=st.lists(st.tuples(far, far), max_size=10), page_size=st.sampled_from([PAGE, 4096, 1 << 16]))
def test_the_ledger_of_a_trace_that_makes_no_sense_is_the_same_with_numpy_and_without(
    places: list[tuple[int, int]], page_size: int
) -> None:
    """Blocks over each other, and behind the last address."""
    ledgers = []
    for way in WAYS:
        with arithmetic(way):
            ledgers.append(draw_up_ledger(blocks_at(places), range(len(places)), page_size))
    with_numpy, without = ledgers
    assert with_numpy.held_by == pytest.approx(without.held_by)
    without.held_by = with_numpy.held_by
    assert with_numpy == without


def test_one_block_alone_on_a_page_holds_all_of_it_back_and_two_share_it() -> None:
    blocks = blocks_at([(0x1000, 96), (0x2000, 100), (0x2F00, 156), (0x3000, 2048), (0x4000, 2047)])
    ledger = draw_up_ledger(blocks, range(5), 4096)
    assert ledger == Ledger(4096, 4, 3, 4000 + 3840 + 2049, {0: 4000, 1: 1920, 2: 1920, 4: 2049})


def test_the_inner_pages_of_a_block_are_full_and_its_last_one_is_held_back() -> None:
    ledger = draw_up_ledger(blocks_at([(0x10000, 10 * 4096 + 1)]), [0], 4096)
    assert ledger == Ledger(4096, 11, 1, 4095, {0: 4095})


def test_where_the_trace_does_not_tell_the_page_the_usual_one_is_taken() -> None:
    assert draw_up_ledger(blocks_at([(0, 1)]), [0]).page_size == USUAL_PAGE


def write_pinned(path: Path, header: Header | None = None) -> None:
    """Pages filled with blocks of 64 bytes, of which one each is remembered, and the others freed later."""
    load, remember = SourceFrame("app.py", 7, "load"), SourceFrame("app.py", 30, "remember")
    main = SourceFrame("app.py", 1, "main")
    with TraceWriter(path, header or Header(page_size=4096)) as writer:
        loading, remembering = writer.stack([load, main]), writer.stack([remember, main])
        for page in range(10):
            for block in range(64):
                stack = loading if block else remembering
                address = (page + 16) * 4096 + 64 * block
                writer.add(Operation.MALLOC, time=page * 10**9, size=64, address=address, stack=stack)
        for page in range(10):
            for block in range(1, 64):
                writer.add(Operation.FREE, time=10**10 + page, old=(page + 16) * 4096 + 64 * block)


def summary_of(path: Path, at: str) -> Summary:
    with TraceReader(path) as reader:
        return summarize(reader, at=at)


def test_held_back_is_told_by_line_stack_size_and_age(path: Path) -> None:
    write_pinned(path)
    snapshot = summary_of(path, "end").snapshot
    pinning = snapshot.pinning
    assert snapshot.ledger and pinning
    assert (snapshot.ledger.pages, snapshot.ledger.pinned_pages, snapshot.ledger.held) == (10, 10, 10 * 4032)
    assert {name: (part.blocks, part.bytes, part.held) for name, part in pinning.by_origin.items()} == {
        "remember (app.py:30)": (10, 640, 40320)
    }
    assert {bound: part.blocks for bound, part in pinning.by_size.items()} == {64: 10}
    assert {bound: part.blocks for bound, part in pinning.by_age.items()} == {10.0: 9, 60.0: 1}
    assert [part.held for part in pinning.by_stack.values()] == [40320]
    assert {thread: part.held for thread, part in pinning.by_thread.items()} == {0: 40320}


@pytest.mark.parametrize(
    ("at", "call", "live", "pinned"),
    [
        ("peak", 640, 640, 0),
        ("end", 1270, 10, 10),
        ("0", 0, 0, 0),
        ("1", 1, 1, 1),
        ("640", 640, 640, 0),
        ("0s", 64, 64, 0),
        ("3.5s", 256, 256, 0),
        ("9.999999999 s", 640, 640, 0),
        ("10.0s", 703, 577, 1),
        ("704", 704, 576, 1),
    ],
)
def test_every_moment_has_its_own_blocks_and_pins(
    path: Path, at: str, call: int, live: int, pinned: int
) -> None:
    write_pinned(path)
    assert is_moment(at)
    snapshot = summary_of(path, at).snapshot
    assert snapshot.ledger
    assert (snapshot.moment.call, snapshot.live.total.blocks) == (call, live)
    assert snapshot.ledger.pinned_pages == pinned


@pytest.mark.parametrize("at", ["", "noon", "-1", "1.5", "2m", "s", "1e3s", "1 000", "٣"])
def test_what_is_no_moment_is_none(at: str) -> None:
    assert not is_moment(at)


@pytest.mark.parametrize(
    ("flags", "at", "message"),
    [
        (EVERYTHING, "1271", "trace.snug: has 1,270 calls, and not 1,271"),
        (EVERYTHING, "11s", "trace.snug: ends after 10.000 s"),
        (Flags.ADDRESSES, "1s", "trace.snug: has no times: name a moment by its number of calls"),
    ],
)
def test_a_moment_that_the_trace_does_not_have_is_told(path: Path, flags: Flags, at: str, message: str) -> None:
    write_pinned(path, Header(flags))
    with TraceReader(path) as reader:
        history = read_history(reader)
        with pytest.raises(TraceError) as error:
            find_moment(reader, history, at)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (Header(Flags.TIMES | Flags.STACKS), "the trace has no addresses"),
        (Header(mean_gap=1000), "the trace is sampled, and does not have all blocks of a page"),
    ],
)
def test_a_trace_that_cannot_tell_who_holds_pages_back_says_why(
    path: Path, header: Header, reason: str
) -> None:
    write_pinned(path, header)
    snapshot = summary_of(path, "end").snapshot
    assert (snapshot.ledger, snapshot.pinning, snapshot.no_ledger) == (None, None, reason)
    assert snapshot.live.total.blocks >= 10


def test_without_times_ages_are_counted_in_calls(path: Path) -> None:
    write_pinned(path, Header(Flags.ADDRESSES))
    snapshot = summary_of(path, "end").snapshot
    assert snapshot.pinning and not snapshot.has_times
    assert {bound: part.blocks for bound, part in snapshot.pinning.by_age.items()} == {1000: 5, 10000: 5}
    assert list(snapshot.pinning.by_origin) == ["64 bytes"]


@pytest.mark.parametrize("at", ["peak", "400000", "end"])
def test_a_real_program_at_any_moment(path: Path, at: str) -> None:
    convert(SYSTEMUI, path)
    with TraceReader(path) as reader:
        history = read_history(reader)
        summary = summarize(reader, at=at)
        moment = find_moment(reader, history, at)
    live = history.blocks.live_at(moment.call)
    assert sum(history.blocks.size[block] for block in live) == history.live[moment.call - 1]
    ledger, pinning = summary.snapshot.ledger, summary.snapshot.pinning
    assert ledger and pinning
    pages = Counter(history.blocks.address[block] // 4096 for block in live)
    assert 0 < ledger.pinned_pages < ledger.pages
    assert ledger.pages >= len(pages)
    assert sum(ledger.held_by.values()) == pytest.approx(ledger.held)
    assert ledger.held_by.keys() <= set(live)
    for census in (pinning.by_origin, pinning.by_size, pinning.by_age, pinning.by_thread):
        assert sum(part.held for part in census.values()) == pytest.approx(ledger.held)
        assert sum(part.blocks for part in census.values()) == len(ledger.held_by)
