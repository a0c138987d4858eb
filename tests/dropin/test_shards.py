"""More heaps for malloc where threads wait: who moves, whose memory is whose, what comes back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snugmalloc.engine import SimulatedMachine

from ..builds import ROOT, build_library
from ..targets import Run
from .conftest import Compile, numbers
from .heaps import MIB, InterpretedHeap, Model

WAITS = 24  # from the lock: see `lock` in machine.py


@dataclass
class ContendedMachine(SimulatedMachine):
    """Where each lock is found taken while it is `contended`."""

    contended: bool = False
    locked: list[int] = field(default_factory=list)

    def lock(self, address: int) -> bool:
        self.locked.append(address)
        held = super().lock(address)
        if self.contended:
            self.store(address + WAITS, 8, self.load(address + WAITS, 8) + 1)
        return held


class CrowdedHeap(InterpretedHeap):
    """A process that seems to have more threads than the one that runs, and they wait for each other."""

    machine: ContendedMachine

    def __init__(self, machine: ContendedMachine | None = None) -> None:
        super().__init__(machine or ContendedMachine(threads=True))
        self.free(self.malloc(1))
        self.begin_thread()

    def begin_thread(self) -> None:
        """Go on as a new thread, with the cache of the one before, which has ended."""
        self.engine.snug_thread_idle()
        self.free(self.malloc(1))

    @property
    def homes(self) -> list[int]:
        """How many threads each heap serves."""
        return [self.engine.heap_number(number).threads for number in range(self.engine.heap_count())]

    @property
    def cache(self) -> int:
        """The thread's cache."""
        return int(self.engine.ThreadCache(self.machine.load_thread_state()))

    @property
    def home(self) -> int:
        return int(self.engine.ThreadCache(self.cache).home)

    def owner(self, pointer: int) -> int:
        return int(self.engine.owner_of(pointer))

    def crowd(self, threads: int = 3) -> None:
        """As if so many more threads were served by this one's home."""
        self.engine.Heap(self.home).threads += threads

    def work(self, calls: int = 3 * 64) -> None:
        """Calls that go to the heap."""
        for _ in range(calls):
            self.free(self.malloc(40_000))

    def move(self) -> None:
        """Let this thread wait until it moves."""
        before = self.home
        self.crowd()
        self.machine.contended = True
        self.work()
        self.machine.contended = False
        assert self.home != before


@pytest.fixture
def heap() -> CrowdedHeap:
    return CrowdedHeap()


SIZES = (24, 600, 3000, 15_000, 70_000, 500_000, 3_000_000)


def test_a_thread_that_waits_moves_to_a_heap_of_its_own(heap: CrowdedHeap) -> None:
    assert heap.homes == [1]
    heap.move()
    assert heap.homes == [3, 1]
    assert heap.check() == 0


def test_a_thread_that_does_not_wait_stays(heap: CrowdedHeap) -> None:
    heap.crowd()
    heap.work()
    assert heap.homes == [4]


def test_a_move_takes_the_common_lock_once() -> None:
    heap = CrowdedHeap(ContendedMachine(threads=True, environment={b"SNUG_HEAPS": b"2"}))
    heap.move()
    heap.crowd(9)
    heap.machine.locked.clear()
    assert heap.engine.next_home(heap.engine.Heap(heap.home), True) == heap.engine.process_heap()
    assert heap.machine.locked == [heap.engine.process_heap() + heap.engine.Heap.owner]


def test_the_only_thread_of_a_heap_has_no_reason_to_move(heap: CrowdedHeap) -> None:
    heap.machine.contended = True
    heap.work()
    assert heap.homes == [1]


@dataclass
class SandboxedMachine(ContendedMachine):
    """Where what the processors are can be read at times only."""

    readings: int = 0

    def processors(self) -> int:
        self.readings += 1
        return super().processors()


def test_processors_are_counted_when_a_second_thread_begins_and_not_later() -> None:
    machine = SandboxedMachine(threads=True)
    alone = InterpretedHeap(machine)
    alone.free(alone.malloc(1))
    assert machine.readings == 0
    machine = SandboxedMachine(threads=True)
    heap = CrowdedHeap(machine)
    assert machine.readings == 1
    heap.move()
    assert machine.readings == 1
    assert len(heap.homes) == 2


def test_there_are_no_more_heaps_than_processors() -> None:
    heap = CrowdedHeap(ContendedMachine(threads=True, cores=3))
    for _ in range(5):
        heap.crowd()
        heap.machine.contended = True
        heap.work()
    assert len(heap.homes) == 3
    assert heap.check() == 0


