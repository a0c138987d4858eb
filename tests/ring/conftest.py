"""Programs whose last calls are known, run with a ring until somebody kills them."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import snugmalloc
from snugmalloc.trace import Event, Operation, TraceReader
from snugmalloc.trace.operations import CALLS

SOURCES = Path(__file__).with_name("c")
LIBRARY = snugmalloc.get_library("snugmalloc")
NOTES = 1 << 15
CALL = struct.Struct("<5Q")
NOTES_BYTES = 16 + NOTES * CALL.size
PATIENCE = 300
"""Seconds after which something is wrong."""


class Call(NamedTuple):
    """One call, as the program and as the ring tell it."""

    operation: int
    size: int
    number: int
    old: int
    address: int


class Witness(NamedTuple):
    """What a program noted of its calls, by what the system calls the thread."""

    calls: dict[int, list[Call]]
    counts: dict[int, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def build(folder: Path, name: str) -> Path:
    program = folder / name
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin", "-Wno-alloc-size-larger-than"]
    subprocess.run(["gcc", *flags, str(SOURCES / f"{name}.c"), "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="session")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("witness"), "witness")


@pytest.fixture(scope="session")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("leak"), "leak")


def environment_of(ring: str, **options: str) -> dict[str, str]:
    return {**os.environ, "LD_PRELOAD": LIBRARY, "SNUG_RECORD": ring, **options}


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


@contextmanager
def running(*words: object, ring: str, **options: str) -> Iterator[subprocess.Popen[str]]:
    """A program with a ring, which is killed in the end."""
    process = subprocess.Popen(
        list(map(str, words)), env=environment_of(ring, **options), stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def read_notes(file: Path, place: int) -> tuple[int, int, list[Call]]:
    """The thread of a place, how many calls it made, and the last of them."""
    with file.open("rb") as notes:
        notes.seek(place * NOTES_BYTES)
        thread, count = struct.unpack("<2Q", notes.read(16))
        calls = [Call(*call) for call in CALL.iter_unpack(notes.read(NOTES * CALL.size))]
    begin = count % NOTES
    if count < NOTES:
        return thread, count, calls[:count]
    return thread, count, calls[begin + 1 :] + calls[:begin]  # the oldest may have been written over


def read_witness(file: Path) -> Witness:
    """What the program noted."""
    found = [read_notes(file, place) for place in range(file.stat().st_size // NOTES_BYTES)]
    return Witness(
        {thread: calls for thread, _, calls in found if thread},
        {thread: count for thread, count, _ in found if thread},
    )


def counts_so_far(file: Path) -> list[int]:
    """How many calls each thread noted so far."""
    if not file.exists():
        return []
    counts = []
    with file.open("rb") as notes:
        for place in range(file.stat().st_size // NOTES_BYTES):
            notes.seek(place * NOTES_BYTES + 8)
            counts.append(int.from_bytes(notes.read(8), "little"))
    return counts


def count_so_far(file: Path) -> int:
    """How many calls all threads noted so far."""
    return sum(counts_so_far(file))


def as_call(event: Event) -> Call:
    return Call(event.operation, event.size, event.number, event.old, event.address)


def read_rows(file: Path) -> tuple[dict[int, list[Call]], list[Event]]:
    """The calls in a ring, by what the system calls the thread; and all events."""
    with TraceReader(file) as reader:
        assert reader.damage is None
        assert reader.verify() == []
        events = list(reader.events())
    system = {event.thread: event.number for event in events if event.operation is Operation.THREAD_BEGIN}
    found: dict[int, list[Call]] = defaultdict(list)
    for event in events:
        if event.operation in CALLS:
            found[system[event.thread]].append(as_call(event))
    return found, events


def known_pointers(calls: list[Call]) -> list[Call]:
    """Calls without the pointers of blocks that are not in the ring: nobody knows those that were given up."""
    return [call._replace(old=0) for call in calls]


def assert_last(rows: list[Call], known: list[Call], count: int, later: int = 1) -> int:
    """The rows of a thread end with the calls that it noted last, and perhaps some more. How many are the same.

    The last call of a thread that was killed may not have been noted. One that came to its end made some of the
    C library's after those that it noted, and before them, too.
    """
    rows, known = known_pointers(rows), known_pointers(known)
    shown = max(0, min(len(rows) - later, len(known), count))
    ends = [rows[len(rows) - more - shown : len(rows) - more] for more in range(later + 1)]
    assert known[len(known) - shown :] in ends
    return shown
