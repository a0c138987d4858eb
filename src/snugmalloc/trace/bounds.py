"""Owns the bounds of a report's groups of sizes, ages and lifetimes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TypeVar

SIZE_BOUNDS = (16, 32, 64, 128, 256, 512, 1 << 10, 1 << 12, 1 << 14, 1 << 17, 1 << 20)
CALL_BOUNDS = (10, 100, 1000, 10_000, 100_000, 1_000_000)
TIME_BOUNDS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
"""Seconds."""

Bound = TypeVar("Bound", int, float)


def bound_of(bounds: Sequence[Bound], value: Bound) -> Bound | None:
    """The smallest bound that is at least the value; None if the value exceeds all."""
    at = bisect_left(bounds, value)
    return bounds[at] if at < len(bounds) else None


def bound_at(bounds: Sequence[Bound], place: int) -> Bound | None:
    """The bound at an index that `bisect_left` gave."""
    return bounds[place] if place < len(bounds) else None
