"""Time against memory as a picture: one dot for each allocator, as SVG, or PNG through a converter."""

from __future__ import annotations

import importlib
import math
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from snugmalloc.cli.files import write_file
from snugmalloc.launch.allocators import OURS
from snugmalloc.launch.comparison import Comparison, Spread

WIDTH, HEIGHT = 760, 500  # pixels
LEFT, RIGHT, TOP, BOTTOM = 84, 28, 84, 64  # margins
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
LABEL_SIZE = 14
CHARACTER_WIDTH = 0.62  # of the font's size; a generous mean
DOT = 6
MIB = 1 << 20
# Told apart in print and by people who do not see all colours (Okabe and Ito).
COLORS = ("#555555", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00")
OWN_COLOR = "#D1495B"
INK, FAINT, GRID = "#222222", "#6b6b6b", "#e4e4e4"


class PlotError(Exception):
    """A picture that cannot be made: the file's kind, or no converter."""


def check_plot(path: Path) -> None:
    """Raises PlotError if `path` is of no kind that can be drawn here."""
    if path.suffix not in (".svg", ".png"):
        raise PlotError(f"{path}: a plot is a .svg or a .png file")
    if path.suffix == ".png" and shutil.which("rsvg-convert") is None:
        try:
            importlib.import_module("cairosvg")
        except (ImportError, OSError):
            raise PlotError(
                "a .png needs rsvg-convert (Debian: librsvg2-bin) or cairosvg (from PyPI); .svg needs nothing"
            ) from None


def plot_comparison(comparison: Comparison, path: Path) -> None:
    """Draw `comparison` into the file `path`. Raises OSError and PlotError."""
    svg = draw(comparison).encode(errors="replace")
    write_file(str(path), svg if path.suffix == ".svg" else _as_png(svg))


def _as_png(svg: bytes) -> bytes:
    converter = shutil.which("rsvg-convert")
    if converter is None:
        png: bytes = importlib.import_module("cairosvg").svg2png(bytestring=svg, scale=2)
        return png
    done = subprocess.run([converter, "--zoom=2"], input=svg, capture_output=True, check=False)
    if done.returncode:
        raise PlotError(f"rsvg-convert: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


# ---- Places ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    """A rectangle that is taken."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)


@dataclass(frozen=True)
class Axis:
    """From values to pixels, with round figures for the ticks."""

    low: float
    high: float
    step: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of `value`."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> Iterator[float]:
        """The round values, from the lowest to the highest."""
        for index in range(round((self.high - self.low) / self.step) + 1):
            yield self.low + index * self.step

    def text(self, value: float) -> str:
        """`value` with as many decimals as the step needs."""
        return f"{value:,.{max(0, -math.floor(math.log10(self.step)))}f}"


def make_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis that holds `values` with some air, in steps of 1, 2 or 5 times a power of ten."""
    low, high = min(values), max(values)
    air = (high - low) * 0.12 or high * 0.1 or 1.0
    low, high = max(0.0, low - air), high + air
    rough = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return Axis(math.floor(low / step) * step, math.ceil(high / step) * step, step, start, end)


def place_label(text: str, x: float, y: float, taken: Sequence[Box]) -> tuple[float, float, str, Box]:
    """Where to write `text` beside the dot at (x, y): baseline, anchor and what it covers, clear of `taken`."""
    width, height = len(text) * LABEL_SIZE * CHARACTER_WIDTH, LABEL_SIZE * 1.15
    choices = []
    for ring in range(1, 5):
        away = DOT + 5 + (ring - 1) * 13
        for rank, (dx, dy) in enumerate(((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))):
            left = x + away if dx > 0 else x - away - width if dx < 0 else x - width / 2
            middle = y + dy * (away if dx else away + height / 2)
            box = Box(left, middle - height / 2, left + width, middle + height / 2)
            outside = max(0.0, LEFT - box.left) + max(0.0, box.right - (WIDTH - RIGHT))
            outside += max(0.0, TOP - box.top) + max(0.0, box.bottom - (HEIGHT - BOTTOM))
            cost = sum(box.overlap(other) for other in taken) * 10 + outside * 100 + ring * 4 + rank * 0.1
            anchor = "start" if dx > 0 else "end" if dx < 0 else "middle"
            choices.append((cost, x + dx * away, middle + LABEL_SIZE * 0.35, anchor, box))
    _, label_x, baseline, anchor, box = min(choices, key=lambda choice: choice[0])
    return label_x, baseline, anchor, box


# ---- Drawing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dot:
    """One allocator: seconds, and bytes as MiB."""

    label: str
    is_own: bool
    color: str
    wall: Spread
    peak: Spread
    final: Spread | None


def _dots(comparison: Comparison) -> list[Dot]:
    dots = []
    for index, series in enumerate(comparison.series):
        wall, peak = series.spread("wall_s"), series.spread("peak_resident_bytes")
        if wall is None or peak is None:
            continue
        is_own = series.allocator.name == OURS
        color = OWN_COLOR if is_own else COLORS[index % len(COLORS)]
        final = series.spread("final_resident_bytes")
        dots.append(Dot(series.allocator.label, is_own, color, wall, _in_mib(peak), final and _in_mib(final)))
    return dots


def _in_mib(spread: Spread) -> Spread:
    return Spread(spread.median / MIB, spread.low / MIB, spread.high / MIB)


def draw(comparison: Comparison) -> str:
    """The picture as the text of an SVG file."""
    dots = _dots(comparison)
    memory = [value for dot in dots for value in (dot.peak.low, dot.peak.high)]
    memory += [dot.final.median for dot in dots if dot.final]
    across = make_axis([value for dot in dots for value in (dot.wall.low, dot.wall.high)], LEFT, WIDTH - RIGHT)
    up = make_axis(memory, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" font-family="{FONT}" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_titles(comparison),
        *_axes(across, up),
    ]
    taken: list[Box] = []
    for dot in dots:
        parts += _mark(dot, across, up)
        taken += _boxes(dot, across, up)
    for dot in sorted(dots, key=lambda dot: dot.peak.median):
        x, y = across.at(dot.wall.median), up.at(dot.peak.median)
        label_x, baseline, anchor, box = place_label(dot.label, x, y, taken)
        taken.append(box)
        weight = ' font-weight="700"' if dot.is_own else ""
        parts.append(
            f'<text x="{label_x:.1f}" y="{baseline:.1f}" text-anchor="{anchor}" font-size="{LABEL_SIZE}"'
            f' fill="{dot.color}"{weight} stroke="white" stroke-width="3" paint-order="stroke">'
            f"{escape(dot.label)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _titles(comparison: Comparison) -> Iterator[str]:
    words = " ".join(comparison.program)
    title = words if len(words) <= 60 else words[:59] + "…"
    runs = "1 run" if comparison.rounds == 1 else f"median of {comparison.rounds} runs, lines: their spread"
    yield f'<text x="{LEFT}" y="34" font-size="18" font-weight="600">{escape(title)}</text>'
    yield (
        f'<text x="{LEFT}" y="58" font-size="12" fill="{FAINT}">'
        f"Dot: peak, ring: resident at the end; {runs}. Lower left is better.</text>"
    )


def _axes(across: Axis, up: Axis) -> Iterator[str]:
    for value in across.ticks():
        x = across.at(value)
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="{GRID}"/>'
        yield _tick(x, HEIGHT - BOTTOM + 20, "middle", across.text(value))
    for value in up.ticks():
        y = up.at(value)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>'
        yield _tick(LEFT - 10, y + 4, "end", up.text(value))
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    yield (
        f'<text x="{middle_x}" y="{HEIGHT - 18}" text-anchor="middle" font-size="13">wall time, seconds</text>'
    )
    yield (
        f'<text transform="translate(24 {middle_y}) rotate(-90)" text-anchor="middle" font-size="13">'
        "resident memory, MiB</text>"
    )


def _tick(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" fill="{FAINT}">{text}</text>'


def _mark(dot: Dot, across: Axis, up: Axis) -> Iterator[str]:
    """The dot with its spread both ways, and a thin line down to the ring of the final memory."""
    x, y = across.at(dot.wall.median), up.at(dot.peak.median)
    pen = f'stroke="{dot.color}"'
    if dot.final is not None:
        end = up.at(dot.final.median)
        yield f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{end:.1f}" {pen} stroke-dasharray="2 4"/>'
        yield f'<circle cx="{x:.1f}" cy="{end:.1f}" r="{DOT - 1.5}" fill="white" {pen} stroke-width="2"/>'
    left, right = across.at(dot.wall.low), across.at(dot.wall.high)
    top, bottom = up.at(dot.peak.high), up.at(dot.peak.low)
    yield f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" {pen} stroke-opacity="0.6"/>'
    yield f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" {pen} stroke-opacity="0.6"/>'
    radius = DOT + 1.5 if dot.is_own else DOT
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{dot.color}"/>'


def _boxes(dot: Dot, across: Axis, up: Axis) -> Iterator[Box]:
    """What the marks of `dot` cover."""
    x = across.at(dot.wall.median)
    heights = [up.at(dot.peak.median)]
    if dot.final is not None:
        heights.append(up.at(dot.final.median))
        yield Box(x - 1, min(heights), x + 1, max(heights))
    for y in heights:
        yield Box(x - DOT - 2, y - DOT - 2, x + DOT + 2, y + DOT + 2)
    yield Box(x - 1, up.at(dot.peak.high), x + 1, up.at(dot.peak.low))
    y = heights[0]
    yield Box(across.at(dot.wall.low), y - 1, across.at(dot.wall.high), y + 1)
