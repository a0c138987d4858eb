"""Owns the arithmetic: from samples to medians, ratios and geometric means. Nothing here measures or prints."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .harness import Figure

Samples = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]
"""The samples of each metric, by workload and by contender."""


def figure(samples: Sequence[float]) -> Figure:
    """Median, minimum and maximum."""
    return Figure(statistics.median(samples), min(samples), max(samples))


def over(own: Figure, base: float) -> Figure:
    """`own` as multiples of `base`."""
    return Figure(own.median / base, own.min / base, own.max / base)


def geometric_mean(values: Iterable[float]) -> float | None:
    """The n-th root of the product; None of nothing, and where a value is not positive."""
    values = list(values)
    if not values or min(values) <= 0:
        return None
    return math.exp(math.fsum(map(math.log, values)) / len(values))


@dataclass(frozen=True)
class Table:
    """All figures by workload, contender and metric. What a contender failed at or is not for is not there."""

    figures: Mapping[str, Mapping[str, Mapping[str, Figure]]]
    peers: tuple[str, ...]

    @classmethod
    def of(cls, samples: Samples, peers: Iterable[str]) -> Table:
        """The table of all samples."""
        return cls(
            {
                workload: {
                    contender: {metric: figure(values) for metric, values in metrics.items() if values}
                    for contender, metrics in contenders.items()
                }
                for workload, contenders in samples.items()
            },
            tuple(peers),
        )

    @property
    def workloads(self) -> list[str]:
        """In the order in which they were measured."""
        return list(self.figures)

    @property
    def contenders(self) -> list[str]:
        """All that were measured anywhere, in order of first appearance."""
        return list(dict.fromkeys(name for contenders in self.figures.values() for name in contenders))

    def get(self, workload: str, contender: str, metric: str) -> Figure | None:
        """One figure."""
        return self.figures.get(workload, {}).get(contender, {}).get(metric)

    def ratio(self, workload: str, contender: str, metric: str, base: str) -> Figure | None:
        """The figure as multiples of the median of `base`."""
        own, other = self.get(workload, contender, metric), self.get(workload, base, metric)
        return over(own, other.median) if own and other and other.median else None

    def ratios(self, contender: str, metric: str, base: str) -> dict[str, float]:
        """The ratio of the medians for every workload that both were measured on."""
        every = {workload: self.ratio(workload, contender, metric, base) for workload in self.figures}
        return {workload: ratio.median for workload, ratio in every.items() if ratio}

    def mean_ratio(
        self, contender: str, metric: str, base: str, workloads: Iterable[str] | None = None
    ) -> float | None:
        """The geometric mean of the ratios, over `workloads` or all."""
        ratios = self.ratios(contender, metric, base)
        chosen = ratios if workloads is None else [name for name in workloads if name in ratios]
        return geometric_mean(ratios[name] for name in chosen)

    def _of_peers(self, workload: str, metric: str) -> dict[str, float]:
        every = {peer: self.get(workload, peer, metric) for peer in self.peers}
        return {peer: found.median for peer, found in every.items() if found}

    def best_peer(self, workload: str, metric: str) -> tuple[str, float] | None:
        """The peer with the lowest median there, and that median."""
        medians = self._of_peers(workload, metric)
        best = min(medians, key=medians.__getitem__, default=None)
        return None if best is None else (best, medians[best])

    def median_peer(self, workload: str, metric: str) -> float | None:
        """The median of the peers' medians there."""
        medians = self._of_peers(workload, metric)
        return statistics.median(medians.values()) if medians else None

    def median_of(self, workload: str, metric: str, contenders: Iterable[str]) -> float | None:
        """The median of the medians of `contenders` there; None if one of them has none."""
        every = [self.get(workload, contender, metric) for contender in contenders]
        known = [found.median for found in every if found]
        return statistics.median(known) if known and len(known) == len(every) else None

    def leading_peer(self, metric: str, base: str) -> str | None:
        """The peer whose mean ratio to `base` is the lowest."""
        means = {peer: self.mean_ratio(peer, metric, base) for peer in self.peers}
        known = {peer: mean for peer, mean in means.items() if mean is not None}
        return min(known, key=known.__getitem__, default=None)

    def over_best_peer(self, contender: str, metric: str) -> dict[str, float]:
        """By workload: the median over that of the best peer."""
        return self._over(
            contender,
            {w: best and best[1] for w in self.figures for best in [self.best_peer(w, metric)]},
            metric,
        )

    def over_median_peer(self, contender: str, metric: str) -> dict[str, float]:
        """By workload: the median over the median peer's."""
        return self._over(contender, {w: self.median_peer(w, metric) for w in self.figures}, metric)

    def _over(self, contender: str, bases: Mapping[str, float | None], metric: str) -> dict[str, float]:
        every = ((workload, self.get(workload, contender, metric), base) for workload, base in bases.items())
        return {workload: own.median / base for workload, own, base in every if own and base}
