"""The order of the runs, what is kept of them, and going on after an interruption."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.catalogue import ALL, FOR_SIMULATION, WORKLOADS, Workload
from benchmarks.contenders import Contender, find_contenders, read_variant
from benchmarks.suite import Cell, Store, clock, plan, samples_of, seconds_left, told
from snugmalloc.launch.allocators import Allocator, AllocatorError, find_allocators

# All but the one that needs the recorded trace beside it.
OWN_SOURCES = sorted(
    source for source in WORKLOADS.iterdir() if source.suffix in (".c", ".cpp") and source.stem != "replay"
)
LIBC = Allocator("system", Path("libc.so.6"), None)


def contender(name: str, python: str = "malloc") -> Contender:
    """One that is not run."""
    return Contender(name, LIBC, python=python)


def workload(name: str, family: str = "own") -> Workload:
    """One that is not run."""
    return Workload(name, family, lambda amount: [])


def cell(workload: str, contender: str, turn: int, wall: float) -> Cell:
    """A run that took `wall` seconds."""
    return Cell(workload, contender, turn, {"wall_s": wall})


def test_each_round_runs_every_pair_and_nobody_always_follows_the_same() -> None:
    runs = list(plan([workload("x")], [contender("a"), contender("b"), contender("c")], 12))
    rounds = [[c.name for _, c, turn in runs if turn == number] for number in range(12)]
    assert {turn for _, _, turn in runs} == set(range(12)) and len(runs) == 36
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    pairs = {(names[place], names[place + 1]) for names in rounds for place in range(2)}
    assert len(pairs) == 6  # each behind each


def test_pythons_own_allocators_run_python_programs_only() -> None:
    contenders = [contender("a"), contender("pymalloc", python="pymalloc")]
    runs = plan([workload("x"), workload("y", "python")], contenders, 1)
    assert [(w.name, c.name) for w, c, _ in runs] == [("x", "a"), ("y", "a"), ("y", "pymalloc")]


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Store(tmp_path / "cells", "same")
    first.add(cell("x", "a", 0, 1.0))
    assert Store(tmp_path / "cells", "same").cells == [cell("x", "a", 0, 1.0)]


def test_a_run_of_something_else_begins_anew(tmp_path: Path) -> None:
    Store(tmp_path / "cells", "before").add(cell("x", "a", 0, 1.0))
    assert Store(tmp_path / "cells", "after").cells == []
    assert Store(tmp_path / "cells", "before").cells == []


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "cells", "same")
    store.add(cell("x", "a", 0, 1.0))
    with store.path.open("a") as file:
        file.write('{"workload": "x", "fig')
    assert len(Store(store.path, "same").cells) == 1
    assert store.path.read_text().count("\n") == 2


def test_what_a_workload_tells_of_itself_is_kept_and_other_output_is_not() -> None:
    output = "hello 5\nresident dropped-again 4096\noperations 7\nops_per_s 12\nresident\n"
    assert told(output) == {"resident dropped-again": 4096, "operations": 7, "ops_per_s": 12}


def test_samples_are_gathered_by_metric_and_a_failed_pair_has_none() -> None:
    cells = [
        cell("x", "a", 0, 1.0),
        cell("x", "a", 1, 2.0),
        cell("x", "b", 0, 3.0),
        Cell("x", "b", 1, failure="killed by SIGSEGV"),
    ]
    assert samples_of(cells) == {"x": {"a": {"wall_s": [1.0, 2.0]}}}


def test_the_time_left_goes_by_what_the_same_workload_took() -> None:
    cells = [cell("x", "a", 0, 2.0), cell("y", "a", 0, 4.0)]
    assert seconds_left(cells, ["x", "y", "y"]) == pytest.approx(10)
    assert seconds_left(cells, ["unknown"]) == pytest.approx(3)
    assert seconds_left([], ["x"]) is None


def test_the_clock_counts_hours() -> None:
    assert clock(3723.4) == "1:02:03 left"


def test_every_workload_has_a_name_of_its_own() -> None:
    assert len({entry.name for entry in ALL}) == len(ALL)


@pytest.mark.parametrize("source", OWN_SOURCES, ids=lambda source: source.name)
def test_an_own_program_runs_to_its_end(source: Path, tmp_path: Path) -> None:
    program = tmp_path / source.stem
    compiler = "g++" if source.suffix == ".cpp" else "gcc"
    flags = [
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fno-builtin-malloc",
        "-fno-builtin-free",
        "-pthread",
        "-lm",
    ]
    subprocess.run([compiler, source, "-o", program, *flags], check=True)
    ended = subprocess.run([program, "1"], capture_output=True, text=True, timeout=600)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(told(ended.stdout)) == len(ended.stdout.splitlines())


def test_every_own_program_is_in_the_catalogue() -> None:
    names = {entry.name for entry in (*ALL, *FOR_SIMULATION) if entry.family == "own"}
    assert names == {source.stem for source in OWN_SOURCES} | {"replay"}


def test_a_variant_is_a_name_with_options() -> None:
    assert read_variant("small:limit=64M:stats=0") == ("small", {"limit": "64M", "stats": "0"})
    for wrong in ("small", "small:limit", ":limit=1"):
        with pytest.raises(AllocatorError):
            read_variant(wrong)


def test_another_build_of_ours_is_no_peer_whatever_its_name(tmp_path: Path) -> None:
    (ours,) = find_allocators(["snugmalloc"])
    before = tmp_path / "libbefore.so"
    before.symlink_to(ours.path)
    contenders = {c.name: c for c in find_contenders([f"before={before}", "jemalloc", "snugmalloc"])}
    assert [name for name, contender in contenders.items() if contender.is_peer] == ["jemalloc"]
    assert contenders["before"].described()["library"] == "libbefore.so"


def test_ours_comes_under_pymalloc_too_and_that_is_for_python_programs_only() -> None:
    contenders = {c.name: c for c in find_contenders(["snugmalloc"])}
    under = contenders["snugmalloc-pymalloc"]
    assert under.is_for_python and not under.is_peer
    assert under.environment()["PYTHONMALLOC"] == "pymalloc"
    assert under.environment()["LD_PRELOAD"] == contenders["snugmalloc"].environment()["LD_PRELOAD"] != ""
    assert contenders["snugmalloc"].environment()["PYTHONMALLOC"] == "malloc"
    assert "snugmalloc" not in contenders["pymalloc"].environment()["LD_PRELOAD"]


def test_a_contender_that_is_named_twice_runs_once() -> None:
    names = [contender.name for contender in find_contenders(["pymalloc", "system", "jemalloc"])]
    assert sorted(set(names)) == sorted(names)
    assert names[:2] == ["system", "jemalloc"] and "pymalloc" in names


def test_a_variants_options_reach_the_library_by_their_names_in_the_environment() -> None:
    variant = Contender("keeping", find_allocators(["snugmalloc"])[0], {"purge_delay": "5"})
    assert variant.environment()["SNUG_PURGE_DELAY"] == "5"
