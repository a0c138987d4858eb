"""Owns the pictures: how they look, the files they become, and the two of `snug compare`. Needs matplotlib."""

from __future__ import annotations

import io
import itertools
import textwrap
import warnings
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from snugmalloc.cli.files import write_file
from snugmalloc.launch.allocators import OURS, OURS_UNDER_PYMALLOC, PYMALLOC, SYSTEM
from snugmalloc.launch.comparison import Comparison, Series, Spread
from snugmalloc.launch.launcher import Timeline

MIB = 1 << 20
WIDTH, HEIGHT = 7.0, 4.9  # inches
SHARP = 200  # pixels of an inch in a .png
MOST_OF_A_TITLE, MOST_OF_A_NAME, MOST_OF_A_LINE = 60, 24, 92  # characters
MOST_COLUMNS = 4  # of a legend
MARKS = 6  # on a line, so that lines are distinguishable without colours
UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
INK, FAINT, GRID = "#222222", "#5f5f5f", "#e4e4e4"
STYLE = {
    "figure.facecolor": "white",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titlecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "agg.path.chunksize": 20_000,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "snugmalloc",  # the same picture is the same file
}


@dataclass(frozen=True)
class Look:
    """How an allocator is drawn, in every picture."""

    color: str
    marker: str
    width: float = 1.3
    """Of its line, in points."""

    @property
    def size(self) -> float:
        """Of its mark: the wider the line, the larger."""
        return 4 + 2 * self.width


# Told apart by people who do not see all colours (Okabe and Ito, then Tol), and in print by the markers.
LOOKS = {
    SYSTEM: Look("#777777", "s"),
    PYMALLOC: Look("#000000", "D", 1.8),
    "jemalloc": Look("#E69F00", "^"),
    "mimalloc": Look("#56B4E9", "v"),
    "tcmalloc": Look("#009E73", "P"),
    OURS: Look("#D55E00", "o", 2.4),
    OURS_UNDER_PYMALLOC: Look("#CC79A7", "X"),
}
OTHER_LOOKS = (
    Look("#0072B2", "<"),
    Look("#882255", ">"),
    Look("#999933", "p"),
    Look("#332288", "h"),
    Look("#44AA99", "*"),
)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Each of `names` with its look: its own, or the next of those that nobody has."""
    others = itertools.cycle(OTHER_LOOKS)
    return {name: LOOKS.get(name) or next(others) for name in names}


# ---- Files -----------------------------------------------------------------------------------------------

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 1rem auto; max-width: 64rem; background: white; }}
svg {{ width: 100%; height: auto; }}
</style>
</head>
<body>
{svg}
</body>
</html>
"""


