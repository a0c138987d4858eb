"""Owns the page: puts a trace, as a `.snug` file of columns, into the HTML that shows it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.following import Progress
from snugmalloc.trace.importing import convert
from snugmalloc.trace.reader import TraceReader, is_trace
from snugmalloc.trace.symbols import name_frames
from snugmalloc.trace.tables import NativeFrame
from snugmalloc.viewing.fitting import fit

TEMPLATE = Path(__file__).with_name("page.html")
ABOUT, TRACE = b"SNUG-ABOUT", b"SNUG-TRACE"
"""What stands in the template where the name and the trace go."""

LARGEST_PAGE = 20_000_000
"""Bytes: with more than that the page would take too long to open."""
FOR_NOTES = 1 << 16


class Page(NamedTuple):
    """A page that is made."""

    html: bytes
    notes: list[str]
    """What it does not show of the trace, and why."""


def make_page(source: Path, progress: Progress | None = None, largest: int = LARGEST_PAGE) -> Page:
    """The page of a trace: a .snug file, or text of another tool.

    Raises TraceError if it is no trace, OSError if it cannot be read.
    """
    template = TEMPLATE.read_bytes()
    with TemporaryDirectory(prefix="snug-view-") as folder:
        columns, damage = _as_columns(source, Path(folder), progress)
        frames = _names_of_frames(columns)
        rest = len(template) + FOR_NOTES + sum(map(len, frames.values()))
        room = (largest - rest) * 3 // 4  # base64 makes four bytes of three
        fitted, left_out = fit(columns, Path(folder), room, progress)
        notes = [damage, *left_out] if damage else left_out
        return Page(fill(template, source.name, notes, fitted.read_bytes(), frames), notes)


def fill(
    template: bytes, name: str, notes: Sequence[str], trace: bytes, frames: Mapping[int, str] | None = None
) -> bytes:
    """The template with what it is made for; `frames` has names of frames that the trace does not have."""
    said = {"name": name, "notes": list(notes), "frames": frames or {}}
    about = json.dumps(said).replace("<", "\\u003c")
    before, middle, after = _parts(template)
    return b"".join((before, about.encode(), middle, base64.b64encode(trace), after))


def _parts(template: bytes) -> tuple[bytes, bytes, bytes]:
    before, _, rest = template.partition(ABOUT)
    middle, _, after = rest.partition(TRACE)
    return before, middle, after


def _as_columns(source: Path, folder: Path, progress: Progress | None) -> tuple[Path, str | None]:
    """A whole .snug file of columns, which may be `source` itself; and what is wrong with `source`."""
    if is_trace(source) and _is_whole(source):
        return source, None
    columns = folder / "columns.snug"
    return columns, convert(source, columns, progress=progress).damage


def _names_of_frames(path: Path) -> dict[int, str]:
    """The names of frames in machine code, by number, as far as the files with their symbols are there."""
    with TraceReader(path) as reader:
        name_frames(reader.tables, reader.about)
        return {
            number: str(frame)
            for number, frame in enumerate(reader.tables.frames)
            if isinstance(frame, NativeFrame) and (frame.function or frame.file)
        }


def _is_whole(path: Path) -> bool:
    with TraceReader(path) as reader:
        if reader.has_rows or not reader.has_index or reader.damage:
            return False
        try:
            for chunk in reader.chunks:
                reader.read_payload(chunk)
        except TraceError:
            return False
    return True
