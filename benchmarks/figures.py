"""Measures what needs no workload: instructions, cost against live blocks and threads, the price of a start."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.progress import track

from snugmalloc.launch.allocators import OURS, SYSTEM
from snugmalloc.launch.launcher import measure

from . import catalogue, goals, harness
from .contenders import Contender, find_contenders
from .harness import (
    RESULTS,
    WORK,
    Figure,
    command_line,
    compile_program,
    interleave,
    markdown_table,
    write_results,
)
from .summary import figure

PATTERNS = {
    "pair64": "64 B pair",
    "batch48": "1000 x 48 B batch",
    "random127": "random 16-127 B",
    "random": "random 16-999 B",
    "random8192": "random 16-8192 B",
    "pair8192": "8 KiB pair",
    "pair40000": "split + coalesce",
}
FEW, MANY = 100_000, 300_000  # calls: the difference of two runs leaves the start out
ROUNDS_OF_A_PATTERN = 2  # c/calls.c plays it twice
LIVE = (10**3, 10**4, 10**5, 10**6, 10**7)
REPLACEMENTS = 2_000_000
ORDERS = ("random", "oldest")  # which block is replaced
THREADS = {"churn": (1, 2, 4, 8), "handover": (1, 2, 4)}  # handover: pairs of threads
START_METRICS = ("wall_s", "peak_resident_bytes", "final_resident_bytes", "minor_faults")
STARTS = 31

PAGE = """# Figures of their own

Medians of {rounds} interleaved rounds (minimum-maximum), but for instructions, which are counted once, and
starts, of which {starts} were made.

## Instructions for malloc + free

Counted by callgrind, the loop included; the last line is the program's own part of that, the loop with its
calls, which is the same for all. "split + coalesce" is a pair of 40,000 bytes, more than snugmalloc's thread
cache keeps.

{instructions}

## The cost of a call while many blocks live

Nanoseconds. Blocks of 16 to 255 bytes (log-uniform); a random one is replaced, or the oldest. The loop and its
cache misses are included.

{live}

## Throughput against threads

Million replacements (churn) or blocks handed over (handover) a second.

{threads}

## A program that does nothing

`/bin/true`: wall time in ms, memory in KiB, page faults.

{start}

## The library

Bytes: the file, and the parts of it that a process maps.

{library}
"""


def spread(figures: Figure, factor: float = 1, digits: int = 0) -> str:
    """`12 (11-13)`."""
    low, middle, high = (f"{v * factor:,.{digits}f}" for v in (figures.min, figures.median, figures.max))
    return f"{middle} ({low}-{high})"


def run_on(contender: Contender, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command on `contender` and keep what it prints."""
    added = [f"{name}={value}" for name, value in contender.environment().items()]
    return subprocess.run(["env", *added, *command], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Instructions:
    """How many were counted: everywhere, and of these in the program's own code."""

    total: float
    own: float


def own_instructions(annotated: str, program: Path) -> int:
    """How many of the instructions that callgrind_annotate lists are of `program`, not of a library."""
    lines = (line.split() for line in annotated.splitlines() if line.endswith(f"[{program}]"))
    return sum(int(words[0].replace(",", "")) for words in lines)


def instructions(program: Path, pattern: str, calls: int, contender: Contender) -> Instructions:
    """How many instructions `calls` calls in a pattern take, start and end of the program included."""
    with tempfile.NamedTemporaryFile() as profile:
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile.name}"]
        said = run_on(contender, [*callgrind, str(program), pattern, str(calls)]).stderr
        annotated = harness.printed(["callgrind_annotate", "--threshold=100", profile.name])
    counted = re.search(r"Collected : (\d+)", said)
    own = own_instructions(annotated, program)
    if counted is None or not own:
        raise RuntimeError(f"callgrind does not tell what it counted: {said}")
    return Instructions(int(counted[1]), own)


