"""Owns columns of numbers that take as few bytes as the largest of them needs, and grow. For NumPy alone."""

from __future__ import annotations

from array import array
from typing import Any

from snugmalloc.trace.vectors import numpy

KINDS = "BHIQ"
"""Of arrays, by the bytes of a number."""


def kind_for(largest: int) -> str:
    """The narrowest kind of array that has room for numbers up to this one."""
    return next(kind for kind in KINDS if largest >> 8 * array(kind).itemsize == 0)


class Narrow:
    """An array of the standard library; no number is below zero."""

    def __init__(self) -> None:
        self.values: array[int] = array(KINDS[0])

    def __len__(self) -> int:
        return len(self.values)

    def extend(self, more: Any) -> None:
        """Append what an array of NumPy has."""
        self._make_room(more)
        self.values.frombytes(more.astype(self.values.typecode).data.cast("B"))

    def extend_by_zeros(self, count: int) -> None:
        """Append so many zeros."""
        self.values.extend(array(self.values.typecode, (0,)) * count)

    def put(self, places: Any, values: Any) -> None:
        """Put values at places, both of which arrays of NumPy have."""
        self._make_room(values)
        self.view()[places] = values

    def view(self) -> Any:
        """The numbers as an array of NumPy, which is to be let go before there are more of them."""
        return numpy().asarray(self.values)

    def _make_room(self, values: Any) -> None:
        kind = kind_for(int(values.max())) if len(values) else KINDS[0]
        if KINDS.index(kind) > KINDS.index(self.values.typecode):
            self.values = array(kind, self.view().astype(kind).tobytes())
