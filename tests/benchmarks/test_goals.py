"""The goals' page: a figure beside each goal, or that it was not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scaling, simulation
from benchmarks.catalogue import WORKLOADS
from benchmarks.goals import (
    GOALS,
    LIBRARYS_RULES,
    SHARED,
    SIMULATED_CORES,
    Goal,
    Reading,
    Results,
    obstacles,
    table,
    write,
)
from benchmarks.summary import Samples, Table

NOTHING = Results()
INSTRUCTIONS = ("pair64", "batch48", "random127", "random", "random8192", "pair8192", "pair40000")


def threads_of_a_workload() -> dict[str, dict[str, list[float]]]:
    """The suite's samples of one workload of several threads: wall and processor times, and peaks."""
    figures = {
        "snugmalloc": ([2.0, 2.1, 2.9], [4.0]),
        "mimalloc": ([2.0], [3.0]),
        "mimalloc3": ([1.0], [1.0]),
        "tcmalloc": ([9.0], [9.0]),
    }
    times = {name: {"wall_s": wall, "cpu_s": cpu} for name, (wall, cpu) in figures.items()}
    times["snugmalloc"]["peak_resident_bytes"] = [104e6]
    return {**times, "peer": {"peak_resident_bytes": [100e6]}}


def many_threads() -> Samples:
    """What ``scaling`` leaves, under the names that it uses."""
    figures = {
        ("sharing", 1): {scaling.WALL: [400.0]},
        ("sharing", 8): {scaling.WALL: [260.0]},
        ("pipeline", 2): {scaling.FUTEXES: [4.0]},
        ("pipeline", 16): {scaling.FUTEXES: [21.0]},
    }
    return {
        scaling.name_of(pattern, threads): {
            "snugmalloc": metrics,
            "peer": {metric: [value * 2 for value in values] for metric, values in metrics.items()},
        }
        for (pattern, threads), metrics in figures.items()
    }


def many_cores() -> dict[str, Any]:
    """What ``simulate`` leaves, as it is in a file."""
    speeds = {simulation.HEAPS.name: 44.0, simulation.MOVING.name: 32.0}
    simulated = {model: {"1": {"median": 1}, "64": {"median": speed}} for model, speed in speeds.items()}
    return {pattern.name: {"simulated": simulated} for pattern in simulation.PATTERNS}


