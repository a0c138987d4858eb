"""`snug report`: what a trace says about the memory of a program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from snugmalloc.cli.files import json_option, writable_file, write_json, write_text
from snugmalloc.cli.page import page_maker
from snugmalloc.cli.report import progress_bar
from snugmalloc.cli.sections import print_report
from snugmalloc.cli.tables import get_console
from snugmalloc.cli.trace import TRACE, open_trace

F = TypeVar("F", bound=Callable[..., Any])


def at_option(what: str, default: str | None = "end") -> Callable[[F], F]:
    """The option --at of a command, which says `what` of a moment."""
    return click.option(
        "--at",
        metavar="MOMENT",
        default=default,
        callback=_moment,
        help=f"{what}: end (the default), peak, a time since the beginning in seconds (2.5s), or a number of"
        " calls (20000).",
    )


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    from snugmalloc.trace.moments import is_moment

    if text is not None and not is_moment(text):
        raise click.BadParameter(
            f"{text} is neither end, peak, seconds (2.5s) nor a number of calls (20000)", context, parameter
        )
    return text


@click.command("report")
@click.argument("trace", type=TRACE)
@at_option("The moment of which is told what was live and what held pages back")
@json_option("the tables")
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    callback=writable_file,
    help="Write the tables as a page to FILE, '-' for standard output: one file that needs no network.",
)
def command(trace: Path, at: str, json_file: str | None, html_file: str | None) -> None:
    """Report what a program allocated, what stayed, and what keeps memory from going back.

    \b
        snug trace convert heaptrack.app.1234.zst -o app.snug
        snug report app.snug
        snug report app.snug --at peak
        snug report app.snug --html app.html

    TRACE is a .snug file. The report says how much was allocated by size, lifetime and thread, what was live
    when most was, what grew and never shrank, and what was freed soon after it was allocated. Lifetimes are
    counted in calls of all threads, and in time where the trace has times. A realloc ends one block and begins
    another. What a sampled trace says of blocks is estimated for the whole program.

    Held back is memory that is free, but lies on a page of which a small part is still in use. The report says
    by which blocks, for traces with addresses. docs/reports.md says more.
    """
    from snugmalloc.cli.summary_figures import figures_of
    from snugmalloc.cli.summary_report import report_of
    from snugmalloc.trace.summary import summarize

    if json_file is not None and json_file == html_file:
        raise click.UsageError("--json and --html name the same file")
    make_page = page_maker() if html_file is not None else None
    with open_trace(trace) as reader:
        with progress_bar("reading") as told:
            summary = summarize(reader, told, at)
        if json_file is not None:
            write_json(json_file, figures_of(reader, summary))
        if html_file is not None and make_page is not None:
            write_text(html_file, make_page(report_of(reader, summary)))
        if json_file is None and html_file is None:
            print_report(get_console(), report_of(reader, summary))
