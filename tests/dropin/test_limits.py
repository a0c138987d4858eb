"""At a limit, of ours or of the system: what there is can be had, in any size."""

from __future__ import annotations

from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.engine import SimulatedMachine

from ..targets import Run
from .conftest import Compile, numbers
from .heaps import InterpretedHeap

SWAPS = (
    # from, KiB that are freed, to
    (16, 16, 1000),
    (1000, 16, 16),
    (1000, 16, 64),
    (600, 16, 16),
    (3000, 8, 100),
    (8000, 40, 3000),
    (8000, 40, 30000),
    (100, 1000, 400),
    (200_000, 800, 300),
)


@pytest.mark.parametrize("when", ["first", "later", "threads"])
@pytest.mark.parametrize("size", [100, 1000, 20_000, 1_000_000, 5_000_000])
def test_a_program_that_limits_its_own_addresses_is_served(
    size: int, when: str, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("limit_inside.c"), "300", "50", when, str(size), on=library)


@pytest.mark.parametrize("when", ["first", "later", "threads"])
def test_so_is_one_with_a_narrow_limit(when: str, compile_program: Compile, run: Run, library: Path) -> None:
    run(compile_program("limit_inside.c"), "64", "20", when, on=library)


@pytest.mark.parametrize(("size", "share", "other"), SWAPS)
@pytest.mark.parametrize("limit", ["ours", "addresses"])
def test_what_is_freed_can_be_had_in_another_size(
    limit: str, size: int, share: int, other: int, compile_program: Compile, run: Run, library: Path
) -> None:
    program = compile_program("last_bytes.c")
    words = ["8" if limit == "addresses" else "0", str(size), str(share), str(other)]
    told = numbers(run(program, *words, on=library, SNUG_LIMIT="0" if limit == "addresses" else "2M"))
    assert told["freed"] > 0
    assert told["had"] >= told["freed"] * 2 // 3


@pytest.mark.parametrize(("size", "other"), [(300, 3000), (100, 400), (20_000, 300)])
def test_so_can_what_a_thread_has_freed(
    size: int, other: int, compile_program: Compile, run: Run, library: Path
) -> None:
    program = compile_program("last_bytes.c")
    told = numbers(run(program, "0", str(size), "800", str(other), "thread", on=library, SNUG_LIMIT="4M"))
    assert told["had"] >= told["freed"] * 2 // 3


@pytest.mark.parametrize("harden", ["0", "1"])
@pytest.mark.parametrize("size", [1000, 100_000, 1_000_000])
def test_refused_requests_make_no_system_calls(
    size: int, harden: str, compile_program: Compile, run: Run, library: Path
) -> None:
    include = f"-I{snugmalloc.get_include()}"
    program = compile_program("refused_calls.c", include, library, f"-Wl,-rpath,{library.parent}")
    told = numbers(run(program, str(size), on=library, SNUG_HARDEN=harden, SNUG_LIMIT="8M"))
    assert told["calls"] <= 2


REASONS = (
    # why, sizes of requests
    ("limit", (100, 5000, 1_000_000)),
    ("threads", (100_000,)),
    ("size", (1 << 63, (1 << 64) - 1)),
    ("gap", (0x7F00_0000_0000, 1 << 50, (1 << 63) - 4096)),
    ("addresses", (1000, 100_000, 100_000_000)),
    ("mappings", (1000, 100_000, 100_000_000)),
    ("locked", (1000, 50_000_000)),
    ("memory", (1000, 1_000_000, 50_000_000)),
)
COUNTED_AS = {"threads": "limit", "gap": "addresses"}


@pytest.mark.parametrize("preloaded", [True, False], ids=["preloaded", "linked"])
@pytest.mark.parametrize(("why", "size"), [(why, size) for why, sizes in REASONS for size in sizes])
def test_the_reason_of_every_refusal_is_counted(
    why: str, size: int, preloaded: bool, compile_program: Compile, run: Run, library: Path
) -> None:
    include = f"-I{snugmalloc.get_include()}"
    program = compile_program("reasons.c", include, library, f"-Wl,-rpath,{library.parent}")
    limit = "8M" if why in ("limit", "threads") else "0"
    on = library if preloaded else None
    told = numbers(run(program, why, str(size), on=on, SNUG_LIMIT=limit, SNUG_HARDEN="0"))
    assert told.pop("asked") == told["requests"] > 0
    assert sum(told.values()) == 2 * told["requests"]
    assert told[COUNTED_AS.get(why, why)] == told["requests"]


@pytest.mark.parametrize(
    ("answer", "figure"),
    [
        (0, "refused_memory"),
        (1, "refused_addresses"),
        (2, "refused_mappings"),
        (3, "refused_locked"),
    ],
)
@pytest.mark.parametrize("size", [1, 500, 5000, 200_000, 3 << 20])
def test_the_reason_is_what_the_machine_says(size: int, answer: int, figure: str) -> None:
    machine = SimulatedMachine(refuse=lambda name, arguments: name in ("brk", "mmap", "mprotect"))
    machine.refusal = answer
    heap = InterpretedHeap(machine)
    assert heap.malloc(size) == heap.calloc(1, size) == heap.aligned_alloc(4096, size) == 0
    assert heap.figure(figure) == heap.figure("refused_requests") == 3


def test_a_refusal_that_another_way_made_good_is_not_counted() -> None:
    machine = SimulatedMachine(refuse=lambda name, arguments: name == "mmap" and arguments[0] == 3 << 20)
    heap = InterpretedHeap(machine)
    assert heap.malloc(3 << 20)
    assert any(call.result is None for call in machine.log)
    assert heap.figure("refused_requests") == heap.figure("refused_memory") == 0