@contextmanager
def picture(
    path: Path, title: str, note: str, width: float = WIDTH, height: float = HEIGHT
) -> Iterator[tuple[Figure, Axes]]:
    """A figure to draw into, below `title` and `note`; afterwards it is the file `path`. Raises OSError."""
    with matplotlib.style.context(STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure((width, height), layout="constrained")
        axes = figure.subplots()
        head = figure.suptitle(shown(title, MOST_OF_A_TITLE), x=0.01, ha="left", fontsize=13, fontweight="bold")
        while head.get_window_extent().x1 > figure.bbox.x1:
            head.set_text(shown(head.get_text(), len(head.get_text()) - 1))
        axes.set_title(textwrap.fill(note, MOST_OF_A_LINE))
        yield figure, axes
        write_file(str(path), _content(figure, path.suffix, title))


def _content(figure: Figure, kind: str, title: str) -> bytes:
    """What a file of `kind` has; nothing in it depends on when or where it was made."""
    content = io.BytesIO()
    if kind == ".png":
        figure.savefig(content, format="png", dpi=SHARP, metadata={"Software": None})
        return content.getvalue()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    if kind == ".svg":
        return content.getvalue()
    svg = content.getvalue().decode()
    return PAGE.format(title=escape(shown(title)), svg=svg[svg.index("<svg") :]).encode()


def shown(text: str, most: int | None = None) -> str:
    """`text` in one line, without what cannot be printed, and at most `most` characters of it."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """What the marks and lines stand for, below the picture, in as many columns as there is room for."""
    texts = [shown(f" {label}" if label.startswith("_") else label) for label in labels]  # _: is left out
    for columns in range(MOST_COLUMNS, 0, -1):
        box = figure.legend(handles, texts, loc="outside lower left", ncols=columns)
        if columns == 1 or box.get_window_extent().width <= figure.bbox.width:
            break
        box.remove()


def mark(look: Look) -> Line2D:
    """The mark alone, for the legend."""
    return Line2D([], [], color=look.color, marker=look.marker, markersize=look.size, linestyle="")


# ---- snug compare ----------------------------------------------------------------------------------------


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Time against memory, a mark for each allocator, into the file `path`. Raises OSError."""
    runs = "1 run" if comparison.rounds == 1 else f"median of {comparison.rounds} runs, lines: their spread"
    note = f"Full: peak, hollow: at the end; {runs}. Lower left is better."
    with picture(path, " ".join(comparison.program), note) as (figure, axes):
        handles, labels = [], []
        for series, look in _with_looks(comparison):
            wall, peak = series.spread("wall_s"), series.spread("peak_resident_bytes")
            if wall is None or peak is None:
                continue
            final = series.spread("final_resident_bytes")
            end = None if final is None else final.median / MIB
            draw_point(axes, look, wall, _in_mib(peak), end)
            handles.append(mark(look))
            labels.append(shown(series.allocator.label, MOST_OF_A_NAME))
        legend(figure, handles, labels)
        axes.set_xlabel("wall time, seconds")
        _label_memory(axes)


def draw_point(axes: Axes, look: Look, across: Spread, up: Spread, end: float | None) -> None:
    """A mark with its spread both ways, and a thin line to a hollow one at `end`."""
    x, y = across.median, up.median
    axes.hlines(y, across.low, across.high, color=look.color, alpha=0.6)
    axes.vlines(x, up.low, up.high, color=look.color, alpha=0.6)
    if end is not None:
        axes.plot([x, x], [y, end], color=look.color, linestyle=":", linewidth=1)
        axes.plot(x, end, color=look.color, marker=look.marker, markersize=look.size, markerfacecolor="white")
    axes.plot(x, y, color=look.color, marker=look.marker, markersize=look.size)


def draw_timeline(comparison: Comparison, path: Path) -> None:
    """Resident memory over time, a line for each allocator, into the file `path`. Raises OSError."""
    runs = "One run" if comparison.rounds == 1 else f"Of {comparison.rounds} runs that with the median mean"
    note = (
        "Resident memory of the program's own process, without its children, read every 5 ms. "
        f"{runs} on each allocator; beside the name is its mean."
    )
    with picture(path, " ".join(comparison.program), note) as (figure, axes):
        lines = _timelines(comparison)
        unit, length = _unit_of(max((line.timeline.seconds[-1] for line in lines), default=0.0))
        handles = [
            _draw_line(axes, line, length, (place + 0.5) / len(lines)) for place, line in enumerate(lines)
        ]
        labels = [f"{shown(line.label, MOST_OF_A_NAME)}, {line.mean / MIB:,.1f} MiB" for line in lines]
        legend(figure, handles, labels)
        axes.set_xlabel(f"time, {unit}")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        _label_memory(axes)


@dataclass(frozen=True)
class _Line:
    """One allocator's typical run."""

    label: str
    look: Look
    mean: int
    timeline: Timeline


def _timelines(comparison: Comparison) -> list[_Line]:
    """Those with a reading at least; others failed, or ended before there was one."""
    lines = []
    for series, look in _with_looks(comparison):
        run = series.typical_run
        if run and run.timeline and run.timeline.seconds and run.mean_resident_bytes is not None:
            lines.append(_Line(series.allocator.label, look, run.mean_resident_bytes, run.timeline))
    return lines


def _draw_line(axes: Axes, line: _Line, length: int, shift: float) -> Line2D:
    """The line, level before the first reading as for the mean; its first mark is `shift` of a step in."""
    times = [0.0, *(seconds / length for seconds in line.timeline.seconds)]
    memory = [bytes_ / MIB for bytes_ in (line.timeline.resident_bytes[0], *line.timeline.resident_bytes)]
    marks = {bisect_left(times, times[-1] * (step + shift) / MARKS) for step in range(MARKS)}
    (drawn,) = axes.plot(
        times,
        memory,
        color=line.look.color,
        linewidth=line.look.width,
        marker=line.look.marker,
        markevery=sorted(marks),
        zorder=2 + line.look.width,
    )
    return drawn


def _with_looks(comparison: Comparison) -> Iterator[tuple[Series, Look]]:
    styles = looks(series.allocator.name for series in comparison.series)
    return ((series, styles[series.allocator.name]) for series in comparison.series)


def _unit_of(seconds: float) -> tuple[str, int]:
    """The unit that so long a time is best told in, and its seconds."""
    return next(unit for unit in UNITS if seconds >= 3 * unit[1] or unit is UNITS[-1])


def _label_memory(axes: Axes) -> None:
    axes.set_ylabel("resident memory, MiB")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))


def _in_mib(spread: Spread) -> Spread:
    return Spread(spread.median / MIB, spread.low / MIB, spread.high / MIB)
