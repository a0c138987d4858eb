"""Owns speedscope's files: JSON with the frames, and one profile for each value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from snugmalloc import __version__
from snugmalloc.trace.export import VALUES, Request
from snugmalloc.trace.export.profile import Profile, clean, profile_of
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import Frame, SourceFrame

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
SHOWN_FIRST = VALUES.index("alloc_space")


def write(reader: TraceReader, path: Path, request: Request) -> None:
    """Write what each stack allocated and what of it is live."""
    profile = profile_of(reader, request)
    numbers: dict[Frame, int] = {}
    stacks = {
        stack: [numbers.setdefault(frame, len(numbers)) for frame in reversed(frames)]
        for stack, frames in profile.frames.items()
    }
    moment = profile.moment.name
    names = ("allocated blocks", "allocated bytes", f"blocks live {moment}", f"bytes live {moment}")
    content = {
        "$schema": SCHEMA,
        "exporter": f"snugmalloc {__version__}",
        "name": clean(reader.about.get("program", reader.name)),
        "activeProfileIndex": SHOWN_FIRST,
        "shared": {"frames": [_frame(frame) for frame in numbers]},
        "profiles": [
            _sampled(name, "bytes" if "bytes" in name else "none", profile, stacks, value)
            for value, name in enumerate(names)
        ],
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def _frame(frame: Frame) -> dict[str, Any]:
    if not isinstance(frame, SourceFrame):
        return {"name": clean(str(frame)), "file": clean(frame.module)}
    place: dict[str, Any] = {"file": clean(frame.file)} if frame.file else {}
    if frame.line:
        place["line"] = frame.line
    return {"name": clean(frame.function), **place}


def _sampled(
    name: str, unit: str, profile: Profile, stacks: dict[int, list[int]], value: int
) -> dict[str, Any]:
    """One profile, with the stacks of which the value is not 0."""
    there = {stack: values[value] for stack, values in profile.values.items() if values[value]}
    return {
        "type": "sampled",
        "name": name,
        "unit": unit,
        "startValue": 0,
        "endValue": sum(there.values()),
        "samples": [stacks[stack] for stack in there],
        "weights": list(there.values()),
    }
