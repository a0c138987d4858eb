"""`snug top`: the figures of running processes on a screen."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator

import click

from snugmalloc.cli.files import named_file
from snugmalloc.cli.metrics import load_extra
from snugmalloc.cli.preparing import prepare, wants_plain_python
from snugmalloc.cli.run import get_own_library
from snugmalloc.launch.diagnosis import NoSuchProcess
from snugmalloc.launch.launcher import GRACE_SECONDS
from snugmalloc.launch.preload import PreloadError, additions
from snugmalloc.live.processes import check_process, read_all, read_one


@click.command("top", context_settings={"allow_interspersed_args": False})
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds from one reading to the next.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    callback=named_file,
    help="Write PROGRAM's output to FILE; by default it is dropped.",
)
@click.argument("words", metavar="[PID | [--] PROGRAM [ARGUMENT]...]", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...], interval: float, output: str | None) -> None:
    """Watch the memory of running processes on snugmalloc.

    \b
        snug top                     # all processes of this user
        snug top 1234                # one of them in detail
        snug top -- python3 app.py   # started here, and ended with the screen

    Arrows and Enter choose a process, Escape goes back, s saves the data shown as JSON in the current folder, q
    quits. For one process, m shows the heap by addresses and sizes, t makes it give back what is free, r starts
    and stops a recording of its calls to that folder. A PROGRAM started here has no input. docs/metrics.md
    explains the figures.
    """
    screen = load_extra("snugmalloc.live.screen", "snug top", "top")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.ClickException("snug top needs a terminal: snug metrics prints the figures")
    if not words:
        screen.Top(read_all, interval).run()
    elif len(words) == 1 and words[0].isdecimal():
        pid = int(words[0])
        try:
            check_process(pid)
        except NoSuchProcess as error:
            raise click.ClickException(str(error)) from None
        screen.Top(functools.partial(read_one, pid), interval, pid=pid).run()
    else:
        with _started(words, output) as process:
            read = functools.partial(read_one, process.pid)
            screen.Top(read, interval, pid=process.pid, ending=functools.partial(_ending, process)).run()


@contextlib.contextmanager
def _started(words: tuple[str, ...], output: str | None) -> Iterator[subprocess.Popen[bytes]]:
    """The program of `words` on the allocator, until the block ends."""
    library = get_own_library()
    plain_python = wants_plain_python(prepare(words, [library]), False, os.environ)
    try:
        added = additions([library], {}, plain_python=plain_python, environment=os.environ)
    except PreloadError as error:
        raise click.ClickException(str(error)) from None
    with open(output or os.devnull, "wb") as file:
        process = subprocess.Popen(
            words,
            env=os.environ | added,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ending(process: subprocess.Popen[bytes]) -> str:
    """How the program ended; nothing while it runs."""
    status = process.poll()
    if status is None:
        return ""
    return f"ended by signal {-status}" if status < 0 else f"ended: exit status {status}"
