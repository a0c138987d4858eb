"""The command ``snug`` from its first moment on: Ctrl-C ends it silently, also while its modules are loaded."""

from __future__ import annotations

import signal
import sys
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Load the command and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    try:
        from snugmalloc.cli import main as command

        command()
    finally:
        if signal.getsignal(signal.SIGINT) is _end:
            signal.signal(
                signal.SIGINT, signal.SIG_DFL
            )  # while the interpreter ends, nothing takes an exception


def tidy_at_end() -> None:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does: what it has begun is ended and put away first."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
