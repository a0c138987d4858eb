"""snug-launch: starts a program, hands signals on, reports what it cost, and ends as it ended."""

from __future__ import annotations

import math
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from snugmalloc.launch.launcher import (
    Figures,
    Timeline,
    launch_command,
    launcher_path,
    measure,
    read_figures,
    read_timeline,
)

MIB = 1 << 20


def figures_of(*words: str) -> Figures:
    with tempfile.TemporaryFile() as errors:
        return measure(words, {}, output=subprocess.DEVNULL, errors=errors)


def launch(*words: str) -> subprocess.Popen[bytes]:
    """A launcher with a program that says when it is there."""
    started = subprocess.Popen([launcher_path(), "--", *words], stdout=subprocess.PIPE)
    assert started.stdout is not None and started.stdout.readline() == b"there\n"
    return started


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_it_ends_with_the_programs_status(status: int) -> None:
    ended = subprocess.run([launcher_path(), "--", "sh", "-c", f"exit {status}"])
    assert ended.returncode == status


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGSEGV", "SIGUSR1"])
def test_it_dies_of_the_signal_that_killed_the_program(name: str) -> None:
    ended = subprocess.run([launcher_path(), "--", "sh", "-c", f"kill -{name[3:]} $$"])
    assert ended.returncode == -signal.Signals[name]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGQUIT", "SIGRTMIN"])
def test_a_signal_to_the_launcher_reaches_the_program(name: str) -> None:
    number = signal.Signals[name]
    program = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(42))\n"
        "print('there', flush=True)\n"
        "while True: time.sleep(0.02)\n"
    )
    started = launch(sys.executable, "-c", program)
    started.send_signal(number)
    assert started.wait(300) == 42


def test_the_program_starts_with_the_signals_of_its_caller() -> None:
    show = ["sh", "-c", "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status"]
    direct = subprocess.run(show, capture_output=True, check=True).stdout
    assert subprocess.run([launcher_path(), "--", *show], capture_output=True, check=True).stdout == direct


def test_an_ignored_sigchld_of_the_caller_does_not_hide_the_end() -> None:
    ended = subprocess.run(
        [launcher_path(), "--", "sh", "-c", "exit 5"],
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN) and None,
    )
    assert ended.returncode == 5


def test_the_addition_is_in_the_programs_environment_and_the_descriptors_are_not() -> None:
    with tempfile.TemporaryFile() as figures, tempfile.TemporaryFile() as readings:
        fds = [figures.fileno(), readings.fileno()]
        command = launch_command(
            ["sh", "-c", "echo $ADDED; ls /proc/self/fd | wc -l"],
            {"ADDED": "a b=c"},
            fds[0],
            readings_fd=fds[1],
        )
        with_figures = subprocess.run(command, pass_fds=fds, capture_output=True, text=True)
    without = subprocess.run(
        ["sh", "-c", "echo 'a b=c'; ls /proc/self/fd | wc -l"], capture_output=True, text=True
    )
    assert with_figures.stdout == without.stdout


def test_the_figures_are_those_of_the_program() -> None:
    figures = figures_of(sys.executable, "-c", "a = bytearray(100 << 20); b = a.count(1); del a")
    assert figures.exit_status == 0 and figures.signal is None
    assert 100 * MIB < figures.peak_resident_bytes < 200 * MIB
    assert figures.final_resident_bytes is not None and figures.final_resident_bytes < 60 * MIB
    assert figures.minor_faults > 1000
    assert figures.wall_s > 0 and figures.cpu_s > 0


# Holds 200 MB, writes to all of it, for about as long as it then goes on without.
RISE_AND_FALL = """
import time
a = b"x" * 200_000_000
time.sleep(0.5)
del a
time.sleep(0.5)
"""


def test_the_mean_is_that_over_time() -> None:
    figures = figures_of(sys.executable, "-c", RISE_AND_FALL)
    assert figures.mean_resident_bytes is not None and figures.final_resident_bytes is not None
    assert figures.final_resident_bytes + 20_000_000 < figures.mean_resident_bytes
    assert figures.mean_resident_bytes + 20_000_000 < figures.peak_resident_bytes


# The same while signals come to the launcher, its parent, all the time.
SIGNALLED = """
import os, signal, time
signal.signal(signal.SIGUSR1, lambda *_: None)
def signalled():
    for _ in range(500):
        os.kill(os.getppid(), signal.SIGUSR1)
        time.sleep(0.001)
a = b"x" * 200_000_000
signalled()
del a
signalled()
"""


