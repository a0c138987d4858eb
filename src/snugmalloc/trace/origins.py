"""Owns the names of where blocks come from: a line, a function, a stack; a size where there are no stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

from snugmalloc.trace.blocks import Blocks
from snugmalloc.trace.tables import Frame, SourceFrame, Tables

UNKNOWN = "unknown"
CALLED_FROM = " < "

Naming = Callable[[Frame], str]
"""What a frame is called."""


def line_of(frame: Frame) -> str:
    """The line, with its function."""
    return str(frame)


def function_of(frame: Frame) -> str:
    """The function and its file: the same in two versions of a program, where lines have other numbers."""
    return str(frame._replace(line=0)) if isinstance(frame, SourceFrame) else str(frame)


def innermost(tables: Tables, stack: int, naming: Naming = line_of) -> str:
    """The innermost frame of a stack, of those in source lines if there are any."""
    frames = tables.frames_of(stack)
    lines = [frame for frame in frames if isinstance(frame, SourceFrame)]
    found = next(chain(lines, frames), None)
    return naming(found) if found else UNKNOWN


def whole_stack(tables: Tables, stack: int, naming: Naming = line_of) -> str:
    """All frames of a stack, the innermost first."""
    return CALLED_FROM.join(map(naming, tables.frames_of(stack))) or UNKNOWN


def origins_of(blocks: Blocks, tables: Tables, naming: Naming = line_of) -> list[str]:
    """Of each block: the innermost frame of its stack if there are stacks, else its size."""
    if not any(blocks.stack):
        return _named(blocks.size, lambda size: f"{size:,} bytes")
    return _named(blocks.stack, lambda stack: innermost(tables, stack, naming))


def _named(numbers: Iterable[int], name: Callable[[int], str]) -> list[str]:
    names = {number: name(number) for number in set(numbers)}
    return [names[number] for number in numbers]
