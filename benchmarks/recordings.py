"""Owns what threads do with locks: the build that records it, its files, and the profiles made of them.

A profile is what a simulation replays: for each recorded thread a sequence of steps, a time outside any lock
and then a critical section, or a push to the stack of what other threads freed. `c/recording.h` writes the
files.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

import click

from .harness import HERE, WORK

ROOT = HERE.parent
FOLDER_VARIABLE, HEAPS_VARIABLE = "RECORD_LOCKS", "RECORD_HEAPS"
HEADER = struct.Struct("8s4Q")
WORDS = 4  # of a section
MAGIC = b"SNUGLOCK"
PUSH, WAITED, INSIDE = 1, 2, 4
FLAGS = PUSH | WAITED | INSIDE
KEPT_SECTIONS, KEPT_THREADS = 20_000, 100  # that are replayed: of each thread the last, of the last threads
USUAL = 4  # an empty section that took so many times the median was interrupted


class RecordingError(click.ClickException):
    """A recording that cannot be made or read."""


class Section(NamedTuple):
    """One record, times in nanoseconds."""

    lock: int
    flags: int
    home: int
    away: int
    hold: int


class Sections:
    """The records of one thread, in order."""

    def __init__(self) -> None:
        self.words = array("Q")

    def add(self, content: bytes) -> None:
        """More of them, as they are in a file."""
        self.words.frombytes(content)

    def __len__(self) -> int:
        return len(self.words) // WORDS

    def last(self, count: int) -> list[Section]:
        """So many, or all if there are no more."""
        words = self.words[-WORDS * count :]
        rows = zip(words[::WORDS], words[1::WORDS], words[2::WORDS], words[3::WORDS], strict=True)
        return [Section(word & ~FLAGS, word & FLAGS, home, away, hold) for word, home, away, hold in rows]

    def time(self) -> int:
        """Of all together."""
        return sum(self.words[2::WORDS]) + sum(self.words[3::WORDS])


@dataclass
class Recording:
    """What one process recorded."""

    process_lock: int = 0
    threads: dict[int, Sections] = field(default_factory=dict)
    """By thread, without the main one."""
    main: Sections = field(default_factory=Sections)
    empty: Sections = field(default_factory=Sections)
    """Sections in which nothing was done: what recording costs."""


class Role(IntEnum):
    """Whose lock a section takes."""

    HOME = 0
    """That of the heap that serves the thread."""
    OTHER = 1
    """That of a heap that serves another one."""
    COMMON = 2
    """That of the process's heap, by whom it does not serve: the registry of caches and heaps."""


class Step(NamedTuple):
    """A time outside any lock and a section that is held for so long, or a push. In nanoseconds."""

    away: float
    role: Role
    hold: float
    is_push: bool = False

    @property
    def work(self) -> float:
        """How long the step takes when nobody is in its way."""
        return self.away + self.hold


@dataclass(frozen=True)
class Profile:
    """What the threads of a program do."""

    sequences: tuple[tuple[Step, ...], ...]
    operation_ns: float = 0
    """How long an operation takes a thread that nobody is in the way of, as it was recorded."""
    unrecorded_ns: float = 0
    """The same by the processor time of a run that was not recorded."""
    away_cost: float = 0
    hold_cost: float = 0
    """What recording added to each away time and to each hold, which is subtracted."""

    @property
    def steps(self) -> Iterator[Step]:
        """Of all threads."""
        return (step for sequence in self.sequences for step in sequence)

    @cached_property
    def mean_work(self) -> float:
        """Of a step."""
        return fmean(step.work for step in self.steps)

    @cached_property
    def home_hold(self) -> float:
        """How long a section at home is held in the mean."""
        return mean_hold(step for step in self.steps if step.role is Role.HOME)

    def described(self) -> dict[str, float]:
        """For the page and the raw results; numbers of sections and pushes are those in 1,000 operations."""
        steps = list(self.steps)
        work = sum(step.work for step in steps)
        thousands = work / self.operation_ns / 1000
        roles = {role: [step for step in steps if step.role is role and not step.is_push] for role in Role}
        return {
            "operation_ns": self.operation_ns,
            "unrecorded_operation_ns": self.unrecorded_ns,
            **{f"{role.name.lower()}_sections": len(found) / thousands for role, found in roles.items()},
            **{f"{role.name.lower()}_hold_ns": mean_hold(found) for role, found in roles.items()},
            "pushes": sum(step.is_push for step in steps) / thousands,
            "away_ns": fmean(step.away for step in steps),
            "held_percent": 100 * sum(step.hold for step in steps) / work,
            "away_cost_ns": self.away_cost,
            "hold_cost_ns": self.hold_cost,
        }


def mean_hold(steps: Iterable[Step]) -> float:
    """How long a section is held in the mean, of those in `steps`; 0 without any."""
    holds = [step.hold for step in steps if not step.is_push]
    return fmean(holds) if holds else 0.0


# ---- Reading ----


def read_recording(path: Path) -> Recording:
    """What the file of one process has. Raises RecordingError."""
    content = path.read_bytes()
    recording = Recording()
    at = 0
    while at < len(content):
        if len(content) - at < HEADER.size:
            raise RecordingError(f"{path}: cut off at byte {at}: record it again")
        magic, thread, is_main, process_lock, count = HEADER.unpack_from(content, at)
        start, end = at + HEADER.size, at + HEADER.size + count * WORDS * 8
        if magic != MAGIC or end > len(content):
            raise RecordingError(f"{path}: no recording of locks from byte {at} on: record it again")
        recording.process_lock = process_lock
        found = recording.empty if not thread else recording.main if is_main else None
        if found is None:
            found = recording.threads.setdefault(thread, Sections())
        found.add(content[start:end])
        at = end
    return recording


