"""Owns counting rows of numbers that are alike: which there are, in the order in which they come.

With NumPy the rows are given as columns, and counted some at a time: a trace has many millions of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from snugmalloc.trace.vectors import numpy

ROWS_AT_ONCE = 1 << 20
MOST_CODES = 1 << 62
"""What is numbered below this can be numbered by 64 bits, with a sign."""

Row = tuple[Any, ...]


def slices(rows: int) -> Iterator[slice]:
    """The rows, some at a time."""
    return (slice(begin, min(begin + ROWS_AT_ONCE, rows)) for begin in range(0, rows, ROWS_AT_ONCE))


def count_alike(rows: int, columns_of: Callable[[slice], Sequence[Any]]) -> dict[Row, int]:
    """How often each row is there. `columns_of` gives arrays of NumPy, none of a number below zero."""
    found: dict[Row, int] = {}
    for part in slices(rows):
        columns = columns_of(part)
        _, counts, first = _grouped(columns)
        by_place = first.argsort()
        kinds = zip(*(column[first[by_place]].tolist() for column in columns), strict=True)
        for kind, count in zip(kinds, counts[by_place].tolist(), strict=True):
            found[kind] = found.get(kind, 0) + count
    return found


def number_kinds(columns: Sequence[Any]) -> tuple[Any, Any]:
    """Of each row the number of its kind, and where each kind comes first; numbers are in that order.

    There is one row at least.
    """
    np = numpy()
    order, counts, first = _grouped(columns)
    by_place = first.argsort()
    number = np.empty_like(by_place)
    number[by_place] = np.arange(len(by_place))
    kinds = np.empty_like(order)
    kinds[order] = np.repeat(number, counts)
    return kinds, first[by_place]


def _grouped(columns: Sequence[Any]) -> tuple[Any, Any, Any]:
    """The places of the rows, kind by kind; of each kind the number of rows, and the place of the first."""
    np, codes = numpy(), _coded(columns)
    order = codes.argsort()
    by_code = codes[order]
    starts = np.flatnonzero(np.append(True, by_code[1:] != by_code[:-1]))
    return order, np.diff(np.append(starts, len(order))), np.minimum.reduceat(order, starts)


def _coded(columns: Sequence[Any]) -> Any:
    """One number for each row, the same where all columns are."""
    np = numpy()
    codes, room = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        values, many = _below(column, MOST_CODES)
        if room * many > MOST_CODES:
            codes, room = _below(codes, 0)
            values, many = _below(column, 0)
        codes = codes * many + values
        room *= many
    return codes


def _below(values: Any, most: int) -> tuple[Any, int]:
    """The values, numbered by size if the largest is not below `most`; and what all of them are below."""
    np = numpy()
    bound = int(values.max()) + 1
    if bound <= most:
        return values.astype(np.int64, copy=False), bound
    different, numbers = np.unique(values, return_inverse=True)
    return numbers, len(different)
