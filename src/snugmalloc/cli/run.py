"""`snug run`: a program on the allocator."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import click

import snugmalloc
from snugmalloc.cli.streams import tell
from snugmalloc.launch.launcher import become, launch_command
from snugmalloc.launch.preload import PreloadError, additions
from snugmalloc.launch.program import Program, ProgramError, find_program
from snugmalloc.options import variables


def split_settings(
    context: click.Context, parameter: click.Parameter, words: tuple[str, ...]
) -> dict[str, str]:
    """`name=value` words as a dictionary, each a known option with a value that it takes."""
    settings = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise click.BadParameter(f"{word!r} is not name=value", context, parameter)
        settings[name] = value
    try:
        variables(settings)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    return settings


def prepare(words: tuple[str, ...], libraries: list[Path]) -> Program:
    """The program that `words` start, once it is sure that `libraries` can be preloaded into it.

    Ends the command with the status a shell would give, 127 or 126, and a line that says why.
    """
    try:
        program = find_program(words)
        for library in libraries:
            program.check_preload(library)
    except ProgramError as error:
        tell(str(error))
        raise click.exceptions.Exit(error.status) from None
    return program


def wants_plain_python(program: Program, keep_pymalloc: bool) -> bool:
    """Whether to set PYTHONMALLOC=malloc; a free-threaded Python, which refuses it, is told about."""
    if not program.is_python or keep_pymalloc:
        return False
    if program.is_free_threaded:
        tell(
            f"{program.files[-1].name} is a free-threaded build, which refuses PYTHONMALLOC=malloc: "
            "its objects stay in its own allocator, and only the rest is on snugmalloc"
        )
        return False
    return True


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
    "--report", is_flag=True, help="When the program has ended, print what memory it used, to stderr."
)
@click.option(
    "--json", "json_file", metavar="FILE", help="Write the report as JSON to FILE; %p in it is the process id."
)
@click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    callback=split_settings,
    help="Set an option of the allocator, such as limit=64M: the same as SNUG_LIMIT=64M in the environment.",
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
    no_children: bool,
    keep_pymalloc: bool,
) -> None:
    """Run PROGRAM on snugmalloc.

    \b
        snug run -- python3 app.py
        snug run --report -- redis-server

    The program takes this command's place: same process, signals and exit status. With --report or --json a
    process of 1 MB waits for it, hands signals on, and ends as it ended; calls are counted meanwhile, which
    costs a little (--set stats=0 leaves it out). A Python program runs with PYTHONMALLOC=malloc, so that all
    its objects come from snugmalloc.

    Exit status: the program's own; 127 if there is no such program, 126 if it cannot be run on the allocator
    (statically linked, set-user-id, of another architecture).
    """
    wants_report = report or json_file is not None
    library = get_own_library()
    companion = [Path(snugmalloc.get_library("snug-run"))] if wants_report or no_children else []
    found = prepare(program, [library])
    plain_python = wants_plain_python(found, keep_pymalloc)
    if wants_report:
        settings = {"stats": "1"} | settings
    try:
        added = additions(
            [library, *companion], variables(settings), plain_python=plain_python, environment=os.environ
        )
    except PreloadError as error:
        raise click.ClickException(str(error)) from None
    if no_children:
        added["_SNUG_RUN_ONCE"] = "1"
    if not wants_report:
        become(program, os.environ | added)
    folder = tempfile.mkdtemp(prefix="snug-run-")
    added["_SNUG_RUN_REPORT"] = folder
    figures = os.memfd_create("figures", 0)
    state = {
        "program": program,
        "library": str(library),
        "version": snugmalloc.__version__,
        "figures": figures,
        "folder": folder,
        "report": report,
        "json": json_file,
    }
    after = [sys.executable, "-P", "-m", "snugmalloc.cli.ending", json.dumps(state)]
    become(launch_command(program, added, figures, after), os.environ)
