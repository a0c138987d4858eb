"""Tables in columns, as pandas keeps them: filtered, grouped, joined and sorted through NumPy, with temporary
arrays of all sizes. Stands for data analysis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .common import share

Frame = dict[str, NDArray[np.float64]]


def table(random: np.random.Generator, rows: int) -> Frame:
    """Random columns."""
    return {
        "key": random.integers(0, 1000, rows).astype(float),
        "x": random.random(rows),
        "y": random.random(rows),
    }


def grouped(frame: Frame) -> Frame:
    """Sum of each column by key."""
    order = np.argsort(frame["key"], kind="stable")
    keys, starts = np.unique(frame["key"][order], return_index=True)
    sums = {name: np.add.reduceat(column[order], starts) for name, column in frame.items() if name != "key"}
    return {"key": keys, **sums}


def main() -> None:
    """A day's analysis: read, filter, derive, group, keep the summaries."""
    random = np.random.default_rng(4)
    summaries: list[Frame] = []
    for _ in range(share(260)):
        frame = table(random, int(10 ** random.uniform(2, 5.6)))
        chosen = {name: column[frame["x"] > 0.3] for name, column in frame.items()}
        chosen["z"] = np.sqrt(chosen["x"] ** 2 + chosen["y"] ** 2) * 2 - 1
        summaries.append(grouped(chosen))
        joined = np.searchsorted(summaries[0]["key"], chosen["key"])
        chosen["base"] = summaries[0]["x"][np.minimum(joined, len(summaries[0]["x"]) - 1)]
        parts = [np.array(part) for part in np.array_split(chosen["z"], 50)]
        chosen["again"] = np.concatenate(parts)
        del summaries[:-100]


main()
