"""`snug replay`: a recorded trace, played on an allocator."""

from __future__ import annotations

from pathlib import Path

import click

from snugmalloc.cli import report
from snugmalloc.cli.files import writable_file, write_json


@click.command("replay")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    callback=writable_file,
    help="Write the figures as JSON to FILE, '-' for standard output, instead of the table and the map.",
)
def command(trace: Path, json_file: str | None) -> None:
    """Play a recorded TRACE and report speed, peaks and fragmentation.

    TRACE is a .snug file, Android memory_replay text, or a .zip with one such text in it. It is played through
    the four functions of libosmem.so by one thread, and all the memory is written and compared.
    """
    played = report.play(trace)
    if json_file is None:
        report.show(played)
    else:
        write_json(json_file, report.as_json(played))
