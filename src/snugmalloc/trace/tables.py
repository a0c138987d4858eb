"""Owns what events name by a number: texts, frames, and stacks as parent and frame, each stored once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple

from snugmalloc.trace.cursor import Cursor
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.vectors import encode_varints

TEXT, SOURCE, NATIVE, STACK = 1, 2, 3, 4


class SourceFrame(NamedTuple):
    """A line of a program: one of Python, or of another language whose lines are known."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.function} ({place})" if place else self.function


class NativeFrame(NamedTuple):
    """A place in machine code: the build-id of the file in hexadecimal, or its name, and the offset in it.

    A trace has no more; `snugmalloc.trace.symbols` finds the name of the function, and the file of a build-id.
    """

    module: str
    offset: int
    function: str = ""
    file: str = ""

    def __str__(self) -> str:
        module = PurePath(self.file).name or self.module
        return f"{self.function} ({module})" if self.function else f"{module}+{self.offset:#x}"


Frame = SourceFrame | NativeFrame


class Tables:
    """Texts, frames and stacks by number. Number 0 is the empty text, no frame and the stack without frames."""

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self.frames: list[Frame | None] = [None]
        self.stacks: list[tuple[int, int]] = [(0, 0)]
        """The number of the stack of the caller, and that of the frame."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many texts, frames and stacks there are."""
        return len(self.texts), len(self.frames), len(self.stacks)

    def frames_of(self, stack: int) -> tuple[Frame, ...]:
        """The frames of a stack, the innermost first; none of a stack that the trace does not have."""
        found = (self.frames[number] for number in self.frame_numbers_of(stack))
        return tuple(frame for frame in found if frame is not None)

    def frame_numbers_of(self, stack: int) -> list[int]:
        """The numbers of these frames."""
        found = []
        while 0 < stack < len(self.stacks):
            parent, frame = self.stacks[stack]
            if 0 < frame < len(self.frames):
                found.append(frame)
            if parent >= stack:  # a caller is always stored before those it calls
                break
            stack = parent
        return found

    def text(self, number: int) -> str:
        """A text; empty if the trace does not have it."""
        return self.texts[number] if number < len(self.texts) else ""


class TablesWriter(Tables):
    """Gives a number to each text, frame and stack, and writes those that are new."""

    def __init__(self) -> None:
        super().__init__()
        self.number_of_text = {"": 0}
        self.number_of_frame: dict[Frame, int] = {}
        self.number_of_stack: dict[tuple[int, int], int] = {}
        self.begin()

    def copy(self, tables: Tables) -> None:
        """Store what another trace has, under the same numbers."""
        for text in tables.texts[len(self.texts) :]:
            self.put_text(text)
        for frame in tables.frames[len(self.frames) :]:
            if frame is not None:
                self.put_frame(frame)
        for entry in tables.stacks[len(self.stacks) :]:
            self.put_stack(entry)

    def begin(self) -> None:
        self.new = bytearray()
        self.count = 0
        self.before = self.counts

    def define(self, kind: int, *numbers: int, text: bytes = b"") -> None:
        self.new += encode_varints((kind, *numbers)) + text
        self.count += 1

    def number_text(self, text: str) -> int:
        """The number of a text."""
        number = self.number_of_text.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.put_text(text)
        return number

    def put_text(self, text: str) -> None:
        encoded = text.encode(errors="surrogateescape")
        self.define(TEXT, len(encoded), text=encoded)
        self.number_of_text.setdefault(text, len(self.texts))
        self.texts.append(text)

    def number_frame(self, frame: Frame) -> int:
        """The number of a frame."""
        number = self.number_of_frame.setdefault(frame, len(self.frames))
        if number == len(self.frames):
            self.put_frame(frame)
        return number

    def put_frame(self, frame: Frame) -> None:
        if isinstance(frame, SourceFrame):
            file, function = self.number_text(frame.file), self.number_text(frame.function)
            self.define(SOURCE, file, frame.line, function)
        else:
            self.define(NATIVE, self.number_text(frame.module), frame.offset)
        self.number_of_frame.setdefault(frame, len(self.frames))
        self.frames.append(frame)

    def number_stack(self, parent: int, frame: Frame) -> int:
        """The number of the stack of `frame` called from the stack `parent`."""
        entry = (parent, self.number_frame(frame))
        number = self.number_of_stack.setdefault(entry, len(self.stacks))
        if number == len(self.stacks):
            self.put_stack(entry)
        return number

    def put_stack(self, entry: tuple[int, int]) -> None:
        self.define(STACK, *entry)
        self.number_of_stack.setdefault(entry, len(self.stacks))
        self.stacks.append(entry)

    def number_frames(self, frames: Iterable[Frame]) -> int:
        """The number of the stack of these frames, the innermost first."""
        number = 0
        for frame in reversed(list(frames)):
            number = self.number_stack(number, frame)
        return number

    def take_payload(self) -> tuple[bytes, int]:
        """What is new since the last time as the payload of a chunk, and how many definitions that are."""
        payload, count = encode_varints(self.before) + bytes(self.new), self.count
        self.begin()
        return payload, count


def read_tables(tables: Tables, payload: bytes, count: int) -> None:
    """Add the definitions of a chunk. Raises TraceError where the payload is invalid."""
    cursor = Cursor(payload)
    before = (cursor.number(), cursor.number(), cursor.number())
    if before != tables.counts:
        raise TraceError("a chunk of tables is missing")
    for _ in range(count):
        _read_definition(tables, cursor)


def _read_definition(tables: Tables, cursor: Cursor) -> None:
    kind = cursor.number()
    if kind == TEXT:
        tables.texts.append(cursor.text())
    elif kind == SOURCE:
        file, line, function = cursor.number(), cursor.number(), cursor.number()
        tables.frames.append(SourceFrame(tables.text(file), line, tables.text(function)))
    elif kind == NATIVE:
        tables.frames.append(NativeFrame(tables.text(cursor.number()), cursor.number()))
    elif kind == STACK:
        tables.stacks.append((cursor.number(), cursor.number()))
    else:
        raise TraceError("a chunk of tables is invalid: an unknown definition")
