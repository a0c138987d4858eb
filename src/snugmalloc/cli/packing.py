"""The end of ``snug record``: replaces the launcher when the program has ended, packs its trace, ends likewise.

    python -m snugmalloc.cli.packing DESCRIPTOR

DESCRIPTOR is open for what `snugmalloc.cli.record` handed over: where the trace is, and what to make of it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from snugmalloc.cli.ending import end_like
from snugmalloc.cli.handover import take_over
from snugmalloc.cli.report import progress_bar
from snugmalloc.cli.streams import check_output, tell
from snugmalloc.heapmap import counted
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.operations import IS_CALL
from snugmalloc.trace.reader import TraceReader, is_trace
from snugmalloc.trace.ring import Ring, is_ring
from snugmalloc.trace.writer import TraceWriter

PROCESS = "%p"


class Recorded(NamedTuple):
    """What is in a trace."""

    path: Path
    calls: int
    size: int
    is_sampled: bool


def own_traces(file: str, pid: int, follow: bool, begun: int) -> list[Path]:
    """The traces of this recording: of the process, of what it became, and of those that were followed."""
    folder, name = os.path.split(file)
    number = "[0-9]+" if follow else str(pid)
    form = re.escape(name).replace(re.escape(PROCESS), f"{number}(-[0-9]+)?")
    form += "" if PROCESS in name else "(-[0-9]+)?"
    found = (path for path in Path(folder).iterdir() if re.fullmatch(form, path.name))
    return sorted(path for path in found if is_trace(path) and _began_at(path) >= begun)


def _began_at(path: Path) -> int:
    try:
        if is_ring(path):
            with Ring(path) as ring:
                return ring.header.start_realtime
        with TraceReader(path) as reader:
            return 0 if reader.has_index else reader.header.start_realtime
    except TraceError:
        return 0


def pack(path: Path) -> None:
    """Make columns of the rows in a trace; it is a whole trace at any moment.

    Others may write to the folder: what lies where the packed file is made is removed, and no link followed.
    """
    packed = path.with_name(path.name + ".packing")
    packed.unlink(missing_ok=True)
    with TraceReader(path) as reader:
        try:
            with (
                progress_bar("packing") as told,
                TraceWriter(packed, reader.header, reader.about, is_new=True) as writer,
            ):
                writer.copy(reader, told)
            os.replace(packed, path)
        finally:
            packed.unlink(missing_ok=True)
        if reader.damage:
            tell(reader.damage)


def look(path: Path) -> Recorded:
    """What is in a trace."""
    with TraceReader(path) as reader:
        calls = sum(bytes(columns.operation).translate(IS_CALL).count(1) for columns in reader.columns())
        return Recorded(path, calls, reader.size, bool(reader.header.mean_gap))


def short_name(path: Path) -> str:
    """How a file is called from this folder, if that is shorter."""
    name = os.path.relpath(path)
    return name if len(name) < len(str(path)) else str(path)


def told_of(recorded: list[Recorded]) -> str:
    """What was recorded, and what to do next, in one line."""
    calls, size = sum(trace.calls for trace in recorded), sum(trace.size for trace in recorded)
    largest = max(recorded, key=lambda trace: trace.calls)
    each = f" in {len(recorded):,} files" if len(recorded) > 1 else ""
    rate = f", {size / calls:.1f} bytes a call" if calls else ""
    kind = "sampled call" if largest.is_sampled else "call"
    return f"recorded {counted(calls, kind)}{each}{rate}: snug report {short_name(largest.path)}"


def finish_rings(file: str, pid: int, follow: bool, begun: int) -> None:
    """Say where the last calls are."""
    rings = own_traces(file, pid, follow, begun)
    for path in rings:
        tell(f"the last calls are in the ring: snug autopsy {short_name(path)}")
    if not rings:
        tell("nothing was recorded")


def finish(file: str, pid: int, follow: bool, raw: bool, begun: int) -> None:
    """Pack what was recorded, and say so."""
    recorded = []
    for path in own_traces(file, pid, follow, begun):
        try:
            if not raw:
                pack(path)
            recorded.append(look(path))
        except TraceError as error:
            tell(str(error))
        except OSError as error:
            tell(f"{error.filename or path.name}: {error.strerror}")
    if recorded:
        tell(told_of(recorded))
    else:
        tell("nothing was recorded")


def main() -> int:
    """Pack the trace, report, and end as the program did in any case."""
    check_output()
    state, figures = take_over(int(sys.argv[1]))
    if state["ring"]:
        finish_rings(state["file"], figures.pid, state["follow"], state["begun"])
    else:
        finish(state["file"], figures.pid, state["follow"], state["raw"], state["begun"])
    return end_like(figures)


if __name__ == "__main__":
    sys.exit(main())
