"""Owns the goals, and the page with the measured figure beside each: docs/figures.md, made from the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snugmalloc.launch.allocators import OURS, OURS_UNDER_PYMALLOC, PYMALLOC, SYSTEM

from . import obstacles as why
from .contenders import KEEPING
from .harness import HERE, RESULTS, markdown_table
from .summary import Table

CPU, WALL, PEAK, MEAN = "cpu_s", "wall_s", "peak_resident_bytes", "mean_resident_bytes"
WALL_OF_OPERATION, FUTEXES = "wall_ns", "futexes_per_million"  # as scaling.py calls them
BEFORE = "before"  # the column of the library as it was
MIMALLOC = "mimalloc"
RIVALS = (MIMALLOC, "mimalloc3", "tcmalloc")  # whose median is the bound where threads share
RIVALS_TOLD = "mimalloc 2.0, mimalloc 3 and tcmalloc"
SHARED = {"mixed-handover": 2, "pipeline": 4, "slots": 2, "sharing": 2}  # and how many threads the suite gives
SIMULATED_CORES = 64
NOT_KNOWN = "Not known."
LIBRARYS_RULES = "moving"  # the model of simulation.py in which threads find their heaps as in the library
MB = 1e6
KIB = 1024

PAGE = """# The figures

What snugmalloc is to reach, and what was measured; what is called simulated was not measured, but comes from
the model that `benchmarks/results/simulation.md` describes. Written by `python -m benchmarks goals` from
`benchmarks/results/`, where the whole tables and the raw figures are; not edited by hand. An MB is a million
bytes.

{table}

## What stands in the way

Of each goal that was missed.

{obstacles}

## Where this was measured

{origin}
"""


@dataclass(frozen=True)
class Results:
    """What the runs left: tables, or figures of their own; None if there was no such run."""

    suite: Table | None = None
    figures: Mapping[str, Any] | None = None
    scaling: Table | None = None
    """By pattern with its number of threads."""
    simulation: Mapping[str, Any] | None = None
    python: Table | None = None
    """The Python programs alone; None: those of the suite."""


@dataclass(frozen=True)
class Reading:
    """A measured value, and what one has to know about it."""

    value: float
    note: str = ""


@dataclass(frozen=True)
class Goal:
    """A figure with the bound that it is to keep; `take` reads it, or gives None if it was not measured."""

    figure: str
    bound: float
    take: Callable[[Results], Reading | None]
    unit: str = ""
    minimum: bool = False
    """The bound is the minimum, not the maximum."""
    digits: int = 0
    obstacle: str = ""
    """What stands in the way, where the goal is missed."""

    def holds(self, value: float) -> bool:
        """Whether `value`, as it is printed, keeps the bound."""
        value = round(value, self.digits)
        return value >= self.bound if self.minimum else value <= self.bound

    def row(self, results: Results) -> list[str]:
        """Figure, goal, what was measured, and whether it is reached."""
        goal = f"{'at least' if self.minimum else 'at most'} {self._text(self.bound)}"
        reading = self.take(results)
        if reading is None:
            return [self.figure, goal, "not measured", ""]
        measured = self._text(reading.value) + (f" ({reading.note})" if reading.note else "")
        return [self.figure, goal, measured, "yes" if self.holds(reading.value) else "no"]

    def is_missed(self, results: Results) -> bool:
        """Whether it was measured, and the bound is not kept."""
        reading = self.take(results)
        return reading is not None and not self.holds(reading.value)

    def _text(self, value: float) -> str:
        return f"{value:,.{self.digits}f}{self.unit}"


def beside(values: Mapping[str, float], digits: int, own: str = OURS) -> Reading | None:
    """The value of `own`; the others' in the note."""
    if own not in values:
        return None
    others = ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items() if name != own)
    return Reading(values[own], others)


# ---- Readings of the suite ----


def against_leading_peer(results: Results) -> Reading | None:
    """Mean processor time over that of the peer that is fastest in the mean."""
    suite = results.suite
    peer = suite.leading_peer(CPU, SYSTEM) if suite else None
    mean = suite.mean_ratio(OURS, CPU, peer) if suite and peer else None
    return None if mean is None else Reading(mean, f"against {peer}")


