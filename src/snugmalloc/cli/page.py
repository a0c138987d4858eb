"""Owns reports as pages: a file of HTML with the sections that a terminal shows, without scripts or network."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click

from snugmalloc import __version__
from snugmalloc.cli.sections import Report, printable

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def page_maker() -> Callable[[Report], str]:
    """What makes a page of a report. Raises ClickException where jinja2, which does it, is not installed."""
    try:
        jinja2 = import_module("jinja2")
    except ImportError:
        raise click.ClickException("a page needs jinja2: pip install 'snugmalloc[html]'") from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["printable"] = printable
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))

    def make_page(report: Report) -> str:
        page: str = template.render(report=report, version=__version__)
        return page

    return make_page
