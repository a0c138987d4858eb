"""Owns measuring what settings cost on a half of a trace: for `tuning`, by `snug-play`.

A trace is cut into pieces, which belong to the one half and the other in turn, so that each half has a part of
all that the program does. All of it is played every time; what counts are the samples of the half's pieces.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import IO

from snugmalloc.launch.allocators import Allocator
from snugmalloc.options import PREFIX
from snugmalloc.play.contest import Contestant, turns
from snugmalloc.play.plan import Plan
from snugmalloc.play.player import Run, measure_bare
from snugmalloc.play.tuning import LEAST_TIME, Cost, Half, Setting

ENOUGH_SECONDS = 0.1  # of processor time, for each setting
MOST_ROUNDS = 12
PIECES = 32


class Meter:
    """Plays a plan of one stream, which is in `file`, on one allocator with different settings."""

    def __init__(
        self, plan: Plan, file: IO[bytes], allocator: Allocator, environment: Mapping[str, str]
    ) -> None:
        self.plan = plan
        self.file = file
        self.allocator = allocator
        self.environment = {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
        self.bare = measure_bare(self.environment)

    def __call__(self, settings: Sequence[Setting], half: Half, rounds: int) -> list[Cost]:
        """The cost of each: mean resident memory, its median; processor time, the least. Raises PlayError.

        Short plays have more rounds, since their times differ more.
        """
        runs: list[list[Run]] = [[] for _ in settings]
        self.play(settings, 1, runs)
        seconds = max(sum(run.cpu_s for run in of_one) for of_one in runs)
        enough = min(MOST_ROUNDS, round(ENOUGH_SECONDS / max(seconds, LEAST_TIME)))
        self.play(settings, max(rounds, enough) - 1, runs)
        return [_cost_of(of_one, half) for of_one in runs]

    def play(self, settings: Sequence[Setting], rounds: int, runs: list[list[Run]]) -> None:
        """Play so many rounds, and add the runs to those of each setting."""
        for index in turns(len(settings), rounds):
            contestant = Contestant(self.allocator.name, self.allocator, settings[index])
            run = contestant.play(self.plan, self.file, self.environment, self.bare)
            runs[index].append(run)


def _cost_of(runs: Sequence[Run], half: Half) -> Cost:
    costs = [cost_of_half(run, half) for run in runs]
    return Cost(statistics.median(cost.memory for cost in costs), min(cost.time for cost in costs))


def cost_of_half(run: Run, half: Half) -> Cost:
    """The mean resident memory and the processor time of the pieces that belong to a half."""
    parity = 0 if half is Half.LEARNING else 1
    resident, seconds = [], 0.0
    before = 0.0
    for number, sample in enumerate(run.samples):
        if number * PIECES // len(run.samples) % 2 == parity:
            resident.append(sample.resident)
            seconds += sample.cpu_s - before
        before = sample.cpu_s
    return Cost(statistics.fmean(resident), seconds)
