"""The engine's calls of the system: none slow under the lock, few in vain, refused ones, a fork between two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from snugmalloc.engine import SimulatedMachine, SystemCall, Trap
from snugmalloc.engine.simulated import MAPPINGS, Region

from .heaps import MIB, InterpretedHeap

BLOCKS = (9_000, 60_000, 200_000, 1_000_000)  # in the heap
LARGE = (2 * MIB, 5 * MIB)  # in mappings


def fill(heap: InterpretedHeap, block: int, size: int) -> None:
    """The block is dirty to its end."""
    heap.write(block, b"\xeb" * size)


def names(machine: SimulatedMachine, since: int = 0) -> list[str]:
    """The calls that were made, refused ones among them."""
    return [call.name for call in machine.log[since:]]


# ---- Nothing slow under the lock ----


def test_a_slow_call_under_the_lock_is_noticed(machine: SimulatedMachine) -> None:
    machine.lock_is_short = True
    mapping = machine.map_memory(1 << 18)
    held = machine.lock(0)
    for slow in (
        lambda: machine.clear(mapping, 1 << 18),
        lambda: machine.purge_memory(mapping, machine.page),
        lambda: machine.unmap_memory(mapping, 1 << 18),
        lambda: machine.resize_mapping(mapping, 1 << 18, 1 << 17),
    ):
        with pytest.raises(Trap, match="under the lock"):
            slow()
    machine.unlock(0, held)
    machine.clear(mapping, 1 << 18)


@pytest.mark.parametrize("size", [*BLOCKS, *LARGE, 6 * MIB])
def test_dirty_blocks_are_cleared_without_the_lock(heap: InterpretedHeap, size: int) -> None:
    for _ in range(3):
        block = heap.malloc(size)
        fill(heap, block, heap.usable(block))
        heap.free(block)
        block = heap.calloc(1, size)
        usable = heap.usable(block)
        assert heap.read(block, usable) == bytes(usable)
        fill(heap, block, usable)
        heap.free(block)
    assert heap.check() == 0


def test_a_long_block_is_cleared_by_the_system(machine: SimulatedMachine) -> None:
    machine.environment[b"SNUG_PURGE_DELAY"] = b"1G"
    heap = InterpretedHeap(machine, {"DEFAULT_THRESHOLD": 16 * MIB, "GIVEN_ANEW": 64})
    block = heap.malloc(6 * MIB)
    fill(heap, block, 6 * MIB)
    heap.free(block)
    before = len(machine.log)
    block = heap.calloc(1, 6 * MIB)
    assert heap.read(block, 6 * MIB) == bytes(6 * MIB)
    assert names(machine, before) == ["madvise"]
    assert heap.check() == 0


def test_mappings_are_resized_without_the_lock(heap: InterpretedHeap) -> None:
    block = heap.malloc(2 * MIB)
    fill(heap, block, 1000)
    for size in (3 * MIB, 9 * MIB, 4 * MIB, 5 * MIB, 2 * MIB, 12 * MIB):
        block = heap.realloc(block, size)
        assert heap.read(block, 1000) == b"\xeb" * 1000
    assert "mremap" in names(heap.machine)
    heap.free(block)
    assert heap.check() == 0


def test_purges_and_spare_mappings_need_no_lock(machine: SimulatedMachine) -> None:
    machine.environment[b"SNUG_PURGE_DELAY"] = b"0"
    heap = InterpretedHeap(machine, {"PACE": 4, "LEFT_PAGES": 0})
    for number in range(40):
        blocks = [heap.malloc(size + number * 5000) for size in (*BLOCKS, *LARGE)]
        for block in blocks:
            heap.free(block)
    assert {"madvise", "munmap"} <= set(names(machine))
    assert heap.check() == 0


@dataclass
class LockedMachine(SimulatedMachine):
    """Counts how often the lock is taken."""

    locks: int = 0

    def lock(self, address: int) -> bool:
        self.locks += 1
        return super().lock(address)


def test_addresses_between_two_segments_are_stepped_over() -> None:
    machine = LockedMachine()
    heap = InterpretedHeap(machine)
    blocks = [heap.malloc(60_000) for _ in range(20)]
    machine.refuse = lambda name, arguments: name == "brk"
    blocks += [heap.malloc(60_000) for _ in range(40)]
    assert blocks[-1] - blocks[0] > 1 << 40
    for block in blocks:
        heap.free(block)
    before = machine.locks
    heap.trim(0)
    assert machine.locks - before < 100


# ---- A refused munmap ----


@pytest.mark.parametrize("size", LARGE)
def test_what_cannot_be_unmapped_is_used_again(machine: SimulatedMachine, size: int) -> None:
    heap = InterpretedHeap(machine)
    blocks = [heap.malloc(size) for _ in range(6)]
    for block in blocks:
        fill(heap, block, size)
    machine.refuse = lambda name, arguments: name == "munmap"
    for block in blocks:
        heap.free(block)
    heap.trim(0)
    heap.trim(0)
    held = heap.figure("system_bytes")
    assert heap.check() == 0
    machine.refuse = lambda name, arguments: name in ("munmap", "mmap", "brk")
    for _ in range(6):
        block = heap.calloc(1, size)
        assert block in blocks
        assert heap.read(block, size) == bytes(size)
    assert heap.figure("system_bytes") == held
    assert heap.check() == 0


def test_what_could_not_be_unmapped_goes_later(heap: InterpretedHeap) -> None:
    blocks = [heap.malloc(3 * MIB) for _ in range(4)]
    heap.machine.refuse = lambda name, arguments: name == "munmap"
    for block in blocks:
        heap.free(block)
    heap.trim(0)
    assert heap.figure("kept_bytes") > 0
    heap.machine.refuse = lambda name, arguments: False
    assert heap.trim(0) == 1
    assert heap.figure("kept_bytes") == 0


def refuse_to_unmap(name: str, arguments: tuple[int, ...]) -> bool:
    return name == "munmap"


@pytest.mark.parametrize("factor", [2, 16, 64])
def test_what_cannot_be_cut_off_a_new_mapping_is_spare(heap: InterpretedHeap, factor: int) -> None:
    heap.malloc(1)
    alignment = factor * heap.machine.page
    heap.machine.refuse = refuse_to_unmap
    block = heap.aligned_alloc(alignment, 3 * MIB)
    assert block % alignment == 0
    assert heap.figure("kept_bytes") == alignment - heap.machine.page
    assert heap.figure("mapped_bytes") == 3 * MIB
    assert heap.check() == 0
    heap.machine.refuse = lambda name, arguments: False
    assert heap.trim(0) == 1
    assert heap.figure("kept_bytes") == 0
    fill(heap, block, 3 * MIB)
    heap.free(block)
    assert heap.check() == 0


@dataclass
class TightMachine(SimulatedMachine):
    """The next mapping, once it `is_tight`, begins where the break is; all others lie where they would."""

    is_tight: bool = False
    tight_end: int = 0

    def map_memory(self, length: int, alignment: int = 1) -> int:
        if not self.is_tight:
            return super().map_memory(length, alignment)
        self.is_tight = False
        self.log.append(SystemCall("mmap", (length,), self.break_address))
        self._mappings.append(Region(self.break_address, bytearray(length)))
        self.tight_end = self.break_address + length
        return self.break_address

    def _lowest_mapping(self) -> int:
        others = (region.start for region in self._mappings if region.start >= self.tight_end)
        return min(others, default=MAPPINGS)


@pytest.mark.parametrize("refuse", [False, True], ids=["unmapped", "kept"])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_a_mapping_does_not_begin_where_the_heap_ends(page: int, factor: int, refuse: bool) -> None:
    machine = TightMachine(page=page)
    heap = InterpretedHeap(machine)
    small = heap.malloc(1)
    end = machine.break_address
    assert end % (factor * page) == 0
    machine.is_tight = True
    machine.refuse = refuse_to_unmap if refuse else machine.refuse
    block = heap.aligned_alloc(factor * page, 3 * MIB)
    assert block % (factor * page) == 0 and not end - 4 * page < block < end + 3 * MIB
    fill(heap, block, 3 * MIB)
    assert heap.check() == 0
    for pointer in (block, small):
        heap.free(pointer)
    assert heap.check() == 0


@dataclass
class CountingMachine(SimulatedMachine):
    """Counts what the engine reads of its memory."""

    loads: int = 0

    def load(self, address: int, width: int) -> int:
        self.loads += 1
        return super().load(address, width)


def test_a_large_request_costs_the_same_beside_many_spare_mappings() -> None:
    machine = CountingMachine(environment={b"SNUG_PURGE_DELAY": b"1G"})
    heap = InterpretedHeap(machine, {"DEFAULT_THRESHOLD": 65536})
    costs = []
    for count in (40, 400):
        blocks = [heap.malloc(70_000) for _ in range(count)]
        for block in blocks[::2]:
            heap.free(block)
        before = machine.loads
        heap.malloc(200_000)
        costs.append(machine.loads - before)
    assert costs[1] <= 3 * costs[0]


@pytest.mark.parametrize("size", LARGE)
def test_a_mapping_that_is_neither_unmapped_nor_emptied_does_not_count_as_zero(
    heap: InterpretedHeap, size: int
) -> None:
    blocks = [heap.malloc(size) for _ in range(3)]
    for block in blocks:
        fill(heap, block, size)
    heap.machine.refuse = lambda name, arguments: name in ("munmap", "madvise")
    for block in blocks:
        heap.free(block)
    heap.trim(0)
    heap.machine.refuse = lambda name, arguments: name in ("munmap", "madvise", "mmap", "brk")
    for _ in range(3):
        block = heap.calloc(1, size)
        assert block in blocks
        assert heap.read(block, size) == bytes(size)
    assert heap.check() == 0


# ---- Requests that are refused ----


@pytest.fixture
def heap_of_holes(machine: SimulatedMachine) -> InterpretedHeap:
    """The machine gives nothing more, and what is free are holes of less than a page. Memory is filled."""
    machine.environment[b"SNUG_FILL"] = b"1"
    heap = InterpretedHeap(machine)
    blocks = [heap.malloc(3000) for _ in range(400)]
    machine.refuse = lambda name, arguments: name in ("brk", "mmap", "mprotect")
    while block := heap.malloc(3000):
        blocks.append(block)
    for block in blocks[::2]:
        heap.free(block)
    return heap


@pytest.mark.parametrize("alignment", [32, 64, 256])
def test_without_a_page_for_a_slab_blocks_are_aligned_all_the_same(
    heap_of_holes: InterpretedHeap, alignment: int
) -> None:
    for size in range(1, 1000, 7):
        block = heap_of_holes.aligned_alloc(alignment, size)
        assert block != 0 and block % alignment == 0
        fill(heap_of_holes, block, heap_of_holes.usable(block))
    assert heap_of_holes.check() == 0


def test_without_a_page_for_a_slab_calloc_clears_all_that_is_usable(heap_of_holes: InterpretedHeap) -> None:
    for size in range(1, 1200, 7):
        block = heap_of_holes.calloc(1, size)
        usable = heap_of_holes.usable(block)
        assert heap_of_holes.read(block, usable) == bytes(usable), size
        fill(heap_of_holes, block, usable)
    assert heap_of_holes.check() == 0


@pytest.mark.parametrize("size", [1000, 5000, 100_000, 1_000_000, 3 * MIB])
@pytest.mark.parametrize("harden", [b"0", b"1"])
def test_a_refused_request_does_not_trim_the_heap_to_grow_it_again(
    machine: SimulatedMachine, harden: bytes, size: int
) -> None:
    machine.environment |= {b"SNUG_LIMIT": b"8M", b"SNUG_HARDEN": harden}
    heap = InterpretedHeap(machine)
    held = []
    while block := heap.malloc(size):
        held.append(block)
    while block := heap.malloc(1000):
        held.append(block)
    heap.free(held[0])
    for _ in range(3):
        heap.malloc(8 * MIB)
    before = len(machine.log)
    for _ in range(50):
        heap.free(heap.malloc(size))
        assert heap.malloc(8 * MIB) == 0
        assert heap.malloc(4 * MIB) == 0
    assert sum(name in ("brk", "madvise") for name in names(machine, before)) <= 2
    assert heap.check() == 0


def test_nor_does_one_that_the_system_refuses(machine: SimulatedMachine) -> None:
    machine.environment[b"SNUG_HARDEN"] = b"1"
    heap = InterpretedHeap(machine)
    blocks = [heap.malloc(100_000) for _ in range(30)]
    for block in blocks[::2]:
        heap.free(block)
    machine.refuse = lambda name, arguments: name in ("brk", "mmap", "mprotect") and arguments[0] != 0
    before = len(machine.log)
    for _ in range(20):
        assert heap.malloc(1_500_000) == 0
    moved = [
        call for call in machine.log[before:] if call.name in ("brk", "madvise") and call.result is not None
    ]
    assert len(moved) <= 1  # what was free, the first time


# ---- A fork at a bad moment ----


@dataclass
class ForkingMachine(SimulatedMachine):
    """At the next call that gives memory back, the process is the child of a fork that was made just then."""

    at_call: Callable[[], object] = lambda: None
    has_forked: bool = False
    names: list[str] = field(default_factory=list)

    def purge_memory(self, address: int, length: int) -> bool:
        if not self.has_forked:
            self.has_forked = True
            self.forks += 1
            self.at_call()
        return super().purge_memory(address, length)


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_a_child_that_was_forked_while_pages_were_on_their_way_goes_on(page: int) -> None:
    machine = ForkingMachine(page=page, environment={b"SNUG_PURGE_DELAY": b"0"})
    heap = InterpretedHeap(machine, {"PACE": 4, "LEFT_PAGES": 0})
    blocks = {heap.malloc(size): size for size in (*BLOCKS, *LARGE) for _ in range(6)}
    for block, size in blocks.items():
        fill(heap, block, size)
    kept = dict(list(blocks.items())[::3])
    found: list[int] = []

    def use_everything() -> None:
        """What the child does: frees, allocates and gives back, with the parent's call never finished."""
        for block in list(blocks):
            if block not in kept and block not in found:
                heap.free(block)
                found.append(block)
        for size in (*BLOCKS, *LARGE):
            block = heap.calloc(1, size)
            assert heap.read(block, size) == bytes(size)
            heap.free(block)
        heap.trim(0)
        assert heap.check() == 0

    machine.at_call = use_everything
    for block in list(blocks):
        if block not in kept and block not in found:
            found.append(block)
            heap.free(block)
    assert machine.has_forked
    for block, size in kept.items():
        assert heap.read(block, size) == b"\xeb" * size