def test_the_mean_is_read_while_signals_come_all_the_time() -> None:
    figures = figures_of(sys.executable, "-c", SIGNALLED)
    assert figures.mean_resident_bytes is not None and figures.final_resident_bytes is not None
    assert figures.mean_resident_bytes > figures.final_resident_bytes + 20_000_000


def test_the_mean_of_a_program_that_ends_at_once_is_what_it_held_at_its_end() -> None:
    figures = figures_of("true")
    assert figures.mean_resident_bytes is not None
    assert 0 < figures.mean_resident_bytes <= figures.peak_resident_bytes


def test_the_mean_is_not_above_the_peak() -> None:
    # The peak that wait4 reports may lag behind by some hundred KB, much of a program as small as this.
    figures = figures_of("sleep", "0.1")
    assert figures.mean_resident_bytes is not None
    assert figures.mean_resident_bytes <= figures.peak_resident_bytes


# Says where it is, and goes on when it is told to.
GROWS_AND_DROPS = """
def stage(name):
    print(name, flush=True)
    input()
stage("small")
held = b"x" * 50_000_000
stage("grown")
del held
stage("dropped")
"""


def settled(readings: Path) -> int:
    """The resident memory by a reading that began after this was called."""
    before = readings.read_text().count("\n")
    deadline = time.monotonic() + 300
    while readings.read_text().count("\n") < before + 2:
        assert time.monotonic() < deadline, "nothing is read any more"
        time.sleep(0.002)
    return read_timeline(readings.read_text()).resident_bytes[-1]


def test_the_timeline_has_the_shape_of_the_programs_memory(tmp_path: Path) -> None:
    figures, readings = tmp_path / "figures", tmp_path / "readings"
    seen = {}
    with figures.open("wb") as figures_file, readings.open("wb") as readings_file:
        fds = [figures_file.fileno(), readings_file.fileno()]
        command = launch_command([sys.executable, "-c", GROWS_AND_DROPS], {}, fds[0], readings_fd=fds[1])
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=fds) as program:
            assert program.stdin is not None and program.stdout is not None
            for stage in ("small", "grown", "dropped"):
                assert program.stdout.readline() == f"{stage}\n".encode()
                seen[stage] = settled(readings)
                program.stdin.write(b"\n")
                program.stdin.flush()
    assert program.returncode == 0
    # The kernel adds up what is resident on each processor now and then only.
    assert 45_000_000 <= seen["grown"] - seen["small"] < 55_000_000
    assert abs(seen["dropped"] - seen["small"]) < 5_000_000
    told, timeline = read_figures(figures.read_text()), read_timeline(readings.read_text())
    assert list(timeline.seconds) == sorted(timeline.seconds)
    assert timeline.resident_bytes[-1] == told.final_resident_bytes
    assert told.mean_resident_bytes == pytest.approx(mean_of(timeline), abs=2)


def mean_of(timeline: Timeline) -> float:
    """Over time, as it changes evenly between two readings and not before the first."""
    seconds, resident = [0.0, *timeline.seconds], [timeline.resident_bytes[0], *timeline.resident_bytes]
    spans = zip(pairwise(seconds), pairwise(resident), strict=True)
    return math.fsum((b - a) * (x + y) / 2 for (a, b), (x, y) in spans) / seconds[-1]


def test_the_timeline_comes_with_the_figures_where_it_is_asked_for() -> None:
    with tempfile.TemporaryFile() as errors:
        figures = measure(["true"], {}, output=subprocess.DEVNULL, errors=errors, timeline=True)
    assert figures.timeline is not None
    assert figures.timeline.resident_bytes[-1] == figures.final_resident_bytes
    assert figures_of("true").timeline is None


def test_a_reading_that_was_cut_off_is_none() -> None:
    timeline = read_timeline("5000000 4096\n10000000 8192\n15000000 40")
    assert (list(timeline.seconds), list(timeline.resident_bytes)) == ([0.005, 0.01], [4096, 8192])
    assert list(read_timeline("").seconds) == []


def test_a_full_disk_ends_the_timeline_and_nothing_else() -> None:
    with tempfile.TemporaryFile() as figures, open("/dev/full", "wb") as full:
        fds = [figures.fileno(), full.fileno()]
        command = launch_command(["sleep", "0.05"], {}, fds[0], readings_fd=fds[1])
        assert subprocess.run(command, pass_fds=fds, capture_output=True).stderr == b""
        figures.seek(0)
        assert read_figures(figures.read().decode()).exit_status == 0


def test_without_tracing_the_mean_is_known_and_the_final_memory_is_not() -> None:
    with tempfile.TemporaryFile() as file:
        command = launch_command([sys.executable, "-c", RISE_AND_FALL], {}, file.fileno())
        subprocess.run([command[0], "-n", *command[1:]], pass_fds=[file.fileno()], check=True)
        file.seek(0)
        figures = read_figures(file.read().decode())
    assert figures.final_resident_bytes is None
    assert figures.mean_resident_bytes is not None
    assert 20_000_000 < figures.mean_resident_bytes < figures.peak_resident_bytes - 20_000_000