def count_instructions(
    contenders: Sequence[Contender], few: int = FEW, many: int = MANY
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Instructions for one malloc and free by contender and pattern, loop included; and the loop's alone."""
    program = compile_program("c/calls.c", "calls-system", "-DSYSTEM")
    pairs = (many - few) / 2 * ROUNDS_OF_A_PATTERN
    every = [(contender, pattern) for contender in contenders for pattern in PATTERNS]
    counted: dict[str, dict[str, float]] = {contender.name: {} for contender in contenders}
    loop = {}
    for contender, pattern in track(every, "instructions", disable=not sys.stderr.isatty()):
        first, second = (instructions(program, pattern, calls, contender) for calls in (few, many))
        counted[contender.name][pattern] = (second.total - first.total) / pairs
        loop[pattern] = (second.own - first.own) / pairs
    return counted, loop


def printed(command: Sequence[str], contender: Contender) -> float:
    """The last number that a program prints, run on `contender`."""
    return float(run_on(contender, command).stdout.split()[-1])


def by_contender(figures: dict[str, Figure], contenders: Sequence[Contender]) -> dict[str, dict[str, Figure]]:
    """`contender what` keys as two levels."""
    split: dict[str, dict[str, Figure]] = {contender.name: {} for contender in contenders}
    for key, value in figures.items():
        name, _, what = key.partition(" ")
        split[name][what] = value
    return split


def measure_live(
    contenders: Sequence[Contender], numbers: Sequence[int], rounds: int
) -> dict[str, dict[str, Figure]]:
    """Nanoseconds a call by contender, order and number of live blocks."""
    program = compile_program("c/live.c", "live-small", "-DSYSTEM", "-DDOUBLINGS=4")
    measures = {
        f"{contender.name} {order} {live}": partial(
            printed, [str(program), order, str(live), str(REPLACEMENTS)], contender
        )
        for order in ORDERS
        for live in numbers
        for contender in contenders
    }
    return by_contender(interleave(rounds, measures, "many live blocks"), contenders)


def measure_threads(contenders: Sequence[Contender], quick: bool, rounds: int) -> dict[str, dict[str, Figure]]:
    """Operations a second by contender, program and number of threads."""
    amount = "10" if quick else "50"
    measures = {}
    for name, numbers in THREADS.items():
        program = compile_program(f"workloads/{name}.c", name, "-pthread")
        for number in numbers:
            for contender in contenders:
                command = [str(program), amount, str(number)]
                measures[f"{contender.name} {name} {number}"] = partial(printed, command, contender)
    return by_contender(interleave(rounds, measures, "threads"), contenders)


def measure_start(contenders: Sequence[Contender]) -> dict[str, dict[str, Figure]]:
    """What `/bin/true` costs, by contender and metric."""
    samples: dict[str, dict[str, list[float]]] = {
        contender.name: {metric: [] for metric in START_METRICS} for contender in contenders
    }
    for _ in track(range(STARTS), "starts", disable=not sys.stderr.isatty()):
        for contender in contenders:
            with tempfile.TemporaryFile() as errors:
                taken = measure(
                    ["/bin/true"], contender.environment(), output=subprocess.DEVNULL, errors=errors
                )
            for metric, values in samples[contender.name].items():
                if (value := getattr(taken, metric)) is not None:
                    values.append(value)
    return {
        name: {metric: figure(values) for metric, values in metrics.items() if values}
        for name, metrics in samples.items()
    }


def library_sizes(contenders: Sequence[Contender]) -> dict[str, dict[str, int]]:
    """Bytes of each library: `file`, and `text`, `data`, `bss` as size(1) tells."""
    sizes = {}
    for contender in contenders:
        if contender.name != SYSTEM:
            path = contender.allocator.path.resolve()
            told = subprocess.run(["size", path], check=True, capture_output=True, text=True).stdout
            text, data, bss = map(int, told.splitlines()[1].split()[:3])
            sizes[contender.name] = {
                "file": path.stat().st_size,
                "text": text,
                "data": data,
                "bss": bss,
            }
    return sizes


def run(quick: bool, allocators: Sequence[str] = ()) -> None:
    """Measure all and write ``figures.md`` and ``figures.json``; a quick run's into the work folder.

    Raises AllocatorError.
    """
    catalogue.require(["gcc", "valgrind", "binutils"])
    rounds = 3 if quick else 5
    contenders = [c for c in find_contenders(allocators) if not c.is_for_python and not c.options]
    counted, loop = count_instructions(contenders)
    numbers = LIVE[:-1] if quick else LIVE
    live = measure_live(contenders, numbers, rounds)
    threads = measure_threads(contenders, quick, rounds)
    start = measure_start(contenders)
    library = library_sizes(contenders)
    page = PAGE.format(
        rounds=rounds,
        starts=STARTS,
        instructions=markdown_table(
            ["allocator", *PATTERNS.values()],
            [
                [name, *(f"{taken[pattern]:.0f}" for pattern in PATTERNS)]
                for name, taken in {**counted, "the loop alone": loop}.items()
            ],
        ),
        live=markdown_table(
            ["allocator", *(f"{number:,}" for number in numbers), "last / first"],
            [
                [f"{name}, {order}", *(spread(f) for f in cells), f"{cells[-1].median / cells[0].median:.1f}"]
                for name, taken in live.items()
                for order in ORDERS
                for cells in [[taken[f"{order} {number}"] for number in numbers]]
            ],
        ),
        threads=markdown_table(
            ["allocator", *threads[SYSTEM]],
            [[name, *(spread(f, 1e-6, 1) for f in figures.values())] for name, figures in threads.items()],
        ),
        start=markdown_table(
            ["allocator", "time", "peak resident", "final resident", "page faults"],
            [
                [
                    name,
                    spread(taken["wall_s"], 1e3, 2),
                    *(
                        spread(taken[metric], 1 / 1024) if metric in taken else ""
                        for metric in ("peak_resident_bytes", "final_resident_bytes")
                    ),
                    spread(taken["minor_faults"]),
                ]
                for name, taken in start.items()
            ],
        ),
        library=markdown_table(
            ["allocator", "file", "text", "data", "bss"],
            [[name, *(f"{value:,}" for value in sizes.values())] for name, sizes in library.items()],
        ),
    )
    raw = {
        "contenders": {contender.name: contender.described() for contender in contenders},
        "instructions": counted,
        "loop_instructions": loop,
        "live": live,
        "threads": threads,
        "start": start,
        "library": library,
    }
    folder = WORK if quick else RESULTS
    write_results("figures", command_line(["figures"], quick, allocators), page, raw, folder)
    goals.write(folder)
    if OURS not in counted:
        click.echo(f"{OURS} was not among the allocators", err=True)
    click.echo(f"{folder / 'figures.md'}")
