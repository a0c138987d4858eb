"""The player: its live bytes are the trace's, every byte holds, every block goes to its free."""

from __future__ import annotations

import os
import subprocess
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest

from snugmalloc.launch.allocators import Allocator
from snugmalloc.play.contest import FOUR_FUNCTIONS, Contestant, find_contestants
from snugmalloc.play.plan import Plan, live_after_each, make_plan
from snugmalloc.play.player import PlayError, Run, measure_bare, play, player_path, written
from snugmalloc.trace import Operation

from ..builds import build_library
from .programs import Called, program, write_trace

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


# ---- At the pace of the recording ----


FAKE_CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
enum { SECOND = 1000000000 };
static long long clock_now = 5ll * SECOND;
static char room[1 << 20];
static size_t used;
static int log_file = -1;
__attribute__((constructor)) static void begin(void)
{
    log_file = open(getenv("CALLS"), O_WRONLY | O_APPEND | O_CREAT, 0600);
}
int clock_gettime(clockid_t id, struct timespec *at)
{
    long long now = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);
    (void)id;
    *at = (struct timespec){now / SECOND, now % SECOND};
    return 0;
}
int clock_nanosleep(clockid_t id, int flags, const struct timespec *end, struct timespec *rest)
{
    long long until = end->tv_sec * SECOND + end->tv_nsec, now = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);
    (void)rest;
    if (id != CLOCK_MONOTONIC || flags != TIMER_ABSTIME)
        abort();
    while (now < until && !__sync_bool_compare_and_swap(&clock_now, now, until))
        now = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);
    return 0;
}
static void tell(const char *kind, size_t what)
{
    char line[80];
    long long now = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);
    int length = snprintf(line, sizeof line, "%s %zu %lld\\n", kind, what, now - 5ll * SECOND);
    if (write(log_file, line, (size_t)length) != length)
        abort();
}
void *os_malloc(size_t size)
{
    char *block = room + __atomic_fetch_add(&used, size, __ATOMIC_SEQ_CST);
    tell("malloc", (size_t)(block - room));
    __atomic_add_fetch(&clock_now, atoll(getenv("TAKES")), __ATOMIC_SEQ_CST);
    return block;
}
void *os_calloc(size_t count, size_t size) { return os_malloc(count * size); }
void *os_realloc(void *block, size_t size) { (void)block; return os_malloc(size); }
void os_free(void *block) { tell("free", (size_t)((char *)block - room)); }
void os_stats(void *stats, size_t size) { memset(stats, 0, size); }
"""


class FakeClock:
    """Plays on four functions that tell when they are called, by a clock that goes on when somebody sleeps."""

    def __init__(self, folder: Path) -> None:
        source = folder / "clock.c"
        source.write_text(FAKE_CLOCK)
        self.library, self.told = folder / "libclock.so", folder / "calls"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", self.library, source], check=True)

    def play(self, plan: Plan, *, samples: int = 256, takes: int = 0) -> tuple[Run, list[tuple[str, int, int]]]:
        """The run, and its calls in order: what, where the block is, and when. malloc takes so long."""
        environment = {
            **os.environ,
            "LD_PRELOAD": str(self.library),
            "CALLS": str(self.told),
            "TAKES": str(takes),
        }
        with written(plan) as file:
            run = play(plan, file, environment, library=str(self.library), samples=samples)
        calls = (line.split() for line in self.told.read_text().splitlines())
        return run, [(kind, int(block), int(time)) for kind, block, time in calls]


@pytest.fixture
def fake_clock(tmp_path: Path) -> FakeClock:
    return FakeClock(tmp_path)


def paced_calls(seed: int, threads: int) -> tuple[list[Called], list[int]]:
    """A program of malloc and free, with times: bursts, and pauses of up to a second."""
    random = Random(seed)
    live: list[int] = []
    calls = []
    for number in range(1, 301):
        if live and random.random() < 0.5:
            old = live.pop(random.randrange(len(live)))
            calls.append(Called(Operation.FREE, random.randrange(threads), 0, 0, 0, old))
        else:
            live.append(number << 16)
            calls.append(Called(Operation.MALLOC, random.randrange(threads), 16, 0, live[-1], 0))
    gaps = [random.choice([0, 0, 700, 80_000, random.randrange(1_000_000_000)]) for _ in calls]
    return calls, list(accumulate(gaps))


@pytest.mark.parametrize("takes", [0, 300_000])
@pytest.mark.parametrize("pace", [1.0, 8.0])
def test_each_call_is_made_at_its_time_or_as_soon_as_the_one_before_is_done(
    tmp_path: Path, fake_clock: FakeClock, pace: float, takes: int
) -> None:
    calls, times = paced_calls(1, threads=1)
    plan = make_plan(write_trace(tmp_path / "made.snug", calls, times), pace=pace)
    run, told = fake_clock.play(plan, takes=takes)
    assert [kind for kind, _, _ in told] == [call.operation.name.lower() for call in calls]
    end = 0
    for (kind, _, when), time in zip(told, plan.times[0], strict=True):
        assert when == max(time, end)
        end = when + (takes if kind == "malloc" else 0)
    assert run.wall_s * 1e9 == pytest.approx(end, abs=1)


def test_the_memory_is_looked_at_at_even_times(tmp_path: Path, fake_clock: FakeClock) -> None:
    calls, times = paced_calls(2, threads=1)
    plan = make_plan(write_trace(tmp_path / "made.snug", calls, times), pace=1.0)
    run, _ = fake_clock.play(plan, samples=50)
    gap = plan.times[0][-1] // 50 + 1
    assert [round(sample.time_s * 1e9) for sample in run.samples[:-1]] == [gap * n for n in range(1, 50)]
    assert run.samples[-1].step == len(plan) and run.samples[-1].time_s * 1e9 >= plan.times[0][-1]
    live = list(live_after_each(plan.steps()))
    for number, sample in enumerate(run.samples[:-1], 1):
        assert sample.step == sum(time < gap * number for time in plan.times[0])
        assert sample.live == (live[sample.step - 1] if sample.step else 0)


@pytest.mark.parametrize("seed", range(4))
def test_of_threads_no_call_is_early_and_no_block_is_freed_before_it_is_there(
    tmp_path: Path, fake_clock: FakeClock, seed: int
) -> None:
    calls, times = paced_calls(seed, threads=5)
    plan = make_plan(write_trace(tmp_path / "made.snug", calls, times), keeps_threads=True, pace=2.0)
    assert len(plan.streams) == 5
    run, told = fake_clock.play(plan)
    since = sorted((time - times[0]) // 2 for time in times)
    assert all(when >= due for when, due in zip(sorted(when for _, _, when in told), since, strict=True))
    live: set[int] = set()
    for kind, block, _ in told:
        (live.add if kind == "malloc" else live.remove)(block)
    assert 16 * len(live) == run.samples[-1].live
    assert run.samples[-1].step == len(plan)


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("keeps_threads", [False, True])
def test_paced_the_calls_are_the_same_on_each_allocator(tmp_path: Path, name: str, keeps_threads: bool) -> None:
    calls = program(9, 20_000, threads=6, frees_all=True)
    times = [number * 300_000_000 // len(calls) for number in range(len(calls))]
    path = write_trace(tmp_path / "made.snug", calls, times)
    plan = make_plan(path, keeps_threads=keeps_threads, pace=1.5)
    played = run(plan, contestant(name))
    assert played.wall_s >= 0.199
    assert (played.samples[-1].step, played.samples[-1].live) == (len(plan), 0)
    looks = [sample.time_s for sample in played.samples]
    assert looks == sorted(looks) and len(looks) > 1


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
