"""`snug record --pid`, and what else is asked of running processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import snugmalloc
from snugcommand import INTERRUPTED
from snugmalloc.cli.record_process import _open_inside
from snugmalloc.engine.dropin.outside import Command
from snugmalloc.launch.inside import Inside, Memory
from snugmalloc.live.asking import Answer, Asked, Kind, Mailbox, open_mailbox
from snugmalloc.live.processes import read_one
from snugmalloc.live.remote import CannotAttach
from snugmalloc.trace import Operation, TraceReader
from snugmalloc.trace.following import read_history
from snugmalloc.trace.operations import ALLOCATIONS

from ..builds import build_library
from .programs import NOBODY, PYTHON, SNUG, snug

LIBRARY = snugmalloc.get_library("snugmalloc")
MIB = 1 << 20
WORKER = """
import os, sys, threading, time
MARKED = 12_345
def work(number):
    kept = {}
    for i in range(10**9):
        kept[i % 100] = bytes(MARKED + number), bytes(i * 7919 % 40_000)
        if i % 20 == 0: time.sleep(0.001)
for number in range(THREADS - 1):
    threading.Thread(target=work, args=(number + 1,), daemon=True).start()
print("there", flush=True)
"""
WORKING = WORKER + "work(0)\n"
FORKING = """
import os
while True:
    kept = [bytes(30_000 + i) for i in range(200)]
    child = os.fork()
    if not child:
        kept = [bytes(33_333) for i in range(200)]
        os._exit(0)
    os.write(1, b"%d\\n" % child)
    os.waitpid(child, 0)
"""
SLEEPER = "import sys\nprint('there', flush=True)\nfor line in sys.stdin:\n"
SLEEPER += (
    "    kept = [bytes(10_000 + i) for i in range(3000)]\n    del kept\n    print('worked', flush=True)\n"
)


@contextmanager
def worker(code: str, threads: int = 1, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A preloaded Python that has begun to run `code`."""
    environment = {**os.environ, "LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc", **settings}
    words = [PYTHON, "-c", code.replace("THREADS", str(threads))]
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            yield process
        finally:
            process.kill()


def record(folder: Path, *arguments: str | int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SNUG, "record", *map(str, arguments)], capture_output=True, text=True, cwd=folder, timeout=600
    )


def marked(path: Path) -> Counter[int]:
    """How often each size was allocated, in a trace that is whole."""
    with TraceReader(path) as reader:
        assert reader.verify() == [] and reader.damage is None
        return Counter(event.size for event in reader.events() if event.operation in ALLOCATIONS)


def figures(pid: int) -> Inside:
    (sample,) = read_one(pid).samples
    return sample.heap


def wait_for(mailbox: Mailbox, asked: Asked) -> Answer | None:
    """The answer of a process that works."""
    for _ in range(1200):
        if mailbox.look(asked):
            return asked.answer
        time.sleep(0.05)
    return None


# ---- Recording ----


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("settings", [{}, {"SNUG_THREAD_CACHE": "0"}])
def test_a_process_is_recorded_for_some_time_and_runs_on(
    tmp_path: Path, threads: int, settings: dict[str, str]
) -> None:
    with worker(WORKING, threads, **settings) as process:
        ended = record(tmp_path, "--pid", process.pid, "--seconds", "0.7", "-o", "of.snug")
        assert process.poll() is None
        state = figures(process.pid)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    assert lines[0] == f"snug: process {process.pid} is recorded to of.snug for 0.7 s"
    assert re.fullmatch(r"snug: recorded [0-9,]+ calls, [0-9.]+ bytes a call: snug report of.snug", lines[1])
    found = marked(tmp_path / "of.snug")
    assert all(found[12_345 + 33 + number] > 20 for number in range(threads))
    with TraceReader(tmp_path / "of.snug") as reader:
        history = read_history(reader)
        assert reader.header.pid == process.pid and not reader.has_rows
        assert abs(int(reader.about["live"]) - state.live_bytes) < state.live_bytes
    assert history.missing_frees < history.call_count // 100 and history.unknown_frees > 0
    report = snug("report", str(tmp_path / "of.snug"))
    assert report.returncode == 0
    assert "were live or cached before, and are not in the trace" in " ".join(report.stdout.split())


