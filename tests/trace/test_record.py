"""What the drop-in malloc records of programs whose calls are known: these calls, and no others."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine
from snugmalloc.trace import Event, Operation, TraceReader
from snugmalloc.trace.following import read_history
from snugmalloc.trace.operations import CALLS, REFUSED

from ..dropin.heaps import InterpretedHeap, Model

SOURCES = Path(__file__).with_name("c")
LIBRARY = snugmalloc.get_library("snugmalloc")


class Call(NamedTuple):
    """One call, as the program and as the trace tell it."""

    operation: int
    size: int
    number: int
    old: int
    address: int


class Ended(NamedTuple):
    """A program that was recorded: what it told of its calls, by thread, and where its traces are."""

    calls: dict[int, list[Call]]
    traces: list[Path]
    errors: str
    status: int
    child: int


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("programs") / "calls"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin", "-Wno-alloc-size-larger-than"]
    subprocess.run(["gcc", *flags, str(SOURCES / "calls.c"), "-o", str(built)], check=True)
    return built


def environment_of(file: Path, **options: str) -> dict[str, str]:
    return {**os.environ, "LD_PRELOAD": LIBRARY, "SNUG_RECORD": str(file), **options}


def record(program: Path, file: Path, *arguments: object, **options: str) -> Ended:
    """Run the program with everything that it calls recorded."""
    outcome = subprocess.run(
        [program, *map(str, arguments)],
        env=environment_of(file, **options),
        capture_output=True,
        text=True,
    )
    calls: dict[int, list[Call]] = defaultdict(list)
    child = 0
    for line in outcome.stdout.splitlines():
        words = line.split()
        if words[0] == "child":
            child = int(words[1])
        else:
            thread, *call = map(int, words)
            calls[thread].append(Call(*call))
    traces = sorted(file.parent.glob(file.name.replace("%p", "*")))
    return Ended(calls, traces, outcome.stderr, outcome.returncode, child)


def events_of(path: Path) -> list[Event]:
    with TraceReader(path) as reader:
        assert reader.verify() == []
        assert reader.damage is None
        return list(reader.events())


def as_call(event: Event) -> Call:
    operation = event.operation | (REFUSED if event.refused else 0)
    return Call(operation, event.size, event.number, event.old, event.address)


def calls_by_thread(events: list[Event]) -> dict[int, list[Call]]:
    """The calls of each thread, by what the system calls it."""
    system = {event.thread: event.number for event in events if event.operation is Operation.THREAD_BEGIN}
    found: dict[int, list[Call]] = defaultdict(list)
    for event in events:
        if event.operation in CALLS:
            found[system[event.thread]].append(as_call(event))
    return found


def part_from(found: list[Call], known: list[Call]) -> list[Call]:
    """As many calls as are known, from where they begin."""
    begin = next(at for at, call in enumerate(found) if found[at : at + 3] == known[:3] and call == known[0])
    return found[begin : begin + len(known)]


def assert_recorded(path: Path, calls: dict[int, list[Call]]) -> list[Event]:
    """Each thread's calls are in the trace, one behind the other, with nothing between them."""
    events = events_of(path)
    found = calls_by_thread(events)
    for thread, known in calls.items():
        assert part_from(found[thread], known) == known
    return events


@pytest.mark.parametrize("options", [{}, {"SNUG_STATS": "1"}, {"SNUG_THREAD_CACHE": "0"}, {"SNUG_HARDEN": "1"}])
@pytest.mark.parametrize("mode", ["exit", "_exit", "quick_exit"])
def test_the_calls_are_those_of_the_program(
    program: Path, tmp_path: Path, mode: str, options: dict[str, str]
) -> None:
    ended = record(program, tmp_path / "of.snug", 4, 20_000, 1, mode, **options)
    assert (ended.status, ended.errors, len(ended.calls)) == (0, "", 4)
    events = assert_recorded(ended.traces[0], ended.calls)
    assert sum(map(len, ended.calls.values())) > 70_000
    assert all(event.time <= later.time for event, later in pairwise(events))


