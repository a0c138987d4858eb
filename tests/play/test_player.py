"""The player: its live bytes are the trace's, every byte holds, every block goes to its free."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from snugmalloc.launch.allocators import Allocator
from snugmalloc.play.contest import FOUR_FUNCTIONS, Contestant, find_contestants
from snugmalloc.play.plan import Plan, live_after_each, make_plan
from snugmalloc.play.player import PlayError, Run, measure_bare, play, player_path, written

from ..builds import build_library
from .programs import program, write_trace

LIBRARIES = ("system", "snugmalloc", FOUR_FUNCTIONS)
MIB = 1 << 20


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A program of 3,000 calls."""
    return make_plan(write_trace(tmp_path / "made.snug", program(7, 3000)))


def contestant(name: str) -> Contestant:
    return next(found for found in find_contestants([name], {}) if found.name == name)


def run(plan: Plan, on: Contestant, *, checks: bool = True, samples: int = 256) -> Run:
    environment = {**os.environ, **on.additions(os.environ)}
    with written(plan) as file:
        return play(plan, file, environment, library=on.library, checks=checks, samples=samples)


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_live_bytes_after_each_call_are_the_traces(plan: Plan, name: str) -> None:
    played = run(plan, contestant(name), samples=len(plan))
    expected = list(live_after_each(plan.steps()))
    assert [sample.step for sample in played.samples] == list(range(1, len(plan) + 1))
    assert [sample.live for sample in played.samples] == expected
    assert played.peak_live_bytes == max(expected)
    times = [sample.cpu_s for sample in played.samples]
    assert times == sorted(times) and times[-1] == played.cpu_s > 0


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("seed", range(3))
def test_threads_hand_every_block_to_its_free(tmp_path: Path, name: str, seed: int) -> None:
    calls = program(seed, 20_000, threads=6, frees_all=True)
    plan = make_plan(write_trace(tmp_path / "made.snug", calls), keeps_threads=True)
    played = run(plan, contestant(name))
    assert played.samples[-1].step == len(plan)
    assert played.samples[-1].live == 0
    assert played.peak_live_bytes > 0


@pytest.mark.parametrize("keeps_threads", [False, True])
def test_the_library_that_checks_itself_finds_nothing(tmp_path: Path, keeps_threads: bool) -> None:
    debug = Contestant("debug", Allocator("debug", build_library("snugmalloc", "debug"), None, True))
    calls = program(3, 2000, threads=8)
    plan = make_plan(write_trace(tmp_path / "made.snug", calls), keeps_threads=keeps_threads)
    played = run(plan, debug)
    single = make_plan(tmp_path / "made.snug")
    assert played.samples[-1].live == list(live_after_each(single.steps()))[-1]


def test_the_players_own_memory_is_not_in_the_figures(tmp_path: Path) -> None:
    """A plan with many places and one with few take the same where little is allocated."""
    plan = make_plan(write_trace(tmp_path / "made.snug", program(1, 200, largest=50)))
    bare = measure_bare(os.environ)
    resident = []
    for places in (plan.place_count, 4 * MIB):
        plan.place_count = places
        with written(plan) as file:
            resident.append(play(plan, file, os.environ, bare=bare).final_resident_bytes)
    assert max(resident) < MIB // 2
    assert abs(resident[0] - resident[1]) < MIB // 8


def test_what_is_filled_is_resident(tmp_path: Path) -> None:
    """64 blocks of a mebibyte: written by malloc's caller, not by calloc's."""
    plan = make_plan(_text(tmp_path, "malloc {} 1048576"))
    cleared = make_plan(_text(tmp_path, "calloc {} 1 1048576"))
    system = contestant("system")
    assert run(plan, system, checks=False).final_resident_bytes >= 64 * MIB
    assert run(plan, system, checks=False).peak_resident_bytes >= 64 * MIB
    assert run(cleared, system, checks=False).peak_resident_bytes < 2 * MIB


def _text(folder: Path, form: str) -> Path:
    path = folder / "trace.txt"
    path.write_text("".join(f"1: {form.format(hex(number))}\n" for number in range(1, 65)))
    return path


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_refused_call_is_told_with_its_number(tmp_path: Path, name: str) -> None:
    (tmp_path / "huge.txt").write_text(f"1: malloc 0xa 1\n1: memalign 0xb 64 {2**62}\n")
    with pytest.raises(PlayError, match=f"^call 2 of the trace was refused: {2**62} bytes$"):
        run(make_plan(tmp_path / "huge.txt"), contestant(name))


def test_memory_that_does_not_hold_is_noticed(tmp_path: Path, plan: Plan) -> None:
    """A malloc that gives the same block twice."""
    source, library = tmp_path / "twice.c", tmp_path / "libtwice.so"
    source.write_text(
        "#include <stddef.h>\nstatic char room[1 << 20];\n"
        "void *os_malloc(size_t n) { (void)n; return room; }\n"
        "void *os_calloc(size_t n, size_t m) { (void)n; (void)m; return room + (1 << 19); }\n"
        "void *os_realloc(void *p, size_t n) { (void)p; (void)n; return room; }\n"
        "void os_free(void *p) { (void)p; }\n"
        "void os_stats(void *p, size_t n) { (void)p; (void)n; }\n"
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    with written(plan) as file, pytest.raises(PlayError, match="the block does not hold what was written"):
        play(plan, file, os.environ, library=str(library), checks=True)


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (b"", ["0"], "no plan at descriptor 0"),
        (b"x" * 4096, ["0"], "descriptor 0 is no plan"),
        (b"", ["zero"], "zero: not a number"),
        (b"", ["-s", "0", "0"], "usage: snug-play "),
        (b"", ["-o", "/nosuch.so", "0"], "/nosuch.so: cannot open shared object file"),
    ],
)
def test_what_cannot_be_played_is_told_in_one_line(
    tmp_path: Path, content: bytes, words: list[str], message: str
) -> None:
    (tmp_path / "plan").write_bytes(content)
    with (tmp_path / "plan").open("rb") as file:
        ended = subprocess.run([player_path(), *words], stdin=file, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(message) and ended.stderr.count("\n") == 1