def worst(ratios: Mapping[str, float], bound: float) -> Reading | None:
    """The highest ratio, where it is, and how many are above `bound`."""
    if not ratios:
        return None
    name = max(ratios, key=ratios.__getitem__)
    above = sum(round(ratio, 2) > bound for ratio in ratios.values())
    return Reading(ratios[name], f"{name}; above the goal on {above} of {len(ratios)}")


def against_median_peer(results: Results) -> Reading | None:
    """The workload on which processor time over the median peer's is worst."""
    return worst(results.suite.over_median_peer(OURS, CPU), 1.15) if results.suite else None


def against_rivals(workload: str) -> Callable[[Results], Reading | None]:
    """A workload's wall time over the median of RIVALS; processor time in the note."""

    def ratio(suite: Table, metric: str) -> float | None:
        own, base = suite.get(workload, OURS, metric), suite.median_of(workload, metric, RIVALS)
        return own.median / base if own and base else None

    def take(results: Results) -> Reading | None:
        wall, cpu = (ratio(results.suite, m) if results.suite else None for m in (WALL, CPU))
        return None if wall is None else Reading(wall, f"processor time {cpu:.2f}" if cpu is not None else "")

    return take


def worst_churn(results: Results) -> Reading | None:
    """The longest wall time of churn over mimalloc's median; ours in the median in the note."""
    ratio = results.suite.ratio("churn", OURS, WALL, MIMALLOC) if results.suite else None
    return Reading(ratio.max, f"median {ratio.median:.2f}") if ratio else None


def peak_where_threads_share(results: Results) -> Reading | None:
    """The workload of SHARED on which peak memory over the best peer's is worst."""
    ratios = results.suite.over_best_peer(OURS, PEAK) if results.suite else {}
    return worst({name: ratios[name] for name in SHARED if name in ratios}, 1.05)


def against_before(results: Results) -> Reading | None:
    """Mean processor time over that of the library as it was."""
    mean = results.suite.mean_ratio(OURS, CPU, BEFORE) if results.suite else None
    return None if mean is None else Reading(mean)


def against_system(metric: str) -> Callable[[Results], Reading | None]:
    """The mean of `metric` over the system's malloc."""

    def take(results: Results) -> Reading | None:
        mean = results.suite.mean_ratio(OURS, metric, SYSTEM) if results.suite else None
        return None if mean is None else Reading(mean)

    return take


def against_stock_python(metric: str) -> Callable[[Results], Reading | None]:
    """The mean of `metric` over that of stock Python, and in the note under Python's own allocator."""

    def take(results: Results) -> Reading | None:
        table = results.python or results.suite
        mean = table.mean_ratio(OURS, metric, PYMALLOC) if table else None
        kept = table.mean_ratio(OURS_UNDER_PYMALLOC, metric, PYMALLOC) if table else None
        if mean is None:
            return None
        return Reading(mean, f"under Python's own allocator {kept:.2f}" if kept is not None else "")

    return take


def peak_against_best_peer(results: Results) -> Reading | None:
    """The workload on which peak memory over the best peer's is worst."""
    return worst(results.suite.over_best_peer(OURS, PEAK), 1.02) if results.suite else None


def beside_others(table: Table | None, workload: str, metric: str, unit: float = 1) -> Reading | None:
    """A figure in `unit`; the system's and the best peer's in the note."""
    own = table.get(workload, OURS, metric) if table else None
    if table is None or own is None:
        return None
    system, best = table.get(workload, SYSTEM, metric), table.best_peer(workload, metric)
    notes = [f"system {system.median / unit:.0f}"] if system else []
    notes += [f"{best[0]} {best[1] / unit:.0f}"] if best else []
    return Reading(own.median / unit, ", ".join(notes))


def megabytes(workload: str, metric: str) -> Callable[[Results], Reading | None]:
    """A workload's memory."""
    return lambda results: beside_others(results.suite, workload, metric, MB)