def test_threads_that_run_while_the_process_ends_are_handed_on(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.snug", 5, 20_000, 13, "running")
    assert (ended.status, ended.errors) == (0, "")
    events = assert_recorded(ended.traces[0], ended.calls)
    assert len({event.thread for event in events if event.operation in CALLS}) == 5


def test_every_pointer_is_of_the_block_that_was_given_there(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.snug", 6, 50_000, 2)
    with TraceReader(ended.traces[0]) as reader:
        history = read_history(reader)
        assert reader.about["program"] == f"{program} 6 50000 2"
    assert (history.missing_frees, history.lost) == (0, 0)
    assert history.unknown_frees < 10  # of the dynamic loader's blocks
    assert history.names[next(iter(history.names))] == "of a name"


def test_beside_the_calls_there_is_what_the_heap_did(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.snug", 3, 20_000, 3)
    events = events_of(ended.traces[0])
    kinds = {event.operation for event in events}
    assert kinds >= {
        Operation.GROWTH,
        Operation.PURGE,
        Operation.MAP,
        Operation.UNMAP,
        Operation.REFUSAL,
        Operation.THREAD_BEGIN,
        Operation.THREAD_END,
        Operation.THREAD_NAME,
    }
    reasons = {event.number for event in events if event.operation is Operation.REFUSAL}
    assert {2} < reasons <= {2, 3, 6}  # too much to be counted, or for any addresses
    refused = sum(event.refused and event.size > 0 for event in events)
    assert refused == sum(event.operation is Operation.REFUSAL for event in events) > 100


@pytest.mark.parametrize("seed", range(5))
def test_live_bytes_are_those_of_the_program_at_every_moment(program: Path, tmp_path: Path, seed: int) -> None:
    ended = record(program, tmp_path / "of.snug", 1, 20_000, seed)
    (known,) = ended.calls.values()
    sizes: dict[int, int] = {}

    def change(call: Call) -> int:
        keeps = call.operation == REFUSED | Operation.REALLOC and call.size
        less = 0 if keeps else sizes.pop(call.old, 0)
        more = sizes[call.address] = call.size if call.address else 0
        return more - less

    live = list(accumulate(map(change, known)))
    with TraceReader(ended.traces[0]) as reader:
        events = [event for event in reader.events() if event.operation in CALLS]
        history = read_history(reader)
    found = [as_call(event) for event in events]
    begin = next(at for at in range(len(found)) if found[at : at + 3] == known[:3])
    before = history.live[begin - 1] if begin else 0
    assert [value - before for value in history.live[begin : begin + len(known)]] == live


# ---- Forks and programs that are executed ----


def test_a_forked_child_is_not_recorded(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.%p.snug", 2, 5_000, 4, "fork")
    assert len(ended.traces) == 1 and ended.errors == ""
    events = events_of(ended.traces[0])
    forks = [event.number for event in events if event.operation is Operation.FORK]
    assert forks in ([ended.child], [0])
    own = calls_by_thread(events)
    told = {thread: calls for thread, calls in ended.calls.items() if thread in own}
    assert_recorded(ended.traces[0], told)
    assert 2 <= len(told) < len(ended.calls)


@pytest.mark.parametrize("mode", ["fork", "fork_exit"])
def test_a_followed_child_has_a_file_of_its_own(program: Path, tmp_path: Path, mode: str) -> None:
    ended = record(program, tmp_path / "of.%p.snug", 2, 20_000, 5, mode, SNUG_RECORD_FOLLOW="1")
    assert len(ended.traces) == 2 and ended.errors == ""
    told: set[int] = set()
    for path in ended.traces:
        threads = calls_by_thread(events_of(path))
        own = {thread: calls for thread, calls in ended.calls.items() if thread in threads}
        assert_recorded(path, own)
        told |= own.keys()
    assert told == ended.calls.keys()
    with TraceReader(tmp_path / f"of.{ended.child}.snug") as reader:
        assert reader.header.pid == ended.child
        assert tmp_path / f"of.{reader.header.parent_pid}.snug" in ended.traces


@pytest.mark.parametrize("mode", ["raw_fork", "vfork"])
def test_a_fork_that_nobody_tells_of_changes_nothing(program: Path, tmp_path: Path, mode: str) -> None:
    ended = record(program, tmp_path / "of.%p.snug", 1, 30_000, 12, mode)
    assert ended.errors == ""
    events = assert_recorded(ended.traces[0], ended.calls)
    assert sum(event.operation in CALLS for event in events) < 30_020  # and nothing that a child did


@pytest.mark.parametrize("stacks", ["none", "native"])
def test_a_child_in_its_parents_memory_leaves_the_trace_whole(
    program: Path, tmp_path: Path, stacks: str
) -> None:
    """It allocates more than the buffer holds, which only the parent may write, and then executes nothing."""
    ended = record(program, tmp_path / "of.%p.snug", 1, 30_000, 12, "vfork_exec", SNUG_RECORD_STACKS=stacks)
    assert len(ended.traces) == 1 and ended.errors == ""
    events = assert_recorded(ended.traces[0], ended.calls)
    assert sum(event.operation in CALLS for event in events) > 30_000  # some of the child's calls
    with TraceReader(ended.traces[0]) as reader:
        assert reader.verify() == []
        assert max(event.stack for event in events) < len(reader.tables.stacks)


def test_a_program_that_is_executed_records_nothing(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.snug", 1, 1_000, 6, "again")
    assert (len(ended.traces), ended.errors, ended.status) == (1, "", 0)
    assert events_of(ended.traces[0]) == []  # what it had not handed on went with it


def test_a_followed_program_that_is_executed_has_a_file_of_its_own(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.%p.snug", 1, 1_000, 6, "again", SNUG_RECORD_FOLLOW="1")
    assert len(ended.traces) == 2 and ended.errors == ""
    second = next(path for path in ended.traces if path.stem.endswith("-2"))
    (known,) = ended.calls.values()
    assert_recorded(second, dict.fromkeys(ended.calls, known[len(known) // 2 :]))


def test_followed_programs_need_names_of_their_own(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.snug", 1, 1_000, 7, "fork", SNUG_RECORD_FOLLOW="1")
    assert len(ended.errors.splitlines()) == 1 and "%p" in ended.errors
    assert [path.name for path in ended.traces] == ["of.snug"]


# ---- What goes wrong ----


def test_a_file_that_exists_is_left_alone(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "of.snug"
    file.write_text("mine")
    ended = record(program, file, 2, 1_000, 8)
    assert (ended.status, file.read_text()) == (0, "mine")
    assert len(ended.errors.splitlines()) == 1 and str(file) in ended.errors


def test_where_no_file_can_be_made_the_program_runs(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "none" / "of.snug", 2, 1_000, 8)
    assert (ended.status, len(ended.errors.splitlines()), len(ended.calls)) == (0, 1, 2)


def test_a_full_disk_stops_the_recording_and_not_the_program(program: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    file = tmp_path / "of.snug"
    with open(tmp_path / "output", "wb") as output:  # a pipe has no limit
        outcome = subprocess.run(
            [program, "3", "50000", "9", "quiet"],
            env=environment_of(file),
            stdout=subprocess.DEVNULL,
            stderr=output,
            preexec_fn=limit,
        )
    assert outcome.returncode == 0
    lines = (tmp_path / "output").read_text().splitlines()
    assert len(lines) == 1 and "recording ends" in lines[0]
    assert file.stat().st_size <= 200_000
    assert len(events_of(file)) > 10_000


def test_a_program_may_close_every_file(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.snug", 2, 20_000, 10, "close")
    assert (ended.status, len(ended.calls)) == (0, 2)
    assert len(ended.errors.splitlines()) == 1 and "recording ends" in ended.errors
    assert all(len(calls) > 19_000 for calls in ended.calls.values())  # nothing was written into its files


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_program_leaves_a_trace_that_can_be_read(program: Path, tmp_path: Path, seed: int) -> None:
    file = tmp_path / "of.snug"
    running = subprocess.Popen([program, "4", "100", str(seed), "forever"], env=environment_of(file))
    while not file.exists() or file.stat().st_size < 300_000:
        assert running.poll() is None
        time.sleep(0.001)
    time.sleep(random.Random(seed).random() / 20)
    running.send_signal(signal.SIGKILL)
    running.wait()
    with TraceReader(file) as reader:
        assert reader.damage is None or "within a chunk" in reader.damage
        assert not reader.has_index
        assert sum(1 for _ in reader.events()) == reader.count_events() > 30_000
        assert all("within a chunk" in problem for problem in reader.verify())


def test_a_process_that_is_off_records_nothing(program: Path, tmp_path: Path) -> None:
    ended = record(program, tmp_path / "of.snug", 1, 1_000, 11, SNUG_DISABLE="1")
    assert (ended.status, ended.traces, ended.errors) == (0, [], "")


# ---- The interpreted engine ----


@pytest.fixture
def recording(machine: SimulatedMachine) -> InterpretedHeap:
    machine.environment[b"SNUG_RECORD"] = b"of.%p.snug"
    return InterpretedHeap(machine)


@pytest.fixture(params=[4096, 65536], ids=["4K", "64K"])
def machine(request: pytest.FixtureRequest) -> SimulatedMachine:
    return SimulatedMachine(page=request.param)


def wrapped(heap: InterpretedHeap) -> list[Call]:
    """The calls of a heap from now on, as they are answered."""
    made: list[Call] = []

    def wrap(operation: Operation, function: Callable[..., int]) -> Callable[..., int]:
        def call(*given: int) -> int:
            answer = function(*given)
            made.append(told(operation, given, answer))
            return answer

        return call

    heap.malloc = wrap(Operation.MALLOC, heap.malloc)
    heap.calloc = wrap(Operation.CALLOC, heap.calloc)
    heap.realloc = wrap(Operation.REALLOC, heap.realloc)
    heap.aligned_alloc = wrap(Operation.ALIGNED, heap.aligned_alloc)
    heap.free = wrap(Operation.FREE, heap.free)  # type: ignore[arg-type]
    return made


def told(operation: Operation, given: tuple[int, ...], answer: int) -> Call:
    """A call with what it was given and gave."""
    if operation is Operation.FREE:
        return Call(operation, 0, 0, given[0], 0)
    code = operation | (0 if answer else REFUSED)
    if operation is Operation.CALLOC:
        return Call(code, given[0] * given[1], given[0], 0, answer)
    number = given[0] if operation is Operation.ALIGNED else 0
    return Call(code, given[-1], number, given[0] if operation is Operation.REALLOC else 0, answer)


def interpreted_events(machine: SimulatedMachine, folder: Path, name: bytes) -> list[Event]:
    path = folder / "interpreted.snug"
    path.write_bytes(machine.records[name])
    return events_of(path)


@pytest.mark.parametrize("seed", range(3))
def test_the_interpreted_engine_records_its_calls(
    recording: InterpretedHeap, machine: SimulatedMachine, tmp_path: Path, seed: int
) -> None:
    made = wrapped(recording)
    model = Model(recording, seed)
    for _ in range(1500):
        model.step()
    assert recording.malloc(1 << 63) == 0
    model.finish()
    recording.trim(0)
    assert recording.check() == 0
    recording.engine.snug_record_end()
    events = interpreted_events(machine, tmp_path, b"of.1000.snug")
    assert [as_call(event) for event in events if event.operation in CALLS] == made
    kinds = {event.operation for event in events}
    assert kinds >= {Operation.GROWTH, Operation.REFUSAL, Operation.TRIM, Operation.THREAD_BEGIN}
    assert all(event.freed >= 0 for event in events if event.operation is Operation.FREE)


def test_interpreted_after_the_end_calls_are_served_from_the_lists_again(
    recording: InterpretedHeap, machine: SimulatedMachine
) -> None:
    recording.free(recording.malloc(100))
    recording.engine.snug_record_end()
    before = len(machine.records[b"of.1000.snug"])
    assert machine.load_thread_word() == machine.thread_without_cache()
    recording.free(recording.malloc(100))
    assert machine.load_thread_word() == machine.load_thread_state() > 1
    assert len(machine.records[b"of.1000.snug"]) == before


def test_interpreted_a_refused_write_ends_the_recording_with_one_line(
    recording: InterpretedHeap, machine: SimulatedMachine
) -> None:
    recording.free(recording.malloc(100))
    machine.refuse = lambda name, arguments: name == "write"
    for _ in range(30_000):
        recording.free(recording.malloc(100))
    assert len(machine.warnings) == 1 and "of.1000.snug" in machine.warnings[0]
    assert recording.check() == 0


def test_interpreted_what_interrupts_a_row_is_counted_as_lost(
    recording: InterpretedHeap, machine: SimulatedMachine, tmp_path: Path
) -> None:
    recording.malloc(100)
    recorder = recording.engine.Recorder(machine.load_thread_recorder())
    recorder.is_busy = 1  # as a signal handler finds it
    for _ in range(3):
        recording.free(recording.malloc(50))
    recorder.is_busy = 0
    machine.thread_is_ending = True
    recording.engine.snug_thread_idle()
    events = interpreted_events(machine, tmp_path, b"of.1000.snug")
    assert [event.number for event in events if event.operation is Operation.LOST] == [6]
    assert [event.size for event in events if event.operation is Operation.MALLOC] == [100]


def test_interpreted_no_memory_for_a_recorder_ends_the_recording(machine: SimulatedMachine) -> None:
    machine.environment[b"SNUG_RECORD"] = b"of.snug"
    machine.refuse = lambda name, arguments: name == "mmap" and arguments[0] == 1 << 16
    heap = InterpretedHeap(machine)
    assert heap.malloc(100) != 0
    assert len(machine.warnings) == 1 and "no memory" in machine.warnings[0]


def test_interpreted_a_child_stops_or_begins_a_file_of_its_own(
    machine: SimulatedMachine, tmp_path: Path
) -> None:
    machine.environment |= {b"SNUG_RECORD": b"of.%p.snug", b"SNUG_RECORD_FOLLOW": b"1"}
    heap = InterpretedHeap(machine)
    kept = heap.malloc(100)
    machine.process, machine.forks = 2000, 1
    made = wrapped(heap)
    heap.free(kept)
    heap.free(heap.malloc(50))
    heap.engine.snug_record_end()
    events = interpreted_events(machine, tmp_path, b"of.2000.snug")
    assert [as_call(event) for event in events if event.operation in CALLS] == made
    assert len(machine.records[b"of.1000.snug"]) < 300  # the header, and what it is about


def test_interpreted_a_thread_that_has_ended_is_recorded_still(
    recording: InterpretedHeap, machine: SimulatedMachine, tmp_path: Path
) -> None:
    made = wrapped(recording)
    kept = [recording.malloc(100) for _ in range(3)]
    machine.thread_is_ending = True
    recording.engine.snug_thread_idle()
    machine.thread_is_ending = False
    machine.store_thread_state(1)
    recording.free(kept[0])
    kept[1] = recording.realloc(kept[1], 500_000)
    recording.free(recording.calloc(3, 7))
    recording.engine.snug_record_end()
    events = interpreted_events(machine, tmp_path, b"of.1000.snug")
    assert [as_call(event) for event in events if event.operation in CALLS] == made
    assert {event.thread for event in events} == {0}
    assert [event.operation for event in events].count(Operation.THREAD_END) == 1
