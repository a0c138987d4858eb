"""`snug record`: every memory call of a program, in a `.snug` trace."""

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
ALL = "all"
PYTHON, NATIVE, NO_STACKS = "python", "native", "none"
DEFAULT_RING = f"/dev/shm/snug-{PROCESS}.ring"


def _checked_sample(context: click.Context, parameter: click.Parameter, text: str) -> str:
    gap = OPTIONS["record_sample"]
    try:
        if text != ALL:
            gap.check(text)
    except ValueError:
        raise click.BadParameter(f"{text}: all, or {gap.range}, as 512K", context, parameter) from None
    return text


def _ring_size(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Check the size of a ring."""
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
    help="Also record forked children and started programs, one file for each.",
)
@click.option(
    "--stacks",
    metavar="python,native|none",
    default="none",
    show_default=True,
    callback=lambda _context, _parameter, value: check_stacks(value),
    help="Record call stacks: lines of Python, functions in machine code.",
)
@click.option(
    "--ring",
    metavar="SIZE",
    callback=_ring_size,
    help="Keep only the last calls, in a ring of SIZE bytes, such as 8M, in memory that outlives PROGRAM, for"
    f" snug autopsy: {DEFAULT_RING}, or the file of -o.",
)
@click.option("--raw", is_flag=True, help="Do not pack the file at the end: it is larger.")
@click.option(
    "--pid", type=click.IntRange(min=1), help="Record this process, which already runs on snugmalloc."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help="With --pid: stop after this time. Default: at Ctrl-C, or when the process ends.",
)
@click.option(
    "--sample",
    metavar="BYTES|all",
    default=ALL,
    callback=_checked_sample,
    help="Record samples only: on average one block for every BYTES bytes; 512K is usual. Default: all.",
)
@settings_option(", as for snug run")
@click.option("--keep-pymalloc", is_flag=True, help="Do not set PYTHONMALLOC=malloc for a Python program.")
@click.argument("program", metavar="[--] PROGRAM [ARGUMENT]... | --pid PID", nargs=-1, type=click.UNPROCESSED)
def command(
    program: tuple[str, ...],
    output: str | None,
    follow: bool,
    stacks: str,
    ring: str | None,
    raw: bool,
    pid: int | None,
    seconds: float | None,
    sample: str,
    settings: dict[str, str],
    keep_pymalloc: bool,
) -> None:
    """Record every malloc and free of PROGRAM, or of a process that is already on snugmalloc.

    \b
        snug record -- python3 app.py
        snug record --pid 1234 --seconds 60
        snug report python3.1234.snug

    docs/recording.md describes what is in a trace, and what recording costs. Exit status: the program's own;
    127 if there is no such program, 126 if it cannot be run on the allocator.
    """
    if output == "":
        raise click.UsageError("the name of the file is empty")
    if pid is not None:
        if program or follow or settings or keep_pymalloc or ring or stacks != "none" or sample != ALL:
            raise click.UsageError("--pid is for a running process: it excludes PROGRAM and its options")
        from snugmalloc.cli.record_process import record_process  # it needs `packing`, which is a program, too

        record_process(pid, output, seconds, raw)
        return
    if not program:
        raise click.UsageError("Missing argument 'PROGRAM'.")
    if seconds is not None:
        raise click.UsageError("--seconds needs --pid: a program that is started is recorded to its end")
    default = DEFAULT_RING if ring else f"{Path(program[0]).name}.{PROCESS}.snug"
    file = os.path.abspath(output if output is not None else default)
    _check_name(output, file, follow)
    library = get_own_library()
    found = prepare(program, [library])
    plain_python = wants_plain_python(found, keep_pymalloc, os.environ)
    if keep_pymalloc and PYTHON in stacks.split(","):
        raise click.UsageError("--stacks python needs Python's objects in malloc's heap: drop --keep-pymalloc")
    if ring and sample != ALL:
        raise click.UsageError("--ring keeps every call, the last ones: drop --sample")
    asked = f"ring:{ring}:{file}" if ring else file
    own = variables(settings) | recording_options(asked, follow, stacks, sample)
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


RECORDING = ("SNUG_RECORD", "SNUG_RECORD_FOLLOW", "SNUG_RECORD_STACKS", "SNUG_RECORD_SAMPLE")


def recording_options(file: str, follow: bool, stacks: str, sample: str) -> dict[str, str]:
    """The environment that makes the program record."""
    options = {"SNUG_RECORD": file}
    if follow:
        options["SNUG_RECORD_FOLLOW"] = "1"
    if stacks != NO_STACKS:
        options["SNUG_RECORD_STACKS"] = stacks
    if sample != ALL:
        options["SNUG_RECORD_SAMPLE"] = sample
    return options


def check_stacks(stacks: str) -> str:
    """The stacks to record, in the form of SNUG_RECORD_STACKS. Raises BadParameter."""
    words = [word.strip() for word in stacks.split(",")]
    if NO_STACKS in words and len(set(words)) > 1:
        raise click.BadParameter(f"{stacks}: none excludes other kinds of stacks")
    for word in words:
        if word not in (PYTHON, NATIVE, NO_STACKS):
            raise click.BadParameter(
                f"{word!r} is not a kind of stacks: use {PYTHON} and {NATIVE}, or {NO_STACKS}"
            )
    return ",".join(dict.fromkeys(words))


def _check_name(output: str | None, file: str, follow: bool) -> None:
    """End the command if the file cannot be written, before anything runs."""
    if follow and PROCESS not in file:
        raise click.UsageError(f"--follow writes a file for each process: put {PROCESS} into the name {output}")
    if os.path.lexists(file) and not os.path.isfile(file):
        raise click.UsageError(f"{output}: exists already, and is not a regular file")
    check_writable(file.replace(PROCESS, "0"))
