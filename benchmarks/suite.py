"""Owns the runs of the suite: every workload on every contender, in rounds, kept on disk after each run."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from snugmalloc.launch.comparison import LOADER_COMPLAINT
from snugmalloc.launch.launcher import measure

from . import catalogue, goals, harness, report
from .catalogue import Workload
from .contenders import Contender, find_contenders
from .harness import HERE, RESULTS, WORK, write_results
from .summary import Table

METRICS = (
    "wall_s",
    "cpu_s",
    "peak_resident_bytes",
    "mean_resident_bytes",
    "final_resident_bytes",
    "minor_faults",
    "major_faults",
)
TOLD = ("resident", "operations", "ops_per_s")  # what programs say of themselves
FULL, QUICK = 100, 20  # how much a workload does, in percent
ROUNDS, QUICK_ROUNDS = 5, 3
ALL, PYTHON, SOME = "suite", "python", "some"  # kinds of runs, and what their results are called
CLIENT_PATIENCE = 10  # seconds that a client may go on after its server has ended


@dataclass(frozen=True)
class Cell:
    """One run: a workload on a contender. `told` is what the program said of itself; `failure` why it ended."""

    workload: str
    contender: str
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    failure: str | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the only one of its kind."""
        return self.workload, self.contender, self.round


class Store:
    """The cells of a run that may be interrupted: a file with a line for each, after one that says of what run.

    What an earlier run of the same kind left is taken over.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.cells: list[Cell] = []
        lines = path.read_text().splitlines() if path.exists() else []
        if lines and lines[0] == identity:
            self.cells = [Cell(**json.loads(line)) for line in lines[1:] if line.endswith("}")]
        path.write_text("".join(f"{line}\n" for line in [identity, *map(self._line, self.cells)]))

    @staticmethod
    def _line(cell: Cell) -> str:
        return json.dumps(asdict(cell))

    def add(self, cell: Cell) -> None:
        """Keep `cell`, on disk too."""
        self.cells.append(cell)
        with self.path.open("a") as file:
            file.write(self._line(cell) + "\n")


def told(output: str) -> dict[str, float]:
    """The figures in what a workload printed: lines that begin with one of TOLD and end with a number."""
    lines = (line.rpartition(" ") for line in output.splitlines())
    return {name: float(value) for name, _, value in lines if name.split(" ")[0] in TOLD}


def run_cell(workload: Workload, contender: Contender, turn: int, amount: int) -> Cell:
    """Run `workload` once. The client, if it has one, runs on the system's malloc."""
    added = contender.environment() | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(HERE.parent)}
    client = subprocess.Popen(workload.client(amount)) if workload.client else None
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        figures = measure(workload.command(amount), added, output=output, errors=errors)
        if client:
            try:
                client.wait(CLIENT_PATIENCE)
            except subprocess.TimeoutExpired:
                client.kill()
                client.wait()
        output.seek(0)
        errors.seek(0)
        said = errors.read()
        if figures.exit_status != 0 or LOADER_COMPLAINT in said or (client and client.returncode):
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            return Cell(workload.name, contender.name, turn, failure=": ".join([figures.ending, *last]))
        measured = {metric: getattr(figures, metric) for metric in METRICS}
        return Cell(
            workload.name,
            contender.name,
            turn,
            {metric: value for metric, value in measured.items() if value is not None},
            told(output.read().decode(errors="replace")),
        )


def plan(
    workloads: Sequence[Workload], contenders: Sequence[Contender], rounds: int
) -> Iterator[tuple[Workload, Contender, int]]:
    """All runs in order: in rounds, workload after workload, the contenders each time in another order.

    The order is shuffled, the same each time: a run that ends with much memory leaves warm pages to the next
    one, which must not always be the same contender's (python-arrays took a third of the time behind one that
    gives nothing back, on a virtual machine whose host takes free pages).
    """
    random = Random(1)
    for turn in range(rounds):
        for workload in workloads:
            able = [c for c in contenders if workload.family == "python" or not c.is_for_python]
            for contender in random.sample(able, len(able)):
                yield workload, contender, turn


def seconds_left(cells: Iterable[Cell], left: Iterable[str]) -> float | None:
    """How long runs of the workloads `left` will take, if they take as long as their like did so far."""
    times: dict[str, list[float]] = {}
    for cell in cells:
        if "wall_s" in cell.figures:
            times.setdefault(cell.workload, []).append(cell.figures["wall_s"])
    if not times:
        return None
    means = {workload: sum(walls) / len(walls) for workload, walls in times.items()}
    typical = sum(means.values()) / len(means)
    return sum(means.get(workload, typical) for workload in left)


