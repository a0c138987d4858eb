"""What is in a ring when its process is gone: the last calls of each thread, all of them, and no others."""

from __future__ import annotations

import os
import random
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from snugmalloc.engine import SimulatedMachine
from snugmalloc.engine.dropin.layout import HEADER
from snugmalloc.engine.dropin.ring import MOST_RING, RING_AT, RingHeader
from snugmalloc.trace import Operation, TraceReader
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import HEAD, Form, Head, Kind, pack_chunk
from snugmalloc.trace.importing import convert
from snugmalloc.trace.operations import CALLS
from snugmalloc.trace.reader import rebuild_index
from snugmalloc.trace.ring import SIZE_BOUNDS, Ring, is_ring
from snugmalloc.trace.tables import TEXT, Tables, read_tables
from snugmalloc.trace.vectors import encode_varints

from ..cli.programs import PYTHON
from ..dropin.heaps import InterpretedHeap, Model
from ..trace.test_record import as_call as as_recorded
from ..trace.test_record import wrapped
from .conftest import (
    assert_last,
    count_so_far,
    counts_so_far,
    environment_of,
    read_rows,
    read_witness,
    running,
    wait_until,
)


def kill_after(process: subprocess.Popen[str], notes: Path, calls: int, seed: int = 0, each: int = 0) -> None:
    """Kill a process that has made so many calls, each thread so many, at some moment."""

    def has_made_them() -> bool:
        counts = counts_so_far(notes)
        return sum(counts) > calls and min(counts) >= each

    wait_until(lambda: has_made_them() or process.poll() is not None)
    time.sleep(random.Random(seed).random() / 50)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("seed", range(20))
def test_a_killed_process_leaves_the_last_calls_of_each_thread(
    witness: Path, tmp_path: Path, seed: int
) -> None:
    threads = 1 + seed % 5
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, threads, "forever", ring=f"ring:1M:{ring}") as process:
        kill_after(process, notes, seed * 20_000, seed)
    found, _ = read_rows(ring)
    told = read_witness(notes)
    compared = [assert_last(found[thread], told.calls[thread], told.counts[thread]) for thread in told.calls]
    assert sum(compared) >= min(told.total - 2 * threads, 30_000)


def test_a_ring_that_went_round_often_keeps_its_size_and_the_newest(witness: Path, tmp_path: Path) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, 2, "count=400000", ring=f"ring:1M:{ring}") as process:
        assert process.wait() == 0
    found, events = read_rows(ring)
    told = read_witness(notes)
    assert told.total == 800_000
    assert ring.stat().st_size <= 1 << 20
    for thread, calls in told.calls.items():
        assert assert_last(found[thread], calls, told.counts[thread], later=8) > 10_000
    with Ring(ring) as opened:
        assert opened.ended and opened.lost == 0
        horizon = opened.horizon - opened.header.start
    assert 0 < horizon < events[-1].time
    later = [event for event in events if event.time > horizon]
    assert len(later) > 30_000 and {event.thread for event in later} >= {1, 2}


def test_live_bytes_by_size_are_those_of_the_whole_process(witness: Path, tmp_path: Path) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, 3, "count=200000", ring=f"ring:1M:{ring}") as process:
        assert process.wait() == 0
    held: dict[tuple[int, int], int] = {}  # by thread: each frees its own, and has addresses that others had
    for thread, calls in read_witness(notes).calls.items():
        for call in calls:
            held.pop((thread, call.old), None)
            if call.address:
                held[thread, call.address] = call.size
    with Ring(ring) as opened:
        bins = opened.newest.bins
    assert len(bins) == len(SIZE_BOUNDS)
    assert sum(held.values()) <= sum(bins) <= 1.3 * sum(held.values()) + 100_000
    large = sum(size for size in held.values() if size > 32768 + HEADER)  # which a block for 32768 holds
    assert large <= sum(bins[62:]) <= 1.3 * large + 50_000


