"""What a sampled recording tells of a program that knows what it allocated: estimates, within their errors."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine
from snugmalloc.trace import Operation, TraceReader, blocks_behind
from snugmalloc.trace.blocks import NEVER, Blocks, History
from snugmalloc.trace.following import read_history
from snugmalloc.trace.summary import summarize

from ..builds import build_library
from ..dropin.heaps import InterpretedHeap, Model

SOURCE = Path(__file__).with_name("c") / "sampled.c"
LIBRARY = Path(snugmalloc.get_library("snugmalloc"))
ERRORS = 6
"""An estimate is at most so many standard errors wrong: more once in 500 million times."""
NONE: Mapping[str, str] = {}
OPTIONS: list[dict[str, str]] = [
    {},
    {"SNUG_STATS": "1"},
    {"SNUG_THREAD_CACHE": "0"},
    {"SNUG_THREAD_CACHE": "4K"},
    {"SNUG_HARDEN": "1"},
    {"SNUG_FILL": "1"},
    {"SNUG_HEAPS": "1"},
    {"SNUG_MMAP_THRESHOLD": "20000"},
]


class Sizes(NamedTuple):
    """How many blocks of each size."""

    allocated: Counter[int]
    live: Counter[int]


class Ended(NamedTuple):
    """A program that was sampled."""

    truth: Sizes
    history: History
    mean_gap: int
    trace: Path

    @property
    def own(self) -> list[int]:
        """The sampled blocks that are of a size of the program's own."""
        return [block for block, size in enumerate(self.history.blocks.size) if size in self.truth.allocated]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("programs") / "sampled"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin"]
    subprocess.run(["gcc", *flags, str(SOURCE), "-o", str(built)], check=True)
    return built


@pytest.fixture(scope="module")
def checking_library() -> Path:
    return build_library("snugmalloc", "debug")


def sample(
    program: Path,
    folder: Path,
    gap: int,
    *arguments: object,
    on: Path = LIBRARY,
    options: Mapping[str, str] = NONE,
) -> Ended:
    """Run the program on the library, and read its trace."""
    file = folder / "of.snug"
    recording = {"LD_PRELOAD": str(on), "SNUG_RECORD": str(file), "SNUG_RECORD_SAMPLE": str(gap)}
    outcome = subprocess.run(
        [program, *map(str, arguments)],
        env={**os.environ, **recording, **options},
        capture_output=True,
        text=True,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    truth = Sizes(Counter(), Counter())
    for line in outcome.stdout.splitlines():
        size, truth.allocated[size], truth.live[size] = map(int, line.split())
    return Ended(truth, history_of(file, gap), gap, file)


def history_of(file: Path, gap: int) -> History:
    with TraceReader(file) as reader:
        assert reader.verify() == []
        assert reader.header.mean_gap == gap
        history = read_history(reader)
    assert (history.unknown_frees, history.missing_frees, history.lost) == (0, 0, 0)
    return history


def assert_estimated(blocks: Counter[int], truth: Counter[int], mean_gap: int) -> None:
    """Of each size there are about as many blocks as samples say, and of all together as many bytes."""
    variance = 0.0
    for size, count in truth.items():
        behind = blocks_behind(size, mean_gap)
        error = math.sqrt(count * (behind - 1))
        assert abs(blocks[size] * behind - count) <= ERRORS * (error + behind), size
        variance += (size * error) ** 2
    estimate = sum(size * count * blocks_behind(size, mean_gap) for size, count in blocks.items())
    exact = sum(size * count for size, count in truth.items())
    assert abs(estimate - exact) <= ERRORS * (math.sqrt(variance) + mean_gap)


def sizes_of(blocks: Blocks, chosen: list[int], *, live: bool = False) -> Counter[int]:
    return Counter(blocks.size[block] for block in chosen if not live or blocks.ended[block] == NEVER)


def assert_all_estimated(ended: Ended) -> None:
    blocks = ended.history.blocks
    assert_estimated(sizes_of(blocks, ended.own), ended.truth.allocated, ended.mean_gap)
    assert_estimated(sizes_of(blocks, ended.own, live=True), ended.truth.live, ended.mean_gap)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("gap", [1000, 20_000, 524_288])
def test_what_was_allocated_and_what_stayed_is_estimated(
    program: Path, tmp_path: Path, gap: int, threads: int
) -> None:
    ended = sample(program, tmp_path, gap, threads, 100_000, 1, "keep")
    assert len(ended.own) > 200
    assert_all_estimated(ended)


@pytest.mark.parametrize("options", OPTIONS[1:], ids=lambda options: "-".join(options))
def test_that_does_not_depend_on_the_allocators_options(
    program: Path, tmp_path: Path, options: dict[str, str]
) -> None:
    assert_all_estimated(sample(program, tmp_path, 5000, 3, 30_000, 2, "keep", options=options))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "none")