def test_it_can_be_recorded_again_and_is_named_after_its_program(tmp_path: Path) -> None:
    with worker(WORKING, 3) as process:
        for turn in range(3):
            folder = tmp_path / str(turn)
            folder.mkdir()
            ended = record(folder, "--pid", process.pid, "--seconds", "0.3", *(["--raw"] if turn == 1 else []))
            assert ended.returncode == 0, ended.stderr
        for turn in range(3):
            (path,) = (tmp_path / str(turn)).iterdir()
            assert path.name == f"{Path(PYTHON).name}.{process.pid}.snug"
            assert all(marked(path)[12_345 + 33 + number] > 5 for number in range(3))
        assert not any("snug" in os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir())


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    with (
        worker(WORKING) as process,
        subprocess.Popen(
            [SNUG, "record", "--pid", str(process.pid), "-o", "of.snug"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        ) as command,
    ):
        assert command.stderr is not None
        assert command.stderr.readline().endswith("until Ctrl-C\n")
        time.sleep(0.5)
        command.send_signal(signal.SIGINT)
        assert command.stderr.readline().startswith("snug: recorded ")
        assert command.wait() == 0 and process.poll() is None
    assert marked(tmp_path / "of.snug")[12_345 + 33] > 20


def test_the_end_of_the_process_ends_it(tmp_path: Path) -> None:
    code = SLEEPER.replace("print('worked'", "break; print('worked'")
    with (
        worker(code) as process,
        subprocess.Popen(
            [SNUG, "record", "--pid", str(process.pid), "-o", "of.snug"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        ) as command,
    ):
        assert command.stderr is not None and process.stdin is not None
        assert command.stderr.readline().startswith(f"snug: process {process.pid} was asked to record")
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait()
        command.communicate()
    if (tmp_path / "of.snug").exists():  # else it ended before
        assert marked(tmp_path / "of.snug").total() > 100


def test_a_process_that_sleeps_begins_and_ends_with_its_work(tmp_path: Path) -> None:
    with worker(SLEEPER) as process:
        assert process.stdin is not None and process.stdout is not None

        def work() -> None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "worked\n"

        with open_mailbox(process.pid) as mailbox:
            begun = mailbox.ask(Kind.BEGIN, str(tmp_path / "of.snug"))
            time.sleep(0.3)
            assert not mailbox.look(begun) and not (tmp_path / "of.snug").exists()
            work()
            work()
            assert mailbox.look(begun) and begun.answer is Answer.DONE
            end = mailbox.ask(Kind.END)
            time.sleep(0.3)
            assert not mailbox.look(end)
            work()
            work()
            assert mailbox.look(end) and end.answer is Answer.DONE
    assert marked(tmp_path / "of.snug")[10_033 + 500] >= 1


def test_a_helper_thread_looks_while_the_program_sleeps(tmp_path: Path) -> None:
    code = "kept = [bytes(3000) for _ in range(20_000)]; " + SLEEPER
    with worker(code, SNUG_BACKGROUND="1") as process, open_mailbox(process.pid) as mailbox:
        assert wait_for(mailbox, mailbox.ask(Kind.TRIM)) is Answer.DONE


@pytest.mark.parametrize("name", ["none/of.snug", "there.snug/of.snug"])
def test_a_file_that_the_process_cannot_make_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.snug").write_text("mine")
    with worker(WORKING) as process:
        ended = record(tmp_path, "--pid", process.pid, "--seconds", "1", "-o", name)
        assert process.poll() is None
    assert ended.returncode == 1
    assert ended.stderr == (
        f"snug: process {process.pid}: it could not create {tmp_path / name}: the file must be new,"
        " in a folder it may write to\n"
    )


def test_a_process_that_records_already_goes_on(tmp_path: Path) -> None:
    with worker(WORKING, SNUG_RECORD=str(tmp_path / "own.snug")) as process:
        ended = record(tmp_path, "--pid", process.pid, "--seconds", "1", "-o", "of.snug")
    assert (ended.returncode, ended.stderr) == (
        1,
        f"snug: process {process.pid}: it is already recording\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["own.snug"]


def test_forks_are_recorded_with_their_children_who_do_not_record(tmp_path: Path) -> None:
    with worker(FORKING) as process:
        ended = record(tmp_path, "--pid", process.pid, "--seconds", "0.7", "-o", "of.snug")
        process.send_signal(signal.SIGSTOP)
        assert process.stdout is not None
        process.kill()
        children = {int(line) for line in process.stdout}
    assert ended.returncode == 0, ended.stderr
    with TraceReader(tmp_path / "of.snug") as reader:
        forks = [event.number for event in reader.events() if event.operation is Operation.FORK]
    assert len(forks) > 3 and set(forks) <= children and len(set(forks)) == len(forks)
    assert marked(tmp_path / "of.snug")[33_333 + 33] == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_shards_are_recorded_and_trimmed(tmp_path: Path) -> None:
    moving = str(build_library("snugmalloc", "shards"))
    with worker(WORKING, 4, LD_PRELOAD=moving, SNUG_HEAPS="4") as process:
        ended = record(tmp_path, "--pid", process.pid, "--seconds", "0.5", "-o", "of.snug")
        with open_mailbox(process.pid) as mailbox:
            assert wait_for(mailbox, mailbox.ask(Kind.TRIM)) is Answer.DONE
        assert process.poll() is None
    assert ended.returncode == 0, ended.stderr
    assert marked(tmp_path / "of.snug").total() > 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pid", "1", "--", "true"], "--pid is for a running process"),
        (["--pid", "1", "--follow"], "--pid is for a running process"),
        (["--seconds", "1", "--", "true"], "--seconds needs --pid"),
        (["--pid", "1", "-o", ""], "the name of the file is empty"),
        ([], "Missing argument 'PROGRAM'."),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], words: str) -> None:
    ended = snug("record", *arguments)
    assert ended.returncode == 2 and words in ended.stderr and ended.stderr.count("\n") == 1


# ---- A file that is there already ----


def test_an_old_file_is_recorded_anew(tmp_path: Path) -> None:
    (tmp_path / "of.snug").write_text("old")
    with worker(WORKING) as process:
        ended = record(tmp_path, "--pid", process.pid, "--seconds", "0.3", "-o", "of.snug")
    assert ended.returncode == 0, ended.stderr
    assert marked(tmp_path / "of.snug").total() > 20


@pytest.mark.parametrize("is_there", [True, False])
def test_an_old_file_stays_where_nothing_can_be_asked(tmp_path: Path, is_there: bool) -> None:
    (tmp_path / "keep.snug").write_text("mine")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        if not is_there:
            process.communicate()
        ended = record(tmp_path, "--pid", process.pid, "-o", "keep.snug")
        process.communicate()
    why = f"process {process.pid} is not on snugmalloc" if is_there else f"there is no process {process.pid}"
    assert ended.returncode == 1 and ended.stderr.startswith(f"snug: {why}")
    assert ended.stderr.count("\n") == 1
    assert (tmp_path / "keep.snug").read_text() == "mine"


def test_a_folder_of_that_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "of.snug").mkdir()
    with worker(WORKING) as process:
        ended = record(tmp_path, "--pid", process.pid, "--seconds", "1", "-o", "of.snug")
    told = "snug: of.snug: exists already, and is not a regular file\n"
    assert (ended.returncode, ended.stderr) == (1, told)


