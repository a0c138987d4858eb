"""Simulates how the drop-in malloc scales on more cores than this machine has: recorded profiles, replayed.

Discrete events, by SimPy: each core replays steps of a profile (recordings.py), the locks of the heaps are
queues, and memory that another core wrote last takes time to come.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryFile
from typing import Any

import click
import simpy

import snugmalloc
from snugmalloc.launch.allocators import Allocator
from snugmalloc.launch.launcher import measure as run_measured

from . import catalogue, goals, harness
from .catalogue import Workload
from .contenders import Contender
from .harness import RESULTS, WORK, Figure, markdown_table, write_results
from .recordings import (
    HEAPS_VARIABLE,
    ROOT,
    Profile,
    Role,
    Step,
    build_library,
    profile_of,
    record,
    with_one_lock,
)
from .scaling import CPU, WALL, per_operation
from .suite import run_cell, told

Events = Generator[simpy.Event, None, None]

CORES = (1, 2, 4, 8, 16, 32, 64, 128)
RECORDED_THREADS = 4
RECORDED_HEAPS = 8
SEED = 1
RUN = 64  # steps that are replayed one after another before others are chosen
STEPS, QUICK_STEPS = 250, 60  # mean steps that a core could make while it is watched, at least,
ALL_STEPS = 50  # and all cores together so many times as many
UNRECORDED_ROUNDS = 3
ROUNDS = 3  # simulations with other random numbers
MEASURED_ROUNDS, QUICK_MEASURED_ROUNDS = 5, 2

MAX_HEAPS, VISITS, CROWDED = 64, 64, 8  # as in engine/dropin/shards.py
LONG_WAIT_NS = 4500  # a wait that counts: some 100 pauses of a processor, see engine/machine.h
SETTLING = 8 * VISITS  # steps of each core before those that move are watched


@dataclass(frozen=True)
class Costs:
    """What it costs to have memory that another core wrote last."""

    line_ns: float = 100
    """Until a cache line comes from there."""
    data_lines: int = 2
    """Of a heap, that each section needs beside the lock's."""


@dataclass(frozen=True)
class Model:
    """How the heaps are shared out among the cores."""

    name: str
    told: str
    moves: bool = False
    """By the rules of the library; otherwise each core has its own at once."""


HEAPS = Model("heaps", "each core has a home heap of its own, up to 64")
MOVING = Model("moving", "all cores begin with one heap and move by the library's rules", moves=True)
ONE_LOCK = Model("one lock", "every section takes the same lock")
MODELS = (HEAPS, MOVING, ONE_LOCK)
OTHER_COSTS = ((0, 0), (50, 1), (100, 2), (150, 4))  # of a line, and how many under a lock
MANY = 64  # cores for which other costs are tried
ALONE = "one heap"  # the profile of threads that did not move


