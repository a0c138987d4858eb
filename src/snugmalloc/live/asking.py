"""Owns asking a running process for something: to give memory back, or to record its calls.

What is asked for is written into the process's memory or, where that is not permitted, into the file that it
publishes; the record that both have is `Command` of the engine's `outside`. The process does it at its next
work, and says so there.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from snugmalloc.engine.dropin import outside, publish
from snugmalloc.engine.dropin.outside import Command, Outside
from snugmalloc.launch.diagnosis import bytes_text
from snugmalloc.launch.inside import Memory
from snugmalloc.launch.published import open_published
from snugmalloc.live.remote import PROC, CannotAttach, attach

WORD = 8


class Kind(IntEnum):
    """What may be asked for."""

    TRIM = outside.TRIM_COMMAND
    BEGIN = outside.BEGIN_COMMAND
    END = outside.END_COMMAND


class Answer(IntEnum):
    """What a process says about it."""

    DONE = outside.DONE
    NOT_KNOWN = outside.NOT_KNOWN
    NOT_MADE = outside.NOT_MADE_THERE
    RECORDS_ALREADY = outside.RECORDS_ALREADY
    RECORDS_NOTHING = outside.RECORDS_NOTHING
    AS_STARTED = outside.ONLY_AS_STARTED
    NOT_PERMITTED = outside.NOT_PERMITTED
    UNCLEAR = 0
    """None of these: the process can write there what it likes."""

    @classmethod
    def _missing_(cls, value: object) -> Answer:
        return cls.UNCLEAR


REFUSALS = {
    Answer.NOT_KNOWN: "it does not know the command",
    Answer.NOT_MADE: "it could not create {path}: the file must be new, in a folder it may write to",
    Answer.RECORDS_ALREADY: "it is already recording",
    Answer.RECORDS_NOTHING: "it is not recording",
    Answer.AS_STARTED: "it was started to record samples, stacks or a ring, and cannot record otherwise",
    Answer.NOT_PERMITTED: "it is privileged: recording needs permission to trace it",
    Answer.UNCLEAR: "unknown answer: use the snug of the same version as its library",
}


@dataclass
class Asked:
    """Something that a process was asked for."""

    kind: Kind
    path: str
    number: int
    time: float
    """When it was asked for, in seconds since 1970."""
    answer: Answer | None = None
    given_back: int = 0
    """Bytes."""
    answered: float = 0.0
    """When the answer was seen."""

    @property
    def refusal(self) -> str | None:
        """Why it was not done, if the process says so."""
        return REFUSALS[self.answer].format(path=self.path) if self.answer in REFUSALS else None

    def __str__(self) -> str:
        """In words."""
        what = {Kind.TRIM: "trim", Kind.BEGIN: "recording", Kind.END: "end of the recording"}[self.kind]
        if self.answer is None:
            return f"{what}: requested; waits for the process's next heap activity"
        if self.refusal:
            return f"{what}: {self.refusal}"
        at = time.strftime("%H:%M:%S", time.localtime(self.answered))
        return {
            Kind.TRIM: f"trimmed at {at}: {bytes_text(self.given_back)} given back",
            Kind.BEGIN: f"recording since {at} to {self.path}",
            Kind.END: f"recorded until {at}: {self.path}",
        }[self.kind]


class Mailbox:
    """Where a process is asked, and where it answers."""

    def __init__(self, memory: Memory, address: int, process: int) -> None:
        self._memory = memory
        self._address = address
        self._process = process

    def ask(self, kind: Kind, path: str = "") -> Asked:
        """Ask for something; `path` is absolute. What was asked before and not done is dropped."""
        name = os.fsencode(path)
        if len(name) >= outside.PATH_ROOM:
            raise CannotAttach(f"the name of the file is too long: {path}")
        asked = Asked(kind, path, secrets.randbits(63) | 1, time.time())
        self._write(Command.asked, 0)
        self._write(Command.kind, kind)
        self._write(Command.process, self._process)
        self._memory.write(self._address + Command.path, name + b"\0")
        self._write(Command.asked, asked.number)
        return asked

    def look(self, asked: Asked) -> bool:
        """Whether there is an answer by now."""
        if asked.answer is None and self._read(Command.answered) == asked.number:
            asked.answer = Answer(self._read(Command.answer))
            asked.given_back = self._read(Command.given)
            asked.answered = time.time()
        return asked.answer is not None

    def waits(self, asked: Asked) -> bool:
        """Whether the process is still to do it; not if somebody else has asked since."""
        return not self.look(asked) and self._read(Command.asked) == asked.number

    def withdraw(self) -> None:
        """Ask for nothing more; what the process has taken notice of it does still."""
        self._write(Command.asked, 0)

    def _read(self, offset: int) -> int:
        return self._memory.word(self._address + offset)

    def _write(self, offset: int, value: int) -> None:
        self._memory.write(self._address + offset, value.to_bytes(WORD, "little"))


@contextmanager
def open_mailbox(pid: int, root: Path = PROC) -> Iterator[Mailbox]:
    """Where the process `pid` is asked: in its memory, or else in the file that it publishes.

    Raises CannotAttach, also when the process ends meanwhile.
    """
    proc = root / str(pid)
    try:
        with _opened(pid, root) as mailbox:
            yield mailbox
    except OSError as error:
        why = "has ended" if not proc.exists() else f"cannot be asked: {error.strerror or error}"
        raise CannotAttach(f"process {pid} {why}") from None


@contextmanager
def _opened(pid: int, root: Path) -> Iterator[Mailbox]:
    process = own_number(root / str(pid))
    with ExitStack() as opened:
        try:
            attached = opened.enter_context(attach(pid, root, to_write=True))
            mailbox = Mailbox(attached.memory, attached.outside_at + Outside.command, process)
        except CannotAttach:
            file = _published(root / str(pid))
            if file is None:
                raise
            opened.callback(os.close, file)
            mailbox = Mailbox(Memory(file), publish.COMMAND_AT, process)
        yield mailbox


def _published(proc: Path) -> int | None:
    try:
        return open_published(proc)
    except OSError:
        return None


def own_number(proc: Path) -> int:
    """The id of the process of a folder of /proc as the process itself sees it: it may be in a container."""
    try:
        lines = (proc / "status").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return int(proc.name)
