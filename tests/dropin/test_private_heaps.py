"""Private heaps: their rules, threads and forks in them, refusals, bad pointers, under every option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.engine import Fatal, SimulatedMachine

from ..builds import build_library
from ..targets import Run, Target
from .conftest import Compile
from .heaps import MIB, InterpretedHeap, InterpretedPrivateHeap, Model
from .test_engine import play

CASES = (
    "sizes",
    "impossible",
    "cleared",
    "aligned",
    "resizing",
    "apart",
    "limited",
    "looked_at",
    "given_back",
    "dropped",
)
ALONE = ("given_back", "dropped", "looked_at")
"""Cases about what is resident and when: with options that change that they do not hold."""
SETTINGS: tuple[dict[str, str], ...] = (
    {"SNUG_HARDEN": "1"},
    {"SNUG_FILL": "1"},
    {"SNUG_STATS": "1"},
    {"SNUG_DISABLE": "1"},
    {"SNUG_PURGE_DELAY": "0"},
    {"SNUG_MMAP_THRESHOLD": "20K"},
    {"SNUG_LIMIT": "1M"},
    {"SNUG_PREALLOC": "1G"},
)
LinkedProgram = Callable[[str, Path], Path]


@pytest.fixture(scope="session")
def linked(compile_program: Compile) -> LinkedProgram:
    """Compiles a program that calls the functions of snugmalloc.h in a library."""

    def compile_linked(name: str, library: Path) -> Path:
        include = f"-I{snugmalloc.get_include()}"
        return compile_program(name, include, library, f"-Wl,-rpath,{library.parent}")

    return compile_linked


@pytest.mark.parametrize("case", CASES)
def test_private_heaps_keep_their_rules(case: str, linked: LinkedProgram, run: Run, library: Path) -> None:
    run(linked("heaps.c", library), case)


def test_what_was_dropped_goes_where_each_call_is_held_up(
    linked: LinkedProgram, run: Run, held_up: Path, library: Path
) -> None:
    run(linked("heaps.c", library), "dropped", on=held_up)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "".join(settings))
@pytest.mark.parametrize("case", [case for case in CASES if case not in ALONE])
def test_whatever_option_is_set(
    case: str, settings: dict[str, str], linked: LinkedProgram, run: Run, library: Path
) -> None:
    run(linked("heaps.c", library), case, **settings)


def test_freed_and_fresh_memory_is_filled(linked: LinkedProgram, run: Run, library: Path) -> None:
    run(linked("heaps.c", library), "filled", SNUG_FILL="1")
    run(linked("heaps.c", library), "filled", SNUG_FILL="1", SNUG_HARDEN="1")


@pytest.fixture(scope="session", params=["debug", "debug-16384", "debug-65536"])
def checking(request: pytest.FixtureRequest) -> Path:
    """A library that checks its invariants as it goes, on a machine with pages of each size."""
    return build_library("snugmalloc", request.param)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ALONE])
def test_all_invariants_hold(case: str, linked: LinkedProgram, run: Run, checking: Path) -> None:
    run(linked("heaps.c", checking), case, "1")


@pytest.mark.parametrize("case", ["shared", "many", "leaves"])
def test_all_invariants_hold_in_threads(case: str, linked: LinkedProgram, run: Run, checking: Path) -> None:
    run(linked("heap_threads.c", checking), case)


@pytest.mark.parametrize("how", ["calls", "addresses", "data"])
def test_all_invariants_hold_while_memory_is_refused(
    how: str, linked: LinkedProgram, run: Run, checking: Path
) -> None:
    run(linked("heap_refusals.c", checking), how, "5")


# ---- Threads and forks ----


@pytest.mark.parametrize("case", ["shared", "many", "leaves", "fork"])
def test_threads_make_use_and_destroy_heaps(case: str, linked: LinkedProgram, run: Run, library: Path) -> None:
    run(linked("heap_threads.c", library), case)


@pytest.mark.parametrize("settings", SETTINGS[:5], ids=lambda settings: "".join(settings))
@pytest.mark.parametrize("case", ["shared", "many"])
def test_so_they_do_whatever_option_is_set(
    case: str, settings: dict[str, str], linked: LinkedProgram, run: Run, library: Path
) -> None:
    run(linked("heap_threads.c", library), case, **settings)


# ---- Refusals ----


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["calls", "addresses", "data"])
def test_refused_memory_is_an_answer(
    how: str, seed: int, linked: LinkedProgram, run: Run, library: Path
) -> None:
    run(linked("heap_refusals.c", library), how, str(seed))


# ---- Bad pointers ----

NOT_OF_HEAP = "is not a block in use of this heap: freed twice, or not from this heap"
TWICE = "is not in use: freed twice, or never allocated"
FOREIGN = "was not allocated here"
NO_HEAP = "is not a heap of snug_heap_create: destroyed already, or never created"
FAULTS = {
    "other": NOT_OF_HEAP,
    "other-mapping": NOT_OF_HEAP,
    "other-realloc": NOT_OF_HEAP,
    "mallocs": NOT_OF_HEAP,
    "mallocs-mapping": NOT_OF_HEAP,
    "mallocs-realloc": NOT_OF_HEAP,
    "stack": NOT_OF_HEAP,
    "heap": NOT_OF_HEAP,
    "twice": TWICE,
    "twice-by-free": TWICE,
    "twice-paged": NOT_OF_HEAP,
    "twice-paged-by-free": TWICE,
    "twice-mapping": NOT_OF_HEAP,
    "twice-mapping-by-free": FOREIGN,  # it was unmapped at once
    "twice-realloc": TWICE,
    "twice-usable": TWICE,
    "odd": NOT_OF_HEAP,
    "odd-by-free": TWICE,
    "odd-realloc": NOT_OF_HEAP,
    "odd-usable": FOREIGN,
    "middle": TWICE,  # what stands in front of it reads as the tag of a free block
    "middle-by-free": TWICE,
    "middle-mapping": NOT_OF_HEAP,
    "middle-mapping-by-free": FOREIGN,
    "middle-mapping-realloc": FOREIGN,
    "page-of-mapping": NOT_OF_HEAP,
    "lost": NOT_OF_HEAP,
    "lost-by-free": FOREIGN,
    "lost-mapping-by-free": FOREIGN,
    "destroyed-twice": NO_HEAP,
    "destroyed-block": NO_HEAP,
}
HARDENED = {**FAULTS, "odd-by-free": FOREIGN, "overrun": "the tags around the block"}
LIBCS_TO_JUDGE = ("twice-mapping-by-free", "lost-by-free", "lost-mapping-by-free")
"""With SNUG_DISABLE=1 these pointers may be libc's."""


