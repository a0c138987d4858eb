"""Running a program through ``snug-launch``, and what the run cost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import snugmalloc


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

    @property
    def cpu_s(self) -> float:
        """Processor time in the program and in the kernel for it."""
        return self.user_s + self.system_s

    @property
    def ending(self) -> str:
        """How the program ended, for people."""
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


def launcher_path() -> Path:
    """Where ``snug-launch`` is installed."""
    return Path(snugmalloc.get_library("snug-run")).parent / "snug-launch"


def launch_command(
    words: Sequence[str], added: Mapping[str, str], figures_fd: int, after: Sequence[str] = ()
) -> list[str]:
    """The command line that runs `words` with `added` in its environment, writes figures to `figures_fd`, then
    becomes the command `after`, if that is not empty."""
    command = [str(launcher_path()), "-f", str(figures_fd)]
    for name, value in added.items():
        command += ["-e", f"{name}={value}"]
    for word in after:
        command += ["-a", word]
    return [*command, "--", *words]


def measure(
    words: Sequence[str], added: Mapping[str, str], *, output: IO[bytes] | int, errors: IO[bytes]
) -> Figures:
    """Run `words` to its end with `added` in its environment, and bring back its figures.

    The program reads nothing, writes to `output` and its errors to `errors`.
    """
    with tempfile.TemporaryFile() as figures:
        subprocess.run(
            launch_command(words, added, figures.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            pass_fds=[figures.fileno()],
            check=False,
        )
        figures.seek(0)
        return read_figures(figures.read().decode())


def become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Put `command` in this process's place, with the signals as Python found them. Raises OSError."""
    for changed in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two for itself
        signal.signal(changed, signal.SIG_DFL)
    path = shutil.which(command[0], path=environment.get("PATH")) or command[0]
    os.execve(path, list(command), dict(environment))
