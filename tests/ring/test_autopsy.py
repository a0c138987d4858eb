"""What `snug autopsy` says of processes whose end is known."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from snugmalloc.engine.dropin.ring import BIN_ROOM, RING_AT, SERIES_AT, Entry, Note, RingHeader
from snugmalloc.trace import TraceReader
from snugmalloc.trace.autopsy import Point, growth_of, perform
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.ring import Ring

from ..cli.programs import PYTHON, SNUG
from .conftest import environment_of, running, wait_until

LEAKED = 3000
MIB = 1 << 20


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def autopsy(ring: Path) -> dict[str, Any]:
    outcome = subprocess.run([SNUG, "autopsy", ring, "--json", "-"], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


@pytest.fixture(scope="module")
def killed(leak: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ring of a process that was killed, as the kernel does it, when it had 100 MiB and most was noted."""
    ring = tmp_path_factory.mktemp("killed") / "of.ring"
    with running(leak, ring=f"ring:4M:{ring}") as process:
        wait_until(lambda: resident(process.pid) > 100 * MIB and noted_growth(ring) > 60 * MIB)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return ring


def noted_growth(path: Path) -> int:
    """By how much resident memory grew, as the ring has it, which is noted once a second."""
    with Ring(path) as ring:
        noted = [entry.resident for entry in ring.series]
    return noted[-1] - min(noted)


def test_the_leak_is_named(killed: Path) -> None:
    found = autopsy(killed)
    assert (found["end"], found["most"], found["lost_calls"], found["damage"]) == ("killed", "live", 0, None)
    grown = found["sizes"][0]
    assert grown["up_to"] == 3072 and grown["grew"] > 60 * MIB
    assert found["growth"]["live"]["bytes"] > 60 * MIB
    assert found["growth"]["heap"]["bytes"] > 60 * MIB
    assert found["growth"]["resident"]["bytes"] > 60 * MIB
    assert found["at_the_end"]["live"] > 60 * MIB
    assert 0 < found["window"] <= found["lifetime"]
    assert found["stayed_by_origin"][0]["name"] == f"{LEAKED:,} bytes"
    by_thread = found["threads"][0]
    assert (by_thread["name"], by_thread["most"]["up_to"]) == ("leaker", 3072)
    assert by_thread["grew"] > 100_000
    assert found["refused_requests"] == 1


