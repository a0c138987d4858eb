"""Owns the sections of a report: tables of text, which a terminal and a page show alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snugmalloc.cli.tables import print_table
from snugmalloc.trace.format import PRIVATE_HEAPS

TIME_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


@dataclass(frozen=True)
class Section:
    """A table with a title. The first column names what a row is about, the others hold figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    parts: Sequence[float] = ()
    """Of each row how large it is beside the largest, from 0 to 1; empty where that says nothing."""
    measure: str = ""
    """The column that these are of."""


@dataclass(frozen=True)
class Report:
    """What is told of something: first in a few lines, each with a title, then in sections."""

    title: str
    overview: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def print_report(console: Console, report: Report) -> None:
    """Print the overview, then every section that has rows."""
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, value in report.overview:
        table.add_row(title, _plain(value))
    print_table(console, table)
    for section in report.sections:
        click.echo(f"{section.title}:")
        print_table(console, _table_of(section))


def private_heaps_row(about: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is said of the heaps of its own that a recorded program made, if it made any."""
    if PRIVATE_HEAPS in about:
        yield PRIVATE_HEAPS, f"{about[PRIVATE_HEAPS]} at least: what is in them is not recorded"


def _table_of(section: Section) -> Table:
    first, *others = section.columns
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, style="bold", overflow="fold")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    for row in section.rows:
        table.add_row(*map(_plain, row))
    return table


def _plain(text: str) -> str:
    """The text as Rich prints it, for which brackets else mean a style."""
    return escape(printable(text))


def printable(text: str) -> str:
    """The text without what a terminal or a page would take for more than text: names come from programs."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def parts_of(figures: Iterable[float]) -> list[float]:
    """Each figure beside the largest, from 0 to 1; nothing where all are 0."""
    known = [abs(figure) for figure in figures]
    largest = max(known, default=0)
    return [figure / largest for figure in known] if largest else []


def share(part: float, whole: float) -> str:
    """A part of the whole in per cent; nothing where there is no whole."""
    return f"{100 * part / whole:.0f} %" if whole else ""


def duration(seconds: float) -> str:
    """A time that is the least or most of a group, in the largest unit that it has one of."""
    rounded = float(f"{seconds:.3g}")  # 999.6 ms are shown as a second
    least, unit = next((entry for entry in TIME_UNITS if rounded >= entry[0]), TIME_UNITS[-1])
    return f"{seconds / least:.0f} {unit}"
