"""Measures what many threads cost: time, calls of futex and memory of four patterns, by number of threads."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from . import catalogue, goals, harness
from .catalogue import Workload
from .contenders import Contender, find_contenders
from .harness import RESULTS, WORK, Figure, markdown_table, write_results
from .suite import (
    FULL,
    QUICK,
    QUICK_ROUNDS,
    ROUNDS,
    Cell,
    Store,
    failures_of,
    fill,
    identity_of,
    plan,
    raw_of,
    samples_of,
    told,
)
from .summary import Table

THREADS = (1, 2, 4, 8, 16, 32)
MOST_THREADS = 64  # MOST_WORKERS of workloads/workload.h
COUNTING = -1  # the round in which calls of futex are counted
COUNTED_PART = 4  # calls are counted in one part of so many: each costs as much as the work between
COUNT_FUTEXES = ("strace", "-f", "--seccomp-bpf", "-e", "trace=futex", "-c", "-U", "calls,name")

WALL, CPU, FUTEXES, PEAK = "wall_ns", "cpu_ns", "futexes_per_million", "peak_resident_bytes"


@dataclass(frozen=True)
class Pattern:
    """A workload of the catalogue that takes a number of threads."""

    name: str
    amount: int
    """How much of its work is done, in percent."""
    told: str


PATTERNS = (
    Pattern(
        "mixed-handover",
        20,
        "Each thread fills batches of 64 blocks of 8 to 16,000 bytes, which the next thread of a ring frees.",
    ),
    Pattern(
        "pipeline",
        20,
        "Half of the threads make blocks of 8 bytes to 64 KiB (log-uniform), the others free them; one thread"
        " does both.",
    ),
    Pattern(
        "slots",
        20,
        "Each thread replaces random ones of 1,000 blocks of 8 to 1,000 bytes, 10,000 times; then it ends, and"
        " a new thread goes on with its blocks.",
    ),
    Pattern(
        "sharing",
        60,
        "Each thread replaces random ones of its 5,000 blocks of 16 to 16,000 bytes; every fourth of the old"
        " ones is freed by the next thread of a ring.",
    ),
)


@dataclass(frozen=True)
class Metric:
    """A table of each pattern's section."""

    name: str
    title: str
    show: Callable[[Figure], str]


METRICS = (
    Metric(
        WALL,
        "Wall time of an operation in ns (million operations a second)",
        lambda f: f"{f.median:,.0f} ({1e3 / f.median:.2f})",
    ),
    Metric(CPU, "Processor time of an operation in ns", lambda f: f"{f.median:,.0f}"),
    Metric(FUTEXES, "Calls of futex in a million operations", lambda f: f"{f.median:,.0f}"),
    Metric(PEAK, "Peak resident memory in MB", lambda f: f"{f.median / 1e6:,.1f}"),
)

PAGE = """# Many threads

Medians of {rounds} interleaved rounds{amount}. An operation is a block that is allocated, all of it written,
and freed; random numbers and the queues between the threads are in the figures, the same for all. The work
is the same whatever the number of threads: it is shared out among them. Columns are numbers of threads.

This machine has {cores} cores: more threads than that measure contention and preemption, not parallel speed.

Calls of futex, by which threads sleep and wake each other, are counted by strace in a run of their own, which
is not timed. It slows down who calls futex and no other, so they tell the order of magnitude. Those of the
queues are among them, for every contender.

{sections}
{failures}"""


def per_operation(cell: Cell) -> Cell:
    """The run's figures as those of the tables. A round that counts has its only one already."""
    if cell.failure or cell.round == COUNTING:
        return cell
    figures = {
        WALL: 1e9 / cell.told["ops_per_s"],
        CPU: cell.figures["cpu_s"] * 1e9 / cell.told["operations"],
        PEAK: cell.figures["peak_resident_bytes"],
    }
    return replace(cell, figures=figures, told={})


def counted_calls(summary: str) -> int:
    """The calls of futex in what strace tells, of which nothing is there when there were none."""
    rows = (line.split() for line in summary.splitlines())
    return sum(int(row[0]) for row in rows if len(row) == 2 and row[1] == "futex")


def count_futexes(workload: Workload, contender: Contender, turn: int, amount: int) -> Cell:
    """Run `workload` once under strace. Its cell has the calls in a million operations."""
    added = [word for name, value in contender.environment().items() for word in ("-E", f"{name}={value}")]
    with tempfile.NamedTemporaryFile() as summary:
        command = [*COUNT_FUTEXES, "-o", summary.name, *added, *workload.command(amount)]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if ended.returncode:
            return Cell(workload.name, contender.name, turn, failure=f"under strace: {ended.stderr.strip()}")
        calls = counted_calls(Path(summary.name).read_text())
    figures = {FUTEXES: calls * 1e6 / told(ended.stdout)["operations"]}
    return Cell(workload.name, contender.name, turn, figures)


