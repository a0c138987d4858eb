"""The goals' page: a figure beside each goal, or that it was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.goals import GOALS, Goal, Reading, Results, table
from benchmarks.summary import Table

NOTHING = Results(None, None)


@pytest.fixture
def results() -> Results:
    """A run on one workload, and figures of their own."""
    metrics = {
        "cpu_s": [2.0],
        "peak_resident_bytes": [100e6],
        "mean_resident_bytes": [90e6],
        "resident end": [100e6],
    }
    ours = {
        "cpu_s": [1.0],
        "peak_resident_bytes": [80e6],
        "mean_resident_bytes": [63e6],
        "resident end": [39e6],
    }
    samples = {
        "python-service": {
            "system": metrics,
            "peer": metrics,
            "snugmalloc": ours,
            "snugmalloc-keeping": {"cpu_s": [0.98]},
            "pymalloc": metrics,
            "snugmalloc-pymalloc": {**ours, "mean_resident_bytes": [81e6]},
        }
    }
    figures: dict[str, Any] = {
        "contenders": {"system": {"peer": False}, "peer": {"peer": True}, "snugmalloc": {"peer": False}},
        "instructions": {
            "system": dict.fromkeys(("pair64", "random127", "random", "pair16000"), 100.0),
            "snugmalloc": dict.fromkeys(("pair64", "random127", "random", "pair16000"), 44.6),
        },
        "live": {
            "snugmalloc": {
                f"{order} {live}": {"median": cost}
                for order in ("random", "oldest")
                for live, cost in ((10**3, 2.0), (10**6, 9.0), (10**7, 6.0))
            }
        },
        "start": {
            "system": {"final_resident_bytes": {"median": 1024.0 * 1000}},
            "snugmalloc": {"final_resident_bytes": {"median": 1024.0 * 1040}},
        },
        "threads": {
            name: {"handover 1": {"median": speed}}
            for name, speed in (("system", 9e6), ("peer", 4e6), ("snugmalloc", 5e6))
        },
    }
    return Results(Table.of(samples, ["peer"]), figures)


def row(results: Results, words: str) -> list[str]:
    """The row of the goal whose figure contains `words`."""
    return next(goal for goal in GOALS if words in goal.figure).row(results)


def test_without_a_run_nothing_is_claimed() -> None:
    assert all(goal.row(NOTHING)[2:] == ["not measured", ""] for goal in GOALS)


def test_every_goal_can_be_read_from_a_run(results: Results) -> None:
    unread = [goal.figure for goal in GOALS if "torture" not in goal.figure and goal.take(results) is None]
    assert unread == []


def test_a_goal_is_reached_by_the_figure_as_it_is_printed() -> None:
    goal = Goal("x", 1.0, lambda results: Reading(1.004), digits=2)
    assert goal.row(NOTHING) == ["x", "at most 1.00", "1.00", "yes"]
    assert not goal.holds(1.006)


def test_a_goal_can_be_the_least(results: Results) -> None:
    assert row(results, "handing blocks over")[1:] == ["at least 1.00", "1.25 (against peer)", "yes"]


def test_memory_stands_beside_that_of_the_system_and_the_best_peer(results: Results) -> None:
    assert row(results, "in the end")[1:] == ["at most 40 MB", "39 MB (system 100, peer 100)", "yes"]


def test_the_price_of_giving_back_is_that_of_the_worst_workload(results: Results) -> None:
    told = row(results, "giving memory back")
    assert told[1:] == ["at most 3.0 %", "2.0 % (python-service; in the mean +2.0 %)", "yes"]


def test_python_programs_are_held_to_stock_python(results: Results) -> None:
    told = row(results, "resident over time")
    assert told[1:] == ["at most 0.75", "0.70 (under Python's own allocator 0.90)", "yes"]


def test_the_start_is_told_above_the_systems(results: Results) -> None:
    assert row(results, "/bin/true")[2:] == ["40 KiB", "yes"]


def test_growth_with_live_blocks_is_the_most_over_the_fewest(results: Results) -> None:
    assert row(results, "10^3, random")[2:] == ["3.0", "no"]


def test_growth_to_fewer_live_blocks_is_not_told_as_that_to_the_most() -> None:
    live = {"snugmalloc": {"random 1000": {"median": 2.0}, "random 1000000": {"median": 6.0}}}
    assert row(Results(None, {"live": live}), "10^3, random")[2] == "not measured"


def test_the_table_has_a_line_for_every_goal(results: Results) -> None:
    lines = table(results).splitlines()
    assert lines[0] == "| figure | goal | measured | reached |"
    assert len(lines) == 2 + len(GOALS)