def test_invariants_hold(
    program: Path, tmp_path: Path, checking_library: Path, options: dict[str, str]
) -> None:
    assert_all_estimated(
        sample(program, tmp_path, 3000, 3, 10_000, 3, "free", on=checking_library, options=options)
    )


def test_with_a_gap_of_a_byte_nearly_every_block_is_a_sample(program: Path, tmp_path: Path) -> None:
    ended = sample(program, tmp_path, 1, 2, 20_000, 4, "keep")
    missing = ended.truth.allocated - sizes_of(ended.history.blocks, ended.own)
    assert missing.total() <= 2  # each block of 17 bytes is no sample once in 24 million times
    assert sizes_of(ended.history.blocks, ended.own) + missing == ended.truth.allocated
    missing_live = ended.truth.live - sizes_of(ended.history.blocks, ended.own, live=True)
    assert missing_live <= missing


@pytest.mark.parametrize("gap", [1000, 20_000])
def test_a_block_much_larger_than_the_gap_is_always_a_sample(program: Path, tmp_path: Path, gap: int) -> None:
    ended = sample(program, tmp_path, gap, 2, 50_000, 5, "keep")
    large = {size: count for size, count in ended.truth.allocated.items() if size > 50 * gap}
    assert sum(large.values()) > 50
    found = sizes_of(ended.history.blocks, ended.own)
    assert {size: found[size] for size in large} == large


@pytest.mark.parametrize("gap", [1, 1000, 50_000])
def test_every_sampled_block_is_freed_when_all_are(program: Path, tmp_path: Path, gap: int) -> None:
    ended = sample(program, tmp_path, gap, 4, 50_000, 6, "free")
    blocks = ended.history.blocks
    assert len(ended.own) > 1000
    assert [block for block in ended.own if blocks.ended[block] == NEVER] == []
    assert any(blocks.ended_by[block] != blocks.thread[block] for block in ended.own)
    assert_all_estimated(ended)


@pytest.mark.parametrize("gap", [1, 2000, 30_000])
def test_blocks_that_are_resized_step_by_step(program: Path, tmp_path: Path, gap: int) -> None:
    ended = sample(program, tmp_path, gap, 2, 0, 7, "chain")
    assert ended.history.calls[Operation.REALLOC] > 1000
    assert_all_estimated(ended)


RECYCLING = """
#include <stdio.h>
#include <stdlib.h>
static void *kept[200000];
int main(void) {
    int count = 0;
    for (int step = 0; step < 4000000; step++) {
        void *short_lived = malloc(101);
        if (step % 20 == 0) kept[count++] = malloc(101);
        free(short_lived);
    }
    printf("101 %d %d\\n", 4000000 + count, count);
    return kept[0] == kept[1];
}
"""


def test_blocks_that_stay_are_told_from_those_that_take_the_same_place_for_a_moment(tmp_path: Path) -> None:
    source, program = tmp_path / "recycling.c", tmp_path / "recycling"
    source.write_text(RECYCLING)
    subprocess.run(["gcc", "-O1", "-fno-builtin", source, "-o", program], check=True)
    ended = sample(program, tmp_path, 20_000)
    assert len(ended.own) > 15_000
    assert_all_estimated(ended)


def test_a_row_says_what_the_call_was(program: Path, tmp_path: Path) -> None:
    ended = sample(program, tmp_path, 500, 2, 20_000, 8, "keep")
    calls = ended.history.calls
    expected = {Operation.MALLOC, Operation.CALLOC, Operation.REALLOC, Operation.ALIGNED, Operation.FREE}
    assert set(calls) == expected
    assert calls[Operation.MALLOC] > 3 * calls[Operation.CALLOC] > 300
    with TraceReader(ended.trace) as reader:
        for event in reader.events():
            if event.operation is Operation.ALIGNED:
                assert event.address % event.number == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_events_of_the_heap_are_there_however_few_blocks_are(
    program: Path, tmp_path: Path, threads: int
) -> None:
    grown = {}
    for gap in (1, 1 << 30):
        folder = tmp_path / str(gap)
        folder.mkdir()
        ended = sample(program, folder, gap, threads, 20_000, 9, "free")
        grown[gap] = ended.history.event_bytes[Operation.GROWTH]
    assert len(ended.own) < 30
    assert grown[1 << 30] > 1_000_000
    assert 0.3 < grown[1] / grown[1 << 30] < 3


FORKING = """
import os, sys
kept = [bytes(30_011) for _ in range(2000)]
if not (child := os.fork()):
    more = [bytes(40_009) for _ in range(3000)]
    del kept
    os._exit(0)
os.waitpid(child, 0)
print(child)
"""