def typical(samples: Sequence[int]) -> float:
    """The mean of those that nothing interrupted; the clock's steps are coarse, so the median is."""
    limit = USUAL * max(1, median(samples)) if samples else 0
    usual = [sample for sample in samples if sample <= limit]
    return fmean(usual) if usual else 0.0


def settled(sections: Sequence[Section], process_lock: int) -> list[Section]:
    """Without what a thread did in the process's heap before it moved to one of its own, if it did."""
    if all(section.home in (0, process_lock) for section in sections):
        return list(sections)
    return [section for section in sections if section.home != process_lock]


def role_of(section: Section, process_lock: int) -> Role:
    """Whose lock it was. Only a heap that serves a thread has something to be pushed to."""
    if section.lock == process_lock:
        return Role.OTHER if section.flags & PUSH else Role.COMMON
    return Role.HOME if section.lock == section.home else Role.OTHER


def profile_of(recording: Recording, operations: float, unrecorded_ns: float = 0) -> Profile:
    """The profile of a program that did so many operations, without what recording cost.

    Between two pushes the clock is read once, as in an empty section.
    """
    empty = recording.empty.last(KEPT_SECTIONS)
    away_cost, hold_cost = typical([one.away for one in empty]), typical([one.hold for one in empty])
    lock = recording.process_lock

    def step_of(section: Section) -> Step:
        is_push = bool(section.flags & PUSH)
        cost = hold_cost if is_push else away_cost
        hold = 0.0 if is_push else max(0.0, section.hold - hold_cost)
        return Step(max(0.0, section.away - cost), role_of(section, lock), hold, is_push)

    threads = list(recording.threads.values())
    kept = [settled(thread.last(KEPT_SECTIONS), lock) for thread in threads[-KEPT_THREADS:]]
    work = sum(thread.time() - len(thread) * (away_cost + hold_cost) for thread in threads)
    sequences = tuple(tuple(map(step_of, sections)) for sections in kept if sections)
    return Profile(sequences, work / operations, unrecorded_ns, away_cost, hold_cost)


def with_one_lock(profile: Profile) -> Profile:
    """As if all heaps had the same lock, and pushes took it too, for as long as a section does in the mean."""
    hold = mean_hold(profile.steps)
    sequences = tuple(
        tuple(Step(step.away, Role.COMMON, hold if step.is_push else step.hold) for step in sequence)
        for sequence in profile.sequences
    )
    before = sum(step.work for step in profile.steps)
    more = sum(step.work for sequence in sequences for step in sequence) / before
    return replace(
        profile,
        sequences=sequences,
        operation_ns=profile.operation_ns * more,
        unrecorded_ns=profile.unrecorded_ns * more,
    )


# ---- Recording ----


def build_library(source: Path, name: str, *, recording: bool) -> Path:
    """The drop-in malloc of a source tree, built in the work folder; `recording` its locks or as it is shipped.

    The tree may be an older one, without SNUG_RECORD_LOCKS. Raises RecordingError.
    """
    folder = WORK / name
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if not (source / "CMakeLists.txt").exists():
        raise RecordingError(f"{source}: no CMakeLists.txt there: name a source tree of snugmalloc")
    if shutil.which("cmake", path=path) is None:
        raise RecordingError("cmake is not installed: make build installs it")
    switches = ["-DSNUG_PYTHON=OFF", f"-DPython_EXECUTABLE={sys.executable}"]
    if recording and "SNUG_RECORD_LOCKS" in (source / "CMakeLists.txt").read_text():
        switches.append("-DSNUG_RECORD_LOCKS=ON")
    elif recording:
        switches.append(f"-DCMAKE_PROJECT_INCLUDE={ROOT / 'cmake' / 'RecordOther.cmake'}")
    commands: tuple[list[str | Path], ...] = (
        ["cmake", "-S", source, "-B", folder, "-G", "Ninja", *switches],
        ["cmake", "--build", folder, "--target", "dropin"],
    )
    for command in commands:
        ended = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True)
        if ended.returncode:
            raise RecordingError(f"{source} cannot be built:\n{ended.stdout}{ended.stderr}")
    return folder / "libsnugmalloc.so"


def record(library: Path, command: Sequence[str | Path], heaps: int = 0) -> tuple[Recording, str]:
    """Run a program on a library that records, and give what it recorded and what it printed.

    With `heaps` each thread moves to a heap of its own, as long as there are fewer. Raises RecordingError.
    """
    with tempfile.TemporaryDirectory() as folder:
        added = {"LD_PRELOAD": str(library), FOLDER_VARIABLE: folder}
        added |= {HEAPS_VARIABLE: str(heaps)} if heaps else {}
        ended = subprocess.run(
            [str(word) for word in command], env=os.environ | added, capture_output=True, text=True
        )
        files = list(Path(folder).iterdir())
        if ended.returncode or len(files) != 1:
            raise RecordingError(
                f"{command[0]} recorded nothing on {library}: status {ended.returncode}: {ended.stderr}"
            )
        return read_recording(files[0]), ended.stdout