def price_of_giving_back(results: Results) -> Reading | None:
    """The workload on which giving memory back costs most processor time, in percent."""
    ratios = results.suite.ratios(OURS, CPU, KEEPING) if results.suite else {}
    name = max(ratios, key=ratios.__getitem__, default=None)
    if name is None:
        return None
    mean = results.suite.mean_ratio(OURS, CPU, KEEPING) if results.suite else None
    return Reading((ratios[name] - 1) * 100, f"{name}; in the mean {((mean or 1) - 1) * 100:+.1f} %")


# ---- Readings of many threads and cores ----


def with_threads(pattern: str, threads: int) -> str:
    """What scaling.py calls a pattern with so many threads."""
    return f"{pattern} {threads}"


def sharing_with_more_threads(results: Results) -> Reading | None:
    """Wall time of an operation of sharing with 8 threads over that with one; the others' in the note."""
    table = results.scaling
    if table is None:
        return None
    ratios = {}
    for name in table.contenders:
        many, one = (table.get(with_threads("sharing", n), name, WALL_OF_OPERATION) for n in (8, 1))
        if many and one:
            ratios[name] = many.median / one.median
    return beside(ratios, 2)


def futexes(pattern: str, threads: int) -> Callable[[Results], Reading | None]:
    """Calls of futex in a million operations."""
    return lambda results: beside_others(results.scaling, with_threads(pattern, threads), FUTEXES)


def simulated(pattern: str) -> Callable[[Results], Reading | None]:
    """Simulated throughput of many cores over that of one; that of the other models in the note."""

    def take(results: Results) -> Reading | None:
        models = (results.simulation or {}).get("patterns", {}).get(pattern, {}).get("simulated", {})
        cores = str(SIMULATED_CORES)
        found = {model: times[cores]["median"] for model, times in models.items() if cores in times}
        return beside(found, 1, LIBRARYS_RULES)

    return take


# ---- Readings of the figures of their own ----


def section(results: Results, name: str) -> Mapping[str, Any]:
    """A part of the figures by contender; nothing where there is none."""
    found: Mapping[str, Any] = (results.figures or {}).get(name, {})
    return found


def instructions(pattern: str, *, without_loop: bool = False) -> Callable[[Results], Reading | None]:
    """Instructions a pair; the others' in the note. Those of the loop are among them or are taken off."""

    def take(results: Results) -> Reading | None:
        loop = section(results, "loop_instructions").get(pattern) if without_loop else 0
        if loop is None:
            return None
        counted = section(results, "instructions")
        return beside({name: taken[pattern] - loop for name, taken in counted.items() if pattern in taken}, 0)

    return take


def growth_with_live_blocks(order: str) -> Callable[[Results], Reading | None]:
    """Cost with 10^7 live blocks over that with 10^3; the others' in the note."""

    def take(results: Results) -> Reading | None:
        growth = {}
        for name, costs in section(results, "live").items():
            many, few = (costs.get(f"{order} {live}") for live in (10**7, 10**3))
            if many and few:
                growth[name] = many["median"] / few["median"]
        return beside(growth, 1)

    return take


def start_above_system(results: Results) -> Reading | None:
    """Resident KiB of /bin/true above the system's."""
    start = section(results, "start")
    metric = "final_resident_bytes"
    if metric not in start.get(OURS, {}) or metric not in start.get(SYSTEM, {}):
        return None
    return Reading((start[OURS][metric]["median"] - start[SYSTEM][metric]["median"]) / KIB)


def handover_against_best_peer(results: Results) -> Reading | None:
    """Throughput of two threads, one allocating and one freeing, over the best peer's."""
    threads = section(results, "threads")
    described = section(results, "contenders")
    speeds = {name: taken["handover 1"]["median"] for name, taken in threads.items()}
    peers = {name: speed for name, speed in speeds.items() if described.get(name, {}).get("peer")}
    if OURS not in speeds or not peers:
        return None
    best = max(peers, key=peers.__getitem__)
    return Reading(speeds[OURS] / peers[best], f"against {best}")


