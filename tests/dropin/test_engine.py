"""The engine held to the model: interpreted and compiled, on the same random programs.

What all heaps have in common is tried on one of each kind: `any_heap`, `make_heap`. The others are about what
only the process's heap has: the break, slabs, threads' caches, the options and the helper thread.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from snugmalloc.engine import Fatal, SimulatedMachine

from .conftest import Make
from .heaps import COMPILED, FREE, CompiledHeap, InterpretedHeap, Model

MIB = 1 << 20


def play(model: Model, steps: int, every: int) -> None:
    """Play, check the invariants now and then, compare the walk, end with nothing left."""
    before = len(model.walked()) - len(model.blocks)
    for step in range(steps):
        model.step()
        if step % every == 0:
            assert model.heap.check() == 0
    if before == 0:
        assert model.walked() == model.live()
    model.finish()
    assert len(model.walked()) == before
    assert model.heap.check() == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_interpreted_engine_agrees_with_the_model(any_heap: InterpretedHeap, seed: int) -> None:
    play(Model(any_heap, seed), 1500, 100)


def test_small_blocks_agree_with_the_model(any_heap: InterpretedHeap) -> None:
    play(Model(any_heap, 5, largest=200), 4000, 200)


def test_larger_pages_of_the_system_are_honoured(machine: SimulatedMachine, make_heap: Make) -> None:
    heap = make_heap(machine)
    play(Model(heap, 7), 800, 100)
    heap.trim(0)
    assert all(
        call.arguments[0] % machine.page == 0 and call.arguments[1] % machine.page == 0
        for call in machine.log
        if call.name == "madvise"
    )


def test_no_free_page_of_the_system_stays_dirty(machine: SimulatedMachine, make_heap: Make) -> None:
    heap = make_heap(machine)
    engine, control = heap.engine, heap.engine.Heap(heap.control)
    blocks = [heap.malloc(100_000) for _ in range(20)]
    for block in blocks[5:15]:
        heap.free(block)
    heap.trim(0)
    heap.free(heap.malloc(100_000))  # it begins with a page of the system that went back, and ends in one
    heap.trim(0)
    step = machine.page // 4096
    for page in range(engine.lowest_page(control) // step * step, engine.used_pages(control), step):
        kinds = {engine.kind_of(each) for each in range(page, page + step)}
        assert engine.DIRTY not in kinds or min(kinds) < engine.FRESH
    assert heap.check() == 0


def test_without_thread_caches_the_model_agrees(machine: SimulatedMachine) -> None:
    machine.environment[b"SNUG_THREAD_CACHE"] = b"0"
    play(Model(InterpretedHeap(machine), 8), 1500, 100)


def test_with_purging_all_the_time_the_model_agrees(machine: SimulatedMachine, make_heap: Make) -> None:
    machine.environment[b"SNUG_PURGE_DELAY"] = b"0"
    heap = make_heap(machine, {"PACE": 4, "LEFT_PAGES": 0})
    play(Model(heap, 9, largest=100_000), 2000, 100)
    assert any(call.name == "madvise" for call in machine.log)


@pytest.mark.parametrize("kind", COMPILED)
@pytest.mark.parametrize("seed", range(20))
def test_the_compiled_engine_agrees_with_the_model(seed: int, kind: str, library: Path) -> None:
    heap = COMPILED[kind](library)
    play(Model(heap, seed), 4000, 200)
    heap.destroy()


@pytest.mark.parametrize("seed", range(3))
def test_both_engines_give_the_same_usable_sizes(seed: int, library: Path) -> None:
    interpreted = Model(InterpretedHeap(), seed, largest=100_000)
    compiled = Model(CompiledHeap(library), seed, largest=100_000)
    compiled.heap.trim(0)
    for _ in range(300):
        interpreted.allocate()
        compiled.allocate()
    assert list(interpreted.usable.values()) == list(compiled.usable.values())
    compiled.finish()


def test_a_break_that_others_move_is_left_to_them(heap: InterpretedHeap) -> None:
    model = Model(heap, 11, largest=100_000)
    for number in range(600):
        model.step()
        if number % 100 == 50:
            heap.write(heap.machine.foreign_break(10_000 + number), b"foreign")
    foreign = [call.result for call in heap.machine.log if call.name == "brk" and call.result is None]
    assert not foreign
    assert heap.check() == 0
    assert model.walked() == model.live()


def test_what_was_free_at_the_end_is_used_after_the_heap_went_on_elsewhere(heap: InterpretedHeap) -> None:
    first = heap.malloc(20_000)
    heap.machine.foreign_break(10_000)
    elsewhere = heap.malloc(120_000)
    assert elsewhere > first + 128 * 1024
    assert heap.check() == 0
    assert first < heap.malloc(50_000) < elsewhere
    assert heap.check() == 0


def test_a_hole_is_used_before_the_end_of_the_heap(any_heap: InterpretedHeap) -> None:
    hole = any_heap.malloc(60_000)
    any_heap.malloc(20_000)
    any_heap.free(hole)
    assert any_heap.malloc(20_000) == hole
    assert any_heap.check() == 0


def test_a_refused_break_is_replaced_by_a_region(machine: SimulatedMachine) -> None:
    machine.refuse = lambda name, arguments: name == "brk" and arguments[0] != 0
    heap = InterpretedHeap(machine)
    play(Model(heap, 12, largest=50_000), 800, 100)
    assert sum(call.name == "mmap" and call.result is not None for call in machine.log) < 10


def test_a_break_refused_later_is_replaced_by_a_region(machine: SimulatedMachine) -> None:
    heap = InterpretedHeap(machine)
    model = Model(heap, 13, largest=50_000)
    for _ in range(300):
        model.step()
    machine.refuse = lambda name, arguments: name == "brk"
    play(model, 800, 400)


def test_refused_memory_is_an_answer_and_nothing_breaks(machine: SimulatedMachine, make_heap: Make) -> None:
    heap = make_heap(machine)
    kept = [heap.malloc(1000) for _ in range(50)]
    machine.refuse = lambda name, arguments: name in ("brk", "mmap", "mprotect", "mremap")
    refused = [size for size in (10, 1000, 100_000, 10 * MIB) for _ in range(200) if heap.malloc(size) == 0]
    assert 100_000 in refused and 10 * MIB in refused
    assert machine.errno == 12
    assert heap.check() == 0
    for pointer in kept:
        heap.free(pointer)
    assert heap.check() == 0


def test_the_limit_holds(machine: SimulatedMachine) -> None:
    machine.environment[b"SNUG_LIMIT"] = b"4M"
    heap = InterpretedHeap(machine)
    blocks = []
    while pointer := heap.malloc(60_000):
        blocks.append(pointer)
    assert 55 < len(blocks) <= 4 * MIB // 60_000
    assert heap.figure("system_bytes") <= 4 * MIB
    assert heap.malloc(1 << 40) == 0
    heap.free(blocks.pop())
    assert heap.malloc(50_000) != 0


def test_unknown_and_malformed_options_are_told_once(machine: SimulatedMachine) -> None:
    environment = {b"SNUG_LIMTI": b"1", b"SNUG_LIMIT": b"12Q", b"SNUG_ALIGN": b"9", b"HOME": b"/"}
    machine.environment |= environment
    heap = InterpretedHeap(machine)
    for _ in range(100):
        heap.malloc(5000)
    assert [line.rpartition(" ")[2] for line in machine.warnings] == [
        "SNUG_LIMTI=1",
        "SNUG_LIMIT=12Q",
        "SNUG_ALIGN=9",
    ]


def test_memory_comes_back_without_being_asked(machine: SimulatedMachine, make_heap: Make) -> None:
    heap = make_heap(machine, {"PACE": 16})
    blocks = [heap.malloc(3000) for _ in range(2000)]
    for pointer in blocks[::2]:
        heap.free(pointer)
    for pointer in blocks[1::2]:
        heap.free(pointer)
    for _ in range(3000):
        heap.free(heap.malloc(30_000))
    assert heap.figure("purged_bytes") + 2 * MIB > heap.figure("heap_bytes")
    assert heap.figure("returned_bytes") > 3 * MIB


def test_a_heap_that_is_dropped_goes_back_at_once_and_not_while_it_is_filled_again(
    machine: SimulatedMachine, make_heap: Make
) -> None:
    heap = make_heap(machine, {"PACE": 16, "MOMENTS": 1 << 30})  # it never counts as calm
    blocks = [heap.malloc(3000) for _ in range(3000)]
    for pointer in blocks:
        heap.free(pointer)
    returned = heap.figure("returned_bytes")
    assert returned > heap.figure("heap_bytes") * 3 // 4
    for _ in range(3000):
        heap.malloc(3000)
    assert heap.figure("returned_bytes") == returned
    assert heap.check() == 0


def test_a_heap_of_which_half_is_used_keeps_the_rest_for_what_comes(
    machine: SimulatedMachine, make_heap: Make
) -> None:
    heap = make_heap(machine, {"PACE": 16, "MOMENTS": 1 << 30})
    blocks = [heap.malloc(3000) for _ in range(3000)]
    for pointer in blocks[:1400]:
        heap.free(pointer)
    assert heap.figure("returned_bytes") < 2 * MIB  # of the 4 that are free: at the peak one run went
    assert heap.check() == 0


def test_trim_gives_everything_back_now(any_heap: InterpretedHeap) -> None:
    blocks = [any_heap.malloc(size) for size in (40, 900, 5000, 50_000) for _ in range(100)]
    for pointer in blocks:
        any_heap.free(pointer)
    any_heap.trim(0)
    segments = max(1, sum(call.name == "mmap" for call in any_heap.machine.log))
    most = segments * max(60 * 1024, any_heap.machine.page)
    assert any_heap.figure("heap_bytes") - any_heap.figure("purged_bytes") <= most
    assert any_heap.trim(0) == 0


def test_purged_pages_read_as_zero_from_calloc(any_heap: InterpretedHeap) -> None:
    blocks = [any_heap.malloc(20_000) for _ in range(20)]
    for pointer in blocks:
        any_heap.write(pointer, b"\xff" * 20_000)
    for pointer in blocks:
        any_heap.free(pointer)
    any_heap.trim(64 * 1024)
    for _ in range(20):
        pointer = any_heap.calloc(1, 20_000)
        assert any_heap.read(pointer, 20_000) == bytes(20_000)


def test_a_slab_page_has_no_waste_beside_its_objects(heap: InterpretedHeap) -> None:
    for _ in range(64):
        heap.malloc(64)
    slabs = {block.address & ~4095 for block in heap.walk() if block.size == 64}
    assert all(sum(block.address & ~4095 == slab for block in heap.walk()) == 64 for slab in slabs)


@pytest.mark.parametrize("size", [240, 400, 512])
def test_objects_are_taken_as_they_stand_in_the_page_not_as_they_were_freed(
    heap: InterpretedHeap, size: int
) -> None:
    held = [heap.malloc(size) for _ in range(1000)]
    page = held[500] >> 12
    in_page = [pointer for pointer in held if pointer >> 12 == page]
    freed = in_page[1::2]
    Random(size).shuffle(freed)
    for pointer in freed:
        heap.free(pointer)
    heap.trim(0)
    again = [pointer for pointer in (heap.malloc(size) for _ in range(1000)) if pointer >> 12 == page]
    assert again == sorted(freed)
    assert heap.check() == 0


def test_freed_neighbours_become_one_block(any_heap: InterpretedHeap) -> None:
    first, second, third, fence = (any_heap.malloc(20_000) for _ in range(4))
    for pointer in (first, third, second):
        any_heap.free(pointer)
    merged = next(block for block in any_heap.walk() if block.address == first)
    assert merged.status == FREE and merged.size >= 60_000
    assert any_heap.usable(fence) >= 20_000


@pytest.mark.parametrize("size", [2000, 20_000])
def test_a_block_freed_twice_is_noticed(machine: SimulatedMachine, make_heap: Make, size: int) -> None:
    machine.environment[b"SNUG_THREAD_CACHE"] = b"0"
    heap = make_heap(machine)
    pointer = heap.malloc(size)
    heap.free(pointer)
    with pytest.raises(Fatal, match=r"not (in use|a block in use)"):
        heap.free(pointer)


def test_a_pointer_into_a_free_page_is_noticed(any_heap: InterpretedHeap) -> None:
    pointer = any_heap.malloc(60_000)
    any_heap.free(pointer)
    with pytest.raises(Fatal, match=r"not|no block"):
        any_heap.free(pointer + 16384)


def test_what_is_listed_is_what_a_page_map_or_a_tag_tells(heap: InterpretedHeap) -> None:
    engine = heap.engine
    for size in range(engine.LISTED_LIMIT + 1):
        size_class = engine.class_of(size)
        assert engine.usable_in_class(size_class) >= size
        assert size_class == 1 or engine.object_bytes(size_class - 1) < size <= engine.object_bytes(size_class)
        assert engine.has_objects(size_class) == (size <= engine.SLAB_LIMIT)
    heap.malloc(1)
    for units in range(engine.LISTED_LIMIT // 16 + 1):
        assert engine.load_byte(engine.CLASSES + units) == engine.class_of(16 * units)
    for units in range(engine.MAX_LISTED_UNITS + 1):
        of_blocks = engine.load_byte(engine.BLOCK_CLASSES + units)
        assert of_blocks == 0 or engine.class_block_units(of_blocks) == units
    blocks = range(engine.SLAB_CLASSES + 1, engine.ALL_CLASSES + 1)
    assert [engine.load_byte(engine.BLOCK_CLASSES + engine.class_block_units(of)) for of in blocks] == list(
        blocks
    )


def test_a_page_is_filled_with_objects(heap: InterpretedHeap) -> None:
    engine = heap.engine
    for size_class in range(1, engine.SLAB_CLASSES + 1):
        size = engine.object_bytes(size_class)
        assert engine.capacity(size_class) == engine.PAGE // size
        assert (
            size_class == engine.SLAB_CLASSES
            or engine.PAGE // engine.object_bytes(size_class + 1) < engine.PAGE // size
        )


@pytest.mark.parametrize("size", [20, 500, 1000, 1030, 5000, 16_384])
def test_a_freed_block_of_a_class_is_the_next_of_it(heap: InterpretedHeap, size: int) -> None:
    first, second = heap.malloc(size), heap.malloc(size)
    heap.free(first)
    heap.free(second)
    assert heap.figure("cached_blocks") >= 2
    assert [heap.malloc(size), heap.malloc(size - 1)] == [second, first]
    assert heap.check() == 0


@pytest.mark.parametrize("size", [16_393, 20_000, 100_000, 1_000_000])
def test_no_larger_block_waits_in_a_cache(any_heap: InterpretedHeap, size: int) -> None:
    any_heap.free(any_heap.malloc(size))
    assert any_heap.figure("cached_blocks") == 0
    assert any_heap.figure("live_blocks") == 0


@pytest.mark.parametrize("size", [1500, 5000, 9000, 16_000])
def test_nor_any_beyond_small_objects_where_most_was_dropped(heap: InterpretedHeap, size: int) -> None:
    blocks = [heap.malloc(size) for _ in range(24_000_000 // size)]
    for block in blocks:
        heap.free(block)
    assert heap.figure("cached_bytes") < 2 * size
    assert heap.check() == 0


@pytest.mark.parametrize("size", [700, 3000, 12_000])
def test_what_waits_in_caches_is_used_before_a_request_is_refused(machine: SimulatedMachine, size: int) -> None:
    machine.environment[b"SNUG_LIMIT"] = b"1M"
    heap = InterpretedHeap(machine)
    blocks = []
    while (block := heap.malloc(size)) != 0:
        blocks.append(block)
    for block in blocks[:4]:
        heap.free(block)
    assert heap.figure("cached_blocks") > 0
    assert heap.malloc(size + size // 4) != 0 or size < 1024
    assert heap.check() == 0


@pytest.mark.parametrize("alignment", [32, 64, 128, 256, 512, 1024, 4096])
@pytest.mark.parametrize("size", [1, 33, 272, 320, 500, 640, 1000, 1500, 5000])
def test_aligned_objects_and_blocks_are(any_heap: InterpretedHeap, size: int, alignment: int) -> None:
    blocks = [any_heap.aligned_alloc(alignment, size) for _ in range(20)]
    assert all(block % alignment == 0 and any_heap.usable(block) >= size for block in blocks)
    assert len(set(blocks)) == 20
    for block in blocks:
        any_heap.free(block)
    assert any_heap.check() == 0


@pytest.mark.parametrize("size", [1024, 3000, 16_384])
def test_what_shrinks_stays_where_it_is(any_heap: InterpretedHeap, size: int) -> None:
    block = any_heap.malloc(size)
    any_heap.malloc(size)
    assert any_heap.realloc(block, 40) == block
    assert any_heap.usable(block) <= 1024 and any_heap.check() == 0


def test_a_block_that_is_cut_short_is_no_longer_long(any_heap: InterpretedHeap) -> None:
    block = any_heap.malloc(20_000)
    any_heap.malloc(100)
    assert any_heap.realloc(block, 3000) == block
    assert any_heap.check() == 0
    assert any_heap.realloc(block, 18_000) == block
    assert any_heap.check() == 0


def test_an_ended_thread_leaves_its_objects_to_the_next_for_a_while(heap: InterpretedHeap) -> None:
    heap.free(heap.malloc(100))
    heap.free(heap.malloc(5000))
    heap.engine.snug_thread_idle()
    kept = heap.figure("cached_blocks")
    assert kept > 0
    heap.malloc(100)
    assert heap.figure("cached_blocks") == kept - 1
    heap.engine.snug_thread_idle()
    for _ in range(3 * heap.engine.CALLS_OF_AGE):
        assert heap.figure("cached_blocks") == kept - 1
        heap.engine.look_after(heap.engine.process_heap())
    assert heap.figure("cached_blocks") == 0
    assert heap.check() == 0


def test_trim_gives_back_what_ended_threads_left(heap: InterpretedHeap) -> None:
    heap.free(heap.malloc(100))
    heap.engine.snug_thread_idle()
    heap.trim(0)
    assert heap.figure("cached_blocks") == 0
    assert heap.figure("live_bytes") == 0


def test_a_helper_is_started_once_in_each_process_and_only_when_it_is_worth_it() -> None:
    machine = SimulatedMachine(environment={b"SNUG_BACKGROUND": b"1"})
    heap = InterpretedHeap(machine)
    heap.malloc(100)
    assert machine.helpers == 0
    for _ in range(300):
        heap.malloc(20_000)
    assert machine.helpers == 1
    machine.forks += 1
    for _ in range(10):
        heap.malloc(20_000)
    assert machine.helpers == 2


def test_a_step_of_the_helper_gives_back_what_the_program_would_have_given() -> None:
    machine = SimulatedMachine(environment={b"SNUG_BACKGROUND": b"1"})
    heap = InterpretedHeap(machine, {"MOMENTS": 1 << 30})  # it never counts as calm
    kept = [heap.malloc(20_000) for _ in range(400)]
    for pointer in [heap.malloc(20_000) for _ in range(350)]:
        heap.free(pointer)
    before = heap.figure("returned_bytes")
    for _ in range(20):
        machine.pass_time(250_000_000)
        heap.engine.snug_background_step()
    assert heap.figure("returned_bytes") > before
    resident = heap.figure("heap_bytes") - heap.figure("purged_bytes")
    assert resident - heap.figure("live_bytes") < MIB + heap.figure("live_bytes") // 8
    assert heap.figure("background_steps") == 20
    assert heap.check() == 0 and heap.usable(kept[-1]) >= 20_000