def told_by(fault: str, linked: LinkedProgram, target: Target, library: Path, **settings: str) -> str:
    """What a program with this fault tells as it is aborted: one line, without the pointer."""
    program = linked("heap_faults.c", library)
    stderr = target.abort(program, fault, **settings).stderr
    assert stderr.startswith("snugmalloc: ") and stderr.count("\n") == 1
    return stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_pointer_ends_the_program_with_one_line(
    fault: str, linked: LinkedProgram, target: Target, library: Path
) -> None:
    assert FAULTS[fault] in told_by(fault, linked, target, library)


@pytest.mark.parametrize("fault", HARDENED)
def test_so_it_does_where_all_is_looked_at_closely(
    fault: str, linked: LinkedProgram, target: Target, library: Path
) -> None:
    assert HARDENED[fault] in told_by(fault, linked, target, library, SNUG_HARDEN="1")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in LIBCS_TO_JUDGE])
def test_so_it_does_where_malloc_is_libcs(
    fault: str, linked: LinkedProgram, target: Target, library: Path
) -> None:
    assert FAULTS[fault] in told_by(fault, linked, target, library, SNUG_DISABLE="1")


# ---- Interpreted, call by call ----


def addresses_left(machine: SimulatedMachine) -> int:
    """Bytes that were mapped and not unmapped."""
    done = [call for call in machine.log if call.result is not None]
    mapped = sum(call.arguments[0] for call in done if call.name == "mmap")
    return mapped - sum(call.arguments[1] for call in done if call.name == "munmap")


def test_a_destroyed_heap_leaves_only_what_the_page_map_needs(machine: SimulatedMachine) -> None:
    heap = InterpretedPrivateHeap(machine)
    play(Model(heap, 3), 300, 100)
    blocks = [heap.malloc(size) for size in (100, 50_000, 700_000, 3 * MIB) for _ in range(3)]
    heap.free(blocks[-1])
    leaves = sum(call.arguments == (heap.engine.Leaf.SIZE,) for call in machine.log)
    heap.destroy()
    assert addresses_left(machine) == leaves * heap.engine.Leaf.SIZE
    assert not any(machine.is_mapped(block) or heap.engine.kind_at(block) for block in blocks)
    assert heap.engine.process_heap().next_lock == 0
    with pytest.raises(Fatal, match="is not a heap"):
        heap.destroy()


