"""Measures what recording costs: `snug record` beside memray and heaptrack, each against the same without it.

memray and heaptrack are no dependencies of the bench: what is not installed is left out, and the page says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

import snugmalloc
from snugmalloc.launch.launcher import measure
from snugmalloc.launch.preload import additions

from . import harness
from .harness import Figure, command_line, interleave, markdown_table, write_results

PYTHON_WORKLOADS = ("containers", "documents", "instances")
PERCENT_OF_SINGLE = 4  # its file has five bytes for each of 20 million calls
ROUNDS = 7

PAGE = """# What recording costs

Processor time, and the file that is left, for a workload that is recorded; the time as a multiple of that of
the same program on the same allocator without a recording. Medians of {rounds} interleaved rounds
(minimum-maximum). Python runs with `PYTHONMALLOC=malloc`, but for memray, which hooks Python's own allocators
(`--trace-python-allocators`): there the multiple is of stock Python. snugmalloc's file is the one that the
program writes; `snug record` packs it afterwards. It has the stacks of Python where that is said; heaptrack
records those of machine code, memray those of Python. A ring keeps the last 8 MiB; a sample is taken every
512 KiB.

{table}
{left_out}"""


@dataclass(frozen=True)
class Recorder:
    """A way to run a program: its command, with what is in front, in an environment."""

    name: str
    base: str = ""
    """The way that it is a multiple of."""
    before: tuple[str, ...] = ()
    added: Mapping[str, str] = field(default_factory=dict)
    only_python: bool = False


def recorders(folder: Path) -> list[Recorder]:
    """All ways that are installed here; each leaves its file in the folder."""
    library = [Path(snugmalloc.get_library("snugmalloc"))]
    ours = {**additions(library, {}, plain_python=False, environment=os.environ), "PYTHONMALLOC": "malloc"}
    recorded = {**ours, "SNUG_RECORD": str(folder / "ours.%p.snug")}
    ring = f"ring:8M:{folder}/ours.%p.ring"
    sampled = {**recorded, "SNUG_RECORD_SAMPLE": "512K"}
    found = [
        Recorder("snugmalloc", added=ours),
        Recorder("snugmalloc, recorded", "snugmalloc", added=recorded),
        Recorder("snugmalloc, with stacks", "snugmalloc", added={**recorded, "SNUG_RECORD_STACKS": "python"}),
        Recorder("snugmalloc, ring", "snugmalloc", added={**ours, "SNUG_RECORD": ring}),
        Recorder("snugmalloc, sampled", "snugmalloc", added=sampled),
    ]
    if shutil.which("heaptrack"):
        plain = {"PYTHONMALLOC": "malloc"}
        output = str(folder / "heaptrack")
        found += [
            Recorder("glibc", added=plain),
            Recorder("heaptrack", "glibc", ("heaptrack", "--raw", "-o", output), plain),
        ]
    if find_spec("memray"):
        memray = (sys.executable, "-m", "memray", "run", "-q", "-f", "--trace-python-allocators", "-o")
        output = str(folder / "memray.bin")
        found += [
            Recorder("stock Python", added={"PYTHONMALLOC": "pymalloc"}, only_python=True),
            Recorder(
                "memray", "stock Python", (*memray, output), {"PYTHONMALLOC": "pymalloc"}, only_python=True
            ),
        ]
    return found


def run_once(recorder: Recorder, words: Sequence[str], folder: Path, sizes: dict[str, int]) -> float:
    """The processor time of one run; the size of the file that it left is noted."""
    is_memray = recorder.name == "memray"
    command = [*recorder.before, *(words[1:] if is_memray else words)]
    with tempfile.TemporaryFile() as errors:
        figures = measure(command, recorder.added, output=subprocess.DEVNULL, errors=errors, trace=False)
        if figures.exit_status != 0:
            errors.seek(0)
            raise RuntimeError(f"{recorder.name}: {figures.ending}: {errors.read().decode(errors='replace')}")
    left = list(folder.iterdir())
    sizes[recorder.name] = sum(path.stat().st_size for path in left)
    for path in left:
        path.unlink()
    return figures.cpu_s


def measured(name: str, words: Sequence[str], is_python: bool, rounds: int) -> dict[str, dict[str, object]]:
    """What each way costs for one workload."""
    with tempfile.TemporaryDirectory() as folder:
        ways = [way for way in recorders(Path(folder)) if is_python or not way.only_python]
        sizes: dict[str, int] = {}
        measures = {way.name: partial(run_once, way, words, Path(folder), sizes) for way in ways}
        times = interleave(rounds, measures, name)
    return {
        way.name: {
            "cpu_s": times[way.name],
            "factor": times[way.name].median / times[way.base].median if way.base else None,
            "file_bytes": sizes[way.name] if way.base else None,
        }
        for way in ways
    }


def row(name: str, way: str, found: Mapping[str, object]) -> list[str]:
    """A line of the table."""
    time, factor, size = found["cpu_s"], found["factor"], found["file_bytes"]
    assert isinstance(time, Figure)
    spread = f"{time.median:.2f} ({time.min:.2f}-{time.max:.2f})"
    return [
        name,
        way,
        spread,
        f"{factor:.2f}" if isinstance(factor, float) else "",
        f"{size / 2**20:.1f}" if isinstance(size, int) else "",
    ]


def run(quick: bool) -> None:
    """Measure, and write the results; with `quick` into the work folder."""
    rounds, amount = (3, 20) if quick else (ROUNDS, 100)
    workloads: dict[str, tuple[list[str], bool]] = {
        f"python-{name}": (
            [sys.executable, "-m", f"benchmarks.workloads.python.{name}", str(amount)],
            True,
        )
        for name in PYTHON_WORKLOADS
    }
    single = harness.compile_program("workloads/single.c", "record-single", "-pthread")
    workloads["single"] = ([str(single), str(max(1, amount * PERCENT_OF_SINGLE // 100))], False)
    figures = {name: measured(name, words, is_python, rounds) for name, (words, is_python) in workloads.items()}
    rows = [row(name, way, found) for name, ways in figures.items() for way, found in ways.items()]
    header = ["workload", "way", "processor time, s", "times", "file, MiB"]
    installed = {"heaptrack": shutil.which("heaptrack"), "memray": find_spec("memray")}
    missing = [name for name, found in installed.items() if not found]
    left_out = f"\nNot installed and left out: {', '.join(missing)}.\n" if missing else ""
    page = PAGE.format(rounds=rounds, table=markdown_table(header, rows), left_out=left_out)
    folder = harness.WORK if quick else harness.RESULTS
    write_results("record", command_line(["record"], quick, []), page, figures, folder)
    click.echo(page)
