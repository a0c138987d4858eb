"""Owns the suite's plots: the allocators' means, and every workload's ratios in rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from snugmalloc.cli.plot import FAINT, INK, Look, draw_point, legend, looks, mark, picture
from snugmalloc.launch.comparison import Spread

from .harness import Figure

ROW, AROUND = 0.4, 1.8  # inches: the height of a workload's row, and of what is above and below the rows
BETWEEN = 0.82  # of a row: its marks, the rest is air
SMALLER = 0.6  # than elsewhere are the marks in a row
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Point:
    """A contender's means as multiples of the system's malloc."""

    name: str
    time: float
    peak: float
    final: float | None


def draw_means(points: Sequence[Point], workloads: int, path: Path) -> None:
    """Time against memory: a full mark for the mean peak, a hollow one for the mean at the end."""
    note = f"Geometric means over {workloads} workloads. Full: peak, hollow: at the end. Lower left is better."
    with picture(path, "Time against memory, the system's malloc = 1", note) as (figure, axes):
        styles = looks(point.name for point in points)
        for point in points:
            draw_point(axes, styles[point.name], _exactly(point.time), _exactly(point.peak), point.final)
        legend(figure, [mark(look) for look in styles.values()], list(styles))
        axes.set_xlabel("processor time")
        axes.set_ylabel("resident memory")


def _exactly(value: float) -> Spread:
    return Spread(value, value, value)


def draw_ratios(
    title: str, ratios: Mapping[str, Mapping[str, Figure]], names: Sequence[str], path: Path
) -> None:
    """A row for each workload, in it a mark for each contender with its spread; a line stands at 1.

    `names` are all contenders: their looks are by their places.
    """
    note = "As multiples of the system's malloc. Lines: minimum to maximum. Left is better."
    with picture(path, title, note, height=AROUND + ROW * len(ratios)) as (figure, axes):
        styles = {
            name: look
            for name, look in looks(names).items()
            if any(name in of_one for of_one in ratios.values())
        }
        for row, of_one in enumerate(ratios.values()):
            for name, ratio in of_one.items():
                place = (list(styles).index(name) + 0.5) / len(styles) - 0.5
                _draw_ratio(axes, styles[name], ratio, row + BETWEEN * place)
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(ratios)), list(ratios), color=INK)
        axes.set_ylim(len(ratios) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        for row in range(1, len(ratios)):
            axes.axhline(row - 0.5, color=FAINT, linewidth=0.3)
        legend(figure, [mark(look) for look in styles.values()], list(styles))


def _draw_ratio(axes: Axes, look: Look, ratio: Figure, y: float) -> None:
    axes.hlines(y, ratio.min, ratio.max, color=look.color, linewidth=1)
    axes.plot(ratio.median, y, color=look.color, marker=look.marker, markersize=SMALLER * look.size)
