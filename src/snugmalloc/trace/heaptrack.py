"""Owns heaptrack's text, of its file version 3: as it is recorded (--raw), and as it is stored usually.

    v <program version> <file version>              c <milliseconds since the start>
    t <place> <number of the caller's trace>        X <command line>

Recorded: a trace's place is an address in memory, and the objects loaded there are told by lines `m`.

    + <size> <trace> <block>        - <block>       m <length> <name> <base> (<offset> <size>)...

Usually stored: blocks have no addresses, only those that are alike are counted. A place is one that a line `i`
tells, with the frames that were inlined; strings are numbered.

    s <length> <string>             i <address> <object> [<function> <file> <line>]...
    a <size> <trace>                + <number of an a>              - <number of an a>

Among blocks of equal size and stack the youngest is taken to be the one that is freed. There are no threads.
calloc, realloc and aligned requests are + and - like malloc and free. All numbers are hexadecimal.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.tables import Frame, NativeFrame, SourceFrame
from snugmalloc.trace.writer import TraceWriter

FILE_VERSION = 3
LOOKS_LIKE_IT = re.compile(rb"v [0-9a-f]+ [0-9a-f]+\s*$")
TICKS_PER_SECOND = 1000


class _Importer:
    """What both forms have: times, and the calls."""

    flags = Flags.TIMES | Flags.STACKS

    def __init__(self) -> None:
        self.now = 0
        self.stacks = [0]
        """The number of the stack of each of heaptrack's traces, which it counts from 1."""

    @property
    def header(self) -> Header:
        return Header(self.flags, ticks_per_second=TICKS_PER_SECOND)

    def line(self, line: bytes, writer: TraceWriter) -> None:
        """One more line; raises ValueError or IndexError if it is none of heaptrack's."""
        name, _, rest = line.rstrip(b"\n").partition(b" ")
        if name == b"+":
            self.allocate([int(word, 16) for word in rest.split()], writer)
        elif name == b"-":
            self.free(int(rest, 16), writer)
        elif name == b"t":
            place, parent = (int(word, 16) for word in rest.split())
            self.add_stack(place, self.stacks[parent], writer)
        elif name == b"c":
            self.now = max(self.now, int(rest, 16))
        elif name == b"X":
            writer.describe({"program": rest.decode(errors="surrogateescape")})
        else:
            self.other_line(name, rest)

    def add_stack(self, place: int, parent: int, writer: TraceWriter) -> None:
        for frame in self.frames(place):
            parent = writer.call_from(parent, frame)
        self.stacks.append(parent)

    def allocate(self, numbers: list[int], writer: TraceWriter) -> None:
        raise NotImplementedError

    def free(self, number: int, writer: TraceWriter) -> None:
        raise NotImplementedError

    def frames(self, place: int) -> list[Frame]:
        """The frames at a place, the outermost first."""
        raise NotImplementedError

    def other_line(self, name: bytes, rest: bytes) -> None:
        raise NotImplementedError


class RecordedImporter(_Importer):
    """The calls of a file that was recorded with --raw."""

    flags = Flags.TIMES | Flags.STACKS | Flags.ADDRESSES

    def __init__(self) -> None:
        super().__init__()
        self.program = b""
        self.parts: list[tuple[int, int, str, int]] = []
        """The first address of each part of an object, the one behind it, the object's name and base."""

    def allocate(self, numbers: list[int], writer: TraceWriter) -> None:
        size, trace, block = numbers
        writer.add(Operation.MALLOC, time=self.now, size=size, address=block, stack=self.stacks[trace])

    def free(self, number: int, writer: TraceWriter) -> None:
        writer.add(Operation.FREE, time=self.now, old=number)

    def frames(self, place: int) -> list[Frame]:
        at = bisect_right(self.parts, place, key=lambda part: part[0]) - 1
        if at >= 0 and place < self.parts[at][1]:
            _, _, name, base = self.parts[at]
            return [NativeFrame(name, place - base)]
        return [NativeFrame("", place)]

    def other_line(self, name: bytes, rest: bytes) -> None:
        if name == b"x":
            self.program = _string(rest)
        elif name == b"m":
            self.add_object(rest)

    def add_object(self, rest: bytes) -> None:
        """An object that is loaded; `-` in place of its name says that all are told anew."""
        string = _string(rest)
        if string == b"-":
            self.parts.clear()
            return
        words = rest.split(b" ", 1)[1][len(string) :].split()
        base, *spans = (int(word, 16) for word in words)
        name = (self.program if string == b"x" else string).decode(errors="surrogateescape")
        for offset, size in zip(spans[::2], spans[1::2], strict=True):
            self.parts.append((base + offset, base + offset + size, name, base))
        self.parts.sort()


class StoredImporter(_Importer):
    """The calls of a file as heaptrack stores it usually."""

    def __init__(self) -> None:
        super().__init__()
        self.strings = [""]
        self.places: list[list[Frame]] = [[]]
        self.kinds: list[tuple[int, int]] = []
        """Size and stack of blocks that are alike."""
        self.live: list[list[int]] = []
        self.blocks = 0

    def allocate(self, numbers: list[int], writer: TraceWriter) -> None:
        (kind,) = numbers
        size, stack = self.kinds[kind]
        self.blocks += 1
        self.live[kind].append(self.blocks)
        writer.add(Operation.MALLOC, time=self.now, size=size, address=self.blocks, stack=stack)

    def free(self, number: int, writer: TraceWriter) -> None:
        writer.add(Operation.FREE, time=self.now, old=self.live[number].pop())

    def frames(self, place: int) -> list[Frame]:
        return self.places[place]

    def other_line(self, name: bytes, rest: bytes) -> None:
        if name == b"s":
            self.strings.append(_string(rest).decode(errors="surrogateescape"))
        elif name == b"i":
            self.add_place([int(word, 16) for word in rest.split()])
        elif name == b"a":
            size, trace = (int(word, 16) for word in rest.split())
            self.kinds.append((size, self.stacks[trace]))
            self.live.append([])

    def add_place(self, numbers: list[int]) -> None:
        address, module, *named = numbers
        frames: list[Frame] = []
        if len(named) == 1:  # a function without a line
            frames.append(SourceFrame(self.strings[module], 0, self.strings[named[0]]))
        for at in range(0, len(named) - 2, 3):
            function, file, line = named[at : at + 3]
            frames.append(SourceFrame(self.strings[file], line, self.strings[function]))
        self.places.append(frames[::-1] or [NativeFrame(self.strings[module], address)])


def _string(rest: bytes) -> bytes:
    """What follows its own length in bytes."""
    length, _, string = rest.partition(b" ")
    return string[: int(length, 16)]


def heaptrack_importer(beginning: Sequence[bytes]) -> RecordedImporter | StoredImporter:
    """The importer for a file that begins with these lines. Raises ValueError."""
    version = int(beginning[0].split()[2], 16)
    if version != FILE_VERSION:
        raise ValueError(
            f"is of heaptrack's file version {version}, and this snug reads version {FILE_VERSION}"
        )
    is_recorded = any(line.startswith((b"x ", b"m ")) for line in beginning)
    return RecordedImporter() if is_recorded else StoredImporter()
