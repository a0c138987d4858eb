"""`snug view`: a trace as a page that shows the heap at every moment."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from snugmalloc.cli.files import check_writable, write_file
from snugmalloc.cli.report import progress_bar
from snugmalloc.cli.streams import tell
from snugmalloc.cli.trace import TRACE, one_line_errors


@click.command("view")
@click.argument("trace", type=TRACE, required=False)
@click.option("--demo", is_flag=True, help="Show how the four functions work, step by step; without TRACE.")
@click.option("-o", "--output", metavar="FILE", help="Write the page to FILE, for any browser.")
def command(trace: Path | None, demo: bool, output: str | None) -> None:
    """Show a trace's heap over time in a browser.

    \b
        snug view app.snug
        snug view app.snug -o heap.html
        snug view --demo

    TRACE is a .snug file, or a recording of another tool that snug trace convert can read. The page has a map
    of the heap by address, a time slider, curves, histograms, and the blocks that hold pages back. It is one
    file and loads nothing; -o writes it to a file. Without -o the page is served to this machine's browser
    alone, until Ctrl-C.

    With --demo the page shows a session of os_malloc, os_calloc, os_realloc and os_free on a simulated machine:
    after each call the blocks, their headers, the search for a free block, and the code of the engine that ran.
    """
    if demo and trace is not None:
        raise click.UsageError("--demo shows a session of its own: leave out TRACE, or --demo.")
    if not demo and trace is None:
        raise click.UsageError("Missing argument 'TRACE', a file to show; or --demo.")
    if output is not None:
        check_writable(output)
    html = _make_demo() if trace is None else _make_page(trace)
    if output is None:
        _serve(html)
    else:
        write_file(output, html)


def _make_demo() -> bytes:
    from snugmalloc.viewing.demo import make_demo

    return make_demo()


def _make_page(trace: Path) -> bytes:
    from snugmalloc.viewing.page import make_page

    with one_line_errors(), progress_bar("reading") as told:
        page = make_page(trace, told)
    for note in page.notes:
        tell(note)
    return page.html


def _serve(html: bytes) -> None:
    from snugmalloc.viewing.serving import PageServer

    with PageServer(html) as server:
        click.echo(f"{server.url} (until Ctrl-C)")
        webbrowser.open(server.url)
        server.serve_forever()