@pytest.mark.parametrize("threads", [1, 4])
def test_what_one_call_gives_back_stays_within_its_slot(witness: Path, tmp_path: Path, threads: int) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, threads, "trim", ring=f"ring:1M:{ring}") as process:
        kill_after(process, notes, 50_000, each=5_000)
    found, events = read_rows(ring)
    told = read_witness(notes)
    assert sum(event.operation is Operation.PURGE for event in events) > 100
    assert not any(event.operation is Operation.LOST for event in events)
    for thread, calls in told.calls.items():
        assert assert_last(found[thread], calls, told.counts[thread]) > 1000


def test_threads_that_live_for_a_moment_do_not_push_out_what_was_before(witness: Path, tmp_path: Path) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, 4, "short", ring=f"ring:1M:{ring}") as process:
        wait_until(lambda: is_made(ring) and threads_in(ring) > 500)
        process.send_signal(signal.SIGKILL)
        process.wait()
    found, events = read_rows(ring)
    whole = [thread for thread, calls in found.items() if len(calls) > 100]
    assert len(whole) > 200
    assert sum(event.operation is Operation.THREAD_END for event in events) > 200
    told = read_witness(notes)
    for thread in told.calls:
        if found[thread]:
            assert_last(found[thread], told.calls[thread], told.counts[thread], later=8)


def is_made(ring: Path) -> bool:
    """Whether the ring is there, with its header."""
    return ring.exists() and is_ring(ring)


def threads_in(ring: Path) -> int:
    with TraceReader(ring) as reader:
        return max((head.thread for _, head in reader.chunks), default=0)


def test_threads_without_a_slot_are_counted(witness: Path, tmp_path: Path) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, 100, "forever", ring=f"ring:1M:{ring}") as process:
        kill_after(process, notes, 300_000, each=1_000)
    found, _ = read_rows(ring)
    told = read_witness(notes)
    with Ring(ring) as opened:
        assert opened.lost > 10_000
        assert len(found) <= opened.places.slots < 100
    compared = [
        assert_last(found[thread], told.calls[thread], told.counts[thread])
        for thread in told.calls
        if len(found.get(thread, ())) > 100
    ]
    assert len(compared) > 20


# ---- Forks, and other programs ----


def wait_for_forks(process: subprocess.Popen[str]) -> None:
    """Until a process has forked some children, which have ended."""
    assert process.stdout
    for _ in range(20):
        assert process.stdout.readline() == "forked\n"


def test_forked_children_write_nothing_into_the_ring(witness: Path, tmp_path: Path) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, 2, "fork", ring=f"ring:1M:{ring}") as process:
        wait_for_forks(process)
        kill_after(process, notes, 50_000, each=5_000)
        pid = process.pid
    found, _ = read_rows(ring)
    told = read_witness(notes)
    assert set(found) <= {*told.calls, pid}
    for thread in told.calls:
        assert assert_last(found[thread], told.calls[thread], told.counts[thread]) > 1_000
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".ring"] == ["of.ring"]


@pytest.mark.parametrize("seed", range(3))
def test_children_forked_by_a_signal_handler_write_nothing(witness: Path, tmp_path: Path, seed: int) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, 1, "signals", ring=f"ring:1M:{ring}") as process:
        wait_for_forks(process)
        kill_after(process, notes, 50_000, seed)
    found, _ = read_rows(ring)
    told = read_witness(notes)
    for thread in told.calls:
        assert assert_last(found[thread], told.calls[thread], told.counts[thread]) > 1_000