@pytest.mark.parametrize("follows", [False, True])
def test_a_forked_child_is_sampled_if_it_is_followed(tmp_path: Path, follows: bool) -> None:
    recording = {
        "LD_PRELOAD": str(LIBRARY),
        "SNUG_RECORD": str(tmp_path / "of.%p.snug"),
        "SNUG_RECORD_SAMPLE": "10000",
        **({"SNUG_RECORD_FOLLOW": "1"} if follows else {}),
        "PYTHONMALLOC": "malloc",
    }
    ended = subprocess.run(
        [sys.executable, "-c", FORKING], env={**os.environ, **recording}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    traces = {int(path.suffixes[0][1:]): path for path in tmp_path.iterdir()}
    child = int(ended.stdout)
    assert len(traces) == (2 if follows else 1) and (child in traces) is follows
    for pid, path in traces.items():
        with TraceReader(path) as reader:
            blocks = read_history(reader).blocks
        sizes = Counter(blocks.size)
        extra = 33
        assert (sizes[40_009 + extra] > 0) is (pid == child)
        if pid == child:
            assert_estimated(
                Counter({40_009 + extra: sizes[40_009 + extra]}), Counter({40_009 + extra: 3000}), 10_000
            )


NOT_FOUND = """
import os, subprocess, sys
print(os.environ.get("SNUG_RECORD_SAMPLE"))
"""


def test_programs_that_are_started_do_not_find_the_option(tmp_path: Path) -> None:
    recording = {
        "LD_PRELOAD": str(LIBRARY),
        "SNUG_RECORD": str(tmp_path / "of.snug"),
        "SNUG_RECORD_SAMPLE": "64K",
    }
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {NOT_FOUND!r}])"
    ended = subprocess.run(
        [sys.executable, "-c", start], env={**os.environ, **recording}, capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr) == ("None\n", "")


@pytest.mark.parametrize("value", ["", "-1", "2G", "all", "512KiB"])
def test_a_value_that_the_option_does_not_take_is_told_in_one_line(tmp_path: Path, value: str) -> None:
    file = tmp_path / "of.snug"
    recording = {"LD_PRELOAD": str(LIBRARY), "SNUG_RECORD": str(file), "SNUG_RECORD_SAMPLE": value}
    ended = subprocess.run(
        ["sort", os.devnull], env={**os.environ, **recording}, capture_output=True, text=True
    )
    assert ended.returncode == 0
    assert ended.stderr == f"snugmalloc: not a value of this option, ignored: SNUG_RECORD_SAMPLE={value}\n"
    with TraceReader(file) as reader:
        assert reader.header.mean_gap == 0


# ---- The interpreted engine ----


@pytest.fixture(params=[4096, 65536], ids=["4K", "64K"])
def machine(request: pytest.FixtureRequest) -> SimulatedMachine:
    return SimulatedMachine(page=request.param)


def sampling(machine: SimulatedMachine, gap: int) -> InterpretedHeap:
    """The interpreted engine, which records samples."""
    machine.environment |= {b"SNUG_RECORD": b"of.%p.snug", b"SNUG_RECORD_SAMPLE": str(gap).encode()}
    return InterpretedHeap(machine)


def interpreted_history(machine: SimulatedMachine, folder: Path, gap: int) -> History:
    path = folder / "interpreted.snug"
    path.write_bytes(machine.records[b"of.1000.snug"])
    return history_of(path, gap)


def test_gaps_have_an_exponential_distribution(machine: SimulatedMachine) -> None:
    heap = sampling(machine, 1000)
    heap.free(heap.malloc(1))
    gaps = [heap.engine.draw_gap() for _ in range(20_000)]
    mean = 1 / -math.expm1(-1 / 1000)
    assert abs(sum(gaps) / len(gaps) - mean) < 5 * mean / math.sqrt(len(gaps))
    for share in (0.01, 0.1, 0.5, 1, 2, 4):
        chance = math.exp(-share)
        longer = sum(gap > share * 1000 for gap in gaps)
        assert abs(longer - chance * len(gaps)) < 5 * math.sqrt(len(gaps) * chance * (1 - chance))


@pytest.mark.parametrize(("gap", "seed"), [(1, 0), (300, 1), (300, 2), (20_000, 3)])
def test_the_interpreted_engine_agrees_with_the_model(
    machine: SimulatedMachine, tmp_path: Path, gap: int, seed: int
) -> None:
    heap = sampling(machine, gap)
    model = Model(heap, seed)
    for step in range(1500):
        model.step()
        if step % 100 == 0:
            assert heap.check() == 0
    live = {block.address for block in heap.walked_live()}
    heap.engine.snug_record_end()
    history = interpreted_history(machine, tmp_path, gap)
    blocks = history.blocks
    sampled = {
        blocks.address[block]
        for block in range(len(blocks))
        if blocks.ended[block] == NEVER and blocks.address[block] in live
    }
    assert len(blocks) > 20
    assert sampled <= {block.address for block in heap.walked_live()}
    model.finish()
    assert heap.check() == 0
    assert heap.figure("live_blocks") == 0