GOALS = (
    Goal(
        "processor time, mean, against the fastest peer's",
        1.00,
        against_leading_peer,
        digits=2,
        obstacle=why.SHARED_HEAP,
    ),
    Goal(
        "processor time on any workload, against the median peer",
        1.15,
        against_median_peer,
        digits=2,
        obstacle=why.SHARED_HEAP,
    ),
    Goal(
        "processor time, mean, against the system's malloc",
        0.72,
        against_system(CPU),
        digits=2,
        obstacle=why.WARM_PAGES,
    ),
    Goal(
        "processor time, mean, against the library as it was before",
        0.93,
        against_before,
        digits=2,
        obstacle=why.ALREADY_FAST,
    ),
    Goal(
        "peak resident memory, mean, against the system's malloc",
        0.90,
        against_system(PEAK),
        digits=2,
        obstacle=why.MOSTLY_LIVE,
    ),
    Goal(
        "peak resident memory on any workload, against the best peer",
        1.02,
        peak_against_best_peer,
        digits=2,
        obstacle=why.SPARSE_TABLES,
    ),
    Goal(
        "Python programs: processor time, mean, of stock Python",
        1.00,
        against_stock_python(CPU),
        digits=2,
        obstacle=why.PYTHON_TIME,
    ),
    Goal("Python programs: peak, mean, of stock Python", 1.00, against_stock_python(PEAK), digits=2),
    Goal(
        "Python programs: resident over time, mean, of stock Python",
        0.75,
        against_stock_python(MEAN),
        digits=2,
        obstacle=why.PYTHON_FLOOR,
    ),
    Goal(
        "Python service: peak",
        205,
        megabytes("python-service", PEAK),
        unit=" MB",
        obstacle=why.MOSTLY_LIVE,
    ),
    Goal(
        "Python service: in the end, with 6 MB live",
        40,
        megabytes("python-service", "resident end"),
        unit=" MB",
        obstacle=why.SERVICE_END,
    ),
    Goal(
        "torture: 344 MB live", 350, megabytes("torture", "resident filled"), unit=" MB", obstacle=why.ROUNDING
    ),
    Goal(
        "torture: 90 % freed at random",
        90,
        megabytes("torture", "resident dropped"),
        unit=" MB",
        obstacle=why.PINNED,
    ),
    Goal(
        "torture: filled again with larger blocks",
        365,
        megabytes("torture", "resident filled-again"),
        unit=" MB",
        obstacle=why.ROUNDING,
    ),
    Goal(
        "torture: 90 % freed again",
        75,
        megabytes("torture", "resident dropped-again"),
        unit=" MB",
        obstacle=why.PINNED,
    ),
    Goal(
        "processor time for giving memory back, on any workload",
        3,
        price_of_giving_back,
        unit=" %",
        digits=1,
        obstacle=why.GIVING_BACK,
    ),
    Goal("malloc + free, 64 bytes: instructions", 45, instructions("pair64"), obstacle=why.FAST_PATH),
    Goal(
        "malloc + free, random 16-127 bytes: instructions",
        80,
        instructions("random127"),
        obstacle=why.FAST_PATH,
    ),
    Goal(
        "malloc + free, 1000 x 48 bytes: instructions, loop taken off",
        42,
        instructions("batch48", without_loop=True),
        obstacle=why.LISTS,
    ),
    Goal(
        "malloc + free, random 16-999 bytes: instructions, loop taken off",
        55,
        instructions("random", without_loop=True),
        obstacle=why.TAGGED,
    ),
    Goal(
        "malloc + free, random 16-8,192 bytes: instructions, loop taken off",
        200,
        instructions("random8192", without_loop=True),
        obstacle=why.LISTS,
    ),
    Goal(
        "malloc + free, 8 KiB: instructions, loop taken off",
        120,
        instructions("pair8192", without_loop=True),
    ),
    Goal("split + coalesce: instructions", 200, instructions("pair40000"), obstacle=why.SPLIT),
    Goal(
        "a call with 10^7 live blocks against 10^3, random",
        2.5,
        growth_with_live_blocks("random"),
        digits=1,
        obstacle=why.CACHE_MISSES,
    ),
    Goal(
        "a call with 10^7 live blocks against 10^3, oldest",
        2.5,
        growth_with_live_blocks("oldest"),
        digits=1,
        obstacle=why.CACHE_MISSES,
    ),
    Goal("/bin/true: resident above the system's malloc", 64, start_above_system, unit=" KiB"),
    Goal(
        "two threads handing blocks over: throughput", 1.00, handover_against_best_peer, minimum=True, digits=2
    ),
    *(
        Goal(
            f"{workload}, {threads} threads: wall time, against the median of {RIVALS_TOLD}",
            1.00,
            against_rivals(workload),
            digits=2,
            obstacle=why.SHARED_HEAP,
        )
        for workload, threads in SHARED.items()
    ),
    Goal(
        "churn, 2 threads: wall time of the worst run, against mimalloc 2.0",
        1.25,
        worst_churn,
        digits=2,
        obstacle=why.SHARED_HEAP,
    ),
    Goal(f"{', '.join(SHARED)}: peak, against the best peer", 1.05, peak_where_threads_share, digits=2),
    Goal(
        "sharing, 8 threads: wall time of an operation, against 1 thread",
        0.70,
        sharing_with_more_threads,
        digits=2,
        obstacle=why.TWO_CORES,
    ),
    *(
        Goal(
            f"pipeline, {threads} threads: calls of futex in a million operations",
            bound,
            futexes("pipeline", threads),
            obstacle=why.QUEUES,
        )
        for threads, bound in ((2, 5), (16, 20))
    ),
    *(
        Goal(
            f"simulated: {pattern}, throughput of {SIMULATED_CORES} cores against 1",
            bound,
            simulated(pattern),
            unit=" times",
            minimum=True,
            digits=1,
            obstacle=why.LARGE_IN_ONE_LOCK,
        )
        for pattern, bound in (("churn", 40), ("handover", 30), ("sizes-to-64-kib", 30))
    ),
)


