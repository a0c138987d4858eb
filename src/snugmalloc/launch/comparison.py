"""One program on several allocators in turn: the runs, and the figures made of them."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from snugmalloc.launch.allocators import PYMALLOC, Allocator
from snugmalloc.launch.launcher import Figures, measure
from snugmalloc.launch.preload import additions
from snugmalloc.options import always_on

METRICS = ("wall_s", "cpu_s", "peak_resident_bytes", "mean_resident_bytes", "final_resident_bytes")
LOADER_COMPLAINT = b"ERROR: ld.so: object"
SAID_BYTES = 4096  # of the end of what a program wrote to stderr, when it fails

Progress = Callable[[str, int, int], None]
"""Called before each run: the allocator, the run's number from 0, and how many there are."""


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of one figure over the runs."""

    median: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """Half the distance from minimum to maximum, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0

    def as_json(self) -> dict[str, float]:
        """As the JSON of the commands has it."""
        return {"median": self.median, "min": self.low, "max": self.high}


def spread_of(runs: Iterable[object], metric: str) -> Spread | None:
    """Of an attribute of the runs, where it is not None; None if it is so everywhere."""
    values = [value for run in runs if (value := getattr(run, metric)) is not None]
    return Spread(statistics.median(values), min(values), max(values)) if values else None


@dataclass
class Series:
    """The runs on one allocator; `failure` says why there are no more of them."""

    allocator: Allocator
    runs: list[Figures] = field(default_factory=list)
    failure: str | None = None

    def spread(self, metric: str) -> Spread | None:
        """Of one of METRICS; None if it is not known."""
        return spread_of(self.runs, metric) if self.failure is None else None

    @property
    def typical_run(self) -> Figures | None:
        """The run with the median (of two, the lower) of the mean resident memory; None if it is not known."""
        means = [run.mean_resident_bytes for run in self.runs if run.mean_resident_bytes is not None]
        if self.failure is not None or not means:
            return None
        median = statistics.median_low(means)
        return next(run for run in self.runs if run.mean_resident_bytes == median)


@dataclass(frozen=True)
class Comparison:
    """All that was measured; the baseline comes first."""

    program: tuple[str, ...]
    rounds: int
    series: tuple[Series, ...]

    @property
    def baseline(self) -> Series:
        """What the others are compared to."""
        return self.series[0]

    def ratio(self, series: Series, metric: str, base: str) -> float | None:
        """The median over that on the allocator called `base`; None if one of them is not known."""
        others = {other.allocator.name: other for other in self.series}
        own, other = series.spread(metric), others[base].spread(metric)
        return own.median / other.median if own and other and other.median else None


def compare(
    program: Sequence[str],
    allocators: Sequence[Allocator],
    rounds: int,
    environment: Mapping[str, str],
    *,
    plain_python: bool,
    trace: bool,
    timeline: bool = False,
    told: Progress,
) -> Comparison:
    """Run `program` `rounds` times on each of `allocators`, the first of which is the baseline.

    A first run that does not count warms the page cache. Then come rounds, each with one run on every
    allocator, beginning with another one each time, so that what slows the machine down for a while slows all
    of them. The program reads nothing and its output is dropped. `plain_python` sets PYTHONMALLOC=malloc
    everywhere but where Python keeps its own allocator; without `trace` the final resident memory stays
    unknown; with `timeline` each run has its readings of memory.

    An allocator on which the program fails is left out from there on. Raises RuntimeError when it fails on the
    baseline.
    """
    series = tuple(Series(allocator) for allocator in allocators)

    def run_on(allocator: Allocator) -> Figures:
        return _run(program, allocator, environment, plain_python=plain_python, trace=trace, timeline=timeline)

    total = 1 + rounds * len(series)
    told(allocators[0].label, 0, total)
    run_on(series[0].allocator)
    done = 1
    for turn in range(rounds):
        for index in range(len(series)):
            current = series[(turn + index) % len(series)]
            told(current.allocator.label, done, total)
            done += 1
            if current.failure is not None:
                continue
            try:
                current.runs.append(run_on(current.allocator))
            except RuntimeError as error:
                if current is series[0]:
                    raise
                current.failure = str(error)
    return Comparison(tuple(program), rounds, series)


def _run(
    program: Sequence[str],
    allocator: Allocator,
    environment: Mapping[str, str],
    *,
    plain_python: bool,
    trace: bool,
    timeline: bool,
) -> Figures:
    """One run. Raises RuntimeError if the program fails or the loader leaves the allocator out."""
    plain = plain_python and not allocator.keeps_pymalloc
    settings = always_on(environment)
    added = additions(allocator.libraries, settings, plain_python=plain, environment=environment)
    if allocator.keeps_pymalloc:
        added["PYTHONMALLOC"] = PYMALLOC
    with tempfile.TemporaryFile() as errors:
        figures = measure(
            program, added, output=subprocess.DEVNULL, errors=errors, trace=trace, timeline=timeline
        )
        said = _end_of(errors)
    if LOADER_COMPLAINT in said or figures.exit_status != 0:
        lines = said.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"{figures.ending}{': ' if lines else ''}{lines[-1] if lines else ''}")
    return figures


def _end_of(file: IO[bytes]) -> bytes:
    length = file.seek(0, 2)
    file.seek(max(0, length - SAID_BYTES))
    return file.read()
