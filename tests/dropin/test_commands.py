"""What is asked of a process from outside: done by its next work, answered, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snugmalloc.engine import SimulatedMachine
from snugmalloc.engine.dropin import outside, publish
from snugmalloc.engine.dropin.outside import (
    BEGIN_COMMAND,
    DONE,
    END_COMMAND,
    NOT_KNOWN,
    NOT_MADE_THERE,
    NOT_PERMITTED,
    ONLY_AS_STARTED,
    RECORDS_ALREADY,
    RECORDS_NOTHING,
    TRIM_COMMAND,
    Command,
    Outside,
)
from snugmalloc.trace import Operation, TraceReader
from snugmalloc.trace.following import read_history
from snugmalloc.trace.operations import ALLOCATIONS

from .heaps import InterpretedHeap


class Asking:
    """A heap, and somebody outside who asks."""

    def __init__(self, **environment: str) -> None:
        self.machine = SimulatedMachine(folders={b"/run/x"})
        self.machine.environment = {name.encode(): value.encode() for name, value in environment.items()}
        self.heap = InterpretedHeap(self.machine)
        self.heap.free(self.heap.malloc(10))
        self.command = self.machine.published_outside + Outside.command
        self.number = 100

    def write(self, offset: int, value: int) -> None:
        self.machine.store(self.command + offset, 8, value)

    def read(self, offset: int) -> int:
        return self.machine.load(self.command + offset, 8)

    def ask(self, kind: int, path: bytes = b"", process: int | None = None) -> None:
        self.number += 1
        self.write(Command.kind, kind)
        self.write(Command.process, self.machine.process if process is None else process)
        self.machine.write(self.command + Command.path, path + b"\0")
        self.write(Command.asked, self.number)

    def work(self, size: int = 5000) -> None:
        """So much that the heap takes steps."""
        for _ in range(300):
            self.heap.free(self.heap.malloc(size * 8))
        self.heap.free(self.heap.malloc(size))

    @property
    def answer(self) -> int | None:
        return self.read(Command.answer) if self.read(Command.answered) == self.number else None

    def asked(self, kind: int, path: bytes = b"") -> int | None:
        """The answer to a command after some work."""
        self.ask(kind, path)
        assert self.answer is None
        self.work()
        return self.answer

    def trace(self, name: bytes, folder: Path) -> Path:
        path = folder / name.decode().lstrip("/")
        path.write_bytes(self.machine.records[name])
        return path


@pytest.fixture(params=["memory", "file"])
def asking(request: pytest.FixtureRequest) -> Asking:
    """Asked in its memory, or in the file that it publishes."""
    if request.param == "memory":
        return Asking()
    found = Asking(SNUG_PUBLISH="/run/x")
    found.command = found.machine.own_files[-1] + publish.COMMAND_AT
    return found


def fill_and_free(heap: InterpretedHeap) -> None:
    """Leave free memory that nobody would give back soon."""
    kept = [heap.malloc(3000) for _ in range(600)]
    for pointer in kept:
        heap.free(pointer)


def test_a_trim_gives_everything_back(asking: Asking) -> None:
    engine = asking.heap.engine
    blocks = [asking.heap.malloc(30_000) for _ in range(60)]
    for pointer in blocks[::2]:
        asking.heap.free(pointer)
    before = engine.sum_of(engine.Figures.returned_bytes)
    assert asking.asked(TRIM_COMMAND) == DONE
    given = asking.read(Command.given)
    assert given >= 20 * 30_000 and engine.sum_of(engine.Figures.returned_bytes) >= before + given
    assert engine.is_serving_only() and asking.heap.check() == 0


def test_a_program_that_works_in_a_private_heap_alone_obeys(asking: Asking, tmp_path: Path) -> None:
    engine = asking.heap.engine
    heap = engine.snug_heap_create(0, 0)

    def work() -> None:
        for size in (100, 30_000) * 300:
            assert engine.snug_heap_malloc(heap, size)

    for kind, path in ((BEGIN_COMMAND, b"/a.snug"), (END_COMMAND, b""), (TRIM_COMMAND, b"")):
        asking.ask(kind, path)
        work()
        assert asking.answer == DONE
    engine.snug_heap_destroy(heap)
    with TraceReader(asking.trace(b"/a.snug", tmp_path)) as reader:
        assert reader.about["private heaps"] == "1"
        assert not any(event.operation in ALLOCATIONS for event in reader.events())


def test_one_command_after_another_is_done_once_each(asking: Asking) -> None:
    engine = asking.heap.engine
    for _ in range(3):
        assert asking.asked(TRIM_COMMAND) == DONE
    asking.write(Command.answered, 0)
    asking.work()
    assert asking.read(Command.answered) == 0  # nobody asked again
    assert not engine.has_order()


@pytest.mark.parametrize(
    ("kind", "path", "answer"),
    [
        (0, b"", NOT_KNOWN),
        (99, b"/x.snug", NOT_KNOWN),
        (BEGIN_COMMAND, b"", NOT_KNOWN),
        (BEGIN_COMMAND, b"x.snug", NOT_KNOWN),
        (BEGIN_COMMAND, b"/there.snug", NOT_MADE_THERE),
        (END_COMMAND, b"", RECORDS_NOTHING),
    ],
)
def test_what_cannot_be_done_is_answered_and_changes_nothing(
    asking: Asking, kind: int, path: bytes, answer: int
) -> None:
    asking.machine.records[b"/there.snug"] = bytearray(b"mine")
    assert asking.asked(kind, path) == answer
    assert asking.machine.records == {b"/there.snug": bytearray(b"mine")}
    assert asking.machine.warnings == [] and asking.heap.check() == 0
    assert asking.asked(TRIM_COMMAND) == DONE


def test_a_path_without_an_end_is_cut_and_not_followed(asking: Asking) -> None:
    asking.machine.write(asking.command + Command.path, b"/" * outside.PATH_ROOM)
    asking.number += 1
    asking.write(Command.kind, BEGIN_COMMAND)
    asking.write(Command.process, asking.machine.process)
    asking.write(Command.asked, asking.number)
    asking.work()
    assert asking.answer == DONE
    (name,) = asking.machine.records
    assert name == b"/" * (outside.PATH_ROOM - 1)


def test_a_command_for_another_process_is_ignored(asking: Asking) -> None:
    asking.ask(TRIM_COMMAND, process=asking.machine.process + 1)
    asking.work()
    assert asking.answer is None
    assert asking.asked(TRIM_COMMAND) == DONE


@pytest.mark.parametrize("is_noticed", [False, True])
def test_a_forked_child_does_not_obey_what_its_parent_was_asked(is_noticed: bool) -> None:
    asking = Asking()
    asking.ask(BEGIN_COMMAND, b"/x.snug")
    if is_noticed:
        asking.heap.engine.look_outside()
        assert asking.heap.engine.has_order()
    asking.machine.forks += 1
    asking.machine.process += 1
    asking.work()
    assert asking.answer is None and asking.machine.records == {}
    assert asking.asked(BEGIN_COMMAND, b"/y.snug") == DONE
    assert list(asking.machine.records) == [b"/y.snug"]


def test_a_child_that_was_copied_while_its_parent_obeyed_can_be_asked() -> None:
    asking = Asking()
    for progress in (outside.COPYING, outside.OBEYING):
        asking.machine.store(asking.machine.published_outside + Outside.progress, 8, progress)
        asking.machine.forks += 1
        asking.machine.process += 1
        assert asking.asked(TRIM_COMMAND) == DONE


def sizes(path: Path) -> list[int]:
    with TraceReader(path) as reader:
        assert reader.verify() == [] and reader.damage is None
        return [event.size for event in reader.events() if event.operation in ALLOCATIONS]


def test_recordings_begin_and_end_as_asked(asking: Asking, tmp_path: Path) -> None:
    heap = asking.heap
    kept = [heap.malloc(777) for _ in range(50)]
    for turn, name in enumerate((b"/first.snug", b"/second.snug", b"/third.snug")):
        assert asking.asked(BEGIN_COMMAND, name) == DONE
        assert asking.asked(BEGIN_COMMAND, b"/other.snug") == RECORDS_ALREADY
        blocks = [heap.malloc(1000 + turn) for _ in range(40)]
        for pointer in [*blocks, *kept[turn * 10 : turn * 10 + 10]]:
            heap.free(pointer)
        assert asking.asked(END_COMMAND) == DONE
        heap.free(heap.malloc(1234))
    assert list(asking.machine.records) == [b"/first.snug", b"/second.snug", b"/third.snug"]
    for turn, name in enumerate(asking.machine.records):
        path = asking.trace(name, tmp_path)
        found = sizes(path)
        assert found.count(1000 + turn) == 40 and 777 not in found and 1234 not in found
        with TraceReader(path) as reader:
            history = read_history(reader)
            assert int(reader.about["live"]) >= (50 - 10 * turn) * 777
        assert history.unknown_frees in (10, 11) and history.missing_frees == 0
    assert heap.check() == 0


def test_after_a_recording_threads_have_their_own_lists_again() -> None:
    asking = Asking()
    machine = asking.machine
    for name in (b"/first.snug", b"/second.snug"):
        assert asking.asked(BEGIN_COMMAND, name) == DONE
        assert machine.load_thread_word() == machine.thread_without_cache()
        assert asking.asked(END_COMMAND) == DONE
        assert machine.load_thread_word() == machine.load_thread_state()


def test_the_end_of_the_process_ends_a_recording_that_was_asked_for(tmp_path: Path) -> None:
    asking = Asking()
    assert asking.asked(BEGIN_COMMAND, b"/x.snug") == DONE
    asking.heap.malloc(4321)
    asking.heap.engine.snug_record_end()
    assert sizes(asking.trace(b"/x.snug", tmp_path)).count(4321) == 1


@pytest.mark.parametrize(
    "settings",
    [{"SNUG_RECORD_SAMPLE": "4096"}, {"SNUG_RECORD_STACKS": "python"}, {"SNUG_RECORD": "ring:1M:/ring"}],
)
def test_samples_stacks_and_rings_are_recorded_as_the_program_was_started(settings: dict[str, str]) -> None:
    asking = Asking(**{"SNUG_RECORD": "/own.snug", **settings})
    before = set(asking.machine.records)
    assert asking.asked(TRIM_COMMAND) == DONE
    assert asking.asked(BEGIN_COMMAND, b"/x.snug") == ONLY_AS_STARTED
    assert set(asking.machine.records) == before and asking.heap.engine.is_recording()
    if "ring" not in settings.get("SNUG_RECORD", ""):
        assert asking.asked(END_COMMAND) == DONE
        assert asking.asked(BEGIN_COMMAND, b"/x.snug") == ONLY_AS_STARTED
    else:
        assert asking.asked(END_COMMAND) == ONLY_AS_STARTED and asking.heap.engine.is_recording()
    assert asking.asked(TRIM_COMMAND) == DONE and asking.heap.check() == 0


@pytest.mark.parametrize("refused", ["open", "write"])
def test_a_file_that_cannot_be_written_is_told(refused: str) -> None:
    asking = Asking()
    asking.machine.refuse = lambda name, arguments: name == refused
    assert asking.asked(BEGIN_COMMAND, b"/x.snug") == NOT_MADE_THERE
    asking.machine.refuse = lambda name, arguments: False
    assert asking.asked(BEGIN_COMMAND, b"/y.snug") == DONE


@pytest.mark.parametrize("kind", [BEGIN_COMMAND, END_COMMAND])
def test_a_file_of_a_process_with_more_rights_is_not_obeyed(kind: int) -> None:
    """Its user's other processes may write to that, but not to its memory."""
    asking = Asking(SNUG_PUBLISH="/run/x")
    in_memory, asking.machine.secure = asking.command, True
    asking.command = asking.machine.own_files[-1] + publish.COMMAND_AT
    assert asking.asked(kind, b"/x.snug") == NOT_PERMITTED
    assert asking.machine.records == {} and asking.asked(TRIM_COMMAND) == DONE
    asking.command = in_memory
    assert asking.asked(BEGIN_COMMAND, b"/x.snug") == DONE


