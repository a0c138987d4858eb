"""Owns the standard streams of the commands: what becomes of output that cannot be written."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

NAMES = ("standard input", "standard output", "standard error")


# Of what the commands print, for terminals and files that take ASCII only.
IN_ASCII = {"±": "+-", "→": "->"}
SPELLED = "snug-spelled"


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Text for characters that an encoding does not have: plain ones if there are, else escapes."""
    assert isinstance(error, UnicodeEncodeError)
    characters = error.object[error.start : error.end]
    escaped = (IN_ASCII.get(one) or one.encode("ascii", "backslashreplace").decode() for one in characters)
    return "".join(escaped), error.end


codecs.register_error(SPELLED, _spell)


class OutputError(Exception):
    """A standard stream that could not be written: it is full, closed, or a pipe that nobody reads."""

    def __init__(self, descriptor: int, cause: OSError) -> None:
        why = " is closed" if cause.errno == errno.EBADF else f": {cause.strerror}"
        super().__init__(NAMES[descriptor] + why)
        self.descriptor = descriptor
        self.is_closed_pipe = cause.errno == errno.EPIPE


class _Descriptor(io.FileIO):
    """A standard descriptor whose failures are told apart from those of any other file."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(self.fileno(), error) from None


def hold_descriptors() -> None:
    """Put something that refuses to be used in the place of each standard descriptor that is closed.

    Otherwise the next file opened would get its number, and with it what is meant for the stream. What holds
    the place is closed again in every program that this process starts or becomes.
    """
    for descriptor in range(len(NAMES)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one. Reading it fails, or writing, as on one that is closed.
            os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY)


def check_output() -> None:
    """Make a failure to write to standard output or standard error an OutputError, also if it was closed."""
    hold_descriptors()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _checked(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _checked(2, sys.stderr)


def _checked(descriptor: int, stream: TextIO | None) -> TextIO:
    """`stream` with a `_Descriptor` at its bottom; None, as Python has for a closed one, with the defaults."""
    raw = io.BufferedWriter(_Descriptor(descriptor, "w", closefd=False))
    return io.TextIOWrapper(
        raw,
        encoding=stream.encoding if stream else "utf-8",
        errors=SPELLED,
        line_buffering=descriptor == 2 or os.isatty(descriptor),
    )


@contextmanager
def settled_output() -> Iterator[None]:
    """All that is printed inside has been written at the end. Raises OutputError, and then drops the rest."""
    try:
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
    except OutputError as error:
        _drop(error.descriptor)
        raise


def tell(line: str, speaker: str = "snug") -> None:
    """Write one line to standard error, as the command says everything; where that cannot be, it is lost."""
    try:
        print(f"{speaker}: {line}", file=sys.stderr, flush=True)
    except OutputError as error:
        _drop(error.descriptor)


def _drop(descriptor: int) -> None:
    """Let what is still to be written go nowhere: the interpreter would try again at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
