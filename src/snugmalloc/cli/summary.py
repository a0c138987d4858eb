"""`snug report`: what a trace says about the memory of a program, or a running process itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from snugmalloc.cli.files import json_option, writable_file, write_json, write_text
from snugmalloc.cli.page import page_maker
from snugmalloc.cli.report import progress_bar
from snugmalloc.cli.sections import Report, print_report
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
@click.argument("trace", type=TRACE, required=False)
@click.option(
    "--pid", type=click.IntRange(min=1), help="Report on the heap of this running process, not on a trace."
)
@at_option("The moment for what was live and what was held back", default=None)
@json_option("the tables")
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    callback=writable_file,
    help="Write the tables as an HTML page to FILE, '-' for standard output: one file that needs no network.",
)
def command(
    trace: Path | None, pid: int | None, at: str | None, json_file: str | None, html_file: str | None
) -> None:
    """Report what a program allocated, what stayed, and why memory is not given back.

    \b
        snug trace convert heaptrack.app.1234.zst -o app.snug
        snug report app.snug
        snug report app.snug --at peak
        snug report app.snug --html app.html
        snug report --pid 1234

    TRACE is a .snug file. The report shows how much was allocated by size, lifetime and thread, what was live
    at the peak, what grew and never shrank, and what was freed soon after allocation. Lifetimes are counted in
    calls of all threads, and in time if the trace has times. A realloc ends one block and begins another. For a
    sampled trace the figures of blocks are estimates for the whole program.

    Held back is free memory on pages that are mostly free but still in use. For traces with addresses the
    report lists the blocks on them. See docs/reports.md.

    With --pid the report is about the heap of a process on snugmalloc: what is live by size, free or given
    back, and what holds pages back now. The process is not stopped. This needs permission to trace it.
    """
    if (trace is None) == (pid is None):
        raise click.UsageError("either a TRACE or --pid PID")
    if pid is not None and at is not None:
        raise click.UsageError("--at is for traces: a process is reported as it is now")
    if json_file is not None and json_file == html_file:
        raise click.UsageError("--json and --html name the same file")
    make_page = page_maker() if html_file is not None else None
    if pid is not None:
        _report_process(pid, json_file, html_file, make_page)
    elif trace is not None:
        _report_trace(trace, at or "end", json_file, html_file, make_page)


PageMaker: TypeAlias = Callable[[Report], str]


def _report_trace(
    trace: Path, at: str, json_file: str | None, html_file: str | None, make_page: PageMaker | None
) -> None:
    from snugmalloc.cli.summary_figures import figures_of
    from snugmalloc.cli.summary_report import report_of
    from snugmalloc.trace.summary import summarize

    with open_trace(trace) as reader:
        with progress_bar("reading") as told:
            summary = summarize(reader, told, at)
        if json_file is not None:
            write_json(json_file, figures_of(reader, summary))
        if html_file is not None and make_page is not None:
            write_text(html_file, make_page(report_of(reader, summary)))
        if json_file is None and html_file is None:
            print_report(get_console(), report_of(reader, summary))


def _report_process(
    pid: int, json_file: str | None, html_file: str | None, make_page: PageMaker | None
) -> None:
    from snugmalloc.cli.live_report import figures_of, look_at, program_of, report_of
    from snugmalloc.live.remote import CannotAttach

    program = program_of(pid)
    try:
        view = look_at(pid)
    except CannotAttach as error:
        raise click.ClickException(str(error)) from None
    if json_file is not None:
        write_json(json_file, figures_of(view, program))
    if html_file is not None and make_page is not None:
        write_text(html_file, make_page(report_of(view, program)))
    if json_file is None and html_file is None:
        print_report(get_console(), report_of(view, program))
