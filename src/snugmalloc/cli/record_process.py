"""The work of `snug record --pid`: a process that runs already is asked to record, and later to leave off."""

from __future__ import annotations

import math
import os
import shutil
import signal
import stat
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from snugcommand import INTERRUPTED
from snugmalloc.cli.live_report import program_of
from snugmalloc.cli.packing import look, pack, short_name, told_of
from snugmalloc.cli.streams import tell
from snugmalloc.live.asking import Answer, Asked, Kind, Mailbox, open_mailbox
from snugmalloc.live.remote import PROC, CannotAttach, has_memory
from snugmalloc.trace.errors import TraceError

PROCESS = "%p"
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 1.0
"""After so long it is told what is waited for."""
LEAVING_SECONDS = 2.0
"""So long a process that was interrupted as it began is waited for."""
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
FILE_USER = 3  # of the user ids in /proc/PID/status: whose the files are that it makes


def record_process(pid: int, output: str | None, seconds: float | None, raw: bool) -> None:
    """Record the process `pid` for so long, or until interrupted, or until it ends; then pack the file."""
    name = output if output is not None else f"{program_of(pid) or 'process'}.{PROCESS}.snug"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    made = _Made(pid, Path(os.path.abspath(name.replace(PROCESS, str(pid)))))
    is_asked, has_ended = False, True
    try:
        with open_mailbox(pid) as mailbox:
            _make_room(made.file)
            is_asked = True
            has_ended = _record(mailbox, made, seconds)
    except CannotAttach as error:
        if not is_asked or not made.is_there():
            raise click.ClickException(str(error)) from None
    _finish(made, raw or not has_ended)


class _Made:
    """The file that a process makes under the name that the caller gave. Perhaps only the process sees it."""

    def __init__(self, pid: int, file: Path) -> None:
        self.pid = pid
        self.file = file
        self.descriptor: int | None = None
        """Open where the process has a root folder of its own, and the file is not seen from here."""

    def is_there(self) -> bool:
        """Whether it is made. From now on it can be read, also when the process has ended."""
        if self.descriptor is None and not _is_file(self.file):
            self.descriptor = _open_inside(PROC / str(self.pid), self.file)
        return self.descriptor is not None or _is_file(self.file)

    @property
    def place(self) -> str:
        """Where it is from here."""
        return short_name(self.file) if self.descriptor is None else f"{PROC}/{self.pid}/root{self.file}"

    def copy(self) -> None:
        """Bring it here, if it is only seen by the process. Nothing is changed there."""
        if self.descriptor is None:
            return
        try:
            with open(self.descriptor, "rb") as source, self.file.open("xb") as target:
                try:
                    shutil.copyfileobj(source, target)
                except BaseException:
                    self.file.unlink()
                    raise
        except OSError as error:
            why = f"the recording is {self.place}, and is not copied to {self.file}: {error.strerror}"
            raise click.ClickException(why) from None
        tell(f"process {self.pid} has another root folder: the file was copied from {self.place}")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _open_inside(process: Path, file: Path) -> int | None:
    """The file as the process of a folder of /proc sees it, open to be read; None if it made no such file.

    The process may put there what it likes: a link would lead to a file of somebody else, or out of its root.
    """
    with ExitStack() as folders, suppress(OSError):
        folder = os.open(process / "root", FOLDER)
        folders.callback(os.close, folder)
        for name in file.parts[1:-1]:
            folder = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            folders.callback(os.close, folder)
        how = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(file.name, how, dir_fd=folder)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == _file_user(process):
            return descriptor
        os.close(descriptor)
    return None


def _file_user(process: Path) -> int | None:
    """Whose the files are that the process of a folder of /proc makes. Raises OSError."""
    for line in (process / "status").read_text(errors="replace").splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1 + FILE_USER])
    return None


def _make_room(file: Path) -> None:
    """The process makes the file, which has to be new."""
    if not os.path.lexists(file):
        return
    if not file.is_file():
        raise click.ClickException(f"{short_name(file)}: exists already, and is not a regular file")
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"{short_name(file)}: exists already, and cannot be removed: {error.strerror}"
        ) from None


