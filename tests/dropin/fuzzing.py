"""The fuzzer of the compiled drop-in: ``python -m tests.dropin.fuzzing`` tries new seeds until one fails.

The program is ``c/fuzz.c``; a run of it is a seed and a number of steps, on one library. The tests run some.
"""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import subprocess
import time
from pathlib import Path

import click

import snugmalloc

from ..builds import BUILD, build_library
from .conftest import FLAGS, SOURCES

LINKED = ("-rdynamic", "-I", snugmalloc.get_include())
"""What the fuzzer is compiled with beside what all programs are."""
STEPS = 40_000
NEW_SEEDS = 1 << 40


def libraries() -> list[Path]:
    """The builds that take turns: as it is shipped, and with every invariant checked."""
    return [Path(snugmalloc.get_library("snugmalloc")), build_library("snugmalloc", "debug")]


def compile_fuzzer() -> Path:
    """The program, where it stays for a second look."""
    program = BUILD / "fuzz" / "fuzz"
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-std=gnu17", *FLAGS, "-o", program, SOURCES / "fuzz.c", *LINKED], check=True)
    return program


def run_seed(program: Path, seed: int, steps: int, library: Path) -> None:
    """One run. Raises ClickException with what it said if it fails, and the command that does so again."""
    command = [str(program), str(seed), str(steps)]
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        again = shlex.join(["env", f"LD_PRELOAD={library}", *command])
        said = f"{ended.stdout}{ended.stderr}".strip()
        raise click.ClickException(f"seed {seed} fails:\n{said}\nagain: {again}")


def fuzz(first: int, steps: int, seconds: float) -> int:
    """Try seeds from `first` on until time is up or somebody interrupts; how many. Raises ClickException."""
    program = compile_fuzzer()
    builds = libraries()
    end = time.monotonic() + seconds
    done = 0
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < end:
            run_seed(program, first + done, steps, builds[done % len(builds)])
            done += 1
    return done


@click.command()
@click.option("--minutes", type=click.FloatRange(0), default=60.0, show_default=True, help="How long.")
@click.option("--seed", type=click.IntRange(0), help="The first seed.  [default: a new one]")
@click.option("--steps", type=click.IntRange(1), default=STEPS, show_default=True, help="Of each run.")
def main(minutes: float, seed: int | None, steps: int) -> None:
    """Fuzz libsnugmalloc.so as it is installed and as it checks itself, in turn, with a new seed each time."""
    first = random.SystemRandom().randrange(NEW_SEEDS) if seed is None else seed
    done = fuzz(first, steps, 60 * minutes)
    click.echo(f"{done} seeds from {first} on, {steps:,} steps each: nothing found")


if __name__ == "__main__":
    main()