def test_interpreted_every_sample_is_freed(machine: SimulatedMachine, tmp_path: Path) -> None:
    heap = sampling(machine, 500)
    model = Model(heap, 4)
    for _ in range(1500):
        model.step()
    model.finish()
    heap.engine.snug_record_end()
    blocks = interpreted_history(machine, tmp_path, 500).blocks
    assert len(blocks) > 100
    assert NEVER not in blocks.ended


def test_interpreted_after_the_end_nothing_is_sampled_and_the_lists_are_used(machine: SimulatedMachine) -> None:
    heap = sampling(machine, 100)
    blocks = [heap.malloc(100) for _ in range(100)]
    heap.engine.snug_record_end()
    before = len(machine.records[b"of.1000.snug"])
    for block in blocks:
        heap.free(block)
    for _ in range(1000):
        heap.free(heap.malloc(100))
    assert len(machine.records[b"of.1000.snug"]) == before
    assert heap.check() == 0
    assert heap.figure("live_blocks") == 0
    assert heap.figure("cached_blocks") > 0


def test_interpreted_a_sample_that_finds_no_room_at_a_page_is_none(
    machine: SimulatedMachine, tmp_path: Path
) -> None:
    machine.environment[b"SNUG_LIMIT"] = b"256K"
    heap = sampling(machine, 1)
    blocks = []
    while (block := heap.malloc(3000)) != 0:
        blocks.append(block)
    while (block := heap.malloc(100)) != 0:
        blocks.append(block)
    assert sum(block % 4096 != 0 for block in blocks) > 5
    for block in blocks:
        heap.free(block)
    heap.engine.snug_record_end()
    history = interpreted_history(machine, tmp_path, 1)
    assert history.refused == 2
    assert NEVER not in history.blocks.ended
    assert heap.figure("live_blocks") == 0


def test_interpreted_a_realloc_that_is_refused_leaves_the_sample(
    machine: SimulatedMachine, tmp_path: Path
) -> None:
    machine.environment[b"SNUG_LIMIT"] = b"1M"
    heap = sampling(machine, 1)
    small, large = heap.malloc(1000), heap.malloc(300_000)
    for block in (small, large):
        assert heap.realloc(block, 10_000_000) == 0
        assert heap.realloc(block, 1 << 63) == 0
        assert heap.engine.hit_of(block) != 0
        heap.free(block)
    heap.engine.snug_record_end()
    history = interpreted_history(machine, tmp_path, 1)
    assert (history.refused, len(history.blocks)) == (4, 2)
    assert NEVER not in history.blocks.ended


# ---- Reports ----


def test_the_errors_of_estimates_are_told(program: Path, tmp_path: Path) -> None:
    wrong = []
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        ended = sample(program, folder, 100_000, 1, 20_000, seed, "keep")
        with TraceReader(ended.trace) as reader:
            summary = summarize(reader)
        exact = sum(size * count for size, count in ended.truth.allocated.items())
        wrong.append((summary.total.bytes - exact) / summary.errors.bytes)
    assert all(abs(one) < ERRORS for one in wrong)
    assert 0.01 < sum(one * one for one in wrong) / len(wrong) < 7  # else once in ten billion times


@pytest.mark.parametrize("way", ["sampled", "whole"])
def test_in_a_forked_child_each_thread_has_rows_of_its_own(tmp_path: Path, way: str) -> None:
    """Also where the thread that forked is not the first to allocate."""
    built = tmp_path / "forked"
    subprocess.run(["gcc", "-O1", "-pthread", str(SOURCE.with_name("forked.c")), "-o", str(built)], check=True)
    recording = {"SNUG_RECORD": f"{tmp_path}/of.%p.snug", "SNUG_RECORD_FOLLOW": "1"}
    recording |= {"SNUG_RECORD_SAMPLE": "1000"} if way == "sampled" else {}
    subprocess.run([built], env={**os.environ, "LD_PRELOAD": str(LIBRARY), **recording}, check=True)
    found = set()
    for file in tmp_path.glob("of.*.snug"):
        with TraceReader(file) as reader:
            assert reader.verify() == []
            blocks = read_history(reader).blocks
        threads_of = {
            least: {
                thread
                for thread, size in zip(blocks.thread, blocks.size, strict=True)
                if least <= size < least + 1000
            }
            for least in (1000, 3000)
        }
        assert len(threads_of[1000]) == 1 and not threads_of[1000] & threads_of[3000]
        found.add(len(threads_of[3000]))
    assert found == {0, 1}  # the parent's trace, and the child's
