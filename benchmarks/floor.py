"""Owns the floor: what Python programs would hold on snugmalloc if it kept no free page resident.

The program runs on stock Python and on snugmalloc. From outside, every few milliseconds, its resident memory is
read, and from the figures in its memory how much of the heap is free and not given back. Without
that much it would hold what it uses, the interpreter, and the allocator's own tags and tables. No policy of
giving back gets below.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from snugmalloc.launch.allocators import OURS, PYMALLOC
from snugmalloc.launch.diagnosis import find_library
from snugmalloc.launch.inside import NotReadable, read_inside

from . import catalogue
from .contenders import Contender, find_contenders
from .harness import HERE, RESULTS, WORK, command_line, markdown_table, write_results
from .summary import geometric_mean

EVERY_S = 0.005
FULL, QUICK = 100, 20  # percent of a workload's work
PAGE = """# The floor of Python programs

Resident memory over time, mean, sampled each {every:.0f} ms. The last column is what would be left if
no free page of the heap were resident: the lowest that giving memory back can reach.

{table}
"""


@dataclass
class Held:
    """What a program held in the mean, in bytes: all, and without the heap's free pages."""

    resident: float
    floor: float


def sample(folder: Path) -> Held | None:
    """What the process holds now; None if it is no more."""
    try:
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        base = find_library((folder / "maps").read_text().splitlines())
        inside = read_inside(folder, base) if base is not None else None
    except (OSError, ValueError, NotReadable):
        return None
    return Held(resident, resident - inside.kept_free_bytes if inside else resident) if resident else None


def run_on(contender: Contender, command: list[str]) -> Held:
    """Run a program and sample what it holds. Raises click.ClickException if it fails."""
    added = {"PYTHONHASHSEED": "0", "PYTHONPATH": str(HERE.parent), **contender.environment()}
    samples = []
    with subprocess.Popen(command, env=os.environ | added, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            held = sample(Path(f"/proc/{process.pid}"))
            samples += [held] if held else []
            time.sleep(EVERY_S)
    if process.returncode or not samples:
        raise click.ClickException(f"{' '.join(command)} on {contender.name} ended with {process.returncode}")
    return Held(
        statistics.fmean(held.resident for held in samples), statistics.fmean(held.floor for held in samples)
    )


def ratios(found: Mapping[str, Mapping[str, Held]]) -> dict[str, tuple[float, float]]:
    """By program: resident on snugmalloc and the floor, of stock Python's resident."""
    return {
        name: (held[OURS].resident / held[PYMALLOC].resident, held[OURS].floor / held[PYMALLOC].resident)
        for name, held in found.items()
    }


def page(found: Mapping[str, Mapping[str, Held]]) -> str:
    """The page with a line for each program."""
    compared = ratios(found)
    rows = [
        [name, f"{found[name][PYMALLOC].resident / 1e6:.1f} MB", f"{ours:.2f}", f"{floor:.2f}"]
        for name, (ours, floor) in compared.items()
    ]
    means = [geometric_mean(pair[which] for pair in compared.values()) for which in (0, 1)]
    rows.append(["geometric mean", "", *("" if value is None else f"{value:.2f}" for value in means)])
    header = ["program", "stock Python", "snugmalloc", "without free pages"]
    return PAGE.format(every=EVERY_S * 1000, table=markdown_table(header, rows))


def run(quick: bool) -> None:
    """Measure all Python programs and write ``floor.md`` and ``floor.json``. Raises AllocatorError."""
    workloads = catalogue.set_up([workload for workload in catalogue.ALL if workload.family == "python"])
    contenders = {contender.name: contender for contender in find_contenders([OURS])}
    amount = QUICK if quick else FULL
    found = {
        workload.name: {name: run_on(contenders[name], workload.command(amount)) for name in (PYMALLOC, OURS)}
        for workload in workloads
    }
    raw = {name: {contender: asdict(held) for contender, held in pair.items()} for name, pair in found.items()}
    folder = WORK if quick else RESULTS
    write_results("floor", command_line(["floor"], quick, ()), page(found), raw, folder)
    click.echo(f"{folder / 'floor'}.md")
