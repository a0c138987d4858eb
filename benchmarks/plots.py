"""Owns the suite's plots: the allocators' means as dots, and every workload's ratios as bars. SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from snugmalloc.cli.plot import (
    BOTTOM,
    COLORS,
    DOT,
    FAINT,
    FONT,
    GRID,
    HEIGHT,
    INK,
    LABEL_SIZE,
    LEFT,
    OWN_COLOR,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Box,
    make_axis,
    place_label,
)
from snugmalloc.launch.allocators import OURS

from .harness import Figure

ROW, BAR, NAMES = 22, 9, 150  # pixels: a workload's name, a bar, the width of the names
MOST_SHOWN = 3.0  # a longer bar is cut, and its value written


@dataclass(frozen=True)
class Point:
    """A contender's means as multiples of the system's malloc."""

    name: str
    time: float
    peak: float
    final: float | None


def color_of(name: str, names: Sequence[str]) -> str:
    """Ours has its own colour, the others one by place."""
    return OWN_COLOR if name == OURS else COLORS[names.index(name) % len(COLORS)]


def _start(width: int, height: int, title: str, note: str) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{FONT}" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="34" font-size="18" font-weight="600">{escape(title)}</text>',
        f'<text x="{LEFT}" y="58" font-size="12" fill="{FAINT}">{escape(note)}</text>',
    ]


def _text(x: float, y: float, anchor: str, text: str, color: str = FAINT, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">'
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, color: str = GRID, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{more}/>'


def cloud(points: Sequence[Point], workloads: int) -> str:
    """Time against memory: a dot for the mean peak, a ring for the mean at the end."""
    note = f"Geometric means over {workloads} workloads. Dot: peak, ring: at the end. Lower left is better."
    parts = _start(WIDTH, HEIGHT, "Time against memory, the system's malloc = 1", note)
    heights = [value for point in points for value in (point.peak, point.final) if value is not None]
    across = make_axis([point.time for point in points], LEFT, WIDTH - RIGHT)
    up = make_axis(heights, HEIGHT - BOTTOM, TOP)
    for value in across.ticks():
        x = across.at(value)
        parts += [
            _line(x, TOP, x, HEIGHT - BOTTOM),
            _text(x, HEIGHT - BOTTOM + 20, "middle", across.text(value)),
        ]
    for value in up.ticks():
        y = up.at(value)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 10, y + 4, "end", up.text(value))]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18, "middle", "processor time", INK, 13))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text transform="translate(24 {middle}) rotate(-90)" text-anchor="middle" font-size="13">'
        "resident memory</text>"
    )
    return "\n".join([*parts, *_dots(points, across, up), "</svg>", ""])


def _dots(points: Sequence[Point], across: Axis, up: Axis) -> list[str]:
    names = [point.name for point in points]
    parts: list[str] = []
    taken: list[Box] = []
    for point in points:
        x, y, color = across.at(point.time), up.at(point.peak), color_of(point.name, names)
        taken.append(Box(x - DOT - 2, y - DOT - 2, x + DOT + 2, y + DOT + 2))
        if point.final is not None:
            end = up.at(point.final)
            parts.append(_line(x, y, x, end, color, ' stroke-dasharray="2 4"'))
            ring = f'r="{DOT - 1.5}" fill="white" stroke="{color}" stroke-width="2"'
            parts.append(f'<circle cx="{x:.1f}" cy="{end:.1f}" {ring}/>')
            taken.append(Box(x - DOT, end - DOT, x + DOT, end + DOT))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT}" fill="{color}"/>')
    for point in points:
        x, baseline, anchor, box = place_label(point.name, across.at(point.time), up.at(point.peak), taken)
        taken.append(box)
        parts.append(_text(x, baseline, anchor, point.name, color_of(point.name, names), LABEL_SIZE))
    return parts


def bars(title: str, ratios: Mapping[str, Mapping[str, Figure]], names: Sequence[str]) -> str:
    """A group of bars for each workload, one for each contender, with its spread; a line stands at 1.

    `names` are all contenders: their places give the colours.
    """
    height = TOP + sum(ROW + BAR * len(of_one) for of_one in ratios.values()) + BOTTOM
    parts = _start(
        WIDTH, height, title, "As multiples of the system's malloc, which is the line. Shorter is better."
    )
    x = float(LEFT)
    for name in names:
        if not any(name in of_one for of_one in ratios.values()):
            continue
        parts.append(f'<rect x="{x}" y="68" width="10" height="10" fill="{color_of(name, names)}"/>')
        parts.append(_text(x + 14, 77, "start", name))
        x += 24 + 7 * len(name)
    longest = max((f.max for of_one in ratios.values() for f in of_one.values()), default=1.0)
    axis = make_axis([0.0, min(longest, MOST_SHOWN)], NAMES, WIDTH - RIGHT - 40)
    y = TOP + 10.0
    for workload, of_one in ratios.items():
        parts.append(_text(NAMES - 8, y + BAR * len(of_one) / 2 + 4, "end", workload, INK))
        for name, ratio in of_one.items():
            parts += _bar(ratio, y, axis, color_of(name, names))
            y += BAR
        y += ROW
    parts.append(_line(axis.at(1), TOP, axis.at(1), height - BOTTOM, INK))
    for value in axis.ticks():
        parts.append(_text(axis.at(value), height - BOTTOM + 20, "middle", axis.text(value)))
    return "\n".join([*parts, "</svg>", ""])


def _bar(ratio: Figure, y: float, axis: Axis, color: str) -> list[str]:
    end = axis.at(min(ratio.median, axis.high))
    parts = [f'<rect x="{NAMES}" y="{y:.1f}" width="{end - NAMES:.1f}" height="{BAR - 1}" fill="{color}"/>']
    if ratio.median > axis.high:
        return [*parts, _text(end + 4, y + BAR - 1, "start", f"{ratio.median:.1f}")]
    low, high = axis.at(ratio.min), axis.at(min(ratio.max, axis.high))
    return [*parts, _line(low, y + BAR / 2, high, y + BAR / 2, INK, ' stroke-opacity="0.5"')]
