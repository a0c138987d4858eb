"""Owns exports of traces for other tools: one module for each format, which is loaded when needed.

Each has a function `write`. `profile` has what is common to formats of stacks, `rows` what is common to those
that list every event.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from snugmalloc.trace.following import Progress
from snugmalloc.trace.moments import END
from snugmalloc.trace.reader import TraceReader

VALUES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
"""What profiles say of each stack: how many blocks and bytes were allocated, and are live at a moment."""
USUAL_VALUE = "alloc_space"

PROFILES = ("pprof", "speedscope", "collapsed")
"""Forms that are made of stacks."""
FORMS = (*PROFILES, "sqlite", "parquet", "perfetto", "csv")


class Request(NamedTuple):
    """What to write."""

    at: str = END
    """Profiles: the moment at which blocks are live, as in `snugmalloc.trace.moments`."""
    value: str = USUAL_VALUE
    """Collapsed stacks, which have one value each: one of VALUES."""
    progress: Progress | None = None


def export(reader: TraceReader, form: str, path: Path, request: Request) -> None:
    """Write a trace to the file `path` in one of FORMS.

    Raises TraceError if the trace does not have what the form needs, or a package is missing, and OSError if
    the file cannot be written.
    """
    import_module(f"{__name__}.{form}").write(reader, path, request)
