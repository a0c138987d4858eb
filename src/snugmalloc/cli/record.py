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
from snugmalloc.options import always_on, variables

PROCESS = "%p"


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
@click.option("--raw", is_flag=True, help="Leave the file as the program wrote it: larger, and there at once.")
@click.option(
    "--pid", type=click.IntRange(min=1), help="Record this process, which runs already on snugmalloc."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), help="With --pid: for so long; else until Ctrl-C or its end."
)
@settings_option(", as for snug run")
@click.option("--keep-pymalloc", is_flag=True, help="Do not set PYTHONMALLOC=malloc for a Python program.")
@click.argument("program", metavar="[--] PROGRAM [ARGUMENT]... | --pid PID", nargs=-1, type=click.UNPROCESSED)
def command(
    program: tuple[str, ...],
    output: str | None,
    follow: bool,
    raw: bool,
    pid: int | None,
    seconds: float | None,
    settings: dict[str, str],
    keep_pymalloc: bool,
) -> None:
    """Run PROGRAM on snugmalloc and record its calls of malloc and the like.

    \b
        snug record -- python3 app.py
        snug report python3.1234.snug
        snug record --pid 1234 --seconds 60

    Every call is in the trace, with its thread, time, size and address, and what the allocator did beside: how
    the heap grew, and what was given back. Without --follow that is the process of PROGRAM, but not its
    children. A program that the process becomes by exec, as `env` or a script does it, has a file of its own,
    whose name ends in -2. A program that is killed leaves what it had written by then, which lacks the last
    thousands of calls of each thread.

    With --pid a process on snugmalloc is asked to record, and to leave off after --seconds or at Ctrl-C. It
    does both at its next work, and writes the file itself. Blocks from before are not in the trace. That takes
    the right to trace the process, or SNUG_PUBLISH in its environment.

    Exit status: the program's own; 127 if there is no such program, 126 if it cannot be run on the allocator
    (statically linked, set-user-id, of another architecture).
    """
    if output == "":
        raise click.UsageError("the name of the file is empty")
    if pid is not None:
        if program or follow or settings or keep_pymalloc:
            raise click.UsageError(
                "--pid is for a process that runs: it takes no PROGRAM and no options for one"
            )
        from snugmalloc.cli.record_process import record_process  # it needs `packing`, which is a program, too

        record_process(pid, output, seconds, raw)
        return
    if not program:
        raise click.UsageError("Missing argument 'PROGRAM'.")
    if seconds is not None:
        raise click.UsageError("--seconds goes with --pid: a program that is started is recorded to its end")
    file = os.path.abspath(output if output is not None else f"{Path(program[0]).name}.{PROCESS}.snug")
    _check_name(output, file, follow)
    library = get_own_library()
    found = prepare(program, [library])
    plain_python = wants_plain_python(found, keep_pymalloc, os.environ)
    own = variables(settings) | {"SNUG_RECORD": file} | ({"SNUG_RECORD_FOLLOW": "1"} if follow else {})
    environment = {name: value for name, value in os.environ.items() if name not in RECORDING}
    tell_ignored({name: value for name, value in environment.items() if name not in own})
    try:
        added = additions(
            [library], always_on(environment) | own, plain_python=plain_python, environment=environment
        )
    except PreloadError as error:
        raise click.ClickException(str(error)) from None
    state = {"file": file, "follow": follow, "raw": raw, "begun": time.time_ns()}
    after = [sys.executable, "-P", "-m", "snugmalloc.cli.packing", str(hand_over(state))]
    pid_name = None if follow else "_SNUG_RECORD_PROCESS"
    words = launch_command(program, added, int(after[-1]), after, trace=False, pid_name=pid_name)
    if PROCESS not in file and os.path.lexists(file):
        os.unlink(file)
    become_or_exit(words, environment)


RECORDING = ("SNUG_RECORD", "SNUG_RECORD_FOLLOW")


def _check_name(output: str | None, file: str, follow: bool) -> None:
    """Ends the command where the file cannot be, before anything runs."""
    if follow and PROCESS not in file:
        raise click.UsageError(f"--follow writes a file for each process: put {PROCESS} into the name {output}")
    if os.path.lexists(file) and not os.path.isfile(file):
        raise click.UsageError(f"{output}: is there already, and is no file that could be written anew")
    check_writable(file.replace(PROCESS, "0"))
