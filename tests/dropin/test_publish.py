"""SNUG_PUBLISH: the copy of a process's figures in a file, and who reads and removes it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine
from snugmalloc.engine.dropin import publish
from snugmalloc.engine.dropin.figures import PUBLISHED
from snugmalloc.engine.dropin.options import MAX_HEAPS
from snugmalloc.launch.diagnosis import diagnose, read_process
from snugmalloc.launch.inside import WORDS, Inside
from snugmalloc.launch.published import read_published, remove_stale
from snugmalloc.live.processes import Missing, read_all

from ..cli.programs import PYTHON, snug
from ..cli.test_state import fake_process, running
from .heaps import InterpretedHeap

LIBRARY = snugmalloc.get_library("snugmalloc")
MIB = 1 << 20
CLONE = 56 if platform.machine() == "x86_64" else 220  # the number of the system call
PROC = Path("/proc")
GROW = "kept = [bytearray(3000) for _ in range(30000)]\n"


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def published(pid: int) -> Inside:
    """What the process has published."""
    inside = read_published(PROC / str(pid))
    assert inside is not None
    return inside


# ---- The interpreted engine ----


def interpreted(machine: SimulatedMachine, **environment: str) -> InterpretedHeap:
    machine.environment = {name.encode(): value.encode() for name, value in environment.items()}
    return InterpretedHeap(machine)


def copied(machine: SimulatedMachine) -> Inside:
    """The figures in the file that was made last."""
    at = machine.own_files[-1]
    assert (
        machine.load(at, 8) == publish.PUBLISHED_MAGIC
        and machine.load(at + publish.START, 8) == machine.started
    )
    return Inside._make(machine.load(at + publish.SLOTS + 8 * index, 8) for index in range(PUBLISHED // 8))


def test_each_step_brings_the_copy_up_to_date() -> None:
    machine = SimulatedMachine(folders={b"/run/x"}, started=77)
    heap = interpreted(machine, SNUG_PUBLISH="/run/x")
    blocks = [heap.malloc(5000) for _ in range(10)]
    assert copied(machine).state == 1
    blocks += [heap.malloc(5000) for _ in range(500)]
    live = copied(machine).live_bytes
    assert live > 300 * 5000
    for block in blocks:
        heap.free(block)
    assert copied(machine).live_bytes < live
    assert len(machine.own_files) == 1 and machine.warnings == []


@pytest.mark.parametrize("forks", [0, 1], ids=["clone", "fork"])
def test_a_forked_child_gets_a_file_of_its_own(forks: int) -> None:
    machine = SimulatedMachine(folders={b"/run/x"})
    heap = interpreted(machine, SNUG_PUBLISH="/run/x")
    for _ in range(500):
        heap.malloc(5000)
    before = copied(machine)
    machine.process += 1
    machine.forks += forks
    for _ in range(500):
        heap.malloc(5000)
    first, second = machine.own_files
    assert machine.load(first + publish.SLOTS + 8, 8) == before.live_bytes
    assert machine.load(second + publish.SLOTS + 8, 8) > before.live_bytes


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        (
            {"SNUG_PUBLISH": "/none"},
            ["snugmalloc: no file can be created there, the figures are not published: SNUG_PUBLISH=/none"],
        ),
        ({"SNUG_PUBLISH": ""}, ["snugmalloc: not a value of this option, ignored: SNUG_PUBLISH="]),
        ({"SNUG_PUBLISH": "x"}, ["snugmalloc: not a value of this option, ignored: SNUG_PUBLISH=x"]),
        ({"SNUG_PUBLISH": "/run/x", "SNUG_DISABLE": "1"}, []),
        ({}, []),
    ],
)
def test_what_publishes_nothing(settings: dict[str, str], warnings: list[str]) -> None:
    machine = SimulatedMachine(folders={b"/run/x"})
    heap = interpreted(machine, **settings)
    for _ in range(500):
        heap.malloc(5000)
    assert machine.own_files == [] and machine.warnings == warnings


def test_a_child_that_can_have_no_file_is_silent() -> None:
    machine = SimulatedMachine(folders={b"/run/x"})
    heap = interpreted(machine, SNUG_PUBLISH="/run/x")
    heap.malloc(5000)
    machine.process += 1
    machine.forks += 1
    machine.folders.clear()
    for _ in range(500):
        heap.malloc(5000)
    assert len(machine.own_files) == 1 and machine.warnings == []


def test_there_is_a_slot_for_each_heap() -> None:
    assert MAX_HEAPS == publish.MAX_SLOTS and WORDS.size == PUBLISHED


# ---- The library ----


def test_a_process_publishes_what_it_holds(tmp_path: Path) -> None:
    with running(GROW, SNUG_PUBLISH=str(tmp_path)) as pid:
        file = tmp_path / f"{pid}.snugstats"
        assert file.stat().st_mode & 0o777 == 0o600
        inside, copy = read_process(pid).inside, published(pid)
        assert not any(os.readlink(link).endswith("snugstats") for link in Path(f"/proc/{pid}/fd").iterdir())
    assert inside is not None
    assert copy.live_bytes > 85 * MIB and abs(copy.live_bytes - inside.live_bytes) < 2 * MIB
    assert abs(copy.system_bytes - inside.system_bytes) < 8 * MIB and copy.state == 1
    assert files(tmp_path) == set()  # it ended regularly


def test_the_heaps_of_several_threads_are_added_up(tmp_path: Path) -> None:
    code = "import threading\nkept = []\n"
    code += "work = lambda: kept.extend(bytearray(3000) for _ in range(20000))\n"
    code += "threads = [threading.Thread(target=work) for _ in range(4)]\n"
    code += "[thread.start() for thread in threads]; [thread.join() for thread in threads]"
    with running(code, SNUG_PUBLISH=str(tmp_path), SNUG_HEAPS="8") as pid:
        assert published(pid).live_bytes > 4 * 19000 * 3000


def test_children_publish_for_themselves(tmp_path: Path) -> None:
    code = f"import os\n{GROW}children = []\n"
    code += "for _ in range(2):\n    read, write = os.pipe()\n    child = os.fork()\n"
    code += "    if not child:\n        more = [bytearray(3000) for _ in range(30000)]\n"
    code += "        os.write(write, b'x'); input(); os._exit(0)\n"
    code += "    os.read(read, 1); children.append(child)\n"
    code += f"open({str(tmp_path / 'children')!r}, 'w').write(' '.join(map(str, children)))"
    with running(code, SNUG_PUBLISH=str(tmp_path)) as pid:
        children = [int(word) for word in (tmp_path / "children").read_text().split()]
        assert files(tmp_path) == {"children", *(f"{one}.snugstats" for one in (pid, *children))}
        own = published(pid).live_bytes
        assert all(published(child).live_bytes > own + 80 * MIB for child in children)
        for child in children:
            os.kill(child, 9)


def test_a_child_of_a_bare_clone_publishes_for_itself(tmp_path: Path) -> None:
    """Nothing of libc is told of it."""
    code = f"import ctypes, os\n{GROW}read, write = os.pipe()\n"
    code += "child = ctypes.CDLL(None).syscall(CLONE, 17, 0, 0, 0, 0)\n".replace("CLONE", str(CLONE))
    code += "if not child:\n    more = [bytearray(3000) for _ in range(30000)]\n"
    code += "    os.write(write, b'x'); input(); os._exit(0)\n"
    code += f"os.read(read, 1); open({str(tmp_path / 'child')!r}, 'w').write(str(child))"
    with running(code, SNUG_PUBLISH=str(tmp_path)) as pid:
        child = int((tmp_path / "child").read_text())
        own = published(pid).live_bytes
        assert own < 140 * MIB and published(child).live_bytes > own + 80 * MIB
        os.kill(child, 9)


def test_a_program_that_is_executed_has_the_file_anew(tmp_path: Path) -> None:
    code = f"import os\n{GROW}os.execv({PYTHON!r}, [{PYTHON!r}, '-c', \"print('there', flush=True); input()\"])"
    with running(code, SNUG_PUBLISH=str(tmp_path)) as pid:
        assert files(tmp_path) == {f"{pid}.snugstats"}
        assert published(pid).live_bytes < 40 * MIB


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    script = 'ulimit -f 8; trap "" XFSZ; exec "$0" -c "print(1)"'
    settings = {"LD_PRELOAD": LIBRARY, "SNUG_PUBLISH": str(tmp_path)}
    ended = subprocess.run(
        ["sh", "-c", script, PYTHON], env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (0, "1\n")
    assert ended.stderr == (
        f"snugmalloc: no file can be created there, the figures are not published: SNUG_PUBLISH={tmp_path}\n"
    )
    assert files(tmp_path) == set()


# ---- Readers ----


def unreadable(root: Path, content: bytes, *, start: int = 77) -> Path:
    """A /proc with process 7, whose memory may not be read, and which has published `content`."""
    proc = fake_process(root, None) / "proc"
    stat = f"7 (a b) c) S {' '.join(['1'] * 18)} {start} 1\n"
    status = "Name:\tserver\nThreads:\t3\nVmRSS:\t1024 kB\nVmHWM:\t1024 kB\n"
    texts = {"stat": stat, "status": status, "cmdline": "server\0"}
    texts["environ"] = f"SNUG_PUBLISH={root / 'published'}\0"
    for name, text in texts.items():
        (proc / "7" / name).write_text(text)
    (root / "published").mkdir()
    (root / "published" / "7.snugstats").write_bytes(content)
    return proc


def content(magic: int = publish.PUBLISHED_MAGIC, start: int = 77) -> bytes:
    """A file of two heaps."""
    head = magic.to_bytes(8, "little") + start.to_bytes(8, "little")
    slots = b""
    for version in (2, 0):
        figures = Inside._make([0] * len(Inside._fields))
        figures = figures._replace(
            version=version, state=version // 2, live_bytes=20 * MIB, system_bytes=30 * MIB
        )
        slots += WORDS.pack(*figures)
    return (head.ljust(publish.SLOTS, b"\0") + slots).ljust(publish.FILE_BYTES, b"\0")


def test_readers_take_it_where_memory_may_not_be_read(tmp_path: Path) -> None:
    proc = unreadable(tmp_path, content())
    (sample,) = read_all(proc).samples
    assert (sample.heap.live_bytes, sample.threads, sample.program) == (40 * MIB, 3, "server")
    found = {finding.name: finding.value for finding in diagnose(read_process(7, tmp_path))}
    assert found["snugmalloc"] == "on" and found["heap"].startswith("40.0 MiB in use")


@pytest.mark.parametrize(
    "text", [b"", content()[:-1], content(magic=0), content(start=78)], ids=["empty", "short", "no", "older"]
)
def test_what_is_not_of_the_process_is_not_taken(text: bytes, tmp_path: Path) -> None:
    proc = unreadable(tmp_path, text)
    assert read_published(proc / "7") is None
    assert read_all(proc).missing == {Missing.NOT_PERMITTED: 1}


def test_a_link_or_a_pipe_in_its_place_is_not_taken(tmp_path: Path) -> None:
    proc = unreadable(tmp_path, content())
    file = tmp_path / "published" / "7.snugstats"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert read_published(proc / "7") is None
    file.unlink()
    os.mkfifo(file)
    assert read_published(proc / "7") is None


def test_files_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    proc = unreadable(tmp_path, content())
    folder = tmp_path / "published"
    for name in ("8.snugstats", "8.other", "x.snugstats"):
        (folder / name).write_bytes(content())
    remove_stale(folder, proc)
    assert files(folder) == {"7.snugstats", "8.other", "x.snugstats"}
    (folder / "7.snugstats").write_bytes(content(start=78))
    remove_stale(folder, proc)
    assert files(folder) == {"8.other", "x.snugstats"}


def test_metrics_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    with running(GROW, SNUG_PUBLISH=str(tmp_path)) as pid:
        os.kill(pid, 9)
    assert files(tmp_path) == {f"{pid}.snugstats"}
    assert snug("metrics", SNUG_PUBLISH=str(tmp_path)).returncode == 0
    assert files(tmp_path) == set()
