"""What a preloaded recorder in C writes, which allocates nothing and has no lock: all calls, in order."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from snugmalloc.trace import Operation, TraceReader
from snugmalloc.trace.following import read_history
from snugmalloc.trace.importing import convert

SOURCES = Path(__file__).with_name("c")
BLOCKS = 30_000
FIRST_SIZE, SIZES, CHANGED, ALIGNED, REFUSED = 1000, 7, 5000, 1024, 1 << 62
OWN_SIZES = {*range(FIRST_SIZE, FIRST_SIZE + SIZES), CHANGED, ALIGNED}


class Recorded:
    """The trace of a program of known calls."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin"]
        recorder, program = folder / "recorder.so", folder / "handover"
        build = ["gcc", *flags, "-shared", "-fPIC", str(SOURCES / "recorder.c"), "-o", str(recorder)]
        subprocess.run(build, check=True)
        subprocess.run(["gcc", *flags, str(SOURCES / "handover.c"), "-o", str(program)], check=True)
        self.path = folder / "trace.snug"
        environment = {**os.environ, "RECORD": str(self.path), "LD_PRELOAD": str(recorder)}
        self.outcome = subprocess.run(
            [program, str(BLOCKS), *arguments], env=environment, capture_output=True, text=True
        )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("recorded"))


def test_the_calls_are_those_of_the_program(recorded: Recorded) -> None:
    with TraceReader(recorded.path) as reader:
        assert reader.verify() == []
        events = [event for event in reader.events() if event.size in OWN_SIZES]
    changed = -(-BLOCKS // 3)
    assert Counter(event.operation for event in events) == {
        Operation.MALLOC: BLOCKS // 2,
        Operation.CALLOC: BLOCKS // 2,
        Operation.REALLOC: changed,
        Operation.ALIGNED: 1,
    }
    assert recorded.outcome.stdout == f"{sum(event.size for event in events)}\n"
    assert all(event.freed >= 0 for event in events if event.operation is Operation.REALLOC)


def test_each_block_is_freed_once_by_the_other_thread_and_in_order(recorded: Recorded) -> None:
    with TraceReader(recorded.path) as reader:
        history = read_history(reader)
    assert (history.unknown_frees, history.missing_frees, history.refused) == (0, 0, 1)
    blocks = history.blocks
    own = [block for block in range(len(blocks)) if blocks.size[block] in OWN_SIZES]
    assert len(own) == BLOCKS + -(-BLOCKS // 3) + 1
    assert all(blocks.ended[block] > blocks.begun[block] for block in own)
    given = [block for block in own if blocks.size[block] < CHANGED and blocks.size[block] != ALIGNED]
    assert all(blocks.ended_by[block] != blocks.thread[block] for block in given)


def test_a_packed_copy_holds_the_same_in_less(recorded: Recorded, tmp_path: Path) -> None:
    packed = tmp_path / "packed.snug"
    conversion = convert(recorded.path, packed)
    with TraceReader(recorded.path) as rows, TraceReader(packed) as columns:
        assert list(rows.events()) == list(columns.events())
        assert (conversion.events, conversion.damage) == (rows.count_events(), None)
        assert columns.has_index and not columns.has_rows
        assert columns.size < rows.size / 2


def test_a_killed_program_leaves_what_was_handed_on(tmp_path: Path) -> None:
    killed = Recorded(tmp_path, "kill")
    assert killed.outcome.returncode == -signal.SIGKILL
    with TraceReader(killed.path) as reader:
        assert reader.damage is None
        assert len({head.thread for _, head in reader.chunks}) >= 2
        events = list(reader.events())
    assert len(events) == reader.count_events() > BLOCKS
    assert {event.size for event in events} > set(range(FIRST_SIZE, FIRST_SIZE + SIZES))