def test_it_is_told_to_people(killed: Path) -> None:
    outcome = subprocess.run(
        [SNUG, "autopsy", killed], capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"}
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    for words in (
        "was killed, crashed",
        "live blocks",
        "grew from",
        "every call of the last",
        "up to 3.0 KiB",
        f"{LEAKED:,} bytes",
        "leaker",
        "The largest requests",
        "refused",
    ):
        assert words in outcome.stdout
    assert "▁" in outcome.stdout or "█" in outcome.stdout


def test_other_commands_read_it(killed: Path, tmp_path: Path) -> None:
    commands: list[list[str | Path]] = [
        ["report", killed],
        ["trace", "info", killed],
        ["trace", "verify", killed],
        ["trace", "convert", killed, "-o", tmp_path / "of.snug"],
        ["report", tmp_path / "of.snug"],
    ]
    for words in commands:
        outcome = subprocess.run([SNUG, *words], capture_output=True, text=True)
        assert (outcome.returncode, outcome.stderr) == (0, "")


def test_a_process_that_runs_still(leak: Path, tmp_path: Path) -> None:
    ring = tmp_path / "of.ring"
    with running(leak, ring=f"ring:1M:{ring}") as process:
        wait_until(lambda: resident(process.pid) > 30 * MIB)
        found = autopsy(ring)
    assert (found["end"], found["pid"]) == ("running", process.pid)
    assert found["sizes"][0]["up_to"] == 3072


def test_a_process_that_came_to_its_end(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [SNUG, "record", "--ring", "1M", "-o", "of.ring", "--", PYTHON, "-c", "x = bytes(3_000_000); del x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (outcome.returncode, outcome.stderr) == (
        0,
        "snug: the last calls are in the ring: snug autopsy of.ring\n",
    )
    found = autopsy(tmp_path / "of.ring")
    assert found["end"] == "exit"
    assert found["about"]["program"].startswith(PYTHON)
    assert found["largest"][0]["size"] == 3_000_033 and not found["largest"][0]["is_live"]


def test_the_command_tells_where_the_ring_is_of_a_program_that_is_killed(tmp_path: Path) -> None:
    script = "import os, signal; x = bytes(3_000_000); os.kill(os.getpid(), signal.SIGKILL)"
    outcome = subprocess.run(
        [SNUG, "record", "--ring", "1M", "-o", "%p.ring", "--", PYTHON, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    (ring,) = tmp_path.iterdir()
    assert outcome.returncode == -signal.SIGKILL
    assert outcome.stderr.splitlines()[-1] == f"snug: the last calls are in the ring: snug autopsy {ring.name}"
    found = autopsy(ring)
    assert (found["end"], found["largest"][0]["size"]) == ("killed", 3_000_033)
    assert found["largest"][0]["is_live"]


LEAKS_BY_LINE = """
import os, signal
kept = []
def keep(number):
    kept.append(bytearray(20_000 + number % 3))
def use():
    return len(bytes(30_000))
for number in range(3_000):
    keep(number)
    use()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_with_stacks_the_line_is_named(tmp_path: Path) -> None:
    script, ring = tmp_path / "app.py", tmp_path / "of.ring"
    script.write_text(LEAKS_BY_LINE)
    subprocess.run(
        [SNUG, "record", "--stacks", "python", "--ring", "2M", "-o", ring, "--", PYTHON, script],
        capture_output=True,
    )
    found = autopsy(ring)
    assert (found["end"], found["origin"]) == ("killed", "line")
    line, stack = found["stayed_by_origin"][0], found["stayed_by_stack"][0]
    assert line["name"].startswith("keep (") and line["name"].endswith("app.py:5)")
    assert line["blocks"] >= 3_000 and line["bytes"] >= 60_000_000
    assert stack["name"].startswith("keep (") and " < " in stack["name"]


def test_free_memory_is_no_leak(leak: Path, tmp_path: Path) -> None:
    ring = tmp_path / "of.ring"
    with running(leak, "fragment", ring=f"ring:1M:{ring}") as process:
        assert process.stdout and process.stdout.readline() == "done\n"
        wait_until(lambda: autopsy(ring)["most"] == "free")
    assert autopsy(ring)["at_the_end"]["live"] < 40 * MIB


def test_memory_that_is_not_of_malloc(leak: Path, tmp_path: Path) -> None:
    ring = tmp_path / "of.ring"
    with running(leak, "map", ring=f"ring:1M:{ring}"):
        wait_until(lambda: ring.exists() and autopsy(ring)["most"] == "other")
    found = autopsy(ring)
    assert found["at_the_end"]["other"] > 140 * MIB and found["growth"]["live"] is None


def test_growth_begins_where_a_figure_was_still_low() -> None:
    def curve(*values: int) -> list[Point]:
        return [
            Point(float(len(values) - 1 - at), value * MIB, value * MIB, None)
            for at, value in enumerate(values)
        ]

    grown = growth_of(curve(50, 10, 10, 11, 10, 40, 70, 100), lambda point: point.live)
    assert grown and (grown.since, grown.low, grown.high) == (3.0, 10 * MIB, 100 * MIB)
    assert grown.per_second == 30 * MIB
    for steady in ((10, 90, 10), (100, 100), (100, 95, 100), (7,)):
        assert growth_of(curve(*steady), lambda point: point.live) is None
    assert growth_of(curve(10, 100), lambda point: point.resident) is None


# ---- Figures of different moments ----


class Moment(NamedTuple):
    """Figures in MiB; `seconds` on a clock that begins behind all that is in the ring."""

    seconds: float
    resident: int
    heap: int
    live: int


def with_figures(ring: Path, target: Path, *series: Moment, end: Moment) -> Path:
    """A ring with these figures in place of its own. `end` has the resident memory of the last entry."""
    content = bytearray(ring.read_bytes())
    with Ring(ring) as opened:
        begin, ticks, places = opened.last_time, opened.header.ticks_per_second, opened.places
    entries = [packed(moment, begin + round(moment.seconds * ticks)) for moment in (*series, end)]
    newest = entries.pop()[: Entry.bins]
    for number, entry in enumerate(entries):
        place(content, SERIES_AT + number * Entry.SIZE, entry)
    place(content, RING_AT + RingHeader.counts, struct.pack("<3Q", len(entries), 0, 0))
    place(content, RING_AT + RingHeader.newest, newest)
    place(content, RING_AT + RingHeader.base, bins_of(end))
    for number in range(places.slots):
        place(content, places.notes_at + number * Note.SIZE, bytes(8 * BIN_ROOM))
    target.write_bytes(content)
    return target


def place(content: bytearray, at: int, packed: bytes) -> None:
    content[at : at + len(packed)] = packed


def packed(moment: Moment, clock: int) -> bytes:
    words = (clock, moment.resident * MIB, 0, 0, moment.heap * MIB, 0, 0, 0, 0, 0)
    return struct.pack("<10Q", *words).ljust(Entry.bins, b"\0") + bins_of(moment)


def bins_of(moment: Moment) -> bytes:
    return struct.pack(
        f"<{BIN_ROOM}Q", *(moment.live * MIB if number == 9 else 0 for number in range(BIN_ROOM))
    )


def told(ring: Path) -> dict[str, str]:
    """The first lines of the report, by their names."""
    outcome = subprocess.run(
        [SNUG, "autopsy", ring], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    lines = (line.strip().split("  ", 1) for line in outcome.stdout.splitlines() if "  " in line.strip())
    return {name: text.strip() for name, text in lines}


def test_how_old_resident_memory_is_stands_beside_it(small: Path, tmp_path: Path) -> None:
    ring = with_figures(small, tmp_path / "of.ring", Moment(1, 2, 1, 1), end=Moment(1.8, 2, 230, 229))
    lines, found = told(ring), autopsy(ring)
    assert lines["at the end"] == "resident 2.00 MiB 800 ms before; heap 230.00 MiB, of that live 229.00 MiB"
    assert lines["most of it"].startswith("live blocks, 100 % of the heap")
    assert lines["resident"] == "unknown: it is read only once a second"
    assert found["at_the_end"]["resident_before_end"] == pytest.approx(0.8)
    assert (found["at_the_end"]["resident"], found["at_the_end"]["other"]) == (2 * MIB, MIB)


def test_resident_memory_of_the_same_moment_needs_no_word(small: Path, tmp_path: Path) -> None:
    ring = with_figures(small, tmp_path / "of.ring", Moment(1, 40, 30, 29), end=Moment(1.1, 40, 31, 30))
    assert told(ring)["at the end"] == "resident 40.00 MiB; heap 31.00 MiB, of that live 30.00 MiB"


@pytest.mark.parametrize(
    ("before", "end", "most", "other"),
    [
        (Moment(1, 230, 10, 9), Moment(1.8, 230, 12, 11), "other", 220),
        (Moment(1, 230, 10, 9), Moment(1.8, 230, 221, 220), "live", 220),  # the heap grew since
        (Moment(1, 230, 229, 200), Moment(1.8, 230, 20, 19), "live", 1),  # it shrank
        (Moment(1, 230, 229, 200), Moment(1.8, 230, 20, 5), "free", 1),
        (Moment(1, 20, 40, 39), Moment(1.8, 20, 40, 39), "live", 0),  # of the heap not all was touched
        (Moment(1, 2, 1, 1), Moment(1.8, 2, 10, 12), "live", 1),  # the heap's figure is older
    ],
)
def test_what_is_not_of_malloc_is_found_where_all_figures_are_of_one_moment(
    small: Path, tmp_path: Path, before: Moment, end: Moment, most: str, other: int
) -> None:
    ring = with_figures(small, tmp_path / "of.ring", before, end=end)
    found, verdict = autopsy(ring), told(ring)["most of it"]
    assert (found["most"], found["at_the_end"]["other"]) == (most, other * MIB)
    assert found["at_the_end"]["heap"] == max(end.heap, end.live) * MIB
    assert ("96 % of what was resident 800 ms before: mappings" in verdict) == (most == "other")


def test_resident_memory_grew_until_it_was_read_last(small: Path, tmp_path: Path) -> None:
    moments = (Moment(1, 10, 8, 7), Moment(2, 100, 90, 80))
    ring = with_figures(small, tmp_path / "of.ring", *moments, end=Moment(2.8, 100, 300, 299))
    found, lines = autopsy(ring), told(ring)
    grew = "grew from 10.00 MiB to 100.00 MiB in 1.0 s, until 800 ms before the end, 90.00 MiB a second"
    assert lines["resident"] == grew
    assert lines["live"].startswith("grew from 7.00 MiB to 299.00 MiB in the last 1.8 s")
    assert [point["resident"] for point in found["curve"]] == [10 * MIB, 100 * MIB, None]
    steady = (Moment(1, 10, 8, 7), Moment(2, 10, 8, 7))
    ring = with_figures(small, tmp_path / "steady.ring", *steady, end=Moment(2.8, 10, 300, 299))
    assert told(ring)["resident"] == "did not grow until 800 ms before the end"


def test_without_any_entry_resident_memory_is_unknown(small: Path, tmp_path: Path) -> None:
    ring = with_figures(small, tmp_path / "of.ring", end=Moment(1, 0, 30, 20))
    lines = told(ring)
    assert lines["at the end"] == "resident unknown; heap 30.00 MiB, of that live 20.00 MiB"
    assert lines["resident"].startswith("unknown")


# ---- What is no ring, or damaged ----


@pytest.mark.parametrize("content", [b"", b"text\n", bytes(5000)])
def test_what_is_no_ring_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "of.ring"
    file.write_bytes(content)
    outcome = subprocess.run([SNUG, "autopsy", file], capture_output=True, text=True)
    assert outcome.returncode == 1 and len(outcome.stderr.splitlines()) == 1
    assert "is not a ring" in outcome.stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ring of the least size."""
    ring = tmp_path_factory.mktemp("small") / "of.ring"
    subprocess.run([PYTHON, "-c", "import json"], env=environment_of(f"ring:1M:{ring}"), check=True)
    return ring


@pytest.mark.parametrize("length", [64, 500, 5000, 320_000, 400_000, 700_000])
def test_a_ring_that_is_cut_off_is_read_as_far_as_it_goes(killed: Path, tmp_path: Path, length: int) -> None:
    file = tmp_path / "of.ring"
    file.write_bytes(killed.read_bytes()[:length])
    outcome = subprocess.run([SNUG, "autopsy", file], capture_output=True, text=True)
    assert len(outcome.stderr.splitlines()) == 1 and "ends" in outcome.stderr
    assert outcome.returncode == (1 if length < 2000 else 0)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_ring_is_read_or_refused(small: Path, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    content = bytearray(small.read_bytes())
    front = 20_000 if draw.random() < 0.3 else len(content)
    for _ in range(draw.choice((1, 20, 500))):
        at = draw.randrange(front)
        content[at : at + 8] = draw.randbytes(draw.choice((1, 8))).ljust(8, b"\xff")[: len(content) - at]
    for _ in range(seed % 2 * 20):  # what is said of the ring itself, and of its slots
        at = draw.choice((64, 300_000, 302_000)) + draw.randrange(2000)
        content[at : at + 8] = draw.randbytes(8)
    file = tmp_path / "of.ring"
    file.write_bytes(content)
    try:
        with Ring(file) as ring, TraceReader(file) as reader:
            found = perform(ring, reader)
            assert found.newest.live >= 0 and found.curve
    except TraceError as error:
        assert "\n" not in str(error) and file.name in str(error)


def test_a_ring_of_another_arrangement_is_refused(killed: Path, tmp_path: Path) -> None:
    file = tmp_path / "of.ring"
    content = bytearray(killed.read_bytes())
    content[64] = 99
    file.write_bytes(content)
    outcome = subprocess.run([SNUG, "autopsy", file], capture_output=True, text=True)
    assert outcome.returncode == 1 and len(outcome.stderr.splitlines()) == 1
    assert "arrangement 99" in outcome.stderr


def test_a_trace_is_no_ring(tmp_path: Path) -> None:
    subprocess.run([SNUG, "record", "-o", "of.snug", PYTHON, "-c", "pass"], cwd=tmp_path, capture_output=True)
    outcome = subprocess.run([SNUG, "autopsy", tmp_path / "of.snug"], capture_output=True, text=True)
    assert outcome.returncode == 1 and "snug report" in outcome.stderr