def test_a_recording_that_ended_by_itself_does_not_stand_in_the_way(tmp_path: Path) -> None:
    asking = Asking()
    assert asking.asked(BEGIN_COMMAND, b"/x.snug") == DONE
    asking.machine.refuse = lambda name, arguments: name == "write"
    for _ in range(20_000):
        asking.heap.free(asking.heap.malloc(1234))
    asking.machine.refuse = lambda name, arguments: False
    assert not asking.heap.engine.is_recording()
    assert asking.asked(BEGIN_COMMAND, b"/y.snug") == DONE
    asking.heap.malloc(4321)
    assert asking.asked(END_COMMAND) == DONE
    assert sizes(asking.trace(b"/y.snug", tmp_path)).count(4321) == 1


def test_every_fork_has_an_event_with_its_child(tmp_path: Path) -> None:
    machine = SimulatedMachine(environment={b"SNUG_RECORD": b"of.snug"})
    heap = InterpretedHeap(machine)
    heap.malloc(10)
    machine.children += 3
    heap.malloc(10)
    machine.children += 1
    heap.malloc(10)
    heap.engine.snug_record_end()
    path = tmp_path / "of.snug"
    path.write_bytes(machine.records[b"of.snug"])
    with TraceReader(path) as reader:
        forks = [event.number for event in reader.events() if event.operation is Operation.FORK]
    assert forks == [machine.process + number for number in (1, 2, 3, 4)]


def test_a_recording_of_a_thread_that_ends_meanwhile_is_whole(tmp_path: Path) -> None:
    asking = Asking()
    machine: Any = asking.machine
    end: Callable[[], None] = asking.heap.engine.snug_thread_idle
    for turn, name in enumerate((b"/first.snug", b"/second.snug")):
        assert asking.asked(BEGIN_COMMAND, name) == DONE
        asking.heap.malloc(2000 + turn)
        assert asking.asked(END_COMMAND) == DONE
        machine.thread_is_ending = True
        end()
        machine.thread_is_ending = False
        assert machine.load_thread_recorder() == 0
        assert sizes(asking.trace(name, tmp_path)).count(2000 + turn) == 1