def clock(seconds: float | None) -> str:
    """`1:02:03` for people."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} left"


def fill(
    store: Store,
    runs: Sequence[tuple[Workload, Contender, int]],
    amount: int,
    run_one: Callable[[Workload, Contender, int, int], Cell] = run_cell,
) -> None:
    """Make the runs that are not in `store` yet. A pair that failed once is not tried again."""
    done = {cell.key for cell in store.cells}
    failed = {(cell.workload, cell.contender) for cell in store.cells if cell.failure}
    waiting = [run for run in runs if (run[0].name, run[1].name, run[2]) not in done]
    columns = (
        TextColumn("{task.description:36}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=len(runs), completed=len(runs) - len(waiting), left="")
        for index, (workload, contender, turn) in enumerate(waiting):
            left = clock(seconds_left(store.cells, (run[0].name for run in waiting[index:])))
            bar.update(task, description=f"{workload.name} on {contender.name}", left=left)
            if (workload.name, contender.name) not in failed:
                cell = run_one(workload, contender, turn, amount)
                store.add(cell)
                if cell.failure:
                    failed.add((workload.name, contender.name))
                    click.echo(f"{workload.name} on {contender.name}: {cell.failure}", err=True)
            bar.advance(task)
        bar.update(task, description="", left="")


Samples = dict[str, dict[str, dict[str, list[float]]]]


def samples_of(cells: Iterable[Cell]) -> Samples:
    """All samples by workload, contender and metric; nothing of a pair that failed."""
    cells = list(cells)
    failed = {(cell.workload, cell.contender) for cell in cells if cell.failure}
    samples: Samples = {}
    for cell in cells:
        if (cell.workload, cell.contender) in failed:
            continue
        metrics = samples.setdefault(cell.workload, {}).setdefault(cell.contender, {})
        for metric, value in (cell.figures | cell.told).items():
            metrics.setdefault(metric, []).append(value)
    return samples


def in_order(
    cells: Iterable[Cell], workloads: Sequence[Workload], contenders: Sequence[Contender]
) -> list[Cell]:
    """The cells by workload, then by contender: runs are shuffled, tables are not."""
    names = [workload.name for workload in workloads], [contender.name for contender in contenders]
    return sorted(
        cells, key=lambda cell: (names[0].index(cell.workload), names[1].index(cell.contender), cell.round)
    )


def failures_of(cells: Iterable[Cell]) -> dict[str, str]:
    """What went wrong, by workload and contender."""
    return {f"{cell.workload} on {cell.contender}": cell.failure for cell in cells if cell.failure}


def raw_of(
    rounds: int,
    amount: int,
    contenders: Iterable[Contender],
    samples: Samples,
    failures: dict[str, str],
) -> dict[str, Any]:
    """What a results file in JSON has of a run."""
    return {
        "rounds": rounds,
        "amount_percent": amount,
        "contenders": {contender.name: contender.described() for contender in contenders},
        "samples": samples,
        "failures": failures,
    }


def identity_of(contenders: Sequence[Contender], amount: int, rounds: int) -> str:
    """What must be the same for two sittings to be one run: the workloads, the libraries, the amount."""
    sources = hashlib.sha256()
    for path in sorted(catalogue.WORKLOADS.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            sources.update(path.read_bytes())
    described: dict[str, Any] = {contender.name: contender.described() for contender in contenders}
    return json.dumps([amount, rounds, sources.hexdigest(), described])


def chosen(kind: str, names: Sequence[str]) -> list[Workload]:
    """The workloads of a run."""
    if kind == SOME:
        return [workload for workload in catalogue.ALL if workload.name in names]
    return [workload for workload in catalogue.ALL if kind == ALL or workload.family == PYTHON]


def run(
    kind: str = ALL,
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    allocators: Sequence[str] = (),
    variants: Sequence[str] = (),
    rounds: int | None = None,
    fresh: bool = False,
) -> None:
    """Measure all workloads, those in Python or SOME called `names`; write tables, raw figures and plots.

    A run of all or of Python can be interrupted and goes on where it was, unless `fresh`. What is quick or SOME
    goes into the work folder, the others into the results. Raises AllocatorError.
    """
    workloads = catalogue.set_up(chosen(kind, names))
    contenders = find_contenders(allocators, variants)
    amount, usual_rounds = (QUICK, QUICK_ROUNDS) if quick else (FULL, ROUNDS)
    rounds = rounds or usual_rounds
    path = WORK / f"{kind}-{'quick' if quick else 'full'}.jsonl"
    if fresh or kind == SOME:
        path.unlink(missing_ok=True)
    store = Store(path, identity_of(contenders, amount, rounds))
    fill(store, list(plan(workloads, contenders, rounds)), amount)

    samples = samples_of(in_order(store.cells, workloads, contenders))
    peers = [contender.name for contender in contenders if contender.is_peer]
    failures = failures_of(store.cells)
    table = Table.of(samples, peers)
    page = report.page(table, contenders, rounds, amount, failures, kind)
    command = harness.command_line(names or [kind], quick, allocators)
    command += f" --rounds {rounds}" if rounds != usual_rounds else ""
    raw = raw_of(rounds, amount, contenders, samples, failures)
    folder = WORK if quick or kind == SOME else RESULTS
    write_results(kind, command, page, raw, folder)
    report.write_plots(table, folder, kind)
    if kind != SOME:
        goals.write(folder)
    click.echo(f"{folder / kind}.md")
