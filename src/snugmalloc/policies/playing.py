"""Owns playing a trace on a policy, and the figures of its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from snugmalloc.play.plan import ALIGNED, FREE, FREE_NULL, NOWHERE, REALLOC, Plan, Step
from snugmalloc.policies.line import UNIT, Policy

SAMPLES = 256

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""


class Moment(NamedTuple):
    """The line after a number of calls, in bytes."""

    call: int
    live: int
    """As the program asked."""
    taken: int
    """In blocks: what is live, rounded up."""
    held: int
    """The whole line."""

    @property
    def rounding(self) -> int:
        return self.taken - self.live

    @property
    def in_holes(self) -> int:
        return self.held - self.taken

    @property
    def fragmentation(self) -> float:
        """Bytes of the line for each live byte."""
        return self.held / self.live if self.live else 0.0


@dataclass(frozen=True)
class Played:
    """The result of a trace on a policy."""

    moments: tuple[Moment, ...]
    """At evenly spaced calls."""
    at_peak: Moment
    """When most was live."""
    hole_count: int
    """In the end."""
    largest_hole: int
    """In the end, in bytes."""

    @property
    def at_end(self) -> Moment:
        return self.moments[-1]

    @property
    def mean_fragmentation(self) -> float:
        """The mean of the line over the calls, for each byte that is live in the mean."""
        live = sum(moment.live for moment in self.moments)
        return sum(moment.held for moment in self.moments) / live if live else 0.0


class Player:
    """Plays steps on a policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.blocks: dict[int, tuple[int, int]] = {}
        """By its place in the plan, a block's address and the bytes that were asked for."""
        self.live = 0
        self.call = 0
        self.at_peak = self.moment()

    def moment(self) -> Moment:
        """As it is now."""
        return Moment(self.call, self.live, self.policy.taken_bytes, self.policy.held)

    def play(self, step: Step) -> None:
        """One call."""
        self.call += 1
        if step.kind == FREE_NULL:
            return
        if step.kind == FREE:
            address, size = self.blocks.pop(step.place)
            self.policy.free(address)
            self.live -= size
            return
        if step.kind == REALLOC and step.source != NOWHERE:
            address, size = self.blocks.pop(step.source)
            address = self.policy.resize(address, step.size)
            self.live -= size
        else:
            alignment = max(UNIT, 1 << step.shift) if step.kind == ALIGNED else UNIT
            address = self.policy.allocate(step.size, alignment)
        self.blocks[step.place] = address, step.size
        self.live += step.size
        if self.live > self.at_peak.live:
            self.at_peak = self.moment()


def play_on_policy(plan: Plan, policy: Policy, progress: Progress | None = None) -> Played:
    """Play a plan of one stream on a policy that is new."""
    player = Player(policy)
    steps = plan.steps()
    stops = sorted({len(plan) * number // SAMPLES for number in range(SAMPLES + 1)})
    moments = []
    for start, stop in pairwise(stops):
        for _ in range(stop - start):
            player.play(next(steps))
        moments.append(player.moment())
        if progress:
            progress(stop, len(plan))
    holes = policy.holes
    return Played(tuple(moments), player.at_peak, len(holes), max((length for _, length in holes), default=0))
