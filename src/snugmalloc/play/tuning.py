"""Owns the search for options of the drop-in malloc for a trace, and the test of the result.

The search is optuna's, on one half of a trace; the result is tested on the other. Measuring a setting is not
done here, but by a function that plays settings in turn and returns a figure of memory and one of time for
each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

from snugmalloc.options import OPTIONS

Setting = Mapping[str, str]
"""Options that differ from their defaults, by name."""

# The values that are tried; each option's default is among them.
CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "purge_delay": ("0", "16", "64", "256", "1K", "4K", "16K", "1G"),
        "thread_cache": ("0", "512", "1K", "2K", "4K", "8K", "16K", "64K"),
        "mmap_threshold": ("64K", "256K", "1M", "4M", "32M", "1G"),
        "prealloc": ("0", "128K", "1M", "8M"),
    }
)
NO_CHANGE: Setting = MappingProxyType({})
LEARNING_ROUNDS = 2
WORTH = 0.98
"""Of the defaults' memory: a gain that is smaller is none."""
LEAST_TIME = 1e-6  # seconds
TOO_SLOW = 1.0
"""Added to the memory, as a multiple of the defaults', of a setting that is beyond the bound on time."""
SAME = 1.005
"""Of the found setting's memory: an option that saves no more than that goes back to its default."""


class Half(Enum):
    """The halves of a trace: for the search, and for the test."""

    LEARNING = "learning"
    JUDGING = "judging"


class Cost(NamedTuple):
    """What a setting costs: bytes in the mean, and seconds of processor time."""

    memory: float
    time: float

    def over(self, other: Cost) -> tuple[float, float]:
        """Memory and time as multiples of another's."""
        return self.memory / max(other.memory, 1), self.time / max(other.time, LEAST_TIME)


Measure = Callable[[Sequence[Setting], Half, int], Sequence[Cost]]
"""Plays settings on a half of the trace, so many rounds in turn; the cost of each."""

Progress = Callable[[int, int], None]
"""Called with how many trials are done, of how many."""


class TunerError(Exception):
    """The search cannot be made."""


@dataclass(frozen=True)
class Verdict:
    """The result: `setting` is empty if the defaults are as good."""

    setting: Setting
    tried: Setting
    """What was judged, which may not have been worth it."""
    defaults: Cost
    """On the half that judges."""
    found: Cost
    """Of what was judged, on the same half."""

    @property
    def ratios(self) -> tuple[float, float]:
        """Memory and time of the tested setting, over those of the defaults."""
        return self.found.over(self.defaults)


def check_optuna() -> None:
    """Raise TunerError if optuna is not installed."""
    if find_spec("optuna") is None:
        raise TunerError("snug tune needs optuna: pip install 'snugmalloc[tune]'")


class Search:
    """Searches, on one half of a trace, for the setting with minimum memory and a time within a bound."""

    def __init__(self, measure: Measure, time_bound: float) -> None:
        self.measure = measure
        self.time_bound = time_bound
        self.known: dict[tuple[tuple[str, str], ...], tuple[float, float]] = {}

    def run(self, trials: int, seed: int, told: Progress) -> Setting:
        """The best setting of this many trials."""
        study = _new_study(trials, seed)
        best, least = NO_CHANGE, 1.0
        for number in range(trials):
            told(number, trials)
            trial = study.ask()
            setting = _changes(
                {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
            )
            memory, time = self.ratios(setting)
            excess = max(0.0, time - self.time_bound)
            study.tell(trial, memory + excess + (TOO_SLOW if excess else 0))
            if time <= self.time_bound and memory < least:
                best, least = setting, memory
        told(trials, trials)
        return self.simplified(best, least)

    def ratios(self, setting: Setting) -> tuple[float, float]:
        """Memory and time of a setting over those of the defaults, which are played beside it."""
        key = tuple(sorted(setting.items()))
        if not setting:
            return 1.0, 1.0
        if key not in self.known:
            defaults, cost = self.measure([NO_CHANGE, setting], Half.LEARNING, LEARNING_ROUNDS)
            self.known[key] = cost.over(defaults)
        return self.known[key]

    def simplified(self, setting: Setting, memory: float) -> Setting:
        """The same without the options that save nothing."""
        for name in setting:
            fewer = {other: value for other, value in setting.items() if other != name}
            memory_without, time_without = self.ratios(fewer)
            if memory_without <= memory * SAME and time_without <= self.time_bound:
                setting, memory = fewer, memory_without
        return setting


def _changes(values: Mapping[str, str]) -> Setting:
    """Those of the values that are not the defaults."""
    return {name: value for name, value in values.items() if value != OPTIONS[name].default_text}


def _new_study(trials: int, seed: int) -> Any:
    """A study of optuna that tries the defaults first."""
    check_optuna()
    optuna = import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(4, trials // 3))
    )
    study.enqueue_trial({name: OPTIONS[name].default_text for name in CHOICES})
    return study


def tune(
    measure: Measure, *, trials: int, time_bound: float, rounds: int, seed: int, told: Progress
) -> Verdict:
    """Search with this many trials, and test the result in this many rounds. Raises TunerError."""
    tried = Search(measure, time_bound).run(trials, seed, told)
    if not tried:
        (defaults,) = measure([NO_CHANGE], Half.JUDGING, rounds)
        return Verdict(NO_CHANGE, NO_CHANGE, defaults, defaults)
    defaults, found = measure([NO_CHANGE, tried], Half.JUDGING, rounds)
    memory, time = found.over(defaults)
    is_worth_it = memory <= WORTH and time <= time_bound
    return Verdict(tried if is_worth_it else NO_CHANGE, tried, defaults, found)