def test_addresses_of_a_destroyed_heap_serve_others(machine: SimulatedMachine) -> None:
    first = InterpretedPrivateHeap(machine)
    blocks = [first.malloc(40_000) for _ in range(20)]
    first.destroy()
    machine.refuse = lambda name, arguments: name == "brk"
    model = Model(first, 4)
    first.malloc, first.calloc = first.engine.snug_malloc, first.engine.snug_calloc
    first.realloc, first.aligned_alloc = first.engine.snug_realloc, first.engine.snug_aligned_alloc
    first.free, first.check = first.engine.snug_free, first.engine.snug_check
    for _ in range(300):
        model.step()
    assert any(machine.is_mapped(block) for block in blocks)
    model.finish()
    assert first.check() == 0


def create_after(heap: InterpretedPrivateHeap, limit: int, served: int) -> int:
    """Make one more heap while the system refuses all after so many calls; what was left then is unmapped."""
    calls = iter(range(1000))
    before = addresses_left(heap.machine)
    heap.machine.refuse = lambda name, arguments: name != "munmap" and next(calls) >= served
    made: int = heap.engine.snug_heap_create(limit, 0)
    heap.machine.refuse = lambda name, arguments: False
    assert made or addresses_left(heap.machine) == before
    return made


@pytest.mark.parametrize(
    ("refused", "answer", "figure"),
    [
        ("mmap", 1, "refused_addresses"),
        ("mmap", 2, "refused_mappings"),
        ("mmap", 0, "refused_memory"),
        ("mprotect", 0, "refused_memory"),
    ],
)
def test_why_a_heap_could_not_be_made_is_counted(
    machine: SimulatedMachine, refused: str, answer: int, figure: str
) -> None:
    heap = InterpretedHeap(machine)
    heap.malloc(100)
    machine.refusal = answer
    machine.refuse = lambda name, arguments: name == refused
    assert heap.engine.snug_heap_create(MIB, 0) == 0
    assert heap.figure(figure) == heap.figure("refused_requests") == 1


@pytest.mark.parametrize("limit", [0, 8 * MIB])
def test_a_heap_that_could_not_be_made_leaves_nothing(machine: SimulatedMachine, limit: int) -> None:
    heap = InterpretedPrivateHeap(machine)
    served = 0
    while not (made := create_after(heap, limit, served)):
        assert machine.errno == 12
        served += 1
    assert served > 0
    before = addresses_left(machine)
    heap.engine.snug_heap_destroy(made)
    made = heap.engine.snug_heap_create(limit, 0)
    assert addresses_left(machine) == before
    assert heap.malloc(100) and heap.check() == 0


def test_a_refused_region_leaves_the_heap_in_the_one_before(machine: SimulatedMachine) -> None:
    heap = InterpretedPrivateHeap(machine)
    first = heap.malloc(1000)
    newest = heap.engine.Heap(heap.address).newest_region
    before = addresses_left(machine)
    machine.refuse = lambda name, arguments: name == "mprotect" or (name == "mmap" and arguments[0] < 800_000)
    assert heap.malloc(700_000) == 0
    machine.refuse = lambda name, arguments: False
    assert heap.engine.Heap(heap.address).newest_region == newest
    assert addresses_left(machine) == before
    assert heap.malloc(20_000) & ~0xFFFFF == first & ~0xFFFFF
    assert heap.check() == 0


@pytest.mark.parametrize("limit", [65_536, MIB, 8 * MIB])
def test_all_that_a_limit_allows_is_had_in_one_piece(machine: SimulatedMachine, limit: int) -> None:
    heap = InterpretedPrivateHeap(machine, {"DEFAULT_THRESHOLD": 16 * MIB}, limit)
    blocks = []
    while block := heap.malloc(3000):
        blocks.append(block)
    assert heap.figure("refused_limit") == 1 and heap.figure("system_bytes") <= limit
    for block in blocks:
        heap.free(block)
    assert heap.malloc(max(1000, limit - 2 * machine.page))
    assert heap.check() == 0


def test_a_name_is_kept_as_far_as_there_is_room(machine: SimulatedMachine) -> None:
    heap = InterpretedPrivateHeap(machine)
    name = machine.reserve(64)
    machine.write(name, b"x" * 40)
    address = heap.engine.snug_heap_create(0, name)
    assert machine.read(heap.engine.snug_heap_name(address), 32) == b"x" * 31 + b"\0"
