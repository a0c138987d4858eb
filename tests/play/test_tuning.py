"""The search for options: by made-up costs, and once on a real trace whose best setting is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from snugmalloc.cli.tune import AS_GOOD
from snugmalloc.options import OPTIONS
from snugmalloc.play.meter import cost_of_half
from snugmalloc.play.player import Run, Sample
from snugmalloc.play.tuning import CHOICES, NO_CHANGE, Cost, Half, Measure, Setting, Verdict, tune
from snugmalloc.trace import Operation

from ..cli.programs import snug
from .programs import Called, write_trace

KIB = 1 << 10


def nothing(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def measured_by(cost: Callable[[Setting, Half], Cost]) -> Measure:
    def measure(settings: Sequence[Setting], half: Half, rounds: int) -> Sequence[Cost]:
        return [cost(setting, half) for setting in settings]

    return measure


def found(cost: Callable[[Setting, Half], Cost], *, seed: int = 0, time_bound: float = 1.05) -> Verdict:
    return tune(measured_by(cost), trials=60, time_bound=time_bound, rounds=1, seed=seed, told=nothing)


def small_caches_help(setting: Setting, half: Half) -> Cost:
    """Memory falls with the caches, and nothing else matters; without any caches it takes long."""
    cache = setting.get("thread_cache", "64K")
    memory = 500 + 500 * CHOICES["thread_cache"].index(cache) / 7
    return Cost(memory, 2.0 if cache == "0" else 1.0)


def test_the_choices_are_values_of_the_options_and_hold_the_defaults() -> None:
    for name, values in CHOICES.items():
        for value in values:
            OPTIONS[name].check(value)
        assert OPTIONS[name].default_text in values


@pytest.mark.parametrize("seed", range(3))
def test_the_best_setting_within_the_bound_is_found_without_what_does_not_matter(seed: int) -> None:
    verdict = found(small_caches_help, seed=seed)
    assert verdict.setting == {"thread_cache": "512"}
    assert verdict.ratios == pytest.approx(((500 + 500 / 7) / 1000, 1.0))


def test_a_wider_bound_finds_more() -> None:
    assert found(small_caches_help, time_bound=3.0).setting == {"thread_cache": "0"}


def test_the_same_seed_finds_the_same() -> None:
    def uneven(setting: Setting, half: Half) -> Cost:
        return Cost(1000 - sum(map(len, setting.values())), 1.0)

    assert found(uneven, seed=4).tried == found(uneven, seed=4).tried


def test_where_nothing_helps_the_defaults_are_as_good() -> None:
    verdict = found(lambda setting, half: Cost(1000.0 + len(setting), 1.0))
    assert (verdict.setting, verdict.tried) == (NO_CHANGE, NO_CHANGE)


@pytest.mark.parametrize(
    "second", [Cost(1000.0, 1.0), Cost(990.0, 1.0), Cost(500.0, 1.1)], ids=["same", "hardly less", "too slow"]
)
def test_what_helps_on_one_half_only_is_not_recommended(second: Cost) -> None:
    def cost(setting: Setting, half: Half) -> Cost:
        if not setting:
            return Cost(1000.0, 1.0)
        return second if half is Half.JUDGING else Cost(500.0, 1.0)

    verdict = found(cost)
    assert verdict.setting == NO_CHANGE
    assert verdict.tried


def test_each_half_has_every_other_piece() -> None:
    """64 samples are 32 pieces of two: the first of the one half, the second of the other, and so on."""
    samples = tuple(Sample(n, 10, 100 if n // 2 % 2 == 0 else 300, (n // 2 + 1) * 1.0) for n in range(64))
    run = Run(64, 1.0, 1.0, 0, samples, 10, None, None)
    assert cost_of_half(run, Half.LEARNING) == Cost(100, 16.0)
    assert cost_of_half(run, Half.JUDGING) == Cost(300, 16.0)


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """Waves of small blocks, of which little stays live: to give back at once takes the least memory."""
    calls = []
    for wave in range(24):
        addresses = [(1 + wave * 2000 + number) << 16 for number in range(2000)]
        calls += [Called(Operation.MALLOC, 0, 8 * KIB, 0, address, 0) for address in addresses]
        calls += [Called(Operation.FREE, 0, 0, 0, 0, address) for address in addresses]
        calls += [
            call
            for number in range(500)
            for call in (
                Called(Operation.MALLOC, 0, 100, 0, 16 * (number + 1), 0),
                Called(Operation.FREE, 0, 0, 0, 0, 16 * (number + 1)),
            )
        ]
    return write_trace(tmp_path / "waves.snug", calls)


def test_tune_says_what_it_found_or_that_the_defaults_are_as_good(waves: Path) -> None:
    words = ("tune", "--trials", "12", "-n", "2", "--time-bound", "1000", waves)
    printed = json.loads(snug(*words, "--json", "-").stdout)
    for name, value in printed["setting"].items():
        OPTIONS[name].check(value)
    assert printed["memory_ratio"] <= 0.98 if printed["setting"] else printed["environment"] == ""
    assert printed["defaults"]["mean_resident_bytes"] > 0
    ended = snug(*words)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert AS_GOOD in lines or any(re.fullmatch(r"(SNUG_[A-Z_]+=\w+ ?)+", line) for line in lines)


def test_a_trace_that_is_too_short_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("1: malloc 0xa 1\n")
    ended = snug("tune", tmp_path / "short.txt")
    message = "snug: short.txt: has 1 calls: 1,000 are needed\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", message)


def test_without_optuna_it_says_what_to_install(tmp_path: Path, waves: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'optuna' else find(name, *rest)\n"
    )
    ended = snug("tune", waves, PYTHONPATH=str(tmp_path))
    message = "snug: snug tune needs optuna: pip install 'snugmalloc[tune]'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", message)
