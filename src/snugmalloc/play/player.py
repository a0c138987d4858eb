"""Owns running `snug-play`, a process for each run, and what it reports."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import snugmalloc
from snugmalloc.launch.comparison import LOADER_COMPLAINT
from snugmalloc.launch.preload import additions
from snugmalloc.play.plan import Plan

SAMPLES = 256
"""At how many evenly spaced calls, or times of a paced plan, the player looks at the memory."""

CALL_PREFIX = "call_"
MEMORY_CALLS = ("brk", "mmap", "munmap", "mremap", "madvise", "mprotect")
NOTHING = Plan("nothing", [bytearray()])
"""A plan without a call."""


class PlayError(Exception):
    """A trace that could not be played to its end, in one line."""


class Sample(NamedTuple):
    """After a number of steps: bytes `live` as requested, `resident` for them, processor time so far."""

    step: int
    live: int
    resident: int
    cpu_s: float
    """0 with threads."""
    time_s: float = 0.0
    """Since the first step; 0 where the plan is not paced."""


@dataclass(frozen=True)
class Run:
    """What one run cost. All sizes in bytes."""

    calls: int
    wall_s: float
    cpu_s: float
    """Processor time, in the program and in the kernel for it."""
    minor_faults: int
    samples: tuple[Sample, ...]
    most_live: int
    """The most that was live, exactly; with threads the most of the samples."""
    highest: int | None
    """The most that was resident, as the kernel keeps it; None with threads."""
    system_calls: Mapping[str, int] | None
    """How often each system call was made; None if the allocator does not count them."""

    @property
    def calls_per_second(self) -> float:
        return self.calls / self.wall_s if self.wall_s else 0.0

    @property
    def peak_live_bytes(self) -> int:
        return self.most_live

    @property
    def peak_resident_bytes(self) -> int:
        """The maximum of the samples and of the kernel's value."""
        return max(self.highest or 0, *(sample.resident for sample in self.samples))

    @property
    def mean_resident_bytes(self) -> float:
        """The mean over the calls; of a paced plan over time."""
        return sum(sample.resident for sample in self.samples) / len(self.samples)

    @property
    def mean_live_bytes(self) -> float:
        return sum(sample.live for sample in self.samples) / len(self.samples)

    @property
    def final_resident_bytes(self) -> int:
        """After the last call."""
        return self.samples[-1].resident

    @property
    def fragmentation(self) -> float | None:
        """Mean resident bytes for each mean live byte."""
        return self.mean_resident_bytes / self.mean_live_bytes if self.mean_live_bytes else None


def player_path() -> Path:
    """Where ``snug-play`` is installed."""
    return Path(snugmalloc.get_library("osmem")).parent / "snug-play"


@contextmanager
def written(plan: Plan) -> Iterator[IO[bytes]]:
    """The plan in a file without a name, which is gone with the last process that has it open."""
    with tempfile.TemporaryFile(prefix="snug-replay-") as file:
        plan.write(file)
        yield file


def play(
    plan: Plan,
    file: IO[bytes],
    environment: Mapping[str, str],
    *,
    library: str | None = None,
    bare: int = 0,
    samples: int = SAMPLES,
    checks: bool = False,
) -> Run:
    """Play `plan`, which is in `file`, on the malloc that `environment` preloads, or on the four functions.

    These are those of `library`. `bare` bytes of what is resident are any process's. With `checks` every byte
    is compared before it is freed. Raises PlayError.
    """
    options = ["-s", str(samples)]
    options += ["-c"] if checks else []
    text = _run(_command(file, library, *options), file, environment)
    return _read(text, plan.calls, bare)


def count_system_calls(
    plan: Plan, environment: Mapping[str, str], added: Mapping[str, str], library: str | None = None
) -> dict[str, int]:
    """How often each of MEMORY_CALLS is made for `plan`, with `added` in the environment: strace's count.

    What a player makes that plays nothing is taken off. Raises PlayError.
    """
    counts = []
    for played in (plan, NOTHING):
        with written(played) as file, tempfile.NamedTemporaryFile(prefix="snug-replay-") as counted:
            command = ["strace", "-f", "--seccomp-bpf", "-c", "-U", "calls,name", "-o", counted.name]
            command += ["-e", f"trace={','.join(MEMORY_CALLS)}"]
            for name, value in added.items():
                command += ["-E", f"{name}={value}"]
            _run([*command, *_command(file, library, "-s", "1")], file, environment)
            lines = (line.split() for line in counted.read().decode().splitlines())
            counts.append({words[1]: int(words[0]) for words in lines if words[-1] in MEMORY_CALLS})
    return {name: max(0, count - counts[1].get(name, 0)) for name, count in counts[0].items()}


def _command(file: IO[bytes], library: str | None, *options: str) -> list[str]:
    return [str(player_path()), *options, *(["-o", library] if library else []), str(file.fileno())]


def _run(command: Sequence[str], file: IO[bytes], environment: Mapping[str, str]) -> str:
    """What the player, which is given `file`, reports. Raises PlayError."""
    done = subprocess.run(
        command,
        env=dict(environment),
        pass_fds=[file.fileno()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode or LOADER_COMPLAINT in done.stderr:
        ending = (
            f"killed by {signal.Signals(-done.returncode).name}"
            if done.returncode < 0
            else f"exit status {done.returncode}"
        )
        raise PlayError(said[-1] if said else ending)
    return done.stdout.decode()


def _read(text: str, calls: int, bare: int) -> Run:
    """What the player wrote, with `bare` bytes taken off what is resident."""
    values: dict[str, int] = {}
    samples = []
    for line in text.splitlines():
        name, *figures = line.split()
        if name == "sample":
            step, live, resident, processor, time = map(int, figures)
            samples.append(Sample(step, live, max(0, resident - bare), processor / 1e9, time / 1e9))
        else:
            values[name] = int(figures[0])
    if "end" not in values:
        raise PlayError("the player's report is not complete")
    highest = values.get("highest_bytes")
    system_calls = {
        name.removeprefix(CALL_PREFIX): count for name, count in values.items() if name.startswith(CALL_PREFIX)
    }
    return Run(
        calls=calls,
        wall_s=values["wall_ns"] / 1e9,
        cpu_s=values["processor_ns"] / 1e9,
        minor_faults=values["minor_faults"],
        samples=tuple(samples),
        most_live=values.get("peak_live_bytes", max(sample.live for sample in samples)),
        highest=None if highest is None else max(0, highest - bare),
        system_calls=system_calls or None,
    )


def measure_bare(environment: Mapping[str, str]) -> int:
    """What a player holds that plays nothing, on the system's malloc. Raises PlayError."""
    plain = additions([], {}, plain_python=False, environment=environment)
    with written(NOTHING) as file:
        return play(NOTHING, file, {**environment, **plain}).final_resident_bytes
