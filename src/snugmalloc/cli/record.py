"""`snug record`: every call of a program that concerns memory, in a `.snug` trace."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from snugmalloc.cli.files import check_writable
from snugmalloc.cli.handover import hand_over
from snugmalloc.cli.preparing import prepare, tell_ignored, wants_plain_python
from snugmalloc.cli.run import become_or_exit, get_own_library
from snugmalloc.cli.settings import settings_option
from snugmalloc.launch.launcher import launch_command
from snugmalloc.launch.preload import PreloadError, additions
from snugmalloc.options import OPTIONS, always_on, variables

PROCESS = "%p"
DEFAULT_RING = f"/dev/shm/snug-{PROCESS}.ring"


def _ring_size(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """The size of a ring that is one the allocator takes."""
    if text is not None:
        try:
            if ":" in text:
                raise ValueError
            OPTIONS["record"].check(f"ring:{text}")
        except ValueError:
            raise click.BadParameter(f"{text}: a ring has 1M to 1G bytes", context, parameter) from None
    return text


@click.command("record", context_settings={"allow_interspersed_args": False})
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The .snug file to write; %p in it is the process id. Default: PROGRAM.%p.snug.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Record forked children and programs that are started, too, one file for each.",
)
@click.option(
    "--ring",
    metavar="SIZE",
    callback=_ring_size,
    help="Keep only the last calls, in a file of so many bytes in memory, which outlives the program: 8M, for"
    f" snug autopsy. Without -o it is {DEFAULT_RING}.",
)
@click.option("--raw", is_flag=True, help="Leave the file as the program wrote it: larger, and there at once.")
@settings_option(", as for snug run")
@click.option("--keep-pymalloc", is_flag=True, help="Do not set PYTHONMALLOC=malloc for a Python program.")
@click.argument(
    "program", metavar="[--] PROGRAM [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED
)
def command(
    program: tuple[str, ...],
    output: str | None,
    follow: bool,
    ring: str | None,
    raw: bool,
    settings: dict[str, str],
    keep_pymalloc: bool,
) -> None:
    """Run PROGRAM on snugmalloc and record its calls of malloc and the like.

    \b
        snug record -- python3 app.py
        snug report python3.1234.snug

    Every call is in the trace, with its thread, time, size and address, and what the allocator did beside: how
    the heap grew, and what was given back. Without --follow that is the process of PROGRAM, but not its
    children. A program that the process becomes by exec, as `env` or a script does it, has a file of its own,
    whose name ends in -2. A program that is killed leaves what it had written by then, which lacks the last
    thousands of calls of each thread. With --ring nothing is missing, but what has been overwritten: the last
    calls are in the file at any moment, however the program ends.

    Exit status: the program's own; 127 if there is no such program, 126 if it cannot be run on the allocator
    (statically linked, set-user-id, of another architecture).
    """
    default = DEFAULT_RING if ring else f"{Path(program[0]).name}.{PROCESS}.snug"
    file = os.path.abspath(output if output is not None else default)
    _check_name(output, file, follow)
    library = get_own_library()
    found = prepare(program, [library])
    plain_python = wants_plain_python(found, keep_pymalloc, os.environ)
    asked = f"ring:{ring}:{file}" if ring else file
    own = variables(settings) | {"SNUG_RECORD": asked} | ({"SNUG_RECORD_FOLLOW": "1"} if follow else {})
    environment = {name: value for name, value in os.environ.items() if name not in RECORDING}
    tell_ignored({name: value for name, value in environment.items() if name not in own})
    try:
        added = additions(
            [library], always_on(environment) | own, plain_python=plain_python, environment=environment
        )
    except PreloadError as error:
        raise click.ClickException(str(error)) from None
    state = {"file": file, "follow": follow, "raw": raw, "ring": bool(ring), "begun": time.time_ns()}
    after = [sys.executable, "-P", "-m", "snugmalloc.cli.packing", str(hand_over(state))]
    pid_name = None if follow else "_SNUG_RECORD_PROCESS"
    words = launch_command(program, added, int(after[-1]), after, trace=False, pid_name=pid_name)
    if PROCESS not in file and os.path.lexists(file):
        os.unlink(file)
    become_or_exit(words, environment)


RECORDING = ("SNUG_RECORD", "SNUG_RECORD_FOLLOW")


def _check_name(output: str | None, file: str, follow: bool) -> None:
    """Ends the command where the file cannot be, before anything runs."""
    if output == "":
        raise click.UsageError("the name of the file is empty")
    if follow and PROCESS not in file:
        raise click.UsageError(f"--follow writes a file for each process: put {PROCESS} into the name {output}")
    if os.path.lexists(file) and not os.path.isfile(file):
        raise click.UsageError(f"{output}: is there already, and is no file that could be written anew")
    check_writable(file.replace(PROCESS, "0"))
