"""Owns how a figure comes about: interleaved rounds, medians with spread, and where it was measured."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from rich.progress import track

HERE = Path(__file__).parent
WORK = HERE / "work"
RESULTS = HERE / "results"


@dataclass(frozen=True)
class Figure:
    """One figure over all rounds."""

    median: float
    min: float
    max: float


def interleave(rounds: int, measures: Mapping[str, Callable[[], float]], what: str) -> dict[str, Figure]:
    """Take every measure once a round, in turn, `rounds` times."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for _ in track(range(rounds), what, disable=not sys.stderr.isatty()):
        for name, measure in measures.items():
            samples[name].append(measure())
    return {name: Figure(statistics.median(s), min(s), max(s)) for name, s in samples.items()}


def compile_program(source: str, name: str, *flags: str) -> Path:
    """Compile a C or C++ file of this folder to a program in the work folder."""
    WORK.mkdir(exist_ok=True)
    program = WORK / name
    compiler = "g++" if source.endswith(".cpp") else "gcc"
    command = [compiler, "-O2", "-Wall", "-fno-builtin-malloc", "-fno-builtin-free", "-o", str(program)]
    subprocess.run([*command, str(HERE / source), *flags], check=True)
    return program


def printed(command: Sequence[str | Path], added: Mapping[str, str] | None = None) -> str:
    """What a program prints; its environment has `added` too."""
    words, environment = [str(word) for word in command], os.environ | (added or {})
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout


def printed_number(*command: str | Path) -> float:
    """Run a program that prints one number."""
    return float(printed(command))


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table for the results' page; all columns but the first are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> dict[str, str]:
    """Where the figures come from."""
    described = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    model = described[0].partition(":")[2].strip() if described else platform.machine()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    return {
        "date": date.today().isoformat(),
        "commit": commit or "unknown",
        "processor": f"{model}, {os.cpu_count()} cores",
        "kernel": platform.release().split("-")[0],
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
    }


def command_line(names: Sequence[str], quick: bool, allocators: Sequence[str]) -> str:
    """The command that a result tells; of a library's path only the file's name."""
    shown = [f"{name}{given}{Path(path).name}" for name, given, path in (a.partition("=") for a in allocators)]
    options = [*(["--quick"] if quick else []), *(["--allocators", ",".join(shown)] if shown else [])]
    return " ".join(["python -m benchmarks", *names, *options])


def write_results(
    name: str, command: str, page: str, figures: Mapping[str, object], folder: Path = RESULTS
) -> None:
    """Keep a page for people and the figures for programs, both with the command and the machine."""
    folder.mkdir(exist_ok=True)
    where = machine()
    origin = "\n".join([f"- command: `{command}`", *(f"- {key}: {value}" for key, value in where.items())])
    (folder / f"{name}.md").write_text(f"{page}\n## Where this was measured\n\n{origin}\n")
    content = {"command": command, "machine": where, "figures": figures}
    (folder / f"{name}.json").write_text(json.dumps(content, default=asdict, indent=1) + "\n")