@pytest.mark.parametrize("is_own", [True, False])
def test_packing_follows_no_link(tmp_path: Path, is_own: bool) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "of.snug.packing").symlink_to(victim)
    if is_own:
        ended = record(tmp_path, "-o", "of.snug", "--", PYTHON, "-c", "bytes(5000)")
    else:
        with worker(WORKING) as process:
            ended = record(tmp_path, "--pid", process.pid, "--seconds", "0.3", "-o", "of.snug")
    assert ended.returncode == 0, ended.stderr
    assert victim.read_text() == "mine"
    assert marked(tmp_path / "of.snug").total() > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of.snug", "victim"]


# ---- A process with a root folder of its own ----


@contextmanager
def worker_in(root: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker that has `root` as its root folder, and there a folder of the same name as `folder`."""
    (root / folder.relative_to("/")).mkdir(parents=True)
    with worker(WORKER + f"os.chroot({str(root)!r}); os.chdir('/')\nwork(0)\n") as process:
        while os.readlink(f"/proc/{process.pid}/root") != str(root):
            time.sleep(0.01)
        yield process


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root folder")
@pytest.mark.parametrize("raw", [False, True])
def test_a_file_in_another_root_is_copied_and_nothing_is_written_there(tmp_path: Path, raw: bool) -> None:
    root, folder = tmp_path / "root", tmp_path / "out"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with worker_in(root, folder) as process:
        inside = root / folder.relative_to("/")
        (inside / "of.snug.packing").symlink_to(victim)
        options = ["--raw"] if raw else []
        ended = record(folder, "--pid", process.pid, "--seconds", "0.5", "-o", "of.snug", *options)
    assert ended.returncode == 0, ended.stderr
    _recorded, copied, told = ended.stderr.splitlines()
    assert copied.endswith(f"copied from /proc/{process.pid}/root{folder}/of.snug")
    assert told.startswith("snug: recorded ") and told.endswith(": snug report of.snug")
    assert victim.read_text() == "mine"
    assert sorted(path.name for path in inside.iterdir()) == ["of.snug", "of.snug.packing"]
    assert [path.name for path in folder.iterdir()] == ["of.snug"]
    assert marked(folder / "of.snug") == marked(inside / "of.snug")
    assert marked(folder / "of.snug")[12_345 + 33] > 20
    with TraceReader(folder / "of.snug") as copy, TraceReader(inside / "of.snug") as own:
        assert own.has_rows and copy.has_rows == raw


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root folder")
def test_a_file_in_another_root_is_copied_when_the_process_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with (
        worker_in(tmp_path / "root", folder) as process,
        recording(process.pid, folder) as (command, told),
    ):
        assert told().endswith("until Ctrl-C\n")
        while (tmp_path / "root" / folder.relative_to("/") / "of.snug").stat().st_size < 100_000:
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert "copied from" in told() and told().startswith("snug: recorded ")
        assert command.wait() == 0
    assert marked(folder / "of.snug")[12_345 + 33] > 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root folder")
def test_a_folder_in_another_root_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    root, folder, private = tmp_path / "root", tmp_path / "out", tmp_path / "private"
    folder.mkdir()
    private.mkdir()
    (private / "of.snug").write_text("mine")
    with worker_in(root, private) as process:
        (root / folder.relative_to("/")).symlink_to(private)
        ended = record(folder, "--pid", process.pid, "--seconds", "0.3", "-o", "of.snug")
    assert (root / private.relative_to("/") / "of.snug").exists()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[1:] == [
        f"snug: process {process.pid} wrote {folder}/of.snug which is not visible from here"
    ]
    assert (private / "of.snug").read_text() == "mine" and not list(folder.iterdir())


@pytest.mark.parametrize("what", ["file", "another's file", "link", "pipe", "folder", "nothing"])
def test_only_a_file_of_the_process_is_opened_in_its_root(tmp_path: Path, what: str) -> None:
    process, file = tmp_path / "4711", tmp_path / "root" / "out" / "of.snug"
    process.mkdir()
    file.parent.mkdir(parents=True)
    (process / "root").symlink_to(tmp_path / "root")
    user = os.geteuid() + (1 if what == "another's file" else 0)
    (process / "status").write_text(f"Name:\tprogram\nUid:\t7\t8\t9\t{user}\nGid:\t0\t0\t0\t0\n")
    if what == "pipe":
        os.mkfifo(file)
    elif what == "folder":
        file.mkdir()
    elif what != "nothing":
        made = file.with_name("other") if what == "link" else file
        made.write_text("recorded")
        if what == "link":
            file.symlink_to(made)
    descriptor = _open_inside(process, Path("/out/of.snug"))
    assert (descriptor is not None) == (what == "file")
    if descriptor is not None:
        with open(descriptor) as opened:
            assert opened.read() == "recorded"


# ---- Interrupted ----


@contextmanager
def recording(pid: int, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """`snug record --pid` to `of.snug`, and what gives the next line that it tells."""
    with subprocess.Popen(
        [SNUG, "record", "--pid", str(pid), "-o", "of.snug"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stderr is not None
        try:
            yield command, command.stderr.readline
        finally:
            command.kill()


def let_work(process: subprocess.Popen[str]) -> None:
    """A sleeper works, often enough to notice what is asked and to do it."""
    assert process.stdin is not None and process.stdout is not None
    for _ in range(2):
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "worked\n"


def interrupt(command: subprocess.Popen[str]) -> None:
    """Ctrl-C while the command waits: not as it tells its line, which would be told twice."""
    while state_of(command.pid) != "S":
        time.sleep(0.01)
    command.send_signal(signal.SIGINT)


def state_of(pid: int) -> str:
    """R while a process runs or could, S while it sleeps."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def records(pid: int) -> bool:
    return any("of.snug" in os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir())


def test_ctrl_c_before_it_begins_takes_the_question_back(tmp_path: Path) -> None:
    with worker(SLEEPER) as process, recording(process.pid, tmp_path) as (command, told):
        assert "was asked to record" in told()
        interrupt(command)
        assert told().startswith(f"snug: process {process.pid} is no longer asked to record; if it has")
        assert told() == "" and command.wait() == INTERRUPTED
        let_work(process)
        assert not records(process.pid)
    assert not list(tmp_path.iterdir())


@contextmanager
def interrupted_as_it_begins(
    folder: Path,
) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str], Callable[[], str]]]:
    """A sleeper that has begun to record, and a command that is interrupted before it sees that."""
    with worker(SLEEPER) as process, recording(process.pid, folder) as (command, told):
        assert "was asked to record" in told()
        command.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, command.pid, os.WSTOPPED | os.WNOWAIT)
        let_work(process)
        assert records(process.pid)
        command.send_signal(signal.SIGINT)
        command.send_signal(signal.SIGCONT)
        yield process, command, told