@pytest.mark.parametrize("heaps", [1, 2, 5, 64])
def test_or_than_an_option_says(heaps: int) -> None:
    environment = {b"SNUG_HEAPS": b"%d" % heaps}
    heap = CrowdedHeap(ContendedMachine(threads=True, cores=3, environment=environment))
    for _ in range(6):
        heap.crowd()
        heap.machine.contended = True
        heap.work()
    assert len(heap.homes) == min(heaps, 7)


ONE_HEAP = ({b"SNUG_LIMIT": b"512M"}, {b"SNUG_THREAD_CACHE": b"0"}, {b"SNUG_HEAPS": b"1"})


@pytest.mark.parametrize("environment", ONE_HEAP)
def test_with_a_limit_or_without_caches_there_is_one_heap(environment: dict[bytes, bytes]) -> None:
    heap = InterpretedHeap(ContendedMachine(threads=True, environment=environment, contended=True))
    heap.free(heap.malloc(1))
    heap.engine.process_heap().threads += 3
    for _ in range(200):
        heap.free(heap.malloc(40_000))
    assert heap.engine.heap_count() == 1


@pytest.mark.parametrize("size", SIZES)
def test_memory_comes_from_the_home_and_goes_back_to_whose_it_is(heap: CrowdedHeap, size: int) -> None:
    first = heap.home
    old = [heap.malloc(size) for _ in range(5)]
    heap.move()
    new = [heap.malloc(size) for _ in range(200 if size < 1000 else 5)]
    assert {heap.owner(pointer) for pointer in old} == {first}
    assert heap.home in {heap.owner(pointer) for pointer in new}
    for pointer in (*old, *new):
        heap.write(pointer, b"x" * size)
    for pointer in (*old, *new):
        heap.free(pointer)
    heap.trim(0)
    assert heap.check() == 0
    assert heap.walked_live() == []


