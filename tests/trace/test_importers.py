"""Traces of other tools: what their files say is in the .snug file."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import zipfile
from array import array
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.replay import read_trace
from snugmalloc.trace import (
    Event,
    Flags,
    NativeFrame,
    Operation,
    SourceFrame,
    TraceError,
    TraceReader,
    TraceWriter,
)
from snugmalloc.trace.importing import convert

SYSTEMUI = Path(snugmalloc.__file__).parent / "data" / "systemui.zip"

ANDROID = """\
101: malloc 0xa0 100 1000 1010
101: calloc 0xb0 4 250 1020 1030
102: realloc 0xc0 0x0 10 1040 1045
102: realloc 0xa1 0xa0 3000 1050 1055
102: memalign 0xd0 64 500 1060 1061
101: free 0xb0 1070 1071
101: free 0x0 1080 1081
102: malloc 0x0 99 1090 1091
101: thread_done 0x0
"""
MTRACE = """\
= Start
@ ./app:(load+0x1c)[0x11b0] + 0x1000 0xa
@ ./app:[0x11c5] < 0x1000
@ ./app:[0x11c5] > 0x2000 0x14
@ [0x99] + 0x3000 0
@ ./app:[0x11fd] - 0x2000
@ ./a b:[0x1246] ! 0x3000 0x1000000000000000
@ ./app:[0x1250] + (nil) 0x40
- 0x3000
= End
"""
HEAPTRACK = """\
v 10400 3
X /usr/bin/app --fast
I 1000 5e298f
s c /usr/bin/app
s 4 main
s 5 app.c
s 4 load
i 5000 1 2 3 b
t 1 0
i 5010 1 4 3 15 2 3 c
t 2 0
i 6000 1
t 3 1
a 40 1
+ 0
c a
a 100 2
+ 1
+ 0
- 0
a 10 3
+ 2
R 12
- 1
# done
"""
HEAPTRACK_RAW = """\
v 10400 3
x c /usr/bin/app
X /usr/bin/app
m 1 -
m 1 x 400000 0 1000 2000 500
m 7 /lib/a. 7f0000 0 100
t 400010 0
t 402010 1
+ 20 1 aa00
c 5
+ 30 2 bb00
- aa00
t 7f0100 2
+ 40 3 cc00
"""

Import = Callable[[str | bytes], list[Event]]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "imported.snug"


@pytest.fixture
def imported(tmp_path: Path, target: Path) -> Import:
    """Imports a text, and gives the events."""

    def events(content: str | bytes) -> list[Event]:
        source = tmp_path / "text"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        conversion = convert(source, target)
        assert conversion.damage is None
        return events_of(target)

    return events


def events_of(path: Path) -> list[Event]:
    with TraceReader(path) as reader:
        events = list(reader.events())
        assert reader.verify() == []
    return events


def figures(events: list[Event]) -> list[tuple[str, int, int, int, int, int, int]]:
    return [
        (event.operation.name, event.thread, event.time, event.size, event.number, event.block, event.freed)
        for event in events
    ]


def test_android_text_with_times(imported: Import, target: Path) -> None:
    events = imported(ANDROID)
    assert figures(events) == [
        ("THREAD_BEGIN", 0, 0, 0, 101, -1, -1),
        ("MALLOC", 0, 0, 100, 0, 0, -1),
        ("CALLOC", 0, 20, 1000, 4, 1, -1),
        ("THREAD_BEGIN", 1, 40, 0, 102, -1, -1),
        ("REALLOC", 1, 40, 10, 0, 2, -1),
        ("REALLOC", 1, 50, 3000, 0, 3, 0),
        ("ALIGNED", 1, 60, 500, 64, 4, -1),
        ("FREE", 0, 70, 0, 0, -1, 1),
        ("FREE", 0, 80, 0, 0, -1, -1),
        ("MALLOC", 1, 90, 99, 0, -1, -1),
        ("THREAD_END", 0, 90, 0, 0, -1, -1),
    ]
    assert [event.address for event in events if event.block >= 0] == [0xA0, 0xB0, 0xC0, 0xA1, 0xD0]
    with TraceReader(target) as reader:
        assert reader.header.flags == Flags.TIMES | Flags.ADDRESSES


def test_android_text_without_times(imported: Import, target: Path) -> None:
    assert [event.size for event in imported("1: malloc 0xa 100\n1: free 0xa\n") if event.block >= 0] == [100]
    with TraceReader(target) as reader:
        assert reader.header.flags == Flags.ADDRESSES


def test_a_text_may_be_packed(imported: Import, tmp_path: Path) -> None:
    plain = imported(ANDROID)
    assert imported(pack("gzip", ANDROID.encode())) == plain
    assert imported(pack("zstd", ANDROID.encode())) == plain
    with zipfile.ZipFile(tmp_path / "trace.zip", "w") as archive:
        archive.writestr("trace.txt", ANDROID)
    convert(tmp_path / "trace.zip", tmp_path / "of-zip.snug")
    assert events_of(tmp_path / "of-zip.snug") == plain


def test_mtrace_text(imported: Import, target: Path) -> None:
    events = imported(MTRACE)
    assert [(event.operation.name, event.size, event.address, event.old, event.freed) for event in events] == [
        ("MALLOC", 10, 0x1000, 0, -1),
        ("REALLOC", 20, 0x2000, 0x1000, 0),
        ("MALLOC", 0, 0x3000, 0, -1),
        ("FREE", 0, 0, 0x2000, 1),
        ("REALLOC", 2**60, 0, 0x3000, 2),
        ("MALLOC", 64, 0, 0, -1),
        ("FREE", 0, 0, 0x3000, 2),
    ]
    assert [event.refused for event in events] == [False] * 4 + [True, True, False]
    with TraceReader(target) as reader:
        frames = [reader.tables.frames_of(event.stack) for event in events]
    assert frames[0] == (NativeFrame("./app", 0x11B0),)
    assert frames[2] == (NativeFrame("", 0x99),)
    assert frames[4] == (NativeFrame("./a b", 0x1246),)


def test_what_mtrace_writes_is_imported(tmp_path: Path, target: Path) -> None:
    program, log = tmp_path / "mtraced", tmp_path / "m.log"
    source = Path(__file__).with_name("c") / "mtraced.c"
    subprocess.run(["gcc", "-O2", "-fno-builtin", source, "-o", program], check=True)
    environment = {**os.environ, "MALLOC_TRACE": str(log), "LD_PRELOAD": "libc_malloc_debug.so.0"}
    subprocess.run([program], env=environment, check=True)
    convert(log, target)
    events = events_of(target)
    (first,) = [event for event in events if event.size == 4321]
    (second,) = [event for event in events if event.size == 54321]
    assert (first.operation, second.operation) == (Operation.MALLOC, Operation.REALLOC)
    assert second.freed == first.block
    assert [event.operation for event in events if event.freed == second.block] == [Operation.FREE]


def test_heaptrack_text(imported: Import, target: Path) -> None:
    events = imported(HEAPTRACK)
    assert figures(events) == [
        ("MALLOC", 0, 0, 0x40, 0, 0, -1),
        ("MALLOC", 0, 10, 0x100, 0, 1, -1),
        ("MALLOC", 0, 10, 0x40, 0, 2, -1),
        ("FREE", 0, 10, 0, 0, -1, 2),
        ("MALLOC", 0, 10, 0x10, 0, 3, -1),
        ("FREE", 0, 10, 0, 0, -1, 1),
    ]
    with TraceReader(target) as reader:
        assert reader.about == {"program": "/usr/bin/app --fast"}
        assert (reader.header.flags, reader.header.ticks_per_second) == (Flags.TIMES | Flags.STACKS, 1000)
        frames = [reader.tables.frames_of(events[number].stack) for number in (0, 1, 4)]
    assert frames[0] == (SourceFrame("app.c", 11, "main"),)
    assert frames[1] == (SourceFrame("app.c", 21, "load"), SourceFrame("app.c", 12, "main"))
    assert frames[2] == (NativeFrame("/usr/bin/app", 0x6000), SourceFrame("app.c", 11, "main"))


def test_heaptrack_text_as_it_was_recorded(imported: Import, target: Path) -> None:
    events = imported(HEAPTRACK_RAW)
    assert [(event.size, event.time, event.address, event.freed) for event in events] == [
        (0x20, 0, 0xAA00, -1),
        (0x30, 5, 0xBB00, -1),
        (0, 5, 0, 0),
        (0x40, 5, 0xCC00, -1),
    ]
    with TraceReader(target) as reader:
        assert reader.header.flags == Flags.TIMES | Flags.STACKS | Flags.ADDRESSES
        assert reader.tables.frames_of(events[3].stack) == (
            NativeFrame("", 0x7F0100),
            NativeFrame("/usr/bin/app", 0x2010),
            NativeFrame("/usr/bin/app", 0x10),
        )


@pytest.mark.skipif(
    not shutil.which("heaptrack") or not shutil.which("zstd"), reason="heaptrack is not installed"
)
@pytest.mark.parametrize("form", ["stored", "recorded"])
def test_what_heaptrack_writes_is_imported(form: str, tmp_path: Path, target: Path) -> None:
    program = "import ctypes; c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p;" + (
        "[c.free(ctypes.c_void_p(c.malloc(43210 + i))) for i in range(100)]; c.malloc(76543)"
    )
    raw = ["--raw"] if form == "recorded" else []
    subprocess.run(
        ["heaptrack", *raw, "-o", tmp_path / "out", "/usr/bin/python3", "-c", program],
        check=True,
        capture_output=True,
    )
    (written,) = tmp_path.glob("out*.zst")
    convert(written, target)
    events = events_of(target)
    freed = {event.freed for event in events}
    blocks = {event.size: event.block for event in events if event.size in range(43210, 43310)}
    assert len(blocks) == 100
    assert set(blocks.values()) <= freed
    (left,) = [event for event in events if event.size == 76543]
    assert left.block not in freed
    with TraceReader(target) as reader:
        assert any("python3" in str(frame) for frame in reader.tables.frames_of(left.stack))


def test_the_project_trace_loses_nothing_and_is_as_small_as_the_format_promises(
    tmp_path: Path, target: Path
) -> None:
    convert(SYSTEMUI, target)
    without = tmp_path / "without.snug"
    convert(target, without, Flags.ADDRESSES)
    text = read_trace(SYSTEMUI)
    for path in (target, without):
        played = read_trace(path)
        for column in ("kinds", "places", "numbers", "sizes", "live", "calls", "place_count"):
            assert getattr(played, column) == getattr(text, column), column
        assert len(played.threads) == len(text.threads)
    calls = len(text)
    assert target.stat().st_size / calls < 1
    assert without.stat().st_size / calls < 0.6
    assert Counter(event.operation for event in events_of(target))[Operation.THREAD_END] == 357


def test_with_times_that_have_no_pattern_a_call_takes_less_than_three_bytes(
    tmp_path: Path, target: Path
) -> None:
    """Gaps of 2 microseconds in the median, log-normal, in nanoseconds: docs/trace-format.md has the figure."""
    convert(SYSTEMUI, target)
    chance, now = random.Random(1), 0
    timed = tmp_path / "timed.snug"
    with TraceReader(target) as reader:
        header = reader.header._replace(flags=Flags.ADDRESSES | Flags.TIMES, ticks_per_second=10**9)
        with TraceWriter(timed, header) as writer:
            for columns in reader.columns():
                steps = [int(chance.lognormvariate(7.6, 2)) for _ in range(len(columns))]
                columns.time = array("Q", list(accumulate(steps, initial=now))[1:])
                now = columns.time[-1]
                writer.put_columns(columns)
    assert timed.stat().st_size / 786_097 < 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Two roads diverged\n", "is neither a .snug trace nor text of memory_replay, mtrace or heaptrack"),
        ("", "is neither a .snug trace nor text of memory_replay, mtrace or heaptrack"),
        ("v 10400 9\n", "is of heaptrack's file version 9, and this snug reads version 3"),
    ],
)
def test_what_is_no_trace_is_refused_by_name(imported: Import, content: str, message: str) -> None:
    with pytest.raises(TraceError, match=rf"^text: {message}$"):
        imported(content)


@pytest.mark.parametrize(
    ("text", "line", "bad"),
    [
        (ANDROID, 12, "101: malloc 0xa ten"),
        (MTRACE, 11, "@ ./app:[0x1] * 0x10"),
        (HEAPTRACK, 27, "+ 9"),
        (HEAPTRACK_RAW, 15, "+ 10 99 5"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_no_file_is_left(
    imported: Import, target: Path, text: str, line: int, bad: str
) -> None:
    number = text.count("\n") + 1
    with pytest.raises(TraceError, match=rf"^text, line {number}: not a call: "):
        imported(f"{text}{bad}\n{text}")
    assert not target.exists()


@pytest.mark.parametrize("text", [ANDROID, MTRACE, HEAPTRACK, HEAPTRACK_RAW])
def test_a_last_line_that_was_cut_off_is_left_out(
    imported: Import, tmp_path: Path, target: Path, text: str
) -> None:
    whole = imported(text)
    lines = text.count("\n") + 1
    (tmp_path / "cut").write_text(f"{text}- 0xzz")
    conversion = convert(tmp_path / "cut", target)
    assert conversion == (len(whole), f"cut: ends within line {lines}, which was left out")
    assert events_of(target) == whole


def pack(program: str, content: bytes) -> bytes:
    return subprocess.run([program, "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("program", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [1, 20])
def test_packed_text_that_ends_early_is_read_as_far_as_it_goes(
    tmp_path: Path, target: Path, program: str, cut: int
) -> None:
    lines = [f"{number % 3}: malloc {number * 7919:#x} {number**3 % 9973}\n" for number in range(1, 20_000)]
    (tmp_path / "cut").write_bytes(pack(program, "".join(lines).encode())[:-cut])
    conversion = convert(tmp_path / "cut", target)
    assert conversion.damage is not None
    assert conversion.damage.startswith("cut: ") and conversion.damage.endswith(": it was read up to there")
    sizes = [event.size for event in events_of(target) if event.block >= 0]
    assert 0 < len(sizes) <= len(lines)
    assert sizes == [number**3 % 9973 for number in range(1, len(sizes) + 1)]


def test_without_the_program_zstd_a_line_says_what_to_do(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packed").write_bytes(pack("zstd", ANDROID.encode()))
    monkeypatch.setenv("PATH", "")
    message = r"^packed: is packed by zstd: install the program zstd, or unpack it first$"
    with pytest.raises(TraceError, match=message):
        convert(tmp_path / "packed", target)


def test_a_trace_is_not_written_over_itself(imported: Import, target: Path) -> None:
    whole = imported(ANDROID)
    with pytest.raises(TraceError, match=r"^imported.snug: is the input: choose another output file$"):
        convert(target, target)
    assert events_of(target) == whole