def test_a_recording_that_begins_at_ctrl_c_is_ended(tmp_path: Path) -> None:
    with interrupted_as_it_begins(tmp_path) as (process, command, told):
        while command.poll() is None:
            let_work(process)
            time.sleep(0.05)
        lines = [line for line in iter(told, "")]
        assert command.returncode == 0 and lines[-1].startswith("snug: recorded "), lines
        assert not records(process.pid)
    with TraceReader(tmp_path / "of.snug") as reader:
        assert not reader.has_rows
    assert marked(tmp_path / "of.snug").total() > 100


def test_a_recording_that_begins_at_ctrl_c_is_not_waited_for_long(tmp_path: Path) -> None:
    with interrupted_as_it_begins(tmp_path) as (process, command, told):
        assert command.wait() == 0  # the process sleeps
        lines = [line for line in iter(told, "")]
        assert lines[-2].endswith(
            "stops recording at its next heap activity: the rest of of.snug is written then\n"
        ), lines
        before = marked(tmp_path / "of.snug").total()
        let_work(process)
        assert not records(process.pid)
    assert marked(tmp_path / "of.snug").total() > before


def test_a_second_ctrl_c_does_not_wait_for_the_end_which_comes_into_the_file(tmp_path: Path) -> None:
    with worker(SLEEPER) as process, recording(process.pid, tmp_path) as (command, told):
        assert "was asked to record" in told()
        let_work(process)
        assert told().endswith("until Ctrl-C\n")
        interrupt(command)
        assert "was asked to stop recording" in told()
        interrupt(command)
        assert told().endswith("the rest of of.snug is written then\n")
        assert told().startswith("snug: recorded ") and command.wait() == 0
        before = marked(tmp_path / "of.snug").total()
        let_work(process)
        assert not records(process.pid)
    assert marked(tmp_path / "of.snug").total() > before


