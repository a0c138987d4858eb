"""Owns making a `.snug` file of another trace: finds out what that is, and lets its importer have the lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, Protocol

from snugmalloc.trace import android, heaptrack, mtrace
from snugmalloc.trace.errors import CutOff, TraceError
from snugmalloc.trace.following import Progress
from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.reader import TraceReader, is_trace
from snugmalloc.trace.texts import open_text
from snugmalloc.trace.writer import TraceWriter

NOTHING = Flags(0)
LOOKED_AT = 16  # lines: enough to see what a file is
LINES_BETWEEN_PROGRESS = 1 << 14


class Importer(Protocol):
    """Writes what the lines of another format say."""

    @property
    def header(self) -> Header: ...

    def line(self, line: bytes, writer: TraceWriter) -> None: ...


class Conversion(NamedTuple):
    """What became of a trace."""

    events: int
    damage: str | None
    """What is wrong with the trace that was read, in one line."""


def convert(
    source: str | Path, target: str | Path, without: Flags = NOTHING, progress: Progress | None = None
) -> Conversion:
    """Write the trace `source` to the file `target` as columns, `without` what is not to be kept.

    `source` is a .snug trace, or text of Android's memory_replay, glibc's mtrace or heaptrack. Raises
    TraceError if it is none of these, OSError if a file cannot be read or written.
    """
    source, target = Path(source), Path(target)
    if target.exists() and os.path.samefile(source, target):
        raise TraceError(f"{target.name}: is the input: choose another output file")
    if is_trace(source):
        return _copy(source, target, without, progress)
    with open_text(source) as (lines, total):
        return _import(source.name, _Lines(lines), total, target, without, progress)


def _copy(source: Path, target: Path, without: Flags, progress: Progress | None) -> Conversion:
    with TraceReader(source) as reader:
        with TraceWriter(target, _without(reader.header, without), reader.about) as writer:
            events = writer.copy(reader, progress)
        return Conversion(events, reader.damage)


def _without(header: Header, without: Flags) -> Header:
    return header._replace(flags=header.flags & ~without)


class _Lines:
    """The whole lines up to where a packed file cannot be unpacked any further; `damage` says what is wrong."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.lines = iter(lines)
        self.damage: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            line = next(self.lines)
            if not line.endswith(b"\n"):  # the last one, of which a part may be missing
                next(self.lines, None)
            return line
        except CutOff as error:
            self.damage = f"{error}: it was read up to there"
            raise StopIteration from None


def _import(
    name: str,
    lines: _Lines,
    total: int,
    target: Path,
    without: Flags,
    progress: Progress | None,
) -> Conversion:
    beginning = list(islice(lines, LOOKED_AT))
    importer = find_importer(name, beginning)
    try:
        with TraceWriter(target, _without(importer.header, without)) as writer:
            damage = _import_lines(name, chain(beginning, lines), total, importer, writer, progress)
            return Conversion(writer.gatherer.events, lines.damage or damage)
    except BaseException:
        if target.is_file():
            target.unlink()
        raise


def find_importer(name: str, beginning: Sequence[bytes]) -> Importer:
    """The importer for the file of this name that begins with these lines. Raises TraceError."""
    first = next((line for line in beginning if line.strip()), b"")
    try:
        if android.LOOKS_LIKE_IT.match(first):
            return android.AndroidImporter(beginning)
        if mtrace.LOOKS_LIKE_IT.match(first):
            return mtrace.MtraceImporter()
        if heaptrack.LOOKS_LIKE_IT.match(first):
            return heaptrack.heaptrack_importer(beginning)
    except (ValueError, KeyError) as error:
        raise TraceError(f"{name}: {error}") from None
    raise TraceError(f"{name}: is neither a .snug trace nor text of memory_replay, mtrace or heaptrack")


def _import_lines(
    name: str,
    lines: Iterable[bytes],
    total: int,
    importer: Importer,
    writer: TraceWriter,
    progress: Progress | None,
) -> str | None:
    """What is wrong with the last line, which may have been cut off while it was written."""
    done = 0
    for number, line in enumerate(lines, 1):
        done += len(line)
        try:
            importer.line(line, writer)
        except (ValueError, IndexError, KeyError, OverflowError):
            if not line.endswith(b"\n"):
                return f"{name}: ends within line {number}, which was left out"
            text = line[:60].decode(errors="replace").strip()
            raise TraceError(f"{name}, line {number}: not a call: {text!r}") from None
        if progress and number % LINES_BETWEEN_PROGRESS == 0:
            progress(done, max(total, done))
    return None
