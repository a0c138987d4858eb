"""What a program has freed goes back to the system: soon, and in time for what it needs itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..targets import Run
from .conftest import Compile, numbers

KIB_OF_MIB = 1024
WAYS = ("malloc", "calloc", "realloc", "aligned", "thread", "across", "child")
SIZES = (12, 200, 1024, 8192, 20480, 31744, 40960)  # KiB, in slabs of the heap, in the heap, in mappings

PYTHON_ARRAYS = """
import sys, time
import numpy
def resident():
    line = next(line for line in open("/proc/self/smaps_rollup") if line.startswith("Rss:"))
    return int(line.split()[1])
size, count, kept = (int(word) for word in sys.argv[1:])
numpy.full(1000, 1.0).sum()
start = resident()
arrays = [numpy.full(size * 128, 1.0) for _ in range(count)]
print("full", resident() - start)
if kept:
    arrays[:] = arrays[:: count // kept]
else:
    arrays.clear()
end = time.monotonic() + 1
while time.monotonic() < end:
    texts = [str(number) * 10 for number in range(1000)]
    time.sleep(0.003)
print("later", resident() - start)
"""


@pytest.mark.parametrize("way", WAYS)
def test_large_arrays_are_gone_when_they_are_freed(
    way: str, compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("given_back.c"), way, "51200", "150", on=library))
    assert told["full"] >= 150 * KIB_OF_MIB
    assert told["freed"] <= 8 * KIB_OF_MIB
    assert told["later"] <= 8 * KIB_OF_MIB


@pytest.mark.parametrize("size", [200, 20480, 102400])
def test_they_are_gone_within_a_second_of_small_work_each_time(
    size: int, compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("given_back.c"), "again", str(size), "200", on=library))
    assert told["later"] <= 8 * KIB_OF_MIB


@pytest.mark.parametrize("size", SIZES)
def test_arrays_of_any_size_are_gone_when_they_are_freed(
    size: int, compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("given_back.c"), "malloc", str(size), "200", on=library))
    assert told["freed"] <= told["full"] // 8
    assert told["later"] <= min(told["full"] // 10, 8 * KIB_OF_MIB)


@pytest.mark.parametrize(
    ("way", "size"), [("malloc", 12), ("malloc", 200), ("malloc", 20480), ("again", 200), ("thread", 200)]
)
def test_so_they_are_where_each_call_is_held_up(
    way: str, size: int, compile_program: Compile, run: Run, held_up: Path, library: Path
) -> None:
    told = numbers(run(compile_program("given_back.c"), way, str(size), "200", on=f"{held_up}:{library}"))
    assert told["freed"] <= told["full"] // 8
    assert told["later"] <= 8 * KIB_OF_MIB


@pytest.mark.parametrize(
    ("way", "size"), [("malloc", 200), ("across", 200), ("malloc", 20480), ("across", 40960)]
)
def test_what_stays_in_use_does_not_hold_the_rest(
    way: str, size: int, compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("given_back.c"), way, str(size), "240", "80", on=library))
    live, dropped = told["full"] // 3, told["full"] * 2 // 3
    assert told["later"] <= live + dropped // 10 + size


@pytest.mark.parametrize("size", [12, 200, 20480, 40960])
def test_without_delay_it_goes_at_once(size: int, compile_program: Compile, run: Run, library: Path) -> None:
    program = compile_program("given_back.c")
    told = numbers(run(program, "malloc", str(size), "120", on=library, SNUG_PURGE_DELAY="0"))
    assert told["freed"] <= 8 * KIB_OF_MIB
    assert told["later"] <= 8 * KIB_OF_MIB


@pytest.mark.parametrize("size", [200, 20480])
def test_what_is_kept_for_ever_stays(size: int, compile_program: Compile, run: Run, library: Path) -> None:
    program = compile_program("given_back.c")
    told = numbers(run(program, "malloc", str(size), "60", on=library, SNUG_PURGE_DELAY="1G"))
    assert told["later"] >= told["full"] * 9 // 10


@pytest.mark.parametrize(("size", "kept"), [(200, 0), (8192, 0), (31744, 0), (40960, 0), (200, 1), (20480, 1)])
def test_arrays_that_python_drops_are_gone(size: int, kept: int, run: Run, library: Path) -> None:
    count = 200 * KIB_OF_MIB // size
    kept = kept * count // 4
    words = [str(size), str(count), str(kept)]
    told = numbers(run("/usr/bin/python3", "-c", PYTHON_ARRAYS, *words, on=library))
    live = -(-told["full"] * kept // count)
    assert told["later"] <= live + (told["full"] - live) // 10 + (size if kept else 0)


@pytest.mark.parametrize("size", [8, 200, 1024, 8192, 20480, 31744, 40960])
def test_job_after_job_needs_no_more_than_one(
    size: int, compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("jobs.c"), str(size), "200", "6", on=library))
    assert told["peak"] <= 220 * KIB_OF_MIB


def test_jobs_of_different_kinds_need_no_more_than_one(
    compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("jobs.c"), "0", "200", "7", on=library))
    assert told["peak"] <= 220 * KIB_OF_MIB


@pytest.mark.parametrize("way", ["mapped", "child", "thread"])
@pytest.mark.parametrize("size", [12, 200, 1024, 20480, 40960, 131072])
def test_what_is_free_is_not_in_the_way_of_the_programs_own_mappings(
    size: int, way: str, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("own_mappings.c"), str(size), "256", "240", way, on=library)


@pytest.mark.parametrize("size", [40960, 131072])
def test_nor_are_mappings_below_a_block_that_came_later(
    size: int, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("own_mappings.c"), str(size), "256", "240", "last", on=library)


def test_a_pool_of_idle_threads_is_small(compile_program: Compile, run: Run, library: Path) -> None:
    told = numbers(run(compile_program("idle_threads.c"), "2000", on=library))
    assert told["full"] <= 50 * KIB_OF_MIB
    assert told["waiting"] <= told["full"]
    assert told["ended"] < told["full"]


def test_a_python_that_limits_its_own_addresses_goes_on(run: Run, library: Path) -> None:
    program = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
texts = [bytes(1000) for _ in range(20000)]
block = bytearray(30_000_000)
"""
    run(sys.executable, "-c", program, on=library, PYTHONMALLOC="malloc")