# ---- What a process may answer ----


@pytest.mark.parametrize("number", [0, 99, 2**64 - 1])
@pytest.mark.parametrize("kind", Kind)
def test_an_answer_that_is_not_known_is_told(tmp_path: Path, kind: Kind, number: int) -> None:
    with (tmp_path / "memory").open("w+b", buffering=0) as file:
        file.truncate(Command.SIZE)
        memory = Memory(file.fileno())
        mailbox = Mailbox(memory, 0, 4711)
        asked = mailbox.ask(kind, "/of.snug")
        assert not mailbox.look(asked)
        memory.write(Command.answer, number.to_bytes(8, "little"))
        memory.write(Command.answered, asked.number.to_bytes(8, "little"))
        assert mailbox.look(asked) and not mailbox.waits(asked)
    assert asked.answer is Answer.UNCLEAR
    assert asked.refusal == "unknown answer: use the snug of the same version as its library"
    assert str(asked).endswith(f": {asked.refusal}")


# ---- Trimming ----


def test_a_trim_gives_back_what_is_free() -> None:
    code = "kept = [bytes(3000) for _ in range(60_000)]; del kept\n" + SLEEPER
    with worker(code, SNUG_PURGE_DELAY="1G") as process, open_mailbox(process.pid) as mailbox:
        assert process.stdin is not None and process.stdout is not None
        before = figures(process.pid)
        asked = mailbox.ask(Kind.TRIM)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "worked\n"
        assert mailbox.look(asked) and asked.answer is Answer.DONE
        after = figures(process.pid)
    assert asked.given_back > 0
    assert after.returned_bytes >= before.returned_bytes + asked.given_back


