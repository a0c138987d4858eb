"""`snug view` from the command line: the file it writes, what it serves, and what it says of large traces."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from snugcommand import INTERRUPTED
from snugmalloc.trace import Header, Operation, TraceReader, TraceWriter
from snugmalloc.viewing.fitting import fit
from snugmalloc.viewing.page import make_page

from ..cli.test_trace import TEXT, snug
from ..trace.test_round_trip import GOLDEN

SNUG = Path(sys.executable).with_name("snug")


def inside(html: bytes) -> tuple[dict[str, object], bytes]:
    """What is said of the trace, and the trace."""
    about, trace = re.findall(rb'<script type="[^"]+" id="[^"]+">([^<]*)</script>', html)
    return json.loads(about), base64.b64decode(trace)


def test_the_page_has_the_trace_as_it_is(trace: Path, tmp_path: Path) -> None:
    target = tmp_path / "heap.html"
    outcome = snug("view", trace, "-o", target)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    about, content = inside(target.read_bytes())
    assert about == {"name": "app.snug", "notes": [], "frames": {}}
    assert content == trace.read_bytes()


def test_text_of_other_tools_is_taken(tmp_path: Path) -> None:
    source = tmp_path / "app.txt"
    source.write_text(TEXT)
    (tmp_path / "it.snug").write_bytes(inside(make_page(source).html)[1])
    with TraceReader(tmp_path / "it.snug") as reader:
        assert sum(event.block >= 0 for event in reader.events()) == 4


def test_rows_become_columns(tmp_path: Path) -> None:
    _, content = inside(make_page(GOLDEN / "rows.snug").html)
    (tmp_path / "it.snug").write_bytes(content)
    with TraceReader(tmp_path / "it.snug") as reader, TraceReader(GOLDEN / "rows.snug") as rows:
        assert not reader.has_rows
        assert list(reader.events()) == list(rows.events())


@pytest.mark.parametrize("cut", [30, 400])
def test_a_damaged_trace_is_shown_as_far_as_it_goes_and_a_line_says_so(
    cut: int, trace: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.snug"
    damaged.write_bytes(trace.read_bytes()[:-cut])
    outcome = snug("view", damaged, "-o", tmp_path / "heap.html")
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 0 and line.startswith("snug: damaged.snug: ends within a chunk")
    about, _ = inside((tmp_path / "heap.html").read_bytes())
    assert about["notes"] == [line.removeprefix("snug: ")]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"hello\n", "is neither a .snug trace nor text"), (b"\x89SNUG\r\n\x1a", "ends within")],
)
def test_what_is_no_trace_gets_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    source = tmp_path / "it.txt"
    source.write_bytes(content)
    outcome = snug("view", source, "-o", tmp_path / "heap.html")
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and said in line
    assert not (tmp_path / "heap.html").exists()


def test_a_file_that_cannot_be_written_is_named(trace: Path, tmp_path: Path) -> None:
    outcome = snug("view", trace, "-o", tmp_path / "none" / "heap.html")
    assert (outcome.returncode, outcome.stderr) == (
        1,
        f"snug: {tmp_path / 'none' / 'heap.html'}: No such file or directory\n",
    )


def test_it_is_served_to_who_knows_the_address(trace: Path) -> None:
    with subprocess.Popen(
        [SNUG, "view", trace], stdout=subprocess.PIPE, text=True, env={"PATH": "", "BROWSER": "true"}
    ) as server:
        assert server.stdout
        (url,) = re.findall(
            r"^(http://127\.0\.0\.1:\d+/[\w-]{12,}/) \(until Ctrl-C\)$", server.stdout.readline()
        )
        with urllib.request.urlopen(url) as answer:
            assert inside(answer.read())[1] == trace.read_bytes()
        for other in (url.rsplit("/", 2)[0] + "/", url + "x"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(other)
        server.send_signal(signal.SIGINT)
        assert server.wait(300) == INTERRUPTED


def write_calls(path: Path, lasting: int, brief: int) -> Path:
    """Blocks that stay, and many that are freed soon; a realloc of each kind."""
    with TraceWriter(path, Header(), events_in_chunk=1000) as writer:
        time = 0
        for number in range(lasting):
            time += 977
            writer.add(Operation.MALLOC, time=time, size=100 + number, address=0x10000 + number * 0x1000)
            for step in range(brief):
                time += 1 + (number * 7919 + step * 104729) % 5003
                size = (number * 31 + step * 17) % 900 + 1
                writer.add(Operation.MALLOC, time=time, size=size, address=0x900000 + size * 16)
                writer.add(Operation.FREE, time=time + 1, old=0x900000 + size * 16)
        writer.add(Operation.REALLOC, time=time, size=5, address=0x20, old=0x10000)
        writer.add(Operation.REALLOC, time=time, size=6, address=0x40, old=0x20)
    return path


def test_a_large_trace_loses_exact_times_first_then_blocks_that_lived_shortly(tmp_path: Path) -> None:
    source = write_calls(tmp_path / "large.snug", 300, 40)
    whole = source.stat().st_size
    assert fit(source, tmp_path, whole) == (source, [])

    rounded, (note,) = fit(source, tmp_path, whole * 3 // 4)
    assert "times are rounded to" in note
    with TraceReader(source) as one, TraceReader(rounded) as other:
        for exact, coarse in zip(one.events(), other.events(), strict=True):
            assert exact._replace(time=0) == coarse._replace(time=0)
            assert 0 <= exact.time - coarse.time < 2 * 10**6

    small, notes = fit(source, tmp_path, whole // 10)
    assert small.stat().st_size <= whole // 10
    assert len(notes) == 2 and "24,000 events are left out" in notes[1]
    assert sizes_at_end(small) == sizes_at_end(source)


def test_a_realloc_of_which_one_block_is_left_out(tmp_path: Path) -> None:
    """The first block lasts, the second one is brief, the third one lasts."""
    source = write_calls(tmp_path / "large.snug", 50, 40)
    small, _ = fit(source, tmp_path, source.stat().st_size // 8)
    with TraceReader(small) as reader:
        *_, ended, begun = reader.events()
    assert (ended.operation, ended.freed, ended.block) == (Operation.FREE, 0, -1)
    assert (begun.operation, begun.size, begun.freed) == (Operation.MALLOC, 6, -1)


def sizes_at_end(path: Path) -> list[int]:
    """The sizes of the blocks that are live at the end."""
    live: dict[int, int] = {}
    with TraceReader(path) as reader:
        for event in reader.events():
            live.pop(event.freed, None)
            if event.block >= 0:
                live[event.block] = event.size
    return sorted(live.values())
