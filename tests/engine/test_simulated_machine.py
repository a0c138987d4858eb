"""The simulated machine: checks every access, behaves as the kernel does, refuses on demand."""

from __future__ import annotations

import pytest

from snugmalloc.engine import BadAccess, SimulatedMachine, SystemCall, Trap
from snugmalloc.engine.simulated import BREAK, PAGE, fatal_line


@pytest.fixture
def machine() -> SimulatedMachine:
    machine = SimulatedMachine()
    machine.move_break(BREAK + 100)
    machine.log.clear()
    return machine


def test_memory_above_the_break_is_not_there(machine: SimulatedMachine) -> None:
    machine.store(BREAK + 92, 8, 2**64 - 1)
    assert machine.load(BREAK + 92, 8) == 2**64 - 1
    with pytest.raises(BadAccess, match="8 bytes at 0x55550000005d"):
        machine.load(BREAK + 93, 8)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_a_value_that_does_not_fit_is_refused(machine: SimulatedMachine, value: int) -> None:
    with pytest.raises(BadAccess, match="does not fit in the 4 bytes"):
        machine.store(BREAK, 4, value)


def test_bytes_are_in_the_order_of_the_real_machines(machine: SimulatedMachine) -> None:
    machine.store(BREAK, 4, 0x0403_0201)
    assert machine.read(BREAK, 4) == b"\1\2\3\4"


def test_memory_given_back_and_taken_again_is_zero(machine: SimulatedMachine) -> None:
    machine.store(BREAK + 50, 1, 7)
    machine.move_break(BREAK + 50)
    machine.move_break(BREAK + 100)
    assert machine.load(BREAK + 50, 1) == 0


def test_mappings_do_not_touch(machine: SimulatedMachine) -> None:
    first, second = machine.map_memory(10), machine.map_memory(PAGE)
    assert first % PAGE == second % PAGE == 0
    machine.store(first + 9, 1, 1)
    for outside in (first + 10, first - 1, second + PAGE, second - 1):
        with pytest.raises(BadAccess):
            machine.load(outside, 1)


def test_a_mapping_is_gone_when_unmapped(machine: SimulatedMachine) -> None:
    address = machine.map_memory(10)
    assert machine.is_mapped(address)
    assert machine.unmap_memory(address, 10)
    assert not machine.is_mapped(address)


@pytest.mark.parametrize(("moved_by", "length"), [(0, PAGE + 1), (PAGE, 10), (-PAGE, 2 * PAGE)])
def test_only_what_is_mapped_can_be_unmapped(machine: SimulatedMachine, moved_by: int, length: int) -> None:
    address = machine.map_memory(10)
    with pytest.raises(BadAccess, match="not mapped"):
        machine.unmap_memory(address + moved_by, length)


def test_a_mapping_is_unmapped_in_part(machine: SimulatedMachine) -> None:
    address = machine.map_memory(4 * PAGE)
    machine.write(address, bytes(range(4)) * PAGE)
    assert machine.unmap_memory(address + PAGE, 2 * PAGE)
    for page, is_there in enumerate((True, False, False, True)):
        assert machine.is_mapped(address + page * PAGE) == is_there
    assert machine.read(address + 3 * PAGE, 4) == bytes(range(4))


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_the_kernel_refuses_what_is_not_aligned_to_its_pages(page: int) -> None:
    machine = SimulatedMachine(page=page)
    address = machine.map_memory(4 * page)
    target = machine.map_memory(4 * page)
    assert address % page == 0
    assert not machine.unmap_memory(address + page // 2, page // 2)
    assert not machine.commit_range(address + page // 2, page // 2)
    assert not machine.purge_memory(address + page // 2, page // 2)
    assert not machine.resize_mapping(address + page // 2, page, 2 * page)
    assert not machine.move_mapping(address, page, target + page // 2, page)
    assert [call.result for call in machine.log[2:]] == [None] * 5
    assert machine.commit_range(address, 10) and machine.purge_memory(address, 10)
    assert machine.unmap_memory(address, 10)  # a page of it
    assert not machine.is_mapped(address) and machine.is_mapped(address + page)


def test_a_mapping_moves_with_its_pages(machine: SimulatedMachine) -> None:
    address, target = machine.map_memory(PAGE), machine.map_memory(3 * PAGE)
    machine.write(address, b"kept")
    machine.write(target, b"gone")
    assert not machine.resize_mapping(target, 3 * PAGE, 1 << 20)  # what lies above is in the way
    assert machine.move_mapping(address, PAGE, target, 3 * PAGE)
    assert machine.read(target, 4) == b"kept"
    assert not machine.is_mapped(address)


def test_slow_calls_under_the_lock_are_noticed() -> None:
    machine = SimulatedMachine(lock_is_short=True)
    address = machine.map_memory(1 << 20)
    held = machine.lock(0)
    for call in (
        lambda: machine.clear(address, 1 << 20),
        lambda: machine.purge_memory(address, PAGE),
        lambda: machine.unmap_memory(address, PAGE),
        lambda: machine.resize_mapping(address, 1 << 20, PAGE),
    ):
        with pytest.raises(Trap, match="under the lock"):
            call()
    assert machine.unmap_memory(machine.reserve_range(1 << 20, PAGE), 1 << 20)  # there is nothing in it yet
    used = machine.reserve_range(1 << 20, PAGE)
    assert machine.commit_range(used + PAGE, PAGE)
    with pytest.raises(Trap, match="munmap under the lock"):
        machine.unmap_memory(used, 1 << 20)
    machine.unlock(0, held)
    machine.clear(address, 1 << 20)


def test_what_the_kernel_is_told_to_refuse_changes_nothing(machine: SimulatedMachine) -> None:
    kept = machine.map_memory(10)
    machine.refuse = lambda name, arguments: True
    assert not machine.move_break(BREAK + 200)
    assert machine.map_memory(10) == 0
    assert not machine.unmap_memory(kept, 10)
    assert machine.break_address == BREAK + 100
    assert machine.is_mapped(kept)
    assert machine.log[1:] == [
        SystemCall("brk", (BREAK + 200,), None),
        SystemCall("mmap", (10,), None),
        SystemCall("munmap", (kept, 10), None),
    ]


def test_the_break_cannot_grow_into_a_mapping(machine: SimulatedMachine) -> None:
    address = machine.map_memory(PAGE)
    assert not machine.move_break(address + 1)


def test_somebody_else_moves_the_break_without_a_line_in_the_log(machine: SimulatedMachine) -> None:
    assert machine.foreign_break(64) == BREAK + 100
    assert machine.known_break() == BREAK + 164
    assert machine.log == []


def test_a_fatal_line_fills_in_both_values() -> None:
    assert fatal_line(b"%x has %d bytes", 255, 10) == "0xff has 10 bytes"
    assert fatal_line(b"nothing", 1, 2) == "nothing"
