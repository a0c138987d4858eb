"""Running a program through ``snug-launch``, and what the run cost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, NoReturn

import snugmalloc

GRACE_SECONDS = 2  # for a program that has something to do before it ends


@dataclass(frozen=True)
class Timeline:
    """The resident memory of the program itself over time: readings every 5 ms, and the last as it ended."""

    seconds: array[float]
    """Since the start, of each reading."""
    resident_bytes: array[int]


@dataclass(frozen=True)
class Figures:
    """What one run cost.

    The program's own children are in it, once it has waited for them, but not in the mean and the final memory.
    """

    pid: int
    wall_s: float
    user_s: float
    system_s: float
    peak_resident_bytes: int
    """The most that one process, the program or one of its children, had in memory."""
    mean_resident_bytes: int | None
    """The mean over time of what the program itself had in memory; None if it could never be read."""
    final_resident_bytes: int | None
    """What the program itself had in memory when it ended; None where tracing is not permitted."""
    minor_faults: int
    major_faults: int
    exit_status: int | None
    """None if a signal ended the program."""
    signal: int | None
    timeline: Timeline | None = None
    """None where it was not asked for."""

    @property
    def cpu_s(self) -> float:
        """Processor time in the program and in the kernel for it."""
        return self.user_s + self.system_s

    @property
    def ending(self) -> str:
        """How the program ended, in words."""
        if self.signal is not None:
            return f"killed by {signal.Signals(self.signal).name}"
        return f"exit status {self.exit_status}"


def read_figures(text: str) -> Figures:
    """The figures in what ``snug-launch`` wrote."""
    values = {name: int(value) for name, value in (line.split() for line in text.splitlines())}
    return Figures(
        pid=values["pid"],
        wall_s=values["wall_ns"] / 1e9,
        user_s=values["user_us"] / 1e6,
        system_s=values["system_us"] / 1e6,
        peak_resident_bytes=values["peak_resident_bytes"],
        mean_resident_bytes=values.get("mean_resident_bytes"),
        final_resident_bytes=values.get("final_resident_bytes"),
        minor_faults=values["minor_faults"],
        major_faults=values["major_faults"],
        exit_status=values.get("exit_status"),
        signal=values.get("signal"),
    )


def read_timeline(text: str) -> Timeline:
    """The readings that ``snug-launch -t`` wrote, without a truncated one of a full disk."""
    numbers = array("q", map(int, text[: text.rfind("\n") + 1].split()))
    return Timeline(array("d", (nanoseconds / 1e9 for nanoseconds in numbers[::2])), numbers[1::2])


def launcher_path() -> Path:
    """Where ``snug-launch`` is installed."""
    return Path(snugmalloc.get_library("snug-run")).parent / "snug-launch"


def launch_command(
    words: Sequence[str],
    added: Mapping[str, str],
    figures_fd: int,
    after: Sequence[str] = (),
    *,
    trace: bool = True,
    ends_with_caller: bool = False,
    readings_fd: int | None = None,
    pid_name: str | None = None,
) -> list[str]:
    """The command line that runs `words` with `added` in its environment, writes figures to `figures_fd`, then
    becomes the command `after`, if that is not empty.

    Without `trace` the final resident memory stays unknown. `ends_with_caller` ends the program when the
    process that started the command is gone. Each reading of the resident memory goes to `readings_fd`, if that
    is given. The variable `pid_name` of its environment is its process id.
    """
    command = [str(launcher_path()), "-f", str(figures_fd)]
    command += [] if trace else ["-n"]
    command += ["-k"] if ends_with_caller else []
    command += [] if readings_fd is None else ["-t", str(readings_fd)]
    command += ["-p", pid_name] if pid_name else []
    for name, value in added.items():
        command += ["-e", f"{name}={value}"]
    for word in after:
        command += ["-a", word]
    return [*command, "--", *words]


def measure(
    words: Sequence[str],
    added: Mapping[str, str],
    *,
    output: IO[bytes] | int,
    errors: IO[bytes],
    trace: bool = True,
    timeline: bool = False,
) -> Figures:
    """Run `words` to its end with `added` in its environment, and bring back its figures.

    The program reads nothing, writes to `output` and its errors to `errors`. It has a session of its own,
    without a terminal, and is ended with all that it started when an exception ends the waiting for it. With
    `timeline` the figures have every reading of the memory. Raises OSError and RuntimeError if it cannot be
    started.
    """
    with tempfile.TemporaryFile() as figures, tempfile.TemporaryFile() as readings:
        readings_fd = readings.fileno() if timeline else None
        process = subprocess.Popen(
            launch_command(
                words, added, figures.fileno(), trace=trace, ends_with_caller=True, readings_fd=readings_fd
            ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            pass_fds=[figures.fileno(), *([] if readings_fd is None else [readings_fd])],
            start_new_session=True,
        )
        try:
            process.wait()
        except BaseException:
            _end(process)
            raise
        text, lines = _text_of(figures), _text_of(readings)
    if not text:
        raise RuntimeError(f"{launcher_path().name} ended with status {process.returncode} and without figures")
    return replace(read_figures(text), timeline=read_timeline(lines) if timeline else None)


def _text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher `process` and its whole group: first by SIGTERM, which it forwards, then by SIGKILL."""
    try:
        process.terminate()
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Put `command` in this process's place, with the signals as Python found them. Raises OSError."""
    path = shutil.which(command[0], path=environment.get("PATH")) or command[0]
    changed = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores these two for itself
    for number in changed:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(path, list(command), dict(environment))
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_IGN)
