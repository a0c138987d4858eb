"""The work of `snug record --pid`: a process that runs already is asked to record, and later to leave off."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from snugcommand import INTERRUPTED
from snugmalloc.cli.live_report import program_of
from snugmalloc.cli.packing import look, pack, told_of
from snugmalloc.cli.streams import tell
from snugmalloc.live.asking import Answer, Asked, Kind, Mailbox, open_mailbox
from snugmalloc.live.remote import PROC, CannotAttach, has_memory
from snugmalloc.trace.errors import TraceError

PROCESS = "%p"
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 1.0
"""After so long it is told what is waited for."""


def record_process(pid: int, output: str | None, seconds: float | None, raw: bool) -> None:
    """Record the process `pid` for so long, or until interrupted, or until it ends; then pack the file."""
    name = output if output is not None else f"{program_of(pid) or 'process'}.{PROCESS}.snug"
    file = os.path.abspath(name.replace(PROCESS, str(pid)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    if os.path.lexists(file):
        if not os.path.isfile(file):
            raise click.ClickException(f"{name}: is there already, and is no file that could be written anew")
        os.unlink(file)
    try:
        with open_mailbox(pid) as mailbox:
            _begin(mailbox, pid, file)
            until = f"for {seconds:g} s" if seconds is not None else "until Ctrl-C"
            tell(f"process {pid} is recorded to {os.path.relpath(file)} {until}")
            _sleep_while_it_runs(pid, seconds)
            _end(mailbox, pid, file)
    except CannotAttach as error:
        if not os.path.exists(file):
            raise click.ClickException(str(error)) from None
    _finish(pid, file, raw)


def _begin(mailbox: Mailbox, pid: int, file: str) -> None:
    """Until the process records. Raises ClickException where it cannot, or ends."""
    asked = mailbox.ask(Kind.BEGIN, file)
    try:
        is_answered = _wait(
            mailbox, asked, pid, f"process {pid} is asked to record: it begins with its next work"
        )
    except KeyboardInterrupt:
        mailbox.withdraw()
        raise click.exceptions.Exit(INTERRUPTED) from None
    if not is_answered:
        raise click.ClickException(f"process {pid} ended before it recorded anything")
    if asked.refusal:
        raise click.ClickException(f"process {pid}: {asked.refusal}")


def _end(mailbox: Mailbox, pid: int, file: str) -> None:
    """Until the process records no more, or has ended."""
    if not has_memory(PROC / str(pid)):
        return
    asked = mailbox.ask(Kind.END, file)
    waiting = (
        f"process {pid} is asked to leave off: it does so with its next work; Ctrl-C does not wait for that"
    )
    try:
        _wait(mailbox, asked, pid, waiting)
    except KeyboardInterrupt:
        tell(f"process {pid} leaves off with its next work: what {os.path.relpath(file)} lacks comes then")
        return
    if asked.answer is Answer.RECORDS_NOTHING:
        tell("the recording had ended before: the disk may be full, or the program closed its files")


def _wait(mailbox: Mailbox, asked: Asked, pid: int, waiting: str) -> bool:
    """Until there is an answer; False when the process has ended instead."""
    begun, is_told = time.monotonic(), False
    while not mailbox.look(asked):
        if not has_memory(PROC / str(pid)):
            return False
        if not is_told and time.monotonic() - begun > PATIENCE_SECONDS:
            is_told = True
            tell(waiting)
        time.sleep(LOOK_SECONDS)
    return True


def _sleep_while_it_runs(pid: int, seconds: float | None) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while has_memory(PROC / str(pid)):
            rest = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
            if rest <= 0:
                return
            time.sleep(rest)
    except KeyboardInterrupt:
        return


def _finish(pid: int, file: str, raw: bool) -> None:
    """Pack what was recorded, and say so."""
    path = Path(file)
    if not path.exists():
        path = PROC / str(pid) / "root" / file.lstrip("/")
        if not path.exists():
            raise click.ClickException(f"process {pid} wrote {file} where it is not seen from here")
    try:
        if not raw:
            pack(path)
        tell(told_of([look(path)]))
    except TraceError as error:
        raise click.ClickException(str(error)) from None
