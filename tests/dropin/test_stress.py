"""Threads, forks, refusals and the edges of a program's life, on the system's malloc and on ours."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..targets import Run
from .conftest import Compile

MODES: tuple[list[str], ...] = ([], ["fork"], ["refuse"], ["fork", "refuse"])


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode) or "plain")
def test_the_stress_passes_on_the_systems_malloc(
    mode: Sequence[str], compile_program: Compile, run: Run
) -> None:
    run(compile_program("stress.c"), "4", "20000", "1", *mode)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode) or "plain")
@pytest.mark.parametrize("threads", ["1", "2", "8"])
def test_threads_free_each_others_blocks(
    threads: str, mode: Sequence[str], compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("stress.c"), threads, "60000", "7", *mode, on=library)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode) or "plain")
def test_all_invariants_hold_meanwhile(
    mode: Sequence[str], compile_program: Compile, run: Run, checking_library: Path
) -> None:
    run(compile_program("stress.c"), "4", "4000", "11", *mode, on=checking_library)


def test_a_program_at_its_limit_lives_on(compile_program: Compile, run: Run, library: Path) -> None:
    ended = run(compile_program("stress.c"), "4", "60000", "5", "tolerant", on=library, SNUG_LIMIT="4M")
    assert int(ended.stdout.split()[1]) > 0


def test_without_thread_caches_it_is_the_same(compile_program: Compile, run: Run, library: Path) -> None:
    run(compile_program("stress.c"), "4", "30000", "3", "fork", on=library, SNUG_THREAD_CACHE="0")


def test_the_limit_is_a_limit(compile_program: Compile, run: Run, library: Path) -> None:
    ended = run(compile_program("refusal.c"), "limit", on=library, SNUG_LIMIT="64M")
    taken = [int(line.split()[1]) for line in ended.stdout.splitlines()]
    assert max(taken) <= 64 << 20
    assert min(taken) >= 44 << 20


@pytest.mark.parametrize("limit", [resource.RLIMIT_AS, resource.RLIMIT_DATA], ids=["address space", "data"])
def test_a_limit_of_the_system_is_a_refusal(limit: int, compile_program: Compile, library: Path) -> None:
    program = compile_program("refusal.c")
    for preload in ("", str(library)):
        ended = subprocess.run(
            [program, "limit"],
            env={"LD_PRELOAD": preload},
            preexec_fn=lambda: resource.setrlimit(limit, (100 << 20, 100 << 20)),
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr


def test_a_mapping_in_the_way_of_the_break_does_not_end_the_heap(
    compile_program: Compile, run: Run, library: Path
) -> None:
    for on in (None, library):
        run(compile_program("refusal.c"), "break", on=on)


def test_thousands_of_short_threads_do_not_leak(compile_program: Compile, run: Run, library: Path) -> None:
    for on in (None, library):
        run(compile_program("short_threads.c"), on=on)


def test_fork_beside_threads_in_stdio_does_not_hang(compile_program: Compile, run: Run, library: Path) -> None:
    for on in (None, library):
        run(compile_program("fork_beside_stdio.c"), on=on)


def test_fork_in_a_signal_handler_does_not_hang(compile_program: Compile, run: Run, library: Path) -> None:
    for on in (None, library):
        run(compile_program("fork_in_signal.c"), on=on)


def test_fork_handlers_that_were_there_before_ours_may_allocate(
    compile_program: Compile, run: Run, library: Path
) -> None:
    for on in (None, library):
        run(compile_program("fork_handlers.c"), on=on)


def test_fork_in_a_signal_handler_beside_threads_does_not_hang(
    compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("fork_in_signal.c"), "threads", on=library)


def test_allocation_works_at_the_edges_of_a_programs_life(
    compile_program: Compile, run: Run, library: Path, checking_library: Path
) -> None:
    for on in (None, library, checking_library):
        assert run(compile_program("edges.c"), on=on).stdout == "end\n"


def test_a_helper_thread_gives_memory_back_while_the_program_sleeps(
    compile_program: Compile, run: Run, library: Path
) -> None:
    resident = {}
    for background in ("0", "1"):
        said = run(compile_program("sleeper.c"), on=library, SNUG_BACKGROUND=background).stdout.split()
        resident[background] = [int(mib) for mib in said[1::2]]
    assert min(resident["0"]) > 40  # of 76: full speed is not paid again and again
    assert max(resident["1"]) < 16


@pytest.mark.parametrize("delay", ["0", "1024"])
def test_a_child_forked_while_memory_goes_back_goes_on(
    delay: str, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("fork_while_purging.c"), "15", on=library, SNUG_PURGE_DELAY=delay)


def test_a_break_that_the_program_moves_meanwhile_is_left_to_it(
    compile_program: Compile, run: Run, library: Path
) -> None:
    for on in (None, library):
        run(compile_program("beside_break.c"), on=on)


def test_statistics_are_no_cancellation_point(compile_program: Compile, run: Run, library: Path) -> None:
    run(compile_program("cancelled.c"), "stats", str(library), on=library)


def test_nor_is_the_warning_of_a_misspelt_option(compile_program: Compile, run: Run, library: Path) -> None:
    ended = run(compile_program("cancelled.c"), "warning", str(library), SNUG_LIMTI="1", SNUG_LIMIT="x")
    assert ended.stderr.count("snugmalloc: ") == 2


def test_nor_is_the_first_call_of_a_second_thread(compile_program: Compile, run: Run, library: Path) -> None:
    run(compile_program("cancelled.c"), "second", str(library), on=library)


def test_symbols_are_resolved_when_the_library_is_loaded(library: Path) -> None:
    dynamic = subprocess.run(["readelf", "-dW", library], check=True, capture_output=True, text=True).stdout
    segments = subprocess.run(["readelf", "-lW", library], check=True, capture_output=True, text=True).stdout
    assert "BIND_NOW" in dynamic
    assert "GNU_RELRO" in segments
