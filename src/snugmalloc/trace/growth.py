"""Owns how the live bytes of each origin grew: at evenly spaced calls."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Any

from snugmalloc.trace.alike import number_kinds, slices
from snugmalloc.trace.blocks import NEVER, History
from snugmalloc.trace.origins import Origins
from snugmalloc.trace.vectors import numpy
from snugmalloc.trace.weight import blocks_behind

CHECKPOINTS = 64
"""At how many moments it is looked whether something grew or shrank."""


def follow_growth(history: History, mean_gap: int, origins: Origins) -> dict[str, list[float]]:
    """The live bytes of each origin at CHECKPOINTS calls, the last of which is the last call."""
    calls = history.call_count
    stops = sorted({-(-calls * step // CHECKPOINTS) for step in range(1, CHECKPOINTS + 1)})
    follow = _follow_at_once if numpy() else _follow_one_by_one
    steps = follow(history, mean_gap, origins, stops)
    return {origin: list(accumulate(changes[: len(stops)])) for origin, changes in steps.items()}


def _follow_one_by_one(
    history: History, mean_gap: int, origins: Origins, stops: list[int]
) -> dict[str, list[float]]:
    """By how much the live bytes of each origin changed between two stops."""
    blocks = history.blocks
    steps: dict[str, list[float]] = {}
    for block, (stack, size, begun, ended) in enumerate(
        zip(blocks.stack, blocks.size, blocks.begun, blocks.ended, strict=True)
    ):
        changes = steps.setdefault(origins.of(stack, size), [0.0] * (len(stops) + 1))
        weight = blocks_behind(blocks.chance[block], mean_gap) * size if mean_gap else size
        changes[bisect_left(stops, begun)] += weight
        if ended != NEVER:
            changes[bisect_left(stops, ended)] -= weight
    return steps


def _follow_at_once(
    history: History, mean_gap: int, origins: Origins, stops: list[int]
) -> dict[str, list[float]]:
    """The same by NumPy."""
    np, blocks = numpy(), history.blocks
    numbers: dict[str, int] = {}
    width = len(stops) + 1
    changes = np.zeros(0)
    for part in slices(len(blocks)):
        begun, ended = (np.asarray(column)[part] for column in (blocks.begun, blocks.ended))
        row = _rows_of(history, origins, numbers, part) * width
        changes = np.append(changes, np.zeros(len(numbers) * width - len(changes)))
        weights = _weights_of(history, mean_gap, part)
        until = np.where(ended == NEVER, width - 1, np.searchsorted(stops, ended))
        places = np.stack((row + np.searchsorted(stops, begun), row + until), axis=1)
        np.add.at(changes, places.ravel(), np.stack((weights, -weights), axis=1).ravel())
    rows = changes.reshape(-1, width).tolist()
    return {origin: rows[number] for origin, number in numbers.items()}


def _rows_of(history: History, origins: Origins, numbers: dict[str, int], part: slice) -> Any:
    """Of each block the number of its origin, which gets one here when it comes first."""
    np, blocks = numpy(), history.blocks
    named_by = np.asarray(blocks.stack if origins.has_stacks else blocks.size)[part]
    kinds, first = number_kinds([named_by])
    names = (origins.of(number, number) for number in named_by[first].tolist())
    return np.array([numbers.setdefault(name, len(numbers)) for name in names])[kinds]


def _weights_of(history: History, mean_gap: int, part: slice) -> Any:
    """Of each block how many bytes it stands for."""
    np, blocks = numpy(), history.blocks
    sizes = np.asarray(blocks.size)[part].astype(np.float64)
    if not mean_gap:
        return sizes
    return np.array([blocks_behind(chance, mean_gap) for chance in blocks.chance[part]]) * sizes
