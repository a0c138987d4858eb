"""Owns playing one plan on several allocators in turn, each run in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import snugmalloc
from snugmalloc.launch.allocators import (
    OURS,
    SYSTEM,
    UNDER_PYMALLOC,
    Allocator,
    AllocatorError,
    find_allocators,
    installed_names,
)
from snugmalloc.launch.comparison import Spread, spread_of
from snugmalloc.launch.preload import additions
from snugmalloc.options import always_on, variables
from snugmalloc.play.plan import Plan
from snugmalloc.play.player import PlayError, Run, count_system_calls, measure_bare, play, written

FOUR_FUNCTIONS = "osmem"
METRICS = (
    "wall_s",
    "cpu_s",
    "calls_per_second",
    "minor_faults",
    "peak_live_bytes",
    "peak_resident_bytes",
    "mean_resident_bytes",
    "final_resident_bytes",
    "fragmentation",
)

Progress = Callable[[str, int, int], None]
"""Called before each run: on what, the run's number from 0, and how many there are."""


@dataclass(frozen=True)
class Contestant:
    """What a plan is played on: an allocator with options, or the four functions."""

    name: str
    allocator: Allocator | None
    """None: the four functions, on the system's malloc for nothing."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Options by their names, such as purge_delay."""

    @property
    def is_ours(self) -> bool:
        """Whether it is the drop-in malloc."""
        return self.allocator is not None and self.allocator.is_ours

    @property
    def path(self) -> str:
        """The file that it comes from."""
        return str(self.allocator.path) if self.allocator else snugmalloc.get_library(FOUR_FUNCTIONS)

    @property
    def version(self) -> str | None:
        return self.allocator.version if self.allocator else snugmalloc.__version__

    @property
    def library(self) -> str | None:
        """The library whose four functions are played on; None for malloc."""
        return None if self.allocator else self.path

    def additions(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What a process on it has in its environment beside `environment`."""
        libraries = self.allocator.libraries if self.allocator else []
        settings = always_on(environment) | variables(self.settings)
        return additions(libraries, settings, plain_python=False, environment=environment)

    def play(self, plan: Plan, file: IO[bytes], environment: Mapping[str, str], bare: int) -> Run:
        """One run. Raises PlayError."""
        whole = {**environment, **self.additions(environment)}
        return play(plan, file, whole, library=self.library, bare=bare)


def find_contestants(names: Sequence[str] | None, settings: Mapping[str, str]) -> list[Contestant]:
    """Those called `names`, by default all that are installed, the system's malloc always first.

    With `settings` ours is there a second time, with these options. Raises AllocatorError and PreloadError.
    """
    listed = [SYSTEM, *([*installed_names(), FOUR_FUNCTIONS] if names is None else names)]
    found: list[Contestant] = []
    for name in dict.fromkeys(listed):
        if name in UNDER_PYMALLOC:
            raise AllocatorError(f"{name}: a trace is played on a malloc, and this is Python's own allocator")
        if name == FOUR_FUNCTIONS:
            found.append(Contestant(name, None))
            continue
        (allocator,) = find_allocators([name])
        found.append(Contestant(allocator.name, allocator))
        if settings and allocator.is_ours:
            words = " ".join(f"{option}={value}" for option, value in settings.items())
            found.append(Contestant(f"{allocator.name} {words}", allocator, settings))
    if settings and not any(contestant.settings for contestant in found):
        raise AllocatorError(f"options are {OURS}'s, which is not among the allocators")
    return found


@dataclass
class Series:
    """The runs on one contestant; `failure` says why there are no more of them."""

    contestant: Contestant
    runs: list[Run] = field(default_factory=list)
    failure: str | None = None
    counted_calls: Mapping[str, int] | None = None
    """System calls as strace counted them."""

    def spread(self, metric: str) -> Spread | None:
        """Of one of METRICS; None if it is not known."""
        return spread_of(self.runs, metric) if self.failure is None else None

    @property
    def typical(self) -> Run:
        """The run whose mean resident memory is the median one."""
        by_memory = sorted(self.runs, key=lambda run: run.mean_resident_bytes)
        return by_memory[(len(by_memory) - 1) // 2]

    @property
    def system_calls(self) -> Mapping[str, int] | None:
        """How often each was made: by strace's count, or by the allocator's own; None if nobody counted."""
        return self.counted_calls or self.typical.system_calls


@dataclass(frozen=True)
class Contest:
    """All that was measured; the baseline comes first."""

    plan: Plan
    rounds: int
    series: tuple[Series, ...]

    def ratio(self, series: Series, metric: str) -> float | None:
        """The median over that of the baseline; None if one of them is not known."""
        own, base = series.spread(metric), self.series[0].spread(metric)
        return own.median / base.median if own and base and base.median else None


def turns(count: int, rounds: int) -> Iterator[int]:
    """Whose turn it is, in rounds that begin with another one each time."""
    for turn in range(rounds):
        for index in range(count):
            yield (turn + index) % count


def hold_contest(
    plan: Plan,
    contestants: Sequence[Contestant],
    rounds: int,
    environment: Mapping[str, str],
    *,
    counts_calls: bool = False,
    told: Progress,
) -> Contest:
    """Play `plan` `rounds` times on each of `contestants`, the first of which is the baseline.

    One on which it fails is left out from there on. With `counts_calls` there is one more run on each, under
    strace. Raises PlayError when it fails on the baseline.
    """
    contest = Contest(plan, rounds, tuple(Series(contestant) for contestant in contestants))
    total = (rounds + counts_calls) * len(contestants)
    with written(plan) as file:
        bare = measure_bare(environment)
        for done, index in enumerate(turns(len(contestants), rounds)):
            series = contest.series[index]
            told(series.contestant.name, done, total)
            if series.failure is not None:
                continue
            try:
                series.runs.append(series.contestant.play(plan, file, environment, bare))
            except PlayError as error:
                if index == 0:
                    raise
                series.failure = str(error)
    if counts_calls:
        for done, series in enumerate(contest.series, rounds * len(contestants)):
            told(series.contestant.name, done, total)
            if series.failure is None:
                contestant = series.contestant
                added = contestant.additions(environment)
                series.counted_calls = count_system_calls(plan, environment, added, contestant.library)
    return contest