def test_a_followed_child_has_a_ring_of_its_own(tmp_path: Path) -> None:
    script = "import os, signal\npid = os.fork()\nx = [bytes(5000) for _ in range(50)]\n"
    script += "pid or os.kill(os.getpid(), signal.SIGKILL)\nprint(pid)\nos.wait()\nos.kill(os.getpid(), 9)"
    outcome = subprocess.run(
        [PYTHON, "-c", script],
        env=environment_of(f"ring:1M:{tmp_path}/of.%p.ring", SNUG_RECORD_FOLLOW="1", PYTHONUNBUFFERED="1"),
        capture_output=True,
        text=True,
    )
    child = int(outcome.stdout)
    rings = sorted(tmp_path.iterdir())
    assert outcome.stderr == "" and len(rings) == 2
    for path in rings:
        with TraceReader(path) as reader:
            assert path.name == f"of.{reader.header.pid}.ring"
            assert sum(event.size == 5033 for event in reader.events()) >= 50
    assert tmp_path / f"of.{child}.ring" in rings


def test_a_fork_that_nobody_tells_of_writes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "raw.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <signal.h>\n#include <stdlib.h>\n#include <sys/syscall.h>\n"
        "#include <sys/wait.h>\n#include <unistd.h>\nstatic void work(int size) {\n"
        "    for (int i = 0; i < 2000; i++) free(malloc(size));\n}\nint main(void) {\n    work(111);\n"
        "    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);\n    if (child == 0) {\n        work(222);\n"
        "        _exit(0);\n    }\n    work(333);\n    int status;\n    waitpid((int)child, &status, 0);\n"
        "    work(444);\n    return status;\n}\n"
    )
    program = tmp_path / "raw"
    subprocess.run(["gcc", "-O1", "-fno-builtin", source, "-o", program], check=True)
    ring = tmp_path / "of.ring"
    outcome = subprocess.run([program], env=environment_of(f"ring:1M:{ring}"), capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    _, events = read_rows(ring)
    sizes = [event.size for event in events if event.operation is Operation.MALLOC]
    assert [sizes.count(size) for size in (111, 222, 333, 444)] == [2000, 0, 2000, 2000]


def test_a_program_that_is_executed_leaves_the_ring_as_it_was(tmp_path: Path) -> None:
    ring = tmp_path / "of.ring"
    script = "import os, sys; x = [bytes(5000) for _ in range(50)]; "
    script += "os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])"
    outcome = subprocess.run([PYTHON, "-c", script], env=environment_of(f"ring:1M:{ring}"), capture_output=True)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, b"1\n", b"")
    _, events = read_rows(ring)
    assert sum(event.size == 5033 for event in events) == 50
    assert list(tmp_path.iterdir()) == [ring]


# ---- The file ----


def run(ring: str, *words: str, **options: str) -> subprocess.CompletedProcess[str]:
    words = words or (PYTHON, "-c", "print(sum(range(1000)))")
    return subprocess.run(words, env=environment_of(ring, **options), capture_output=True, text=True)


def test_the_file_is_for_the_user_alone_and_has_all_its_memory(tmp_path: Path) -> None:
    ring = tmp_path / "of.ring"
    assert run(f"ring:2M:{ring}").stderr == ""
    status = ring.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (2 << 20) - (64 << 10) < status.st_size <= 2 << 20
    assert status.st_blocks * 512 >= status.st_size


def test_what_is_there_is_kept_and_the_next_name_taken(tmp_path: Path) -> None:
    for _ in range(3):
        assert run(f"ring:1M:{tmp_path}/of.ring").stderr == ""
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["of.ring", "of.ring-2", "of.ring-3"]
    (tmp_path / "of.ring").write_text("mine")
    run(f"ring:1M:{tmp_path}/of.ring")
    assert (tmp_path / "of.ring").read_text() == "mine"