def name_of(pattern: str, threads: int) -> str:
    """What a pattern with so many threads is called."""
    return f"{pattern} {threads}"


def scaled(workload: Workload, part: int, threads: int) -> Workload:
    """`workload` with so many threads, and `part` percent of its work."""

    def command(amount: int) -> list[str]:
        return [*workload.command(max(1, amount * part // 100)), str(threads)]

    return replace(workload, name=name_of(workload.name, threads), command=command)


def tables(
    figures: Mapping[str, Mapping[str, Mapping[str, Figure]]], contenders: Sequence[str], threads: Sequence[int]
) -> str:
    """A section for each pattern, in it a table for each metric: contenders by numbers of threads.

    What failed, or was not measured, is an empty cell.
    """
    sections = []
    for pattern in PATTERNS:
        parts = [f"## {pattern.name}", pattern.told]
        for metric in METRICS:
            rows = []
            for contender in contenders:
                cells = (figures.get(name_of(pattern.name, n), {}).get(contender, {}) for n in threads)
                rows.append(
                    [contender, *(metric.show(c[metric.name]) if metric.name in c else "" for c in cells)]
                )
            parts += [f"{metric.title}:", markdown_table(["allocator", *map(str, threads)], rows)]
        sections.append("\n\n".join(parts))
    return "\n\n".join(sections)


def page_of(
    figures: Mapping[str, Mapping[str, Mapping[str, Figure]]],
    contenders: Sequence[str],
    threads: Sequence[int],
    rounds: int,
    amount: int,
    failures: Iterable[str],
) -> str:
    """The page for people."""
    failed = "\n".join(f"- {failure}" for failure in failures)
    return PAGE.format(
        rounds=rounds,
        amount="" if amount == FULL else f" of {amount} % of the work",
        cores=len(os.sched_getaffinity(0)),
        sections=tables(figures, contenders, threads),
        failures=f"\n## What failed\n\n{failed}\n" if failed else "",
    )


def run(
    *,
    quick: bool = False,
    allocators: Sequence[str] = (),
    rounds: int | None = None,
    threads: Sequence[int] = THREADS,
    fresh: bool = False,
) -> None:
    """Measure all patterns and write ``scaling.md`` and ``scaling.json``; a quick run's into the work folder.

    Goes on with an interrupted run of the same kind, unless `fresh`. Raises AllocatorError.
    """
    catalogue.require(["gcc", "strace"])
    parts = {pattern.name: pattern.amount for pattern in PATTERNS}
    ready = catalogue.set_up(workload for workload in catalogue.ALL if workload.name in parts)
    workloads = [scaled(workload, parts[workload.name], n) for workload in ready for n in threads]
    contenders = [c for c in find_contenders(allocators) if not c.is_for_python and not c.options]
    amount, usual_rounds = (QUICK, QUICK_ROUNDS) if quick else (FULL, ROUNDS)
    rounds = rounds or usual_rounds
    path = WORK / f"scaling-{'quick' if quick else 'full'}.jsonl"
    if fresh:
        path.unlink(missing_ok=True)
    store = Store(path, f"{identity_of(contenders, amount, rounds)} {parts}")
    fill(store, list(plan(workloads, contenders, rounds)), amount)
    counted = [(workload, contender, COUNTING) for workload in workloads for contender in contenders]
    fill(store, counted, amount // COUNTED_PART, count_futexes)

    wanted = {workload.name for workload in workloads}
    cells = [per_operation(cell) for cell in store.cells if cell.workload in wanted]
    samples = samples_of(cells)
    failures = failures_of(cells)
    names = [contender.name for contender in contenders]
    shown = [f"{pair}: {why}" for pair, why in failures.items()]
    page = page_of(Table.of(samples, ()).figures, names, threads, rounds, amount, shown)
    command = harness.command_line(["scaling"], quick, allocators)
    command += f" --rounds {rounds}" if rounds != usual_rounds else ""
    command += f" --threads {','.join(map(str, threads))}" if tuple(threads) != THREADS else ""
    raw = raw_of(rounds, amount, contenders, samples, failures)
    folder = WORK if quick else RESULTS
    write_results("scaling", command, page, raw, folder)
    goals.write(folder)
    click.echo(f"{folder / 'scaling'}.md")