# ---- Options ----


@dataclass
class PublishingMachine(SimulatedMachine):
    """Calls `at_store` before each store of a word."""

    at_store: Callable[[int, int], None] = lambda address, value: None

    def store(self, address: int, width: int, value: int) -> None:
        self.at_store(address, value)
        super().store(address, width, value)


def test_options_are_published_after_their_values() -> None:
    machine = PublishingMachine(
        environment={
            b"SNUG_HARDEN": b"1",
            b"SNUG_FILL": b"1",
            b"SNUG_MMAP_THRESHOLD": b"1M",
            b"SNUG_PURGE_DELAY": b"7",
            b"SNUG_LIMIT": b"1G",
        }
    )
    heap = InterpretedHeap(machine)
    engine = heap.engine
    seen: list[tuple[object, ...]] = []

    def look(address: int, value: int) -> None:
        if address == engine.ARE_READ and value:
            limit = engine.figure(engine.process_heap(), engine.Figures.limit_bytes)
            seen.append(
                (
                    engine.is_hardened(),
                    engine.fills_memory(),
                    engine.mmap_threshold(),
                    engine.purge_delay(),
                    engine.thread_cache(),
                    limit,
                )
            )

    machine.at_store = look
    heap.malloc(100)
    assert seen == [(True, True, MIB, 7, 0, 1 << 30)]