def test_the_default_is_a_file_in_memory_named_after_the_process(tmp_path: Path) -> None:
    process = subprocess.Popen([PYTHON, "-c", "pass"], env=environment_of("ring:1M"), stderr=subprocess.PIPE)
    _, errors = process.communicate()
    ring = Path(f"/dev/shm/snug-{process.pid}.ring")
    try:
        assert errors == b"" and read_rows(ring)[1]
    finally:
        ring.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "asked", ["ring:", "ring:8", "ring:1023K", "ring:2G", "ring:8X", "ring:8M:", "ring:8Mx"]
)
def test_what_is_no_ring_is_told_in_one_line(asked: str, tmp_path: Path) -> None:
    outcome = subprocess.run(
        [PYTHON, "-c", "print(1)"], env=environment_of(asked), capture_output=True, text=True, cwd=tmp_path
    )
    assert outcome.stdout == "1\n" and len(outcome.stderr.splitlines()) == 1
    assert f"SNUG_RECORD={asked}" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_no_ring_can_be_made_the_program_runs(tmp_path: Path) -> None:
    outcome = run(f"ring:1M:{tmp_path}/none/of.ring")
    assert outcome.stdout == "499500\n" and len(outcome.stderr.splitlines()) == 1
    assert "no ring of this size" in outcome.stderr


