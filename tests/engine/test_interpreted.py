"""The engine under the interpreter: fresh loads, replaced constants, the real machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snugmalloc import Status
from snugmalloc.engine import BadAccess, Fatal, SimulatedMachine, Simulation, Trap
from snugmalloc.engine.simulated import BREAK


def test_each_simulation_has_a_heap_of_its_own() -> None:
    one, other = Simulation(), Simulation()
    assert one.os_malloc(10) == other.os_malloc(10) == BREAK + 32
    one.os_malloc(10)
    assert len(one.blocks()) == 3
    assert len(other.blocks()) == 2


def test_a_plain_import_runs_on_a_simulated_machine() -> None:
    program = (
        "from snugmalloc.engine.osmem import front\n"
        "from snugmalloc.engine import machine\n"
        "print(hex(front.os_malloc(1)), machine.backend.log[-1].name)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0x555500000020 brk\n"


def test_constants_can_be_replaced() -> None:
    assert Simulation().engine.PREALLOC == 131072
    smaller = Simulation(constants={"PREALLOC": 4096})
    smaller.os_malloc(8)
    assert smaller.machine.log[-1].arguments == (BREAK + 4096,)


def test_a_size_too_large_for_its_field_is_kept_in_the_free_block() -> None:
    heap = Simulation(constants={"HUGE": 800, "DEBUG": 1})
    low, high = heap.os_malloc(1000), heap.os_malloc(2000)
    wall = heap.os_malloc(8)
    heap.os_free(low)
    heap.os_free(high)
    heap.os_malloc(100_000)
    heap.os_free(wall)
    assert heap.os_malloc(3032) == low
    assert heap.check() == 0


def test_a_debug_build_traps_at_the_first_call_after_the_damage() -> None:
    heap = Simulation(constants={"DEBUG": 1})
    first = heap.os_malloc(64)
    heap.os_malloc(64)
    heap.machine.store(first - 32, 8, 72)
    with pytest.raises(Trap):
        heap.os_malloc(64)


@pytest.mark.parametrize(
    ("offset", "width", "value", "broken"),
    [
        (0, 8, 72, 3),  # a size that leads into the middle of the next block
        (0, 8, 2**40, 1),  # a size that leads out of the heap
        (0, 8, 65, 1),  # a size that is no multiple of 8
        (8, 4, 7, 2),  # no such status
        (8, 4, 0, 3),  # free, and its neighbours do not know
        (12, 4, 4, 3),  # the block before has another size
    ],
)
def test_check_names_the_first_broken_invariant(offset: int, width: int, value: int, broken: int) -> None:
    heap = Simulation()
    heap.os_malloc(56)
    block = heap.os_malloc(64) - 32
    heap.os_malloc(64)
    assert heap.check() == 0
    heap.machine.store(block + offset, width, value)
    assert heap.check() == broken


def test_check_sees_a_block_that_the_index_has_lost() -> None:
    heap = Simulation()
    heap.os_malloc(64)
    rest = heap.engine.top_block()
    heap.engine.take(rest)
    heap.machine.store(rest - 20, 4, heap.machine.load(rest - 20, 4) | 2)
    assert heap.check() == 4


def test_check_sees_free_neighbours_that_nobody_will_merge() -> None:
    heap = Simulation()
    blocks = [heap.os_malloc(64) for _ in range(3)]
    for pointer in blocks[:2]:
        heap.os_free(pointer)
        heap.engine.pick(pointer)
        heap.engine.put(pointer)
    assert heap.check() == 5


def test_check_sees_totals_that_do_not_add_up() -> None:
    heap = Simulation()
    heap.os_malloc(64)
    heap.engine.raise_figure(heap.engine.FIGURES, heap.engine.Figures.live_bytes, 8)
    assert heap.check() == 8


@pytest.mark.parametrize("moved", [64, -64])
def test_with_threads_the_break_is_left_to_others_once_they_were_met_there(moved: int) -> None:
    heap = Simulation(SimulatedMachine(threads=True), constants={"DEBUG": 1})
    heap.os_malloc(100)
    heap.os_malloc(131_000)
    heap.machine.foreign_break(moved)
    heap.system_calls()
    heap.os_malloc(131_000)
    heap.os_malloc(131_000)
    assert [call.name for call in heap.system_calls()] == ["mmap", "mmap"]


def test_nobody_is_met_on_a_break_that_was_never_aligned() -> None:
    heap = Simulation(SimulatedMachine(threads=True), constants={"DEBUG": 1})
    heap.machine.foreign_break(3)
    heap.system_calls()
    assert heap.os_malloc(100) % 8 == heap.os_malloc(131_000) % 8 == 0
    assert {call.name for call in heap.system_calls()} == {"brk"}


@pytest.fixture
def hardened() -> Simulation:
    return Simulation(SimulatedMachine(environment={b"SNUG_HARDEN": b"1"}), constants={"DEBUG": 1})


def test_hardened_mode_keeps_quiet_about_honest_programs(hardened: Simulation) -> None:
    pointers = [hardened.os_malloc(size) for size in (8, 100, 5000, 200_000, 140_000)]
    pointers = [hardened.os_realloc(pointer, 300) for pointer in pointers]
    for pointer in pointers:
        hardened.os_free(pointer)
    assert Status.LIVE not in [block.status for block in hardened.blocks()]


def test_hardened_mode_tells_a_second_free(hardened: Simulation) -> None:
    pointer = hardened.os_malloc(64)
    hardened.os_free(pointer)
    with pytest.raises(Fatal, match=f"^snugmalloc: {pointer:#x} was freed already; .* 64 bytes$"):
        hardened.os_free(pointer)


def test_hardened_mode_tells_a_pointer_into_a_block(hardened: Simulation) -> None:
    pointer = hardened.os_malloc(256)
    with pytest.raises(Fatal, match=r"it points 64 bytes into a block$"):
        hardened.os_free(pointer + 64)


def test_hardened_mode_tells_an_overwritten_header(hardened: Simulation) -> None:
    pointer = hardened.os_malloc(256)
    hardened.machine.store(pointer - 32, 8, 264)
    with pytest.raises(Fatal, match=f"the header in front of {pointer:#x} was overwritten"):
        hardened.os_free(pointer)


def test_hardened_mode_tells_a_pointer_from_elsewhere(hardened: Simulation) -> None:
    elsewhere = hardened.machine.map_memory(4096)
    with pytest.raises(Fatal, match=r"was not returned by os_malloc$"):
        hardened.os_free(elsewhere + 32)
    with pytest.raises(Fatal, match=r"was not returned by os_malloc$"):
        hardened.os_free(64)


def test_an_unknown_status_ends_the_process_in_every_mode() -> None:
    heap = Simulation()
    pointer = heap.os_malloc(64)
    heap.machine.store(pointer - 24, 4, 9)
    with pytest.raises(Fatal, match=r"reads 9$"):
        heap.os_free(pointer)


def test_the_engine_itself_never_leaves_its_memory() -> None:
    heap = Simulation()
    with pytest.raises(BadAccess):
        heap.os_free(0x1234_5000)


def test_the_interpreted_engine_runs_on_the_memory_of_this_machine() -> None:
    program = """
import ctypes
from snugmalloc.engine import FreshEngine
from snugmalloc.engine.real import RealMachine

heap = FreshEngine("osmem", RealMachine())
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_uint64
first = heap.os_malloc(100)
ctypes.memset(first, 7, 104)
libc.sbrk(ctypes.c_int64(4096))
far = heap.os_malloc(131_000)
assert far > first + 131072, "it went on behind the foreign memory"
large = heap.os_malloc(1 << 20)
ctypes.memset(large, 1, 1 << 20)
heap.os_free(large)
moved = heap.os_realloc(first, 5000)
assert ctypes.string_at(moved, 104) == bytes([7]) * 104
heap.os_free(far)
assert heap.os_check() == 0
print(*(heap.figure(heap.FIGURES, which) for which in (heap.Figures.live_blocks, heap.Figures.mapped_blocks)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1 0\n", "")
