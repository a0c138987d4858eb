"""`snug report --pid`: the heap of a running process, held against what that and the engine say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

import snugmalloc
from snugmalloc.engine.backend import Backend
from snugmalloc.engine.dropin.outside import Outside
from snugmalloc.engine.interpreted import FreshEngine
from snugmalloc.live.remote import PAGE, Attached, CannotAttach, RemoteMachine, attach
from snugmalloc.live.walk import HeapView, Segment, walk_heap, walk_process
from snugmalloc.trace.blocks import Blocks
from snugmalloc.trace.pins import draw_up_ledger

from ..builds import build_library
from .programs import NOBODY, SNUG, snug
from .test_state import running

LIBRARY = snugmalloc.get_library("snugmalloc")
MIB = 1 << 20
KINDS_OF_BLOCKS = """
import ctypes
kept = [bytes(size) for size in (10, 100, 500, 1000, 1500, 5000, 20_000, 100_000) for _ in range(400)]
kept.append(bytes(200 << 20))
big = [bytes(1 << 20) for _ in range(20)]
del kept[1::2], big[::3]
"""
THREADS = """
import threading
kept = []
def work(): kept.append([bytes(size) for size in (50, 700, 20_000) for _ in range(500)]); barrier.wait()
barrier = threading.Barrier(5)
threads = [threading.Thread(target=lambda: (work(), stop.wait()), daemon=True) for _ in range(4)]
stop = threading.Event()
[thread.start() for thread in threads]
barrier.wait()
"""
PRIVATE = """
import ctypes
library = ctypes.CDLL(None)
library.snug_heap_create.restype = library.snug_heap_malloc.restype = ctypes.c_void_p
library.snug_heap_create.argtypes = [ctypes.c_size_t, ctypes.c_char_p]
library.snug_heap_malloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
library.snug_heap_free.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
heap = library.snug_heap_create(0, b"own")
blocks = [library.snug_heap_malloc(heap, 3000) for _ in range(1000)]
[library.snug_heap_free(heap, block) for block in blocks[::2]]
"""


class Overlaid(RemoteMachine):
    """A process's memory under notes of our own: the engine's walk marks objects, and shows blocks to us."""

    def __init__(self, attached: Attached) -> None:
        super().__init__(attached.memory)
        self.notes: dict[int, int] = {}
        self.seen: list[tuple[int, int, int]] = []

    def load(self, address: int, width: int) -> int:
        if width == 1 and address in self.notes:
            return self.notes[address]
        return super().load(address, width)

    def store(self, address: int, width: int, value: int) -> None:
        assert width == 1
        self.notes[address] = value

    def visit_block(self, visitor: int, address: int, size: int, status: int, context: int) -> bool:
        self.seen.append((address, size, status))
        return True


def engine_walk(attached: Attached) -> list[tuple[int, int]]:
    """The blocks in use of the process's heap, as the engine's own walk shows them."""
    machine = Overlaid(attached)
    root = attached.memory.word(attached.outside_at + Outside.root)
    known = {"PROCESS_HEAP": attached.figures_at, "ROOT": root}
    engine: Any = FreshEngine("dropin", cast(Backend, machine), known)
    assert engine.walk(engine.process_heap(), 0, 0)
    return [(address, size) for address, size, status in machine.seen if status]


def assert_adds_up(view: HeapView) -> None:
    """All addresses are something, and little of them is what the heap needs for itself."""
    for segment in view.segments:
        known = segment.live + segment.cached + segment.free_in_slabs + segment.kept + segment.given_back
        assert known + segment.overhead + segment.unread == segment.size
        assert segment.unread == 0 and len(segment.states) * PAGE == segment.size
        assert segment.overhead < 64 << 10 or segment.overhead < segment.size // 8
    assert view.total("held") == round(sum(part.held for part in view.holding.values()))


@pytest.mark.parametrize("settings", [{}, {"SNUG_THREAD_CACHE": "0"}, {"SNUG_HARDEN": "1"}])
def test_the_walk_finds_what_the_engines_own_walk_finds(settings: dict[str, str]) -> None:
    code = "kept = [bytes(size) for size in range(0, 9000, 7)]; del kept[::3]"
    with running(code, **settings) as pid, attach(pid) as attached:
        blocks = engine_walk(attached)
        view = walk_heap(attached)
    assert_adds_up(view)
    found = Counter({size: int(part.blocks) for size, part in view.live.items()})
    expected = Counter(size for _, size in blocks)
    assert not found - expected
    assert (expected - found).total() == view.cached_blocks
    if settings:
        assert view.cached_blocks == 0


@pytest.mark.parametrize("page", [4096, 16384])
def test_the_ledger_is_that_of_traces(page: int) -> None:
    code = "kept = [bytes(size) for size in range(0, 20_000, 7)]; del kept[::3]; del kept[5:2000:7]"
    with running(code, SNUG_THREAD_CACHE="0") as pid, attach(pid) as attached:
        blocks = engine_walk(attached)
        view = walk_heap(attached, page)
    traced = Blocks()
    traced.address, traced.size = array("Q", (at for at, _ in blocks)), array("Q", (size for _, size in blocks))
    ledger = draw_up_ledger(traced, range(len(blocks)), page)
    assert (view.pages, view.total("pinned_pages"), view.total("held")) == (
        ledger.pages,
        ledger.pinned_pages,
        ledger.held,
    )
    held: Counter[int] = Counter()
    for number, bytes_held in ledger.held_by.items():
        held[traced.size[number]] += bytes_held  # type: ignore[assignment]
    assert {size: round(part.held, 3) for size, part in view.holding.items()} == {
        size: round(value, 3) for size, value in held.items()
    }
    assert sum(part.blocks for part in view.holding.values()) == len(ledger.held_by) > 50


def test_live_and_cached_is_what_the_process_counts() -> None:
    with running(KINDS_OF_BLOCKS, SNUG_PURGE_DELAY="1G") as pid, attach(pid) as attached:
        view = walk_heap(attached)
        figures = attached.engine.Figures(attached.figures_at)
        live, blocks, mapped = figures.live_bytes, figures.live_blocks, figures.mapped_bytes
        purged = figures.purged_bytes
    assert_adds_up(view)
    total = view.live_total
    assert (int(total.bytes) + view.cached, int(total.blocks) + view.cached_blocks) == (live, blocks)
    assert view.total("given_back") == purged
    assert sum(part.bytes for part in view.mapped.values()) == mapped >= 200 * MIB
    assert view.free_runs and view.free_runs[0].size >= MIB
    assert all(run.resident <= run.size for run in view.free_runs)


def test_threads_and_shards_are_seen() -> None:
    moving = str(build_library("snugmalloc", "shards"))  # threads move as if they always waited
    with running(THREADS, LD_PRELOAD=moving, SNUG_HEAPS="4") as pid, attach(pid) as attached:
        view = walk_heap(attached)
    assert_adds_up(view)
    heaps = {segment.heap for segment in view.segments}
    assert heaps >= {"process", "shard 1"} and heaps <= {"process", "shard 1", "shard 2", "shard 3"}
    sizes = {size: part.blocks for size, part in view.live.items()}
    assert sum(count for size, count in sizes.items() if 20_000 < size < 20_200) >= 4 * 500
    assert view.cached_blocks > 0


def test_private_heaps_have_their_names() -> None:
    with running(PRIVATE) as pid:
        view = walk_process(pid)
    assert_adds_up(view)
    own = [segment for segment in view.segments if segment.heap == "private own"]
    assert sum(part.live_blocks for part in own) == 500
    assert 500 * 3000 <= sum(part.live for part in own) < 500 * 3100
    assert sum(part.cached for part in own) == 0 and sum(part.kept for part in own) > 400 * 3000


def test_a_process_that_works_is_read_without_stopping_it() -> None:
    code = "import threading\nfull = threading.Event()\ndef work():\n kept = {}\n for i in range(10**9):\n"
    code += "  kept[i % 5000] = bytes((i * 7919) % 9000)\n  if i == 5000: full.set()\n"
    code += "threading.Thread(target=work, daemon=True).start()\nfull.wait()"
    with running(code) as pid:
        views = [walk_process(pid) for _ in range(8)]
        assert Path(f"/proc/{pid}/stat").read_text().split()[2] != "T"
    for view in views:
        live = view.live_total
        assert 5 * MIB < live.bytes < 200 * MIB
        assert view.total("unread") < view.total("size") // 10


def test_a_process_that_ends_meanwhile_is_told() -> None:
    with running("kept = [bytes(3000) for _ in range(100_000)]") as pid, attach(pid) as attached:
        os.kill(pid, signal.SIGKILL)
        while attached.is_running:
            time.sleep(0.01)
        with pytest.raises(CannotAttach, match=f"process {pid} has ended"):
            walk_heap(attached)


def test_a_process_that_is_killed_during_walks_never_shows_a_traceback() -> None:
    with running("kept = [bytes(3000) for _ in range(100_000)]") as pid:
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(CannotAttach, match=f"process {pid}"):
            for _ in range(10_000):
                walk_process(pid)


# ---- The command ----


def test_the_command_tells_it_to_people_and_programs(tmp_path: Path) -> None:
    with running(KINDS_OF_BLOCKS, SNUG_PURGE_DELAY="1G") as pid:
        printed = snug("report", "--pid", str(pid))
        written = snug("report", "--pid", str(pid), "--json", "-")
        page = snug("report", "--pid", str(pid), "--html", str(tmp_path / "page.html"))
    assert printed.returncode == written.returncode == page.returncode == 0
    for title in ("Live, by size:", "Held back, by size:", "Largest free runs:", "free, kept", "given back"):
        assert title in printed.stdout
    figures = json.loads(written.stdout)
    assert figures["pid"] == pid and figures["unread_bytes"] == 0
    assert figures["live_bytes"] == sum(entry["bytes"] for entry in figures["live"]["by_size"])
    assert figures["live_bytes"] == sum(entry["bytes"] for entry in figures["live"]["by_bound"])
    held = sum(entry["held_bytes"] for entry in figures["held"]["by_size"])
    assert round(held) == figures["held"]["held_bytes"] > 100_000
    assert "Held back, by size" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either a TRACE or --pid PID"),
        (["--pid", "0"], "Invalid value for '--pid'"),
        (["--pid", "1", __file__], "either a TRACE or --pid PID"),
        (["--pid", "4194304"], "there is no process 4194304"),
        (["--pid", "1", "--at", "peak"], "--at is for traces"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], words: str) -> None:
    ended = snug("report", *arguments)
    assert ended.returncode != 0 and words in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["report", "--pid"], ["record", "--seconds", "1", "--pid"]])
def test_processes_that_cannot_be_looked_into_are_told(command: list[str], tmp_path: Path) -> None:
    def told(pid: int) -> str:
        ended = subprocess.run([SNUG, *command, str(pid)], capture_output=True, text=True, cwd=tmp_path)
        assert ended.returncode == 1 and ended.stderr.count("\n") == 1 and not list(tmp_path.iterdir())
        return ended.stderr

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert f"process {process.pid} is not on snugmalloc" in told(process.pid)
        process.communicate()
    with running("", SNUG_DISABLE="1") as pid:
        assert "is not on the heap: off by SNUG_DISABLE" in told(pid)
    assert "has no memory" in told(2) or "no process 2" in told(2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("command", [["report", "--pid"], ["record", "--seconds", "1", "--pid"]])
def test_without_permission_it_says_so(command: list[str]) -> None:
    with running("") as pid:
        ended = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *command, str(pid)], capture_output=True, text=True, cwd="/"
        )
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert f"process {pid} cannot be read: Permission denied (try sudo)" in ended.stderr


AS_NOBODY = f"""
import os
from snugmalloc.cli import main
import snugmalloc.cli.live_report, snugmalloc.cli.record_process  # while their files may be read
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
main()
"""


def test_a_library_of_another_layout_is_told(tmp_path: Path) -> None:
    with running("") as pid, attach(pid, to_write=True) as attached:
        attached.memory.write(attached.outside_at + Outside.layout, bytes(8))
        ended = snug("report", "--pid", str(pid))
    assert ended.returncode == 1
    assert ended.stderr == (
        f"snug: process {pid} has another version of snugmalloc: use the snug that belongs to it\n"
    )


def test_a_segment_without_blocks_is_all_overhead() -> None:
    assert Segment("process", 0, 4096).overhead == 4096