def _record(mailbox: Mailbox, made: _Made, seconds: float | None) -> bool:
    """Until the time is over, or whoever waits interrupts. Whether the process has left off by then."""
    asked = mailbox.ask(Kind.BEGIN, str(made.file))
    patience = math.inf
    try:
        _begin(mailbox, asked, made)
        until = f"for {seconds:g} s" if seconds is not None else "until Ctrl-C"
        tell(f"process {made.pid} is recorded to {os.path.relpath(made.file)} {until}")
        _sleep_while_it_runs(made.pid, seconds)
    except KeyboardInterrupt:
        if asked.answer is not Answer.DONE:
            patience = LEAVING_SECONDS
            _withdraw(mailbox, asked, made)
    return _end(mailbox, made, patience)


def _begin(mailbox: Mailbox, asked: Asked, made: _Made) -> None:
    """Until the process records. Raises ClickException where it cannot, or ends."""
    waiting = f"process {made.pid} was asked to record: it begins at its next heap activity"
    if not _wait(mailbox, asked, made.pid, waiting):
        raise click.ClickException(f"process {made.pid} ended before it recorded anything")
    if asked.refusal:
        raise click.ClickException(f"process {made.pid}: {asked.refusal}")
    made.is_there()


def _withdraw(mailbox: Mailbox, asked: Asked, made: _Made) -> None:
    """Ask no more for a recording, unless it has begun. Raises Exit if it has not, so far as can be seen."""
    mailbox.withdraw()
    _wait(mailbox, asked, made.pid, seconds=LOOK_SECONDS)
    if asked.answer is Answer.DONE or (asked.answer is None and made.is_there()):
        return
    if asked.answer is None:
        tell(
            f"process {made.pid} is no longer asked to record; if it has already seen the request, it begins"
            " at its next heap activity: press r twice in snug top to stop it"
        )
    raise click.exceptions.Exit(INTERRUPTED)


def _end(mailbox: Mailbox, made: _Made, seconds: float) -> bool:
    """Until the process records no more, or has ended, at most so long. Whether that is so."""
    pid = made.pid
    if not has_memory(PROC / str(pid)):
        return True
    asked = mailbox.ask(Kind.END, str(made.file))
    waiting = (
        f"process {pid} was asked to stop recording: it does so at its next heap activity;"
        " Ctrl-C does not wait for it"
    )
    try:
        has_ended = _wait(mailbox, asked, pid, waiting, seconds) or not has_memory(PROC / str(pid))
    except KeyboardInterrupt:
        has_ended = mailbox.look(asked)
    if not has_ended:
        tell(
            f"process {pid} stops recording at its next heap activity: the rest of {made.place} is written then"
        )
    elif asked.answer is Answer.RECORDS_NOTHING:
        tell("the recording had already ended: the disk may be full, or the program closed its files")
    elif asked.refusal:
        tell(f"process {pid}: {asked.refusal}")
        return False
    return has_ended


def _wait(
    mailbox: Mailbox, asked: Asked, pid: int, waiting: str | None = None, seconds: float = math.inf
) -> bool:
    """Until there is an answer; False when the process has ended instead, or after so long.

    What is waited for is told once, if it takes a while.
    """
    begun = time.monotonic()
    while not mailbox.look(asked):
        waited = time.monotonic() - begun
        if not has_memory(PROC / str(pid)) or waited > seconds:
            return False
        if waiting is not None and waited > PATIENCE_SECONDS:
            tell(waiting)
            waiting = None
        time.sleep(LOOK_SECONDS)
    return True


def _sleep_while_it_runs(pid: int, seconds: float | None) -> None:
    end = math.inf if seconds is None else time.monotonic() + seconds
    while has_memory(PROC / str(pid)):
        rest = min(LOOK_SECONDS, end - time.monotonic())
        if rest <= 0:
            return
        time.sleep(rest)


def _finish(made: _Made, raw: bool) -> None:
    """Pack what was recorded, and say so."""
    if not made.is_there():
        raise click.ClickException(f"process {made.pid} wrote {made.file} which is not visible from here")
    made.copy()
    try:
        if not raw:
            pack(made.file)
        tell(told_of([look(made.file)]))
    except TraceError as error:
        raise click.ClickException(str(error)) from None
