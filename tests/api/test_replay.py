"""Reading traces, and playing them on the heap."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc._replay import Player
from snugmalloc.replay import Replay, Trace, TraceError, read_trace, replay

SYSTEMUI = Path(snugmalloc.__file__).parent / "data" / "systemui.zip"

EVERY_CALL = """\
1: malloc 0xa0 100
1: calloc 0xb0 4 250
2: realloc 0xc0 0x0 10
2: realloc 0xa1 0xa0 3000
2: memalign 0xd0 64 500
1: free 0xb0
1: free 0x0
2: realloc 0x0 0xa1 0
1: thread_done 0x0
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a trace's text into a file and returns its path."""

    def file(text: str) -> Path:
        path = tmp_path / "trace.txt"
        path.write_text(text)
        return path

    return file


@pytest.fixture
def read(write: Write) -> Callable[[str], Trace]:
    return lambda text: read_trace(write(text))


Read = Callable[[str], Trace]


@pytest.fixture(scope="module")
def systemui() -> Replay:
    """The project's own trace, played."""
    return replay(read_trace(SYSTEMUI))


def test_every_call_is_read(read: Read) -> None:
    trace = read(EVERY_CALL)
    assert len(trace) == 8
    assert trace.calls == {"malloc": 1, "calloc": 1, "realloc": 3, "memalign": 1, "free": 2}
    assert trace.threads == {b"1:", b"2:"}
    assert list(trace.live) == [100, 1100, 1110, 4010, 4510, 3510, 3510, 510]
    assert (trace.peak_call, trace.left_out, trace.missing_frees) == (5, 0, 0)


def test_places_of_freed_blocks_are_used_again(read: Read) -> None:
    trace = read("1: malloc 0xa 1\n1: free 0xa\n" * 50)
    assert trace.place_count == 1


def test_times_at_the_end_of_a_line_are_allowed(read: Read) -> None:
    assert list(read("1: malloc 0xa 100 17 18\n1: free 0xa 19 20\n").live) == [100, 0]


def test_calls_that_cannot_be_played_are_left_out_and_counted(read: Read) -> None:
    older = "1: free 0xbad\n1: realloc 0xa 0xbad 10\n"
    failed = "1: malloc 0x0 10\n1: malloc 0xb 1\n1: realloc 0x0 0xb 9999\n1: memalign 0xc 3 8\n"
    trace = read(older + failed)
    assert (len(trace), trace.left_out) == (1, 5)


def test_an_address_handed_out_again_was_freed_in_between(read: Read) -> None:
    trace = read("1: malloc 0xa 100\n1: malloc 0xa 50\n")
    assert trace.missing_frees == 1
    assert trace.live[-1] == 50


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "1: malloc",
        "1 malloc 0xa 10",
        "1: malloc 0xa ten",
        "1: malloc 0xa -10",
        "1: malloc nowhere 10",
        "1: malloc 0xa 10 20",
        "1: free 0xa 0xb",
        "1: mallocate 0xa 10",
        "1: malloc 0xa 9223372036854775808",
        "1: calloc 0xa 4294967296 4294967296",
    ],
)
def test_what_is_no_call_is_told_with_file_and_line(read: Read, line: str) -> None:
    with pytest.raises(TraceError, match=f"^trace.txt, line 2: not a call: '{line}'$"):
        read(f"1: malloc 0xf 8\n{line}\n")


def test_a_zip_with_one_file_is_read_as_that_file(write: Write, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "trace.zip", "w") as archive:
        archive.write(write(EVERY_CALL), "inner.txt")
    assert len(read_trace(tmp_path / "trace.zip")) == 8


def test_a_zip_with_other_than_one_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.txt", EVERY_CALL)
        archive.writestr("b.txt", EVERY_CALL)
    with pytest.raises(TraceError, match=r"^two.zip: holds 2 files where one trace was expected$"):
        read_trace(tmp_path / "two.zip")


def test_a_zip_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text(EVERY_CALL)
    with pytest.raises(TraceError, match=r"^text.zip: "):
        read_trace(tmp_path / "text.zip")


def test_a_trace_without_calls_is_not_played(read: Read) -> None:
    with pytest.raises(TraceError, match=r"^trace.txt: contains no calls$"):
        replay(read("1: thread_done 0x0\n"))


def test_playing_leaves_nothing_behind(read: Read) -> None:
    before = snugmalloc.stats()
    played = replay(read(EVERY_CALL))
    after = snugmalloc.stats()
    assert (after.live_bytes, after.mapped_bytes) == (before.live_bytes, before.mapped_bytes)
    assert (played.peak_live, played.at_peak.call, played.at_end.live) == (4510, 5, 510)


def test_each_call_becomes_its_call_of_the_four_functions(read: Read) -> None:
    played = replay(read("1: malloc 0xa 100\n1: memalign 0xb 4096 200000\n1: malloc 0xc 0\n"))
    sizes = [block.size for block in played.blocks_at_peak if block.status]
    assert 104 in sizes
    assert 204_096 in sizes
    assert played.system_calls["mmap"] == 1


def test_a_refused_call_is_a_memory_error(read: Read) -> None:
    with pytest.raises(MemoryError, match="call 2 of the trace was refused"):
        replay(read(f"1: malloc 0xa 1\n1: malloc 0xb {2**62}\n"))


def test_memory_that_was_overwritten_is_noticed(read: Read) -> None:
    trace = read("1: malloc 0xa 72\n1: free 0xa\n")
    player = Player(trace.kinds, trace.places, trace.numbers, trace.sizes, trace.place_count)
    before = {block for block in snugmalloc.walk() if block.status}
    player.play(1)
    (block,) = {block for block in snugmalloc.walk() if block.status} - before
    snugmalloc.view(block.address, 72)[71] ^= 0xFF
    with pytest.raises(RuntimeError, match="call 2 of the trace: the block does not hold what was written"):
        player.play(1)
    player.close()
    with pytest.raises(ValueError, match="closed"):
        player.play(1)


def test_the_project_trace_is_what_its_notice_says(systemui: Replay) -> None:
    trace = systemui.trace
    assert sum(trace.calls.values()) == len(trace) == 786_097
    assert trace.calls == {
        "malloc": 383_154,
        "free": 364_863,
        "realloc": 29_167,
        "calloc": 7_847,
        "memalign": 1_066,
    }
    assert len(trace.threads) == 393
    assert (trace.left_out, trace.missing_frees) == (0, 0)
    assert systemui.peak_live == 10_441_709


def test_the_samples_run_from_the_first_call_to_the_last(systemui: Replay) -> None:
    calls = [sample.call for sample in systemui.samples]
    assert calls == sorted(set(calls))
    assert calls[-1] == len(systemui.trace)
    assert systemui.at_peak in systemui.samples
    assert max(sample.live for sample in systemui.samples) == systemui.peak_live
    assert max(sample.system for sample in systemui.samples) <= systemui.peak_system


def test_the_heap_at_the_peak_holds_what_was_live(systemui: Replay) -> None:
    live = sum(block.size for block in systemui.blocks_at_peak if block.status)
    assert systemui.peak_live <= live < systemui.at_peak.system
    snugmalloc.check()
