"""`snug demo`: a real program's memory calls, played on this allocator."""

from __future__ import annotations

from pathlib import Path

import click

from snugmalloc.cli import report

TRACE = Path(report.__file__).parents[1] / "data" / "systemui.zip"


@click.command("demo")
def command() -> None:
    """Play a real program's memory calls and show the heap."""
    click.echo("The memory calls of a graphical system process, played through libosmem.so:")
    report.show(report.play(TRACE))
