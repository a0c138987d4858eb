"""The arithmetic of the suite: medians, ratios, geometric means, the peers."""

from __future__ import annotations

import pytest

from benchmarks.harness import Figure
from benchmarks.summary import Table, figure, geometric_mean, over

CPU = "cpu_s"


@pytest.fixture
def table() -> Table:
    """Three workloads; the peer `b` failed on the last one, `ours` is not for the second."""
    samples = {
        "one": {
            "system": {CPU: [4.0, 2.0, 3.0]},
            "a": {CPU: [2.0, 1.0, 1.5]},
            "b": {CPU: [6.0]},
            "ours": {CPU: [3.0]},
        },
        "two": {"system": {CPU: [10.0]}, "a": {CPU: [20.0]}, "b": {CPU: [5.0]}},
        "three": {"system": {CPU: [1.0]}, "a": {CPU: [1.0]}, "ours": {CPU: [2.0]}},
    }
    return Table.of(samples, ["a", "b"])


def test_a_figure_is_the_median_with_minimum_and_maximum() -> None:
    assert figure([5, 1, 3]) == Figure(3, 1, 5)
    assert figure([4, 1, 3, 2]) == Figure(2.5, 1, 4)


def test_a_ratio_keeps_the_spread_of_what_is_divided() -> None:
    assert over(Figure(3, 1, 5), 2) == Figure(1.5, 0.5, 2.5)


def test_the_geometric_mean_of_a_ratio_and_its_inverse_is_one() -> None:
    assert geometric_mean([4, 0.25]) == pytest.approx(1)
    assert geometric_mean([2, 8]) == pytest.approx(4)


def test_there_is_no_geometric_mean_of_nothing_or_of_zero() -> None:
    assert geometric_mean([]) is None
    assert geometric_mean([1, 0]) is None


def test_the_order_of_workloads_and_contenders_is_that_of_the_samples(table: Table) -> None:
    assert table.workloads == ["one", "two", "three"]
    assert table.contenders == ["system", "a", "b", "ours"]


def test_ratios_are_over_the_workloads_that_both_ran(table: Table) -> None:
    assert table.ratios("ours", CPU, "system") == {"one": 1.0, "three": 2.0}
    assert table.mean_ratio("ours", CPU, "system") == pytest.approx(2**0.5)
    assert table.mean_ratio("a", CPU, "system") == pytest.approx(1)


def test_the_median_of_some_is_that_of_all_of_them_or_none(table: Table) -> None:
    assert table.median_of("one", CPU, ["a", "b", "system"]) == 3
    assert table.median_of("two", CPU, ["a", "b"]) == 12.5
    assert table.median_of("three", CPU, ["a", "b"]) is None
    assert table.median_of("one", CPU, []) is None


def test_a_mean_can_be_of_some_workloads_only(table: Table) -> None:
    assert table.mean_ratio("a", CPU, "system", ["two", "unknown"]) == pytest.approx(2)
    assert table.mean_ratio("ours", CPU, "system", ["two"]) is None


def test_a_missing_figure_has_no_ratio(table: Table) -> None:
    assert table.get("two", "ours", CPU) is None
    assert table.ratio("two", "ours", CPU, "system") is None


def test_the_best_peer_is_chosen_for_each_workload(table: Table) -> None:
    assert table.best_peer("one", CPU) == ("a", 1.5)
    assert table.best_peer("two", CPU) == ("b", 5.0)
    assert table.over_best_peer("ours", CPU) == {"one": 2.0, "three": 2.0}


def test_the_median_peer_lies_between_two_peers(table: Table) -> None:
    assert table.median_peer("one", CPU) == pytest.approx(3.75)
    assert table.over_median_peer("ours", CPU)["one"] == pytest.approx(0.8)


def test_the_leading_peer_is_best_in_the_mean(table: Table) -> None:
    assert table.leading_peer(CPU, "system") == "a"
    assert table.leading_peer("unknown", "system") is None
