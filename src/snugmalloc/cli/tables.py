"""Owns tables on narrow terminals: where the columns do not fit, each row is stacked, one figure a line."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

LEAST_WIDTH, USUAL_WIDTH = 10, 80  # characters
FOLDED_WIDTH = 24  # characters: what a column of sentences and paths needs to be read
UNBOUNDED = 1000
ELLIPSIS = "…"  # what Rich puts where it cuts


def get_console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, for tables; where its width is invalid it is taken for 80."""
    console = Console(stderr=stderr, highlight=False)
    if console.width < LEAST_WIDTH:
        console.width = USUAL_WIDTH
    return console


def print_table(console: Console, table: Table) -> None:
    """Print `table`, or its rows below each other if the console is too narrow for it."""
    if _fits(console, table):
        console.print(table)
    else:
        _print_stacked(console, table)


def _fits(console: Console, table: Table) -> bool:
    """Whether all columns are there, no figure is cut off, and what is to be folded can be read."""
    if sum(_least_width(console, column) for column in table.columns) > console.width:
        return False
    with console.capture() as shown:
        console.print(table)
    return ELLIPSIS not in shown.get()


def _least_width(console: Console, column: Column) -> int:
    unbounded = console.options.update(width=UNBOUNDED)
    sizes = [Measurement.get(console, unbounded, cell) for cell in column.cells]
    widest = max(size.maximum for size in sizes)
    if column.no_wrap:
        return widest
    return min(widest, FOLDED_WIDTH) if column.overflow == "fold" else max(size.minimum for size in sizes)


def _print_stacked(console: Console, table: Table) -> None:
    """The first cell of each row as its title, below it the others, each with its column's title."""
    first, *others = table.columns
    by_row = zip(*(column.cells for column in table.columns), strict=True)
    for row, (name, *cells) in zip(table.rows, by_row, strict=True):
        if name != "":
            console.print(_titled(console, first, name), style=row.style or first.style)
        for column, cell in zip(others, cells, strict=True):
            if cell != "":
                console.print(Padding(_titled(console, column, cell), (0, 0, 0, 2)))


def _titled(console: Console, column: Column, cell: RenderableType) -> RenderableType:
    if not column.header or not isinstance(cell, str):
        return cell
    return Text.assemble(f"{column.header}: ", console.render_str(cell))
