"""Measures the four functions: cost against live blocks, calls from C, calls from Python."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import snugmalloc

from .harness import Figure, compile_program, interleave, markdown_table, printed_number, write_results

LIVE = (10**3, 10**4, 10**5, 10**6)
ORDERS = {
    "random": "a random block is replaced",
    "oldest": "the oldest block is replaced",
    "touch-random": "the loop alone, random",
    "touch-oldest": "the loop alone, oldest",
}
PATTERNS = ("pair64", "pair4096", "batch48", "random")
SIZES = (64, 4096)
CALLS_FROM_PYTHON = 200_000

PAGE = """# The four functions

Medians of {rounds} interleaved rounds, nanoseconds of processor time.

## The cost of a call while many blocks live

Blocks of 16 to 4,095 bytes (log-uniform) are replaced; the loop and its cache misses are included. The rows of
the loop alone write to a block and do not replace it: what is left when an allocator costs nothing.

{scaling}

## Calls from C

One allocation or one free, loop included.

{calls}

## From Python

A buffer obtained and given back: `os_malloc` + `os_free` are two calls, the others one and a collected object.

{python}
"""


def build() -> tuple[dict[str, Path], dict[str, Path]]:
    """The two C programs, each for both allocators."""
    library = Path(snugmalloc.get_library("osmem"))
    ours = ["-I", snugmalloc.get_include(), str(library), f"-Wl,-rpath,{library.parent}"]
    live = {"ours": compile_program("c/live.c", "live", *ours)}
    live["system"] = compile_program("c/live.c", "live-system", "-DSYSTEM")
    calls = {"ours": compile_program("c/calls.c", "calls", *ours)}
    calls["system"] = compile_program("c/calls.c", "calls-system", "-DSYSTEM")
    return live, calls


def nanoseconds_per_round_trip(round_trips: Callable[[int], None]) -> float:
    """Time `CALLS_FROM_PYTHON` round trips made by one call."""
    begin = time.process_time()
    round_trips(CALLS_FROM_PYTHON)
    return (time.process_time() - begin) * 1e9 / CALLS_FROM_PYTHON


def python_contenders(size: int) -> dict[str, Callable[[int], None]]:
    """How a Python program gets a buffer of `size` bytes, by each means."""
    import cffi
    from cymem.cymem import Address

    ffi = cffi.FFI()
    kind = ffi.typeof("char[]")
    os_malloc, os_free, new, create = (
        snugmalloc.os_malloc,
        snugmalloc.os_free,
        ffi.new,
        ctypes.create_string_buffer,
    )

    def ours(count: int) -> None:
        for _ in range(count):
            os_free(os_malloc(size))

    def string_buffer(count: int) -> None:
        for _ in range(count):
            create(size)

    def byte_array(count: int) -> None:
        for _ in range(count):
            bytearray(size)

    def cffi_new(count: int) -> None:
        for _ in range(count):
            new(kind, size)

    def cymem_address(count: int) -> None:
        for _ in range(count):
            Address(1, size)

    return {
        "os_malloc + os_free": ours,
        "bytearray": byte_array,
        "cymem Address": cymem_address,
        "cffi ffi.new": cffi_new,
        "ctypes.create_string_buffer": string_buffer,
    }


def row(name: str, figures: list[Figure], *more: str) -> list[str]:
    """A line of a table: the medians with their spread."""
    return [name, *(f"{f.median:.0f} ({f.min:.0f}-{f.max:.0f})" for f in figures), *more]


def run(quick: bool) -> None:
    """Measure all and write ``results/four.md`` and ``four.json``."""
    rounds = 3 if quick else 7
    live, calls = build()
    grown = interleave(
        rounds,
        {
            f"{name} {order} {number}": partial(printed_number, program, order, str(number), "2000000")
            for order in ORDERS
            for number in LIVE
            for name, program in live.items()
        },
        "many live blocks",
    )
    called = interleave(
        rounds,
        {
            f"{name} {pattern}": partial(printed_number, program, pattern, "20000000")
            for pattern in PATTERNS
            for name, program in calls.items()
        },
        "calls from C",
    )
    from_python = interleave(
        rounds,
        {
            f"{name} {size}": partial(nanoseconds_per_round_trip, contender)
            for size in SIZES
            for name, contender in python_contenders(size).items()
        },
        "calls from Python",
    )
    page = PAGE.format(
        rounds=rounds,
        scaling=markdown_table(
            ["allocator", *(f"{number:,} live" for number in LIVE), "last / first"],
            [
                row(f"{name}: {told}", cells, f"{cells[-1].median / cells[0].median:.1f}")
                for order, told in ORDERS.items()
                for name in live
                for cells in [[grown[f"{name} {order} {number}"] for number in LIVE]]
            ],
        ),
        calls=markdown_table(
            ["pattern", "ours", "system", "ours / system"],
            [
                row(pattern, [ours, system], f"{ours.median / system.median:.2f}")
                for pattern in PATTERNS
                for ours, system in [(called[f"ours {pattern}"], called[f"system {pattern}"])]
            ],
        ),
        python=markdown_table(
            ["means", *(f"{size} bytes" for size in SIZES)],
            [
                row(name, [from_python[f"{name} {size}"] for size in SIZES])
                for name in python_contenders(SIZES[0])
            ],
        ),
    )
    command = "python -m benchmarks four" + (" --quick" if quick else "")
    write_results("four", command, page, {"scaling": grown, "calls": called, "python": from_python})
    print(page)
