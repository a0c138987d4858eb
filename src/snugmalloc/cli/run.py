"""`snug run`: a program on the allocator."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

import snugmalloc
from snugmalloc.cli.files import json_file_option, named_file
from snugmalloc.cli.handover import hand_over
from snugmalloc.cli.preparing import can_be_traced, prepare, tell_ignored, wants_plain_python
from snugmalloc.cli.settings import settings_option
from snugmalloc.cli.streams import tell
from snugmalloc.launch.launcher import become, launch_command
from snugmalloc.launch.preload import TOLD, PreloadError, additions
from snugmalloc.launch.program import ProgramError
from snugmalloc.options import variables

FOR_THE_LAUNCHER = 5  # descriptors: its figures, and two pipes to the program while that is started


def get_own_library() -> Path:
    """libsnugmalloc.so, or an error that says that it is missing."""
    try:
        return Path(snugmalloc.get_library("snugmalloc"))
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@click.command(
    "run",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--report", is_flag=True, help="Print a report of its memory use to stderr when the program has ended."
)
@json_file_option("Write the report as JSON to FILE; %p in it is the process id.", named_file)
@settings_option(": the same as SNUG_LIMIT=64M in the environment")
@click.option(
    "--no-trace", is_flag=True, help="Do not trace the program: its final resident memory stays unknown."
)
@click.option("--no-children", is_flag=True, help="Start the program's own children without the allocator.")
@click.option("--keep-pymalloc", is_flag=True, help="Do not set PYTHONMALLOC=malloc for a Python program.")
@click.argument(
    "program", metavar="[--] PROGRAM [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED
)
def command(
    program: tuple[str, ...],
    report: bool,
    json_file: str | None,
    settings: dict[str, str],
    no_trace: bool,
    no_children: bool,
    keep_pymalloc: bool,
) -> None:
    """Run PROGRAM on snugmalloc.

    \b
        snug run -- python3 app.py
        snug run --report -- redis-server

    The command executes the program in its place: same process, signals and exit status. With --report or
    --json a process of 1 MB waits for it, forwards signals, and exits as it does; calls are then counted, at a
    small cost (--set stats=0 turns that off). A Python program runs with PYTHONMALLOC=malloc, so that all its
    objects come from snugmalloc.

    Exit status: the program's own; 127 if there is no such program, 126 if it cannot be run on the allocator
    (statically linked, set-user-id, of another architecture).
    """
    library = get_own_library()
    wants_report = report or json_file is not None
    found = prepare(program, [library])
    plain_python = wants_plain_python(found, keep_pymalloc, os.environ)
    set_here = variables(settings)
    told = tell_ignored({name: value for name, value in os.environ.items() if name not in set_here})
    environment = {TOLD + name if name in told else name: value for name, value in os.environ.items()}
    needs_companion = wants_report or no_children or told
    companion = [Path(snugmalloc.get_library("snug-run"))] if needs_companion else []
    if wants_report:
        set_here = {"SNUG_STATS": "1"} | set_here
    try:
        added = additions([library, *companion], set_here, plain_python=plain_python, environment=os.environ)
    except PreloadError as error:
        raise click.ClickException(str(error)) from None
    if no_children:
        added["_SNUG_RUN_ONCE"] = "1"
    if wants_report:
        state = {"program": program, "library": str(library), "report": report, "json": json_file}
        trace = not no_trace and can_be_traced(found, os.environ)
        _run_with_report(program, environment, added, state, trace)
    become_or_exit(program, environment | added)


def _run_with_report(
    program: tuple[str, ...],
    environment: Mapping[str, str],
    added: dict[str, str],
    state: dict[str, Any],
    trace: bool,
) -> None:
    """Become the launcher of `program`, and in the end the report that `state` asks for.

    Returns, after saying so, when there is no room for a report: descriptors, a temporary folder, memory.
    """
    with contextlib.ExitStack() as undo:
        try:
            _try_descriptors(FOR_THE_LAUNCHER)
            folder = tempfile.mkdtemp(prefix="snug-run-")
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            descriptor = hand_over(state | {"folder": folder})
        except OSError as error:
            tell(f"the program runs without a report: {error.strerror}")
            return
        after = [sys.executable, "-P", "-m", "snugmalloc.cli.ending", str(descriptor)]
        added = added | {"_SNUG_RUN_REPORT": folder}
        become_or_exit(launch_command(program, added, descriptor, after, trace=trace), environment)


def _try_descriptors(count: int) -> None:
    """Raises OSError if fewer than `count` descriptors can be opened."""
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(open(os.devnull))


def become_or_exit(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Put `command` in this process's place; end with a shell's status for what cannot be started."""
    try:
        become(command, environment)
    except OSError as error:
        tell(f"cannot start {command[0]}: {error.strerror}")
        raise click.exceptions.Exit(ProgramError.NOT_USABLE) from None