def test_what_was_not_measured_is_unknown() -> None:
    told = (
        "pid 1\nwall_ns 1\nuser_us 1\nsystem_us 1\npeak_resident_bytes 4096\nminor_faults 1\nmajor_faults 0\n"
    )
    figures = read_figures(told)
    assert figures.mean_resident_bytes is None and figures.final_resident_bytes is None


def test_the_peak_does_not_hold_the_caller() -> None:
    room = bytearray(200 << 20)
    room[::4096] = b"x" * len(room[::4096])
    assert figures_of("true").peak_resident_bytes < 10 * MIB
    assert len(room) == 200 << 20


def test_the_final_memory_is_read_when_a_thread_ends_the_program() -> None:
    program = (
        "import os, threading, time\n"
        "a = bytearray(50 << 20)\n"
        "threading.Thread(target=lambda: os._exit(3)).start()\n"
        "time.sleep(60)\n"
    )
    figures = figures_of(sys.executable, "-c", program)
    assert figures.exit_status == 3
    assert figures.final_resident_bytes is not None and figures.final_resident_bytes > 50 * MIB


def test_the_final_memory_is_that_of_the_program_it_became() -> None:
    figures = figures_of("sh", "-c", f"exec {sys.executable} -c 'a = bytearray(40 << 20)'")
    assert figures.peak_resident_bytes > 40 * MIB
    assert figures.final_resident_bytes is not None and figures.final_resident_bytes > 5 * MIB


@pytest.mark.parametrize(("program", "status"), [("/nosuch", 127), ("/etc/passwd", 126)])
def test_a_program_that_does_not_start_is_told(program: str, status: int) -> None:
    ended = subprocess.run([launcher_path(), "--", program], capture_output=True, text=True)
    assert ended.returncode == status
    assert ended.stderr.startswith(f"snug: cannot start {program}: ")
    assert ended.stderr.count("\n") == 1


def test_the_command_afterwards_takes_its_place() -> None:
    with tempfile.TemporaryFile() as figures:
        after = ["sh", "-c", f"cat /proc/self/fd/{figures.fileno()} >/dev/null && echo after; exit 9"]
        command = launch_command(["echo", "program"], {}, figures.fileno(), after)
        ended = subprocess.run(command, pass_fds=[figures.fileno()], capture_output=True, text=True)
        figures.seek(0)
        assert read_figures(figures.read().decode()).exit_status == 0
    assert (ended.returncode, ended.stdout) == (9, "program\nafter\n")


ECHO = """\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("begin", flush=True)
for line in sys.stdin:
    print("heard", line, flush=True)
sys.exit(3)
"""


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self) -> None:
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.environ["PS1"] = "ready> "
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.seen = ""
        self.expect("ready> ")

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def expect(self, text: str) -> None:
        """Read until `text` appears, and forget what came before its end."""
        end = time.monotonic() + 300
        while text not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} did not come: {self.seen!r}"
            self.seen += os.read(self.terminal, 4096).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.process, 0)


@pytest.mark.parametrize("trace", [[], ["-n"]], ids=["traced", "not traced"])
def test_a_terminal_can_stop_and_interrupt_the_program(trace: Sequence[str], tmp_path: Path) -> None:
    # One process: a shell that is about to start another by vfork cannot be stopped, with or without us.
    echo = tmp_path / "echo.py"
    echo.write_text(ECHO)
    shell = Shell()
    try:
        words = " ".join([str(launcher_path()), *trace, "--", sys.executable, str(echo)])
        shell.type(f"{words}\n")
        shell.expect("begin")
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.expect("ready> ")
        shell.type("fg\n")
        shell.expect("echo.py")
        shell.type("hello\n")
        shell.expect("heard hello")
        shell.type("\x04")
        shell.expect("ready> ")
        shell.type("echo sta''tus $?\n")
        shell.expect("status 3")
        shell.expect("ready> ")
        shell.type(f"{words}\n")
        shell.expect("begin")
        shell.type("\x03")
        shell.expect("ready> ")
        shell.type("echo sta''tus $?\n")
        shell.expect("status 130")
    finally:
        shell.close()


def test_it_is_small() -> None:
    started = launch("sh", "-c", "echo there; read line")
    try:
        status = Path(f"/proc/{started.pid}/status").read_text()
        (peak,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
        assert peak < 2048
    finally:
        started.kill()
        started.wait()