def table(results: Results) -> str:
    """All goals with what was measured."""
    return markdown_table(["figure", "goal", "measured", "reached"], [goal.row(results) for goal in GOALS])


def obstacles(results: Results) -> str:
    """What stands in the way of each goal that was missed; goals with the same obstacle together."""
    missed: dict[str, list[str]] = {}
    for goal in GOALS:
        if goal.is_missed(results):
            missed.setdefault(goal.obstacle or "Not known.", []).append(goal.figure)
    return (
        "\n".join(
            f"- **{'; '.join(figures)}.** {' '.join(obstacle.split())}" for obstacle, figures in missed.items()
        )
        or "None was missed."
    )


def table_of(run: Mapping[str, Any] | None) -> Table | None:
    """The table of a run's samples, if there was one."""
    if run is None:
        return None
    return Table.of(run["samples"], [name for name, told in run["contenders"].items() if told["peer"]])


def read(folder: Path) -> tuple[Results, str]:
    """The results in `folder`, and lines that say where they come from."""
    found, origin = {}, []
    for name in ("suite", "python", "figures", "scaling", "simulation"):
        path = folder / f"{name}.json"
        if path.exists():
            content = json.loads(path.read_text())
            found[name] = content["figures"]
            where = ", ".join(content["machine"].values())
            origin.append(f"- `{content['command']}`: {where}")
    results = Results(
        suite=table_of(found.get("suite")),
        python=table_of(found.get("python")),
        figures=found.get("figures"),
        scaling=table_of(found.get("scaling")),
        simulation=found.get("simulation"),
    )
    return results, "\n".join(origin)


def write(folder: Path = RESULTS) -> Path:
    """Write the page of the results in `folder`: docs/figures.md, or beside quick results ``goals.md``."""
    results, origin = read(folder)
    path = HERE.parent / "docs" / "figures.md" if folder == RESULTS else folder / "goals.md"
    page = PAGE.format(
        table=table(results), obstacles=obstacles(results), origin=origin or "Nothing has been measured yet."
    )
    path.write_text(page)
    return path