@pytest.mark.parametrize("size", SIZES)
def test_a_block_that_is_resized_stays_in_its_heap_where_it_can(heap: CrowdedHeap, size: int) -> None:
    old = heap.malloc(size)
    heap.write(old, b"snug" * (size // 4))
    heap.move()
    moved = heap.realloc(old, 2 * size + 100)
    assert heap.read(moved, size // 4 * 4) == b"snug" * (size // 4)
    shorter = heap.realloc(moved, size // 2)
    assert heap.read(shorter, size // 8 * 4) == b"snug" * (size // 8)
    heap.free(shorter)
    assert heap.check() == 0


def test_when_the_first_heap_serves_nobody_the_thread_goes_back(heap: CrowdedHeap) -> None:
    first = heap.home
    heap.move()
    heap.engine.process_heap().threads = 0
    heap.work()
    assert heap.home == first
    assert heap.homes == [1, 0]


def test_in_a_child_the_thread_goes_back_too(heap: CrowdedHeap) -> None:
    first = heap.home
    heap.move()
    heap.machine.forks += 1
    heap.work()
    assert heap.home == first
    assert heap.homes == [1, 0]
    assert heap.check() == 0


@pytest.mark.parametrize("size", [8, 24, 600, 3000, 15_000, 70_000])
def test_what_is_freed_of_a_heap_that_serves_others_is_left_there(heap: CrowdedHeap, size: int) -> None:
    old = [heap.malloc(size) for _ in range(600)]
    first = heap.engine.process_heap()
    heap.move()
    most = 0
    for pointer in old:
        heap.free(pointer)
        most = max(most, first.returned_bytes if first.returned else 0)
    assert most > 0
    assert heap.check() == 0
    assert first.returned == 0
    heap.trim(0)
    assert heap.walked_live() == []


def test_so_is_a_block_with_room_for_one_word_but_at_once(heap: CrowdedHeap) -> None:
    first = heap.engine.process_heap()
    pointers = [heap.engine.allocate_block(first, 1) for _ in range(50)]
    heap.move()
    for pointer in pointers:
        heap.free(pointer)
    assert first.returned == 0
    assert heap.check() == 0


def test_only_so_much_is_left_to_others(heap: CrowdedHeap) -> None:
    old = [heap.malloc(70_000) for _ in range(100)]
    first = heap.engine.process_heap()
    heap.move()
    for pointer in old:
        heap.free(pointer)
        assert first.returned_bytes <= heap.engine.MAX_RETURNED + 2 * 70_100
    heap.check()
    assert heap.walked_live() == []


def test_a_list_of_two_heaps_is_divided(heap: CrowdedHeap) -> None:
    old = [heap.malloc(100) for _ in range(40)]
    heap.move()
    new = [heap.malloc(100) for _ in range(40)]
    for pair in zip(old, new, strict=True):
        for pointer in pair:
            heap.free(pointer)
    heap.trim(0)
    assert heap.check() == 0
    assert heap.walked_live() == []


def test_figures_are_the_sum_of_all_heaps(heap: CrowdedHeap) -> None:
    before = heap.total("live_bytes")
    old = heap.malloc(70_000)
    heap.move()
    new = heap.malloc(70_000)
    assert heap.owner(old) != heap.owner(new)
    assert heap.total("live_bytes") == before + 2 * heap.usable(old)
    assert heap.total("version") == heap.engine.STATS_VERSION
    shards = heap.machine.published_shards
    assert (heap.machine.load(shards, 8), heap.machine.load(shards + 8, 8)) == (1, heap.home)
    heap.free(old)
    heap.free(new)
    assert heap.total("live_bytes") == before


@pytest.mark.parametrize("seed", range(6))
def test_a_random_program_that_moves_now_and_then_agrees_with_the_model(seed: int) -> None:
    heap = CrowdedHeap(ContendedMachine(threads=True, cores=4))
    heap.machine.lock_is_short = True
    model = Model(heap, seed, largest=200_000)
    for step in range(900):
        model.step()
        if step % 90 == 0:
            heap.crowd()
            heap.machine.contended = not heap.machine.contended
        if step % 60 == 0:
            assert heap.check() == 0
    assert len(heap.homes) > 1
    assert {(block.address, block.size) for block in heap.walk() if block.status != 0} == set(model.live())
    model.finish()
    heap.trim(0)
    assert heap.check() == 0
    assert heap.walked_live() == []


@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_a_refused_heap_is_done_without(heap: CrowdedHeap, call: str) -> None:
    heap.machine.refuse = lambda name, arguments: name == call
    heap.crowd()
    heap.machine.contended = True
    heap.work()
    assert heap.homes == [4]
    assert heap.check() == 0
    heap.machine.refuse = lambda name, arguments: False
    heap.work()
    assert len(heap.homes) == 2


def test_where_the_home_gets_no_memory_another_heap_serves(heap: CrowdedHeap) -> None:
    hole = heap.malloc(1_000_000)
    heap.move()
    heap.free(hole)
    heap.machine.refuse = lambda name, arguments: name in ("mmap", "mprotect", "brk")
    blocks = []
    while pointer := heap.malloc(60_000):
        blocks.append(pointer)
    assert heap.engine.process_heap() in {heap.owner(pointer) for pointer in blocks}
    assert heap.check() == 0


def test_what_most_threads_freed_goes_back_to_the_system(heap: CrowdedHeap) -> None:
    old = [heap.malloc(60_000) for _ in range(100)]
    heap.move()
    new = [heap.malloc(60_000) for _ in range(100)]
    for pointer in (*old, *new):
        heap.write(pointer, b"x" * 60_000)
    for pointer in (*old, *new):
        heap.free(pointer)
    heap.trim(0)
    free = [heap.engine.heap_number(number) for number in range(2)]
    assert all(heap.engine.all_dirty(each) <= MIB // 4096 for each in free)


# ---- Compiled ----


@pytest.fixture(scope="module")
def moving_library() -> Path:
    """libsnugmalloc.so that checks its invariants, and whose threads move as if they always waited."""
    return build_library("snugmalloc", "shards")


@pytest.mark.parametrize("mode", [(), ("fork",)], ids=["plain", "fork"])
@pytest.mark.parametrize("threads", ["2", "8"])
def test_threads_of_many_heaps_free_each_others_blocks(
    threads: str, mode: tuple[str, ...], compile_program: Compile, run: Run, library: Path, moving_library: Path
) -> None:
    program = compile_program("shards.c", f"-I{ROOT / 'src/snugmalloc/include'}")
    run(program, threads, "60000", *mode, on=library)
    run(program, threads, "3000", *mode, on=moving_library, SNUG_HEAPS="5")


@pytest.mark.parametrize("mode", [(), ("fork",), ("refuse",)], ids=lambda mode: "-".join(mode) or "plain")
def test_the_stress_passes_while_threads_move(
    mode: tuple[str, ...], compile_program: Compile, run: Run, moving_library: Path
) -> None:
    run(compile_program("stress.c"), "8", "3000", "5", *mode, on=moving_library, SNUG_HEAPS="4")


def test_the_processors_that_this_process_may_use(compile_program: Compile, run: Run) -> None:
    program = compile_program("processors.c", f"-I{ROOT / 'src/snugmalloc/engine'}", "-Wno-unused-function")
    allowed = numbers(run(program))["processors"]
    assert 1 <= allowed <= len(os.sched_getaffinity(0))
    one = str(min(os.sched_getaffinity(0)))
    assert numbers(run(Path("/usr/bin/taskset"), "-c", one, str(program))) == {"processors": 1}
