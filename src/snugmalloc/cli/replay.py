"""`snug replay`: a recorded trace, played on an allocator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import click

from snugmalloc.cli import report


@click.command("replay")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--json",
    "json_file",
    type=click.File("w", lazy=True),
    metavar="FILE",
    help="Write the figures as JSON to FILE, '-' for standard output, instead of the table and the map.",
)
def command(trace: Path, json_file: TextIO | None) -> None:
    """Play a recorded TRACE and tell speed, peaks and fragmentation.

    TRACE is Android memory_replay text, or a .zip with one such file in it. It is played through the four
    functions of libosmem.so by one thread, and all the memory is written and compared.
    """
    played = report.play(trace)
    if json_file is None:
        report.show(played)
    else:
        json_file.write(json.dumps(report.as_json(played), indent=1) + "\n")