def test_a_process_that_ends_while_it_is_asked_is_told() -> None:
    with (
        worker(WORKING) as process,
        pytest.raises(CannotAttach, match=f"process {process.pid} has ended"),
        open_mailbox(process.pid) as mailbox,
    ):
        process.kill()
        process.wait()
        mailbox.ask(Kind.TRIM)


# ---- Where memory may not be read ----


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_its_own_user_asks_through_the_published_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(0o755)
    (tmp_path / "published").mkdir(mode=0o777)
    (tmp_path / "published").chmod(0o777)
    code = f"import os, ctypes\nos.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    code += "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: nobody but root may trace it\n"
    ask = f"""
import os, sys, time
from snugmalloc.live.asking import Kind, open_mailbox
from snugmalloc.launch import published
os.environ["SNUG_PUBLISH"] = {str(tmp_path / "published")!r}
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
with open_mailbox(int(sys.argv[1])) as mailbox:
    asked = mailbox.ask(Kind.TRIM)
    while not mailbox.look(asked):
        time.sleep(0.01)
print(asked.answer.name)
"""
    with worker(code + WORKING, SNUG_PUBLISH=str(tmp_path / "published")) as process:
        for name in (tmp_path / "published").iterdir():
            os.chown(name, NOBODY, NOBODY)
        ended = subprocess.run(
            [sys.executable, "-c", ask, str(process.pid)], capture_output=True, text=True, cwd="/", timeout=600
        )
    assert (ended.stdout, ended.returncode) == ("DONE\n", 0), ended.stderr


def test_a_program_that_registers_functions_for_its_end(tmp_path: Path) -> None:
    """libc allocates for them under a lock, and the call that begins the recording is such a one."""
    source = Path(__file__).parents[1] / "trace" / "c" / "exit_handlers.c"
    subprocess.run(["gcc", "-O1", source, "-o", tmp_path / "program"], check=True)
    with subprocess.Popen([tmp_path / "program"], env={**os.environ, "LD_PRELOAD": LIBRARY}) as process:
        try:
            time.sleep(0.2)
            ended = record(tmp_path, "--pid", process.pid, "--seconds", "0.3", "-o", "of.snug")
        finally:
            process.kill()
    assert ended.returncode == 0, ended.stderr
    assert marked(tmp_path / "of.snug")[1040] > 10
