"""Owns the list of workloads: how each is started, and what must be installed and made before."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import click

import snugmalloc
from snugmalloc.replay import read_trace

from .harness import HERE, WORK, compile_program

WORKLOADS = HERE / "workloads"
PROGRAMS = WORKLOADS / "programs"
SOCKET = WORK / "redis.socket"
REPOSITORY = WORK / "repository.git"
TRACE = WORK / "trace.bin"
COMMITS, FILES, LINES = 1500, 60, 400

PEER_PACKAGES = ("libjemalloc2", "libmimalloc2.0", "libtcmalloc-minimal4")


@dataclass(frozen=True)
class Workload:
    """One program with its input. `command` takes how much to do, in percent, and gives the command line."""

    name: str
    family: str
    """`own` programs in C and C++, `python`, or real `programs`."""
    command: Callable[[int], list[str]]
    package: str | None = None
    """The Debian package it comes from."""
    module: str | None = None
    """The Python module it needs."""
    prepare: Callable[[], object] | None = None
    client: Callable[[int], list[str]] | None = None
    """What talks to the program while it runs, and makes it end; it is not measured."""


def compile_own(source: str) -> None:
    """One of the programs in ``workloads/``."""
    compile_program(f"workloads/{source}", Path(source).stem, "-pthread", "-lm")


def convert_trace() -> None:
    """The recorded trace as ``replay.c`` reads it, two 64-bit words a call: kind, place and number; size."""
    compile_own("replay.c")
    if TRACE.exists():
        return
    trace = read_trace(Path(snugmalloc.__file__).parent / "data" / "systemui.zip")
    words = array("Q", bytes(16 * len(trace)))
    rows = zip(trace.kinds, trace.places, trace.numbers, strict=True)
    words[::2] = array("Q", (kind | place << 3 | number << 32 for kind, place, number in rows))
    words[1::2] = trace.sizes
    TRACE.write_bytes(words.tobytes())


def make_repository() -> None:
    """A repository of text files that change a little with each commit, the same each time."""
    if REPOSITORY.exists():
        return
    random = Random(9)
    files = [[f"line {random.getrandbits(64):x}\n" * 2 for _ in range(LINES)] for _ in range(FILES)]
    unfinished = REPOSITORY.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    subprocess.run(["git", "init", "--quiet", "--bare", str(unfinished)], check=True)
    history = []
    for commit in range(COMMITS):
        history.append(
            f"commit refs/heads/main\ncommitter Bench <bench> {commit} +0000\ndata 2\n{commit % 10}\n"
        )
        for number in range(FILES) if commit == 0 else random.sample(range(FILES), 6):
            lines = files[number]
            for _ in range(5):
                lines[random.randrange(LINES)] = f"line {random.getrandbits(64):x} of {commit}\n"
            content = "".join(lines)
            history.append(f"M 644 inline file{number}\ndata {len(content)}\n{content}\n")
    arguments = ["git", "-C", str(unfinished), "fast-import", "--quiet"]
    subprocess.run(arguments, input="".join(history), text=True, check=True)
    unfinished.rename(REPOSITORY)


def own(source: str, *words: str, prepare: Callable[[], object] | None = None) -> Workload:
    """A program of ``workloads/``."""
    name = Path(source).stem
    return Workload(
        name=name,
        family="own",
        command=lambda amount: [str(WORK / name), str(amount), *words],
        package="g++" if source.endswith(".cpp") else "gcc",
        prepare=prepare or partial(compile_own, source),
    )


def python(name: str, module: str | None = None) -> Workload:
    """A program of ``workloads/python/``."""
    start = [sys.executable, "-m", f"benchmarks.workloads.python.{name}"]
    return Workload(f"python-{name}", "python", lambda amount: [*start, str(amount)], module=module)


def script(name: str, interpreter: str, file: str, package: str, *options: str) -> Workload:
    """A program of ``workloads/programs/`` for an interpreter that takes `options` and then the amount."""
    start = [interpreter, *options, str(PROGRAMS / file)]
    return Workload(name, "programs", lambda amount: [*start, str(amount)], package=package)


ALL = (
    own("single.c"),
    own("batches.c"),
    own("sizes.c"),
    own("handover.c"),
    own("mixed-handover.c"),
    own("pipeline.c"),
    own("sharing.c"),
    own("churn.c"),
    own("slots.c"),
    own("vectors.cpp"),
    own("threads.c"),
    own("idle-threads.c"),
    own("large.c"),
    own("tables.c"),
    own("torture.c"),
    own("waves.c"),
    own("replay.c", str(TRACE), prepare=convert_trace),
    python("documents"),
    python("containers"),
    python("instances"),
    python("frames", "numpy"),
    python("arrays", "numpy"),
    python("expiring"),
    python("service"),
    python("web", "django"),
    Workload(
        "redis",
        "programs",
        lambda amount: ["redis-server", "--port", "0", "--unixsocket", str(SOCKET), "--save", ""],
        package="redis-server",
        client=lambda amount: ["sh", str(PROGRAMS / "redis.sh"), str(SOCKET), str(amount)],
    ),
    Workload(
        "sqlite",
        "programs",
        lambda amount: [
            "sqlite3",
            "-batch",
            ":memory:",
            f"CREATE TABLE amount AS SELECT {amount} AS percent;",
            f".read {PROGRAMS / 'shop.sql'}",
        ],
        package="sqlite3",
    ),
    script("lua", "lua5.4", "words.lua", "lua5.4"),
    script("perl", "perl", "words.pl", "perl"),
    script("node", "node", "words.js", "nodejs"),
    script("buffers", "node", "buffers.js", "nodejs", "--expose-gc"),
    script("ruby", "ruby", "words.rb", "ruby"),
    Workload(
        "ghostscript",
        "programs",
        lambda amount: [
            *"gs -q -dNOPAUSE -dBATCH -dSAFER -sDEVICE=png16m -r150 -o /dev/null".split(),
            f"-dPAGES={amount * 2 // 5}",
            str(PROGRAMS / "drawing.ps"),
        ],
        package="ghostscript",
    ),
    Workload(
        "gcc",
        "programs",
        lambda amount: [
            *("g++", "-std=c++17", "-O2" if amount == 100 else "-O0", "-c", str(PROGRAMS / "templates.cpp")),
            *("-o", "/dev/null"),
        ],
        package="g++",
    ),
    Workload(
        "git",
        "programs",
        lambda amount: [
            *("git", "-C", str(REPOSITORY), "-c", f"gc.aggressiveWindow={max(10, 50 * amount // 100)}"),
            *("gc", "--aggressive", "--quiet"),
        ],
        package="git",
        prepare=make_repository,
    ),
)

FOR_SIMULATION = (own("sizes-to-64-kib.c"),)  # what simulation.py runs beside some of ALL


def missing_packages(wanted: Iterable[str]) -> list[str]:
    """Those of the Debian packages `wanted` that are not installed; none where dpkg does not rule."""
    if shutil.which("dpkg-query") is None:
        return []
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return sorted(set(wanted) - {name for name, status in map(str.split, listed) if status == "installed"})


def install(wanted: Iterable[str]) -> list[str]:
    """Install the Debian packages `wanted` if this is root, and tell which are missing after that."""
    missing = missing_packages(wanted)
    if missing and os.getuid() == 0:
        click.echo(f"installing {' '.join(missing)}", err=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            subprocess.run(
                ["apt-get", "-qq", *command], env=environment, stdout=subprocess.DEVNULL, check=False
            )
        missing = missing_packages(wanted)
    return missing


def require(wanted: Iterable[str]) -> None:
    """Install the Debian packages `wanted`. Raises ClickException if they cannot be had."""
    missing = install(wanted)
    if missing:
        raise click.ClickException(f"packages are missing: apt-get install {' '.join(missing)}")


def set_up(workloads: Iterable[Workload]) -> list[Workload]:
    """Install, compile and make what is needed, and give the workloads that can run.

    Without root, or without a package for it, a workload is left out, and one line says what to install.
    """
    workloads = list(workloads)
    missing = install({workload.package for workload in workloads if workload.package} | set(PEER_PACKAGES))
    if missing:
        click.echo(f"left out for want of packages: apt-get install {' '.join(missing)}", err=True)
    modules = {w.module for w in workloads if w.module and importlib.util.find_spec(w.module) is None}
    if modules:
        click.echo(f"left out for want of modules: pip install {' '.join(sorted(modules))}", err=True)
    ready = [w for w in workloads if w.package not in missing and w.module not in modules]
    WORK.mkdir(exist_ok=True)
    for workload in ready:
        if workload.prepare:
            workload.prepare()
    return ready