@pytest.fixture
def results() -> Results:
    """A run on a few workloads, and figures of their own."""
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
    samples: dict[str, Any] = {
        "python-service": {
            "system": metrics,
            "peer": metrics,
            "snugmalloc": ours,
            "snugmalloc-keeping": {"cpu_s": [0.98]},
            "pymalloc": metrics,
            "snugmalloc-pymalloc": {**ours, "mean_resident_bytes": [81e6]},
            "before": {"cpu_s": [1.25]},
        }
    }
    samples |= {workload: threads_of_a_workload() for workload in (*SHARED, "churn")}
    figures: dict[str, Any] = {
        "contenders": {"system": {"peer": False}, "peer": {"peer": True}, "snugmalloc": {"peer": False}},
        "instructions": {
            "system": dict.fromkeys(INSTRUCTIONS, 100.0),
            "snugmalloc": dict.fromkeys(INSTRUCTIONS, 44.6),
        },
        "loop_instructions": dict.fromkeys(INSTRUCTIONS, 12.0),
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
    return Results(
        Table.of(samples, ["peer"]), figures, Table.of(many_threads(), ["peer"]), {"patterns": many_cores()}
    )


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


def test_a_goal_can_be_a_minimum(results: Results) -> None:
    assert row(results, "handing blocks over")[1:] == ["at least 1.00", "1.25 (against peer)", "yes"]


def test_memory_stands_beside_that_of_the_system_and_the_best_peer(results: Results) -> None:
    assert row(results, "in the end")[1:] == ["at most 40 MB", "39 MB (system 100, peer 100)", "yes"]


def test_the_price_of_giving_back_is_that_of_the_worst_workload(results: Results) -> None:
    told = row(results, "giving memory back")
    assert told[1:] == ["at most 3.0 %", "2.0 % (python-service; on average +2.0 %)", "yes"]


def test_python_programs_are_held_to_stock_python(results: Results) -> None:
    told = row(results, "resident over time")
    assert told[1:] == ["at most 0.75", "0.70 (under Python's own allocator 0.90)", "yes"]


def test_the_start_is_told_above_the_systems(results: Results) -> None:
    assert row(results, "/bin/true")[2:] == ["40 KiB", "yes"]


def test_growth_with_live_blocks_is_that_of_many_over_that_of_few(results: Results) -> None:
    assert row(results, "10^3, random")[2:] == ["3.0", "no"]


def test_growth_to_fewer_live_blocks_is_not_told_as_that_to_many() -> None:
    live = {"snugmalloc": {"random 1000": {"median": 2.0}, "random 1000000": {"median": 6.0}}}
    assert row(Results(figures={"live": live}), "10^3, random")[2] == "not measured"


@pytest.mark.parametrize("workload", SHARED)
def test_threads_are_held_to_the_median_of_three_peers(results: Results, workload: str) -> None:
    told = row(results, f"{workload}, {SHARED[workload]} threads: wall time")
    assert told[1:] == ["at most 1.00", "1.05 (processor time 1.33)", "no"]


def test_of_two_peers_the_median_of_three_is_not_told() -> None:
    threads = threads_of_a_workload()
    del threads["mimalloc3"]
    run = Results(Table.of({"slots": threads}, []))
    assert row(run, "slots, 2 threads")[2] == "not measured"


@pytest.mark.parametrize(("workload", "threads"), SHARED.items())
def test_the_page_says_how_many_threads_the_suite_gives_a_workload(workload: str, threads: int) -> None:
    assert f"thread_count(count, words, {threads})" in (WORKLOADS / f"{workload}.c").read_text()


def test_churn_is_held_to_its_worst_run(results: Results) -> None:
    assert row(results, "churn, 2 threads")[1:] == ["at most 1.25", "1.45 (median 1.05)", "no"]


def test_the_peak_where_threads_share_is_that_of_these_workloads_alone() -> None:
    peaks = {"snugmalloc": {"peak_resident_bytes": [104.0]}, "peer": {"peak_resident_bytes": [100.0]}}
    other = {"snugmalloc": {"peak_resident_bytes": [900.0]}, "peer": {"peak_resident_bytes": [100.0]}}
    run = Results(Table.of({"slots": peaks, "sharing": other, "tables": other}, ["peer"]))
    assert row(run, "sharing: peak")[2:] == ["9.00 (sharing; above the goal on 1 of 2)", "no"]
    run = Results(Table.of({"slots": peaks, "tables": other}, ["peer"]))
    assert row(run, "sharing: peak")[2:] == ["1.04 (slots; above the goal on 0 of 1)", "yes"]


def test_the_library_as_it_was_is_a_column_of_some_runs(results: Results) -> None:
    assert row(results, "the earlier library")[2:] == ["0.80", "yes"]


def test_more_threads_are_held_to_one(results: Results) -> None:
    assert row(results, "against 1 thread")[1:] == ["at most 0.70", "0.65 (peer 0.65)", "yes"]


def test_calls_of_futex_stand_beside_those_of_a_peer(results: Results) -> None:
    assert row(results, "pipeline, 2 threads: futex calls")[1:] == ["at most 5", "4 (peer 8)", "yes"]
    assert row(results, "pipeline, 16 threads: futex calls")[1:] == ["at most 20", "21 (peer 42)", "no"]


def test_what_is_simulated_follows_the_librarys_rules_and_says_so(results: Results) -> None:
    assert simulation.MOVING.name == LIBRARYS_RULES
    assert SIMULATED_CORES in simulation.CORES
    told = [goal.row(results) for goal in GOALS if "64 cores" in goal.figure]
    assert all(figure.startswith("simulated: ") for figure, *_ in told)
    assert [row[1:] for row in told] == [
        ["at least 40.0 times", "32.0 times (heaps 44.0)", "no"],
        ["at least 30.0 times", "32.0 times (heaps 44.0)", "yes"],
        ["at least 30.0 times", "32.0 times (heaps 44.0)", "yes"],
    ]


def test_the_loop_is_taken_off_where_the_figure_says_so(results: Results) -> None:
    assert row(results, "64 bytes")[2:] == ["45 (system 100)", "yes"]
    assert row(results, "1000 x 48 bytes")[2:] == ["33 (system 88)", "yes"]


def test_without_the_loop_nothing_is_taken_off_and_nothing_claimed(results: Results) -> None:
    assert results.figures is not None
    counted = Results(figures={"instructions": results.figures["instructions"]})
    unread = {goal.figure for goal in GOALS if "instructions" in goal.figure and goal.take(counted) is None}
    assert unread == {goal.figure for goal in GOALS if "without the loop" in goal.figure} != set()


def test_the_page_is_of_all_runs_whose_files_are_there(tmp_path: Path) -> None:
    def leave(name: str, figures: dict[str, Any]) -> None:
        content = {"command": f"measure {name}", "machine": {"date": "today"}, "figures": figures}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    contenders = {"peer": {"peer": True}, "snugmalloc": {"peer": False}}
    leave("scaling", {"contenders": contenders, "samples": many_threads()})
    leave("simulation", {"patterns": many_cores()})
    page = write(tmp_path).read_text()
    assert "| at most 5 | 4 (peer 8) | yes |" in page
    assert "| at least 40.0 times | 32.0 times (heaps 44.0) | no |" in page
    assert page.endswith("\n- `measure scaling`: today\n- `measure simulation`: today\n")


def test_what_stands_in_the_way_is_said_of_each_goal_that_was_missed(results: Results) -> None:
    missed = [goal for goal in GOALS if goal.row(results)[3] == "no"]
    text = obstacles(results)
    assert missed and all(goal.figure in text for goal in missed)
    assert all(goal.obstacle.split()[0] in text for goal in missed if goal.obstacle)
    reached = [goal for goal in GOALS if goal.row(results)[3] == "yes"]
    assert reached and not any(goal.figure in text for goal in reached)
    assert obstacles(NOTHING) == "None was missed."


def test_the_table_has_a_line_for_every_goal(results: Results) -> None:
    lines = table(results).splitlines()
    assert lines[0] == "| figure | goal | measured | met |"
    assert len(lines) == 2 + len(GOALS)
