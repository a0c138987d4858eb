"""Owns the names of where blocks come from: a line, a function, a stack; a size where there are no stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import PurePath

from snugmalloc.trace.tables import Frame, SourceFrame, Tables

UNKNOWN = "unknown"
CALLED_FROM = " < "
SHOWN_FRAMES = 4

Naming = Callable[[Frame], str]
"""What a frame is called."""


def line_of(frame: Frame) -> str:
    """The line, with its function."""
    return str(frame)


def function_of(frame: Frame) -> str:
    """What a frame is called that is the same in two versions of a program, in folders of their own.

    Lines have other numbers there, and files other paths. Of machine code in a file of which the name alone is
    known, the name is taken: the places in it differ.
    """
    if isinstance(frame, SourceFrame):
        return str(frame._replace(file=PurePath(frame.file).name, line=0))
    if frame.function:
        return str(frame)
    return PurePath(frame.file or frame.module).name if "/" in frame.file + frame.module else str(frame)


def nearest(frames: Sequence[str]) -> str:
    """The frames nearest to the allocation, the innermost first."""
    return CALLED_FROM.join((*frames[:SHOWN_FRAMES], *(["..."] if len(frames) > SHOWN_FRAMES else [])))


def innermost(tables: Tables, stack: int, naming: Naming = line_of) -> str:
    """The innermost frame of a stack, of those in source lines if there are any."""
    frames = tables.frames_of(stack)
    lines = [frame for frame in frames if isinstance(frame, SourceFrame)]
    found = next(chain(lines, frames), None)
    return naming(found) if found else UNKNOWN


def whole_stack(tables: Tables, stack: int, naming: Naming = line_of) -> tuple[str, ...]:
    """All frames of a stack, the innermost first."""
    return tuple(map(naming, tables.frames_of(stack))) or (UNKNOWN,)


class Origins:
    """What blocks come from: the innermost frame of the stack if there are stacks, else the size."""

    def __init__(self, tables: Tables, has_stacks: bool, naming: Naming = line_of) -> None:
        self.tables = tables
        self.has_stacks = has_stacks
        self.naming = naming
        self.names: dict[int, str] = {}
        """Each is made once."""

    def of(self, stack: int, size: int) -> str:
        """That of a block with this stack and size."""
        number = stack if self.has_stacks else size
        if number not in self.names:
            self.names[number] = self._name(number)
        return self.names[number]

    def _name(self, number: int) -> str:
        return innermost(self.tables, number, self.naming) if self.has_stacks else f"{number:,} bytes"
