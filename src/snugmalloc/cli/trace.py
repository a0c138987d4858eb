"""`snug trace`: what is in a trace, and traces of other tools made into `.snug` files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snugmalloc.cli.files import check_writable, json_option, write_json
from snugmalloc.cli.report import progress_bar, size
from snugmalloc.cli.sections import Report, print_report
from snugmalloc.cli.streams import tell
from snugmalloc.cli.tables import get_console
from snugmalloc.heapmap import counted

if TYPE_CHECKING:  # they are loaded by the commands that need them
    from snugmalloc.trace.format import Flags
    from snugmalloc.trace.reader import TraceReader
    from snugmalloc.trace.survey import Survey

TRACE = click.Path(exists=True, dir_okay=False, path_type=Path)


@contextmanager
def open_trace(path: Path) -> Iterator[TraceReader]:
    """The .snug trace at `path`; what is wrong with it is reported in one line."""
    from snugmalloc.trace.reader import TraceReader, is_trace
    from snugmalloc.trace.symbols import name_frames

    if not is_trace(path):
        raise click.ClickException(f"{path.name}: is not a .snug trace: convert it with snug trace convert")
    with one_line_errors(), TraceReader(path) as reader:
        name_frames(reader.tables, reader.about)
        yield reader
        if reader.damage:
            tell(reader.damage)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Reports what is wrong with a trace as commands do."""
    from snugmalloc.trace.errors import TraceError

    try:
        yield
    except TraceError as error:
        raise click.ClickException(str(error)) from None


@click.group("trace")
def command() -> None:
    """Look at traces, and convert those of other tools.

    A trace is a .snug file with the memory calls of a program. docs/trace-format.md describes it.
    """


def _parts(context: click.Context, parameter: click.Parameter, text: str) -> Flags:
    """What is to be left out, of names with commas between them."""
    from snugmalloc.trace.format import Flags

    found = Flags(0)
    for name in filter(None, text.split(",")):
        if name.upper() not in Flags.__members__:
            known = ", ".join(flag.lower() for flag in Flags.__members__)
            raise click.BadParameter(f"{name} is none of {known}", context, parameter)
        found |= Flags[name.upper()]
    return found


@command.command("convert")
@click.argument("source", metavar="TRACE", type=TRACE)
@click.option("-o", "--output", metavar="FILE", required=True, help="The .snug file to write.")
@click.option(
    "--without",
    metavar="LIST",
    default="",
    callback=_parts,
    help="Comma-separated list of what to omit: times, addresses, stacks.",
)
def convert_command(source: Path, output: str, without: Flags) -> None:
    """Convert another tool's trace to a .snug file.

    TRACE is a recording of Android's memory_replay, of glibc's mtrace (the file that MALLOC_TRACE names) or of
    heaptrack; plain, in a .zip, or packed by gzip or zstd. A .snug file is copied and packed.
    """
    from snugmalloc.trace.importing import convert

    check_writable(output)
    with one_line_errors(), progress_bar("converting") as told:
        conversion = convert(source, output, without, told)
    if conversion.damage:
        tell(conversion.damage)


@command.command("info")
@click.argument("trace", type=TRACE)
@json_option("the table")
def info_command(trace: Path, json_file: str | None) -> None:
    """Show what a .snug trace contains.

    A damaged or truncated file is read as far as possible, and a line says so.
    """
    from snugmalloc.trace.survey import survey

    with open_trace(trace) as reader:
        found = survey(reader)
        if json_file is not None:
            write_json(json_file, _as_json(reader, found))
            return
    print_report(get_console(), Report(reader.name, list(_rows(reader, found)), []))


@command.command("verify")
@click.argument("trace", type=TRACE)
def verify_command(trace: Path) -> int:
    """Check a whole .snug trace, and report each damaged chunk.

    Exit status: 1 if anything is wrong, else 0.
    """
    with open_trace(trace) as reader:
        problems = reader.verify()
        reader.damage = None  # it is among the problems
    for problem in problems:
        tell(problem)
    return 1 if problems else 0


def _rows(reader: TraceReader, found: Survey) -> Iterator[tuple[str, str]]:
    header, calls = reader.header, found.calls
    sampled = "sampled " if header.mean_gap else ""
    yield "trace", f"{reader.name}: {calls:,} {sampled}calls of {counted(len(found.threads), 'thread')}"
    if "program" in reader.about:
        yield "program", reader.about["program"]
    if header.pid:
        yield "process", str(header.pid)
    if header.start_realtime:
        begun = datetime.fromtimestamp(header.start_realtime / 1e9, UTC)
        yield "recorded", begun.strftime("%Y-%m-%d %H:%M:%S UTC")
    yield "holds", ", ".join(_parts_of(reader)) or "sizes only"
    if header.mean_gap:
        yield (
            "sampled",
            f"one sample every {size(header.mean_gap)} on average: what was allocated is an estimate",
        )
    yield "calls", _counts(found, are_calls=True) or "none"
    if events := _counts(found, are_calls=False):
        yield "events", events
    yield "allocated", f"{size(round(found.bytes))} in {counted(round(found.blocks), 'block')}"
    if found.refused:
        yield "refused", counted(found.refused, "call")
    seconds = _seconds(reader, found)
    if seconds is not None:
        yield "time", f"{seconds:,.3f} s"
    if len(reader.tables.stacks) > 1:
        yield (
            "stacks",
            f"{len(reader.tables.stacks) - 1:,}, of {counted(len(reader.tables.frames) - 1, 'frame')}",
        )
    yield "file", f"{size(reader.size)} in {counted(len(reader.chunks), 'chunk')}{_ending(reader)}"
    if calls:
        yield "bytes a call", f"{reader.size / calls:.2f}"


def _ending(reader: TraceReader) -> str:
    return "" if reader.has_index else ", without an index: the recording did not end normally"


def _parts_of(reader: TraceReader) -> list[str]:
    return [str(flag.name).lower() for flag in reader.header.flags]


def _counts(found: Survey, *, are_calls: bool) -> str:
    from snugmalloc.trace.operations import CALLS

    return ", ".join(
        f"{count:,} {operation.name.lower().replace('_', ' ')}"
        for operation, count in sorted(found.operations.items())
        if (operation in CALLS) is are_calls
    )


def _seconds(reader: TraceReader, found: Survey) -> float | None:
    ticks = reader.header.ticks_per_second
    return found.last_time / ticks if ticks and "times" in _parts_of(reader) else None


def _as_json(reader: TraceReader, found: Survey) -> dict[str, Any]:
    """Sizes in bytes, times in seconds."""
    return {
        "trace": reader.name,
        "about": reader.about,
        "pid": reader.header.pid or None,
        "started": reader.header.start_realtime / 1e9 or None,
        "holds": _parts_of(reader),
        "mean_gap": reader.header.mean_gap or None,
        "calls": found.calls,
        "operations": {operation.name.lower(): count for operation, count in sorted(found.operations.items())},
        "refused": found.refused,
        "blocks": found.blocks,
        "bytes": found.bytes,
        "threads": len(found.threads),
        "seconds": _seconds(reader, found),
        "stacks": len(reader.tables.stacks) - 1,
        "file_bytes": reader.size,
        "chunks": len(reader.chunks),
        "has_index": reader.has_index,
        "damage": reader.damage,
    }