@dataclass(frozen=True)
class Pattern:
    """A workload that is recorded."""

    name: str
    amount: int
    """How much of it is recorded, in percent."""
    measured: int
    """How much of it is run on this machine to compare with, in percent."""
    told: str
    per_argument: int = 1
    """How many threads one of its second argument makes."""

    def command(self, workload: Workload, amount: int, threads: int) -> list[str]:
        """The command line with so many threads; a pattern of pairs has one pair at least."""
        return [*workload.command(amount), str(max(1, threads // self.per_argument))]


PATTERNS = (
    Pattern("churn", 20, 20, "random ones of 5,000 blocks of 16 to 511 bytes, handed on to new threads"),
    Pattern("handover", 100, 100, "32 to 511 bytes, freed by another thread", per_argument=2),
    Pattern("mixed-handover", 20, 10, "8 to 16,000 bytes, freed by the next thread of a ring"),
    Pattern("pipeline", 20, 10, "8 bytes to 64 KiB, freed by any of the threads that take them"),
    Pattern("slots", 20, 20, "random ones of 1,000 blocks of 8 to 1,000 bytes, threads end all the time"),
    Pattern("sharing", 30, 30, "16 to 16,000 bytes, every fourth freed by the next thread of a ring"),
    Pattern("sizes-to-64-kib", 10, 10, "random ones of 1,000 blocks of 16 bytes to 64 KiB"),
)


# ---- The simulation ----


class Lock:
    """A lock that those who wait for it get in the order in which they came."""

    def __init__(self, environment: simpy.Environment) -> None:
        self.environment = environment
        self.is_held = False
        self.waiting: deque[simpy.Event] = deque()

    def take(self) -> Events:
        """Hold it from now on, or from when it is handed over."""
        if self.is_held:
            handed_over = self.environment.event()
            self.waiting.append(handed_over)
            yield handed_over
        self.is_held = True

    def release(self) -> None:
        """Hand it over to who has waited for the longest time, or to nobody."""
        if self.waiting:
            self.waiting.popleft().succeed()
        else:
            self.is_held = False


@dataclass
class Heap:
    """A heap: its lock, which core wrote its lines last, and how many cores it serves."""

    lock: Lock
    lock_line: int | None = None
    data_lines: int | None = None
    pushed: int = 0
    """What waits to be collected, each in a line of the core that pushed it."""
    cores: int = 0


@dataclass
class Core:
    """What a core has done so far, in nanoseconds of a profile's work."""

    home: Heap
    done: float = 0
    since: float | None = None
    """From when on it works at the step that it has begun; None if it waits."""
    steps: int = 0
    visits: int = 0
    waits: int = 0

    def work_until(self, now: float) -> float:
        """All that was done, with what there is of the step."""
        return self.done + (max(0.0, now - self.since) if self.since is not None else 0.0)


class Simulation:
    """Cores that replay a profile at the same time."""

    def __init__(self, profile: Profile, cores: int, model: Model, costs: Costs, seed: int) -> None:
        self.environment = simpy.Environment()
        self.costs = costs
        self.model = model
        self.random = Random(f"{seed} {cores} {model.name}")
        self.most_heaps = min(cores, MAX_HEAPS)
        self.heaps = [self.new_heap() for _ in range(1 if model.moves else self.most_heaps)]
        self.cores = [Core(self.heaps[number % len(self.heaps)]) for number in range(cores)]
        for core in self.cores:
            core.home.cores += 1
        self.pushed_hold = profile.home_hold
        self.runs = [
            sequence[start : start + RUN]
            for sequence in profile.sequences
            for start in range(0, len(sequence), RUN)
        ]
        for number in range(cores):
            self.environment.process(self.live(number))

    def new_heap(self) -> Heap:
        """One more."""
        return Heap(Lock(self.environment))

    def live(self, number: int) -> Events:
        """What a core does for ever: runs of steps that were recorded."""
        while True:
            for step in self.random.choice(self.runs):
                yield from self.take_step(number, step)

    def take_step(self, number: int, step: Step) -> Events:
        """Work outside of locks, and then the section or push."""
        core = self.cores[number]
        core.steps += 1
        if step.away:
            yield from self.work(core, step.away)
        heap = self.heap_of(core, step.role)
        if not step.is_push:
            yield from self.visit(number, heap, step.hold)
        elif heap is not core.home:
            yield from self.push(number, heap)
        elif len(self.cores) > 1:  # they share a home: what one frees of the other's goes there under the lock
            yield from self.visit(number, heap, 0, more=self.pushed_hold)

    def work(self, core: Core, time: float) -> Events:
        """Work for so long, which counts as done."""
        core.since = self.environment.now
        yield self.environment.timeout(time)
        core.done += time
        core.since = None

    def push(self, number: int, heap: Heap) -> Events:
        """Leave something for a heap: one line comes, if another core had it last."""
        lines = int(heap.lock_line not in (None, number))
        heap.lock_line = number
        heap.pushed += 1
        yield from self.fetch(lines)

    def enter(self, number: int, heap: Heap) -> Events:
        """Under the lock: the lines come that other cores had last, and what was pushed."""
        lines = int(heap.lock_line not in (None, number)) + heap.pushed
        lines += self.costs.data_lines if heap.data_lines not in (None, number) else 0
        heap.lock_line = heap.data_lines = number
        heap.pushed = 0
        yield from self.fetch(lines)

    def fetch(self, lines: int) -> Events:
        """Wait for so many cache lines of other cores, which come one after another."""
        if lines and self.costs.line_ns:
            yield self.environment.timeout(lines * self.costs.line_ns)

    def visit(self, number: int, heap: Heap, hold: float, more: float = 0) -> Events:
        """Hold the heap's lock for so long, and so much longer for what the profile does not have."""
        core = self.cores[number]
        if self.model.moves:
            self.consider_moving(core)
        wanted = self.environment.now
        yield from heap.lock.take()
        if heap is core.home and self.environment.now - wanted > LONG_WAIT_NS:
            core.waits += 1
        yield from self.enter(number, heap)
        if more:
            yield self.environment.timeout(more)
        if hold:
            yield from self.work(core, hold)
        heap.lock.release()

    def heap_of(self, core: Core, role: Role) -> Heap:
        """The heap that a step is about; another's home is that of any other core."""
        if role is Role.COMMON:
            return self.heaps[0]
        if role is Role.HOME or len(self.heaps) == 1:
            return core.home
        return self.other_home(core)

    def other_home(self, core: Core) -> Heap:
        """The home of another core, chosen at random."""
        other = core
        while other is core:
            other = self.random.choice(self.cores)
        return other.home

    def consider_moving(self, core: Core) -> None:
        """A core counts its visits, and long waits at home; now and then it moves, as in shards.py."""
        core.visits += 1
        if core.visits >= VISITS:
            if core.waits >= CROWDED:
                self.move(core)
            core.visits = core.waits = 0

    def move(self, core: Core) -> None:
        """To the heap that serves the fewest, or to a new one, if that serves fewer than this one."""
        target = min(self.heaps, key=lambda heap: heap.cores)
        if target.cores and len(self.heaps) < self.most_heaps:
            target = self.new_heap()
            self.heaps.append(target)
        if target.cores + 1 < core.home.cores:
            core.home.cores -= 1
            core.home = target
            target.cores += 1

    def run(self, time: float) -> None:
        """Run for so long."""
        self.environment.run(until=self.environment.now + time)

    def settle(self, time: float) -> None:
        """Run for so long and, if cores move, until they have had time to find their places."""
        self.run(time)
        while self.model.moves and min(core.steps for core in self.cores) < SETTLING:
            self.run(time)

    @property
    def done(self) -> float:
        """The work that was done since the beginning."""
        return sum(core.work_until(self.environment.now) for core in self.cores)

    @property
    def steps(self) -> int:
        """And how many steps were begun."""
        return sum(core.steps for core in self.cores)


def throughput(
    profile: Profile, cores: int, model: Model, costs: Costs, steps: int = STEPS, seed: int = SEED
) -> float:
    """How many times as much work so many cores do as one that nobody is in the way of."""
    time = steps * profile.mean_work
    simulation = Simulation(profile, cores, model, costs, seed)
    simulation.settle(time)
    done, begun, start = simulation.done, simulation.steps, simulation.environment.now
    enough = begun + ALL_STEPS * steps
    simulation.run(time)
    while simulation.steps < enough:
        simulation.run(time)
    return (simulation.done - done) / (simulation.environment.now - start)


def simulate(alone: Profile, profile: Profile, model: Model, costs: Costs, steps: int) -> dict[int, Figure]:
    """The throughput in operations by number of cores, over rounds with other random numbers.

    In multiples of one core, which does `alone`; more do `profile`.
    """
    figures = {1: Figure(1, 1, 1)}
    for cores in CORES[1:]:
        work = sorted(throughput(profile, cores, model, costs, steps, SEED + turn) for turn in range(ROUNDS))
        found = [each * alone.unrecorded_ns / profile.unrecorded_ns for each in work]
        figures[cores] = Figure(found[len(found) // 2], found[0], found[-1])
    return figures


def simulate_many(alone: Profile, profile: Profile, model: Model, steps: int) -> list[float]:
    """The throughput of MANY cores with each of OTHER_COSTS."""
    return [
        throughput(profile, MANY, model, Costs(*costs), steps) * alone.unrecorded_ns / profile.unrecorded_ns
        for costs in OTHER_COSTS
    ]


# ---- Profiles, and what is measured beside ----


def record_pattern(pattern: Pattern, workload: Workload, library: Path, part: int, heaps: int = 0) -> Profile:
    """The profile of a pattern with a few threads on one processor, on one heap or with one for each thread."""
    amount = max(1, pattern.amount * part // 100)
    command = [*on_processors(1), *pattern.command(workload, amount, RECORDED_THREADS)]
    recording, output = record(library, command, heaps)
    options = {HEAPS_VARIABLE: str(heaps)} if heaps else {}
    unrecorded = [processor_ns(command, library, options) for _ in range(UNRECORDED_ROUNDS)]
    return profile_of(recording, told(output)["operations"], min(unrecorded))


def processor_ns(command: list[str], library: Path, added: dict[str, str]) -> float:
    """The processor time of an operation."""
    with TemporaryFile() as output:
        figures = run_measured(command, {"LD_PRELOAD": str(library), **added}, output=output, errors=output)
        output.seek(0)
        operations = told(output.read().decode())["operations"]
    return 1e9 * figures.cpu_s / operations


def on_processors(count: int) -> list[str]:
    """What a command begins with to run on so many processors."""
    chosen = sorted(os.sched_getaffinity(0))[:count]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen))]


def with_threads(pattern: Pattern, workload: Workload, count: int) -> Workload:
    """The workload with so many threads on as many processors."""

    def command(amount: int) -> list[str]:
        return [*on_processors(count), *pattern.command(workload, amount, count)]

    return replace(workload, command=command)


def measure(
    pattern: Pattern, workload: Workload, libraries: Mapping[str, Path], rounds: int, part: int
) -> dict[str, dict[int, dict[str, Figure]]]:
    """By library, what an operation takes with one and with two threads on as many processors: wall and CPU."""
    amount = max(1, pattern.measured * part // 100)
    contenders = [Contender(name, Allocator(name, path, None)) for name, path in libraries.items()]
    runs = {n: with_threads(pattern, workload, n) for n in (1, 2)}
    cells = [
        (contender.name, n, per_operation(run_cell(run, contender, turn, amount)))
        for turn in range(rounds)
        for n, run in runs.items()
        for contender in contenders
    ]
    found: dict[str, dict[int, dict[str, Figure]]] = {name: {1: {}, 2: {}} for name in libraries}
    for name, n, metric in product(libraries, runs, (WALL, CPU)):
        samples = sorted(c.figures[metric] for who, count, c in cells if (who, count) == (name, n))
        found[name][n][metric] = Figure(median(samples), samples[0], samples[-1])
    return found


@dataclass
class Outcome:
    """All that is known of one pattern, by the name of the model."""

    profiles: dict[str, Profile] = field(default_factory=dict)
    simulated: dict[str, dict[int, Figure]] = field(default_factory=dict)
    measured: dict[str, dict[int, dict[str, Figure]]] = field(default_factory=dict)
    many: dict[str, list[float]] = field(default_factory=dict)
    """Throughput of MANY cores with each of OTHER_COSTS."""

    def raw(self) -> dict[str, Any]:
        """For programs."""
        return {
            "profiles": {name: profile.described() for name, profile in self.profiles.items()},
            "simulated": self.simulated,
            f"simulated_{MANY}_by_cost": self.many,
            "measured_operation_ns": self.measured,
        }


# ---- The page ----

PAGE = """# Simulated: many cores

**Simulated, not measured.** This machine has {processors} processors. What is said here of more than that
comes from a model, with the assumptions below.

Operations in a time, by number of cores, as multiples of what one core does. Each of N cores runs one thread,
and the work grows with N, so N would be perfect. Medians of {rounds} simulations with other random numbers.

{tables}

- heaps: {heaps}.
- moving: {moving}.
- one lock: {one_lock}.

How much of this the cost of cache lines makes, which is an assumption: {many} cores by nanoseconds a line, and
lines of data under a lock.

{sensitivity}

## What was recorded

An instrumented build ran each pattern with {threads} threads on one processor, so that no cache line came from
another core and nobody waited for long. Each thread recorded all its critical sections: whose lock, how long
it had been away before, how long it held the lock. Time in which it slept, waited or was preempted is taken
off. So is the cost of recording, measured on empty sections: {away_cost:.0f} ns of each time away and
{hold_cost:.0f} ns of each hold. (Recording takes longer than that, but between the times.)

- {alone}: the threads stay in the process's heap, as they do on one core. The multiples are those of this.
- heaps: each thread is made to move to a heap of its own early; two cores and more replay this.
- one lock: {before}

Numbers of sections and pushes are those in 1,000 operations (blocks allocated and freed), times means in
nanoseconds. Operation: all that the threads worked, divided by the operations of the run. Unrecorded: the
processor time of an operation in a run of the same build that was not recorded, the least of {unrecorded}. By
this the work of `heaps` is compared with that of `one heap`: the multiples above have the difference in them.
Other: under the lock of another thread's heap; common: under that of the process's heap, where caches and heaps
are listed, or, in `one heap` and `one lock`, everything is. Pushes take no lock.

{profiles}

## The model

- Each core replays runs of {run} recorded steps, chosen at random from all threads of the pattern. So every
  core does a part of what each kind of thread does: a pipeline's cores both make and free.
- A lock is a FIFO queue. Nobody sleeps, so waking costs nothing; nor do those who wait for a lock slow down
  who has it.
- {line_ns:g} ns pass when a cache line comes from another core, one line after another. Under the lock come
  the lock's line, if another core took or pushed last, {data_lines} lines of data, if another core held the
  lock last, and a line for each push since. A push waits for one line; pushes do not wait for each other.
- A heap of another thread is that of any other core, chosen at random: those of a ring's neighbours, which
  the programs use, come from another core as often.
- There are at most {most} heaps, as in the library: beyond so many cores, two share one.
- Not in the model: the blocks' own cache lines, which move from core to core when blocks do; the queues of
  the programs; memory bandwidth; the locks of the kernel, such as that of the address space, on which page
  faults and system calls of one process wait; sockets (all cores are equally far from each other); a core's
  speed with all others busy. A real machine is slower for these reasons, with any allocator.

## Beside what was measured

By the normal builds on this machine, with one and two threads on as many processors, the fastest of
{measured_rounds} rounds, in nanoseconds for an operation; `handover` has two threads at least: with one
processor both are on that. Beside the processor time of one thread stands that of {threads} threads on one
processor, of which the simulated time is made. The last three columns are how many times as fast two
processors are: by wall time; by processor time (twice the ratio), which other work on the machine disturbs
less, but in which a thread that sleeps costs nothing; and simulated.

The machine's load average was {load:.1f} before: if that is not near 0, it had other work. Then two
threads seldom run at the same time: wall times tell little, and processor times leave out much of what it
costs to share lines.

{validation}
"""


def throughput_table(outcomes: Mapping[str, Outcome], model: Model) -> str:
    """Patterns by numbers of cores."""
    rows = [
        [name, *(f"{outcome.simulated[model.name][cores].median:.1f}" for cores in CORES)]
        for name, outcome in outcomes.items()
    ]
    return markdown_table([model.name, *map(str, CORES)], rows)


def cost_table(outcomes: Mapping[str, Outcome]) -> str:
    """Patterns by what cache lines cost."""
    rows = [
        [f"{name}, {model}", *(f"{found:.1f}" for found in outcome.many[model])]
        for name, outcome in outcomes.items()
        for model in outcome.many
    ]
    return markdown_table(["", *(f"{line} ns, {lines}" for line, lines in OTHER_COSTS)], rows)


def profile_table(outcomes: Mapping[str, Outcome], profile: str) -> str:
    """What was recorded of each pattern."""
    shown = {
        "home_sections": "home",
        "other_sections": "other",
        "common_sections": "common",
        "pushes": "pushes",
        "away_ns": "away",
        "home_hold_ns": "home hold",
        "other_hold_ns": "other hold",
        "common_hold_ns": "common hold",
        "held_percent": "% held",
        "operation_ns": "operation",
        "unrecorded_operation_ns": "unrecorded",
    }
    rows = []
    for name, outcome in outcomes.items():
        described = outcome.profiles[profile].described()
        rows.append([name, *(f"{described[key]:,.1f}" for key in shown)])
    return markdown_table([profile, *shown.values()], rows)


def validation_table(outcomes: Mapping[str, Outcome]) -> str:
    """Measured beside simulated, for the models that a library of was measured."""
    rows = []
    for name, outcome in outcomes.items():
        for model in MODELS:
            library = ONE_LOCK.name if model is ONE_LOCK else HEAPS.name
            if library not in outcome.measured:
                continue
            one, two = outcome.measured[library][1], outcome.measured[library][2]
            alone = outcome.profiles[ALONE if library == HEAPS.name else ONE_LOCK.name].unrecorded_ns
            twice = outcome.simulated[model.name][2].median
            times = [one[CPU].min, alone, one[WALL].min, two[WALL].min, alone / twice]
            ratios = [one[WALL].min / two[WALL].min, 2 * one[CPU].min / two[CPU].min, twice]
            rows.append([f"{name}, {model.name}", *(f"{t:,.1f}" for t in times), *(f"{r:.2f}" for r in ratios)])
    header = ["", "CPU, 1", "4 threads on 1", "wall, 1", "wall, 2", "simulated, 2"]
    return markdown_table([*header, "by wall", "by CPU", "simulated"], rows)


def page_of(outcomes: Mapping[str, Outcome], costs: Costs, rounds: int, load: float, has_before: bool) -> str:
    """The page for people."""
    recorded = (ALONE, HEAPS.name, ONE_LOCK.name)
    before = (
        "the library as it was before it had several heaps, recorded in the same way."
        if has_before
        else "that of `one heap` again, where a push takes the lock for the mean time; it stands for the"
        " library as it was with one lock, which `--before` records instead."
    )
    return PAGE.format(
        processors=len(os.sched_getaffinity(0)),
        rounds=ROUNDS,
        tables="\n\n".join(throughput_table(outcomes, model) for model in MODELS),
        heaps=HEAPS.told,
        moving=MOVING.told,
        one_lock=ONE_LOCK.told,
        many=MANY,
        sensitivity=cost_table(outcomes),
        before=before,
        threads=RECORDED_THREADS,
        profiles="\n\n".join(profile_table(outcomes, profile) for profile in recorded),
        run=RUN,
        line_ns=costs.line_ns,
        data_lines=costs.data_lines,
        most=MAX_HEAPS,
        measured_rounds=rounds,
        load=load,
        away_cost=outcomes[PATTERNS[0].name].profiles[HEAPS.name].away_cost,
        hold_cost=outcomes[PATTERNS[0].name].profiles[HEAPS.name].hold_cost,
        alone=ALONE,
        unrecorded=UNRECORDED_ROUNDS,
        validation=validation_table(outcomes),
    )


def run(*, quick: bool = False, before: Path | None = None, costs: Costs | None = None) -> None:
    """Record, simulate and measure; write ``simulation.md`` and ``simulation.json``.

    A quick run's go to the work folder. `before` is a source tree of the library as it was with one lock.
    Raises ClickException.
    """
    costs = costs or Costs()
    catalogue.require(["gcc"])
    own = (*catalogue.ALL, *catalogue.FOR_SIMULATION)
    names = {pattern.name for pattern in PATTERNS}
    workloads = {w.name: w for w in catalogue.set_up(w for w in own if w.name in names)}
    recorders = {HEAPS.name: build_library(ROOT, "recording", recording=True)}
    normal = {HEAPS.name: Path(snugmalloc.get_library("snugmalloc"))}
    if before:
        recorders[ONE_LOCK.name] = build_library(before, "recording-before", recording=True)
        normal[ONE_LOCK.name] = build_library(before, "before", recording=False)
    part, steps, rounds = (20, QUICK_STEPS, QUICK_MEASURED_ROUNDS) if quick else (100, STEPS, MEASURED_ROUNDS)

    load = os.getloadavg()[0]
    outcomes = {}
    for pattern in PATTERNS:
        outcome = outcomes[pattern.name] = Outcome()
        workload = workloads[pattern.name]
        heaps = record_pattern(pattern, workload, recorders[HEAPS.name], part, RECORDED_HEAPS)
        alone = record_pattern(pattern, workload, recorders[HEAPS.name], part)
        if before:
            one_lock = record_pattern(pattern, workload, recorders[ONE_LOCK.name], part)
        else:
            one_lock = with_one_lock(alone)
        outcome.profiles = {ALONE: alone, HEAPS.name: heaps, ONE_LOCK.name: one_lock}
        outcome.measured = measure(pattern, workload, normal, rounds, part)
        outcome.simulated = {
            HEAPS.name: simulate(alone, heaps, HEAPS, costs, steps),
            MOVING.name: simulate(alone, heaps, MOVING, costs, steps),
            ONE_LOCK.name: simulate(one_lock, one_lock, ONE_LOCK, costs, steps),
        }
        outcome.many = {
            HEAPS.name: simulate_many(alone, heaps, HEAPS, steps),
            ONE_LOCK.name: simulate_many(one_lock, one_lock, ONE_LOCK, steps),
        }
        click.echo(throughput_table({pattern.name: outcome}, HEAPS), err=True)

    assumptions = {
        **asdict(costs),
        "seed": SEED,
        "run_of_steps": RUN,
        "steps": steps,
        "recorded_threads": RECORDED_THREADS,
        "most_heaps": MAX_HEAPS,
        "recorded_before": before is not None,
        "load_average": load,
    }
    raw = {"assumptions": assumptions, "patterns": {name: outcome.raw() for name, outcome in outcomes.items()}}
    command = harness.command_line(["simulate"], quick, ())
    command += f" --before {before.name}" if before else ""
    command += f" --line-ns {costs.line_ns:g}" if costs.line_ns != Costs.line_ns else ""
    command += f" --data-lines {costs.data_lines}" if costs.data_lines != Costs.data_lines else ""
    folder = WORK if quick else RESULTS
    write_results(
        "simulation", command, page_of(outcomes, costs, rounds, load, before is not None), raw, folder
    )
    goals.write(folder)
    click.echo(f"{folder / 'simulation'}.md")
