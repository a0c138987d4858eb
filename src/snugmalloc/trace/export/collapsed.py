"""Owns collapsed stacks: a line for each stack, frames with semicolons between them, and one value."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from snugmalloc.trace.export import VALUES, Request
from snugmalloc.trace.export.profile import clean, profile_of
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import Frame

BETWEEN = ";"
IN_NAMES = str.maketrans({BETWEEN: ":", "\n": " ", "\r": " "})
"""What a name cannot have, and what stands for it."""


def write(reader: TraceReader, path: Path, request: Request) -> None:
    """Write the requested value of each stack that has one, outermost frame first."""
    profile = profile_of(reader, request)
    value = VALUES.index(request.value)
    lines: Counter[str] = Counter()
    for stack, values in profile.values.items():
        lines[BETWEEN.join(map(_name, reversed(profile.frames[stack])))] += values[value]
    text = "".join(f"{line} {total}\n" for line, total in sorted(lines.items()) if total)
    path.write_text(text, encoding="utf-8")


def _name(frame: Frame) -> str:
    return clean(str(frame)).translate(IN_NAMES)