def test_where_there_is_no_memory_for_a_ring_there_is_no_file(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    outcome = subprocess.run(
        [PYTHON, "-c", "print(1)"],
        env=environment_of(f"ring:8M:{tmp_path}/of.ring"),
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert (outcome.returncode, outcome.stdout) == (0, "1\n")
    assert len(outcome.stderr.splitlines()) == 1 and "no ring of this size" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_file_system_is_met_at_the_beginning() -> None:
    room = os.statvfs("/dev/shm")
    if room.f_bavail * room.f_frsize >= 1 << 30:
        pytest.skip("/dev/shm has room for the largest ring")
    outcome = run("ring:1G")
    assert outcome.stdout == "499500\n"
    assert len(outcome.stderr.splitlines()) == 1 and "no ring of this size" in outcome.stderr


def test_a_process_that_is_off_has_no_ring(tmp_path: Path) -> None:
    outcome = run(f"ring:1M:{tmp_path}/of.ring", SNUG_DISABLE="1")
    assert (outcome.stdout, outcome.stderr) == ("499500\n", "")
    assert list(tmp_path.iterdir()) == []


# ---- Reading ----


def test_a_ring_can_be_read_while_it_is_written(witness: Path, tmp_path: Path) -> None:
    ring, notes = tmp_path / "of.ring", tmp_path / "notes"
    with running(witness, notes, 3, "forever", ring=f"ring:1M:{ring}"):
        wait_until(lambda: count_so_far(notes) > 100_000)
        for _ in range(5):
            _, events = read_rows(ring)
            assert sum(event.operation in CALLS for event in events) > 10_000


def test_a_ring_is_converted_like_any_trace(witness: Path, tmp_path: Path) -> None:
    ring, notes, packed = tmp_path / "of.ring", tmp_path / "notes", tmp_path / "of.snug"
    with running(witness, notes, 2, "count=30000", ring=f"ring:1M:{ring}") as process:
        assert process.wait() == 0
    _, events = read_rows(ring)
    assert convert(ring, packed).damage is None
    with TraceReader(packed) as reader:
        assert list(reader.events()) == events
        assert reader.about["program"].endswith("count=30000")
    before = ring.read_bytes()
    with pytest.raises(TraceError, match="is a ring"):
        rebuild_index(ring)
    assert ring.read_bytes() == before


# ---- Chunks that are no rows ----


def forge(ring: Path, **words: int) -> None:
    """Write words of the ring's own header."""
    with ring.open("r+b") as file:
        for name, word in words.items():
            file.seek(RING_AT + getattr(RingHeader, name))
            file.write(word.to_bytes(8, "little"))


def make_huge(ring: Path, part: int) -> None:
    """Make the file the largest that a ring can be, mostly a hole; such a part of it is for chunks, it says."""
    with Ring(ring) as opened:
        places = opened.places
    slots_at = MOST_RING - places.slot_bytes
    kept_bytes = min(MOST_RING // part, slots_at - places.kept_at)
    os.truncate(ring, MOST_RING)
    forge(ring, file_bytes=MOST_RING, slots=1, slots_at=slots_at, kept_bytes=kept_bytes, kept=MOST_RING)


def read_by(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes are read from here on, each time."""
    counts: list[int] = []
    read_at = ring.read_at

    def counted(place: int, count: int) -> bytes:
        counts.append(count)
        return read_at(place, count)

    monkeypatch.setattr(ring, "read_at", counted)
    return counts


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    ring = tmp_path / "of.ring"
    run(f"ring:1M:{ring}")
    return ring


def test_each_chunk_is_read_once(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ring(plain) as ring:
        room, kept_at = ring.places.kept_bytes, ring.places.kept_at
    payloads = [b"%03d" % number * (number % 5) for number in range(400)]
    chunks = [pack_chunk(Head(Kind.ABOUT, Form.PLAIN, 0, 1), payload) for payload in payloads]
    kept = b"".join(chunks)
    assert len(kept) <= room
    with plain.open("r+b") as file:
        file.seek(kept_at)
        file.write(kept)
    forge(plain, kept=len(kept))
    with Ring(plain) as ring:
        counts = read_by(ring, monkeypatch)
        assert [found[1:] for found in ring.kept_chunks()] == list(zip(payloads, chunks, strict=True))
    assert sum(counts) == len(kept)


FORGED = {
    "a definition that is not known": (Form.PLAIN, 1, (99,)),
    "a chunk ends too early": (Form.PLAIN, 2, (TEXT, 1, 65)),
    "a chunk of tables is missing": (Form.PLAIN, 0, None),
    "a chunk cannot be unpacked": (Form.GZIP, 1, (TEXT, 1, 65)),
}


@pytest.mark.parametrize("why", FORGED)
def test_of_a_chunk_that_makes_no_sense_it_is_told_in_which_file_and_rows_are_read_all_the_same(
    why: str, plain: Path
) -> None:
    with TraceReader(plain) as reader:
        before, about = list(reader.events()), reader.about
    tables = Tables()
    with Ring(plain) as ring:
        kept_at, kept = ring.places.kept_at, ring.kept
        for head, payload, _ in ring.kept_chunks():
            if head.kind is Kind.TABLES:
                read_tables(tables, payload, head.entries)
    form, entries, definitions = FORGED[why]
    numbers = (*tables.counts, *definitions) if definitions else (99, 99, 99)
    forged = pack_chunk(Head(Kind.TABLES, form, 0, entries), encode_varints(numbers))
    with plain.open("r+b") as file:
        file.seek(kept_at + kept)
        file.write(forged)
    forge(plain, kept=kept + len(forged))
    with TraceReader(plain) as reader:
        assert list(reader.events()) == before and reader.about == about
        assert reader.damage and reader.damage.startswith("of.ring: ") and why in reader.damage


def test_what_cannot_be_room_for_chunks_is_refused(plain: Path) -> None:
    make_huge(plain, 1)
    with pytest.raises(TraceError, match=r"of\.ring: the ring is invalid"), Ring(plain):
        pass


def test_of_much_room_for_chunks_no_more_is_read_than_there_are(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ring(plain) as ring:
        before = list(ring.kept_chunks())
    make_huge(plain, 4)
    with Ring(plain) as ring:
        counts = read_by(ring, monkeypatch)
        assert before and list(ring.kept_chunks()) == before
    assert sum(counts) <= sum(len(chunk) for _, _, chunk in before) + HEAD.size


@pytest.mark.parametrize("size", [1 << 20, 1_180_884, 1_199_993, 67_246_895])
def test_rings_with_room_for_stacks_are_read(size: int, tmp_path: Path) -> None:
    ring = tmp_path / "of.ring"
    assert run(f"ring:{size}:{ring}", SNUG_RECORD_STACKS="python", PYTHONMALLOC="malloc").stderr == ""
    with Ring(ring) as opened:
        assert size // 4 <= opened.places.kept_bytes <= opened.places.most_kept
        assert list(opened.kept_chunks())


# ---- The interpreted engine ----


@pytest.fixture(params=[4096, 65536], ids=["4K", "64K"])
def machine(request: pytest.FixtureRequest) -> SimulatedMachine:
    machine = SimulatedMachine(page=request.param)
    machine.environment[b"SNUG_RECORD"] = b"ring:1M:of.%p.ring"
    return machine


def file_of(machine: SimulatedMachine, folder: Path, name: bytes = b"of.1000.ring") -> Path:
    path = folder / "interpreted.ring"
    path.write_bytes(machine.read(*machine.rings[name]))
    return path


@pytest.mark.parametrize("seed", range(2))
def test_the_interpreted_engine_writes_the_same(machine: SimulatedMachine, tmp_path: Path, seed: int) -> None:
    heap = InterpretedHeap(machine)
    made = wrapped(heap)
    model = Model(heap, seed)
    for _ in range(1000):
        model.step()
    path = file_of(machine, tmp_path)  # as if it were killed here
    _, events = read_rows(path)
    assert [as_recorded(event) for event in events if event.operation in CALLS] == made
    held: set[int] = set()
    for call in made:
        if call.address or call.operation == Operation.FREE or not call.size:
            held.discard(call.old)
        held |= {call.address} - {0}
    with Ring(path) as ring:
        assert not ring.ended
        assert ring.newest.live == sum(heap.usable(address) for address in held) > 100_000
    model.finish()
    heap.engine.snug_record_end()
    with Ring(file_of(machine, tmp_path)) as ring:
        assert ring.ended and ring.newest.live == 0
    assert heap.check() == 0


LARGE = tuple(1 << doubling for doubling in range(14, 26))


@pytest.mark.parametrize(
    "size", [1, 16, 17, 512, 513, 1024, 1025, 9000, *LARGE, *(size + 16 for size in LARGE)]
)
def test_interpreted_live_bytes_are_counted_where_the_request_belongs(
    machine: SimulatedMachine, tmp_path: Path, size: int
) -> None:
    heap = InterpretedHeap(machine)
    heap.malloc(1)
    with Ring(file_of(machine, tmp_path)) as ring:
        before = ring.newest.bins
    pointer = heap.malloc(size)
    with Ring(file_of(machine, tmp_path)) as ring:
        changes = [now - then for now, then in zip(ring.newest.bins, before, strict=True)]
    belongs = next(number for number, bound in enumerate(SIZE_BOUNDS) if bound is None or size <= bound)
    assert changes[belongs] == heap.usable(pointer) >= size
    assert changes.count(0) == len(changes) - 1


def test_interpreted_slots_are_taken_in_order_and_threads_beyond_are_lost(
    machine: SimulatedMachine, tmp_path: Path
) -> None:
    heap = InterpretedHeap(machine)
    slots = 0
    for thread in range(60):
        machine.store_thread_recorder(0)
        heap.free(heap.malloc(1000 + thread))
        slots += machine.load_thread_recorder() != 0
    path = file_of(machine, tmp_path)
    with Ring(path) as ring:
        assert slots == ring.places.slots
        assert ring.lost == 2 * (60 - slots)
    _, events = read_rows(path)
    sizes = [event.size - 1000 for event in events if event.operation is Operation.MALLOC]
    assert sizes == list(range(slots))


def test_interpreted_a_child_that_the_kernel_alone_knows_of_leaves_the_ring(machine: SimulatedMachine) -> None:
    heap = InterpretedHeap(machine)
    heap.free(heap.malloc(100))
    before = machine.read(*machine.rings[b"of.1000.ring"])
    machine.store(machine.guard, 8, 0)
    machine.process = 1001
    for _ in range(10):
        heap.free(heap.malloc(100))
    assert machine.read(*machine.rings[b"of.1000.ring"]) == before
    assert not heap.engine.is_recording()


def test_interpreted_a_refused_ring_is_told_in_one_line(machine: SimulatedMachine) -> None:
    machine.refuse = lambda name, arguments: name == "fallocate"
    heap = InterpretedHeap(machine)
    heap.free(heap.malloc(100))
    assert len(machine.warnings) == 1 and "of.1000.ring" in machine.warnings[0]
    assert heap.check() == 0
