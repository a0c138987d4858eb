"""`snug export`: a trace in the form of another tool."""

from __future__ import annotations

import os
from pathlib import Path

import click

from snugmalloc.cli.files import check_writable
from snugmalloc.cli.report import progress_bar
from snugmalloc.cli.summary import at_option
from snugmalloc.cli.trace import TRACE, open_trace
from snugmalloc.trace.export import FORMS, PROFILES, USUAL_VALUE, VALUES, Request, export
from snugmalloc.trace.moments import END


@click.command("export")
@click.argument("trace", type=TRACE)
@click.option("--to", "form", type=click.Choice(FORMS), required=True, help="The output format.")
@click.option("-o", "--output", metavar="FILE", required=True, help="The file to write.")
@at_option("The moment at which blocks are live, in profiles", default=None)
@click.option(
    "--value",
    type=click.Choice(VALUES),
    help=f"The value of each stack, for collapsed ({USUAL_VALUE} by default).",
)
def command(trace: Path, form: str, output: str, at: str | None, value: str | None) -> None:
    """Convert a trace to the format of another tool.

    \b
        snug export app.snug --to pprof -o app.pb.gz      go tool pprof app.pb.gz
        snug export app.snug --to sqlite -o app.db        sqlite3 app.db
        snug export app.snug --to parquet -o app.parquet  DuckDB, Polars, Spark

    TRACE is a .snug file. Profiles, for traces with stacks: pprof and speedscope, with the blocks and bytes
    allocated and live, and collapsed, with one of these values. Tables of every event: csv, parquet, and
    sqlite, which also has a table of blocks. A timeline: perfetto. See docs/reports.md.
    """
    if at is not None and form not in PROFILES:
        raise click.UsageError(f"--at is for {', '.join(PROFILES)}")
    if value is not None and form != "collapsed":
        raise click.UsageError("--value is for collapsed")
    if os.path.exists(output) and os.path.samefile(trace, output):
        raise click.ClickException(f"{output}: is the input: choose another output file")
    check_writable(output)
    with open_trace(trace) as reader, progress_bar("exporting") as told:
        request = Request(at or END, value or USUAL_VALUE, told)
        try:
            export(reader, form, Path(output), request)
        except OSError as error:
            raise OSError(error.errno, error.strerror, output) from None
