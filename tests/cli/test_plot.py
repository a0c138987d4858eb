"""The plot: a well-formed picture in which every label can be read."""

from __future__ import annotations

import re
import shutil
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from snugmalloc.cli.plot import (
    CHARACTER_WIDTH,
    HEIGHT,
    LABEL_SIZE,
    WIDTH,
    Box,
    PlotError,
    check_plot,
    draw,
    make_axis,
    plot_comparison,
)
from snugmalloc.launch.allocators import LABELS, Allocator
from snugmalloc.launch.comparison import Comparison, Series
from snugmalloc.launch.launcher import Figures

SVG = "{http://www.w3.org/2000/svg}"
MIB = 1 << 20
# Name, seconds, peak and final MiB: some apart, some on top of each other.
CROWDED = [
    ("pymalloc", 1.20, 66, 27),
    ("system", 1.50, 70, 66),
    ("jemalloc", 1.21, 67, 39),
    ("mimalloc", 1.21, 67, 61),
    ("tcmalloc", 1.21, 66.5, 66.5),
    ("snugmalloc", 1.20, 66.5, 26),
    ("snugmalloc-pymalloc", 1.20, 66.4, 26),
    ("a-<b>&c", 1.205, 66.8, 66),
]


def figures(wall: float, peak: float, final: float | None) -> Figures:
    resident = None if final is None else int(final * MIB)
    return Figures(1, wall, wall, 0.0, int(peak * MIB), resident, resident, 0, 0, 0, None)


def comparison(rows: list[tuple[str, float, float, float]]) -> Comparison:
    series = tuple(
        Series(
            Allocator(name, Path("/x"), None),
            [figures(wall * spread, peak, final) for spread in (0.99, 1, 1.02)],
        )
        for name, wall, peak, final in rows
    )
    return Comparison(("program", "--with", "<arguments>"), 3, series)


def labels(svg: str, names: list[str]) -> list[Box]:
    """What the names of the allocators cover."""
    boxes = []
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        if text.text in names:
            width = len(text.text) * LABEL_SIZE * CHARACTER_WIDTH
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            left = x - {"start": 0, "middle": width / 2, "end": width}[text.attrib["text-anchor"]]
            boxes.append(Box(left, y - LABEL_SIZE * 0.8, left + width, y + LABEL_SIZE * 0.2))
    return boxes


def test_labels_do_not_cover_each_other_nor_leave_the_picture() -> None:
    boxes = labels(draw(comparison(CROWDED)), [LABELS.get(name, name) for name, *_ in CROWDED])
    assert len(boxes) == len(CROWDED)
    assert all(one.overlap(other) == 0 for one, other in combinations(boxes, 2))
    assert all(box.left >= 0 and box.right <= WIDTH and box.top >= 0 and box.bottom <= HEIGHT for box in boxes)


def test_there_is_a_dot_and_a_ring_for_each_allocator() -> None:
    picture = ElementTree.fromstring(draw(comparison(CROWDED)))
    assert len(list(picture.iter(f"{SVG}circle"))) == 2 * len(CROWDED)


def test_what_failed_and_what_is_unknown_is_left_out() -> None:
    rows = comparison(CROWDED[:3])
    rows.series[1].failure = "exit status 1"
    rows.series[2].runs[:] = [figures(1.0, 60, None)]
    picture = ElementTree.fromstring(draw(rows))
    assert len(list(picture.iter(f"{SVG}circle"))) == 3


def test_one_allocator_alone_can_be_drawn() -> None:
    assert labels(draw(comparison([("system", 0.001, 1, 1)])), ["system"])


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [3.1, 3.2], [1e-4, 5e-4], [70, 1e5]])
def test_an_axis_holds_its_values_in_round_steps(values: list[float]) -> None:
    axis = make_axis(values, 0, 100)
    assert axis.low <= min(values) and max(values) <= axis.high
    assert 0 <= axis.at(min(values)) <= axis.at(max(values)) <= 100
    assert re.fullmatch(r"[125](\.0+)?e[+-]\d+", f"{axis.step:.6e}")
    assert len({axis.text(tick) for tick in axis.ticks()}) == len(list(axis.ticks()))


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="rsvg-convert is not installed: librsvg2-bin")
def test_a_png_is_made_by_a_converter(tmp_path: Path) -> None:
    picture = tmp_path / "plot.png"
    check_plot(picture)
    plot_comparison(comparison(CROWDED), picture)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_a_converter_a_png_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(PlotError, match=r"rsvg-convert .* or cairosvg"):
        check_plot(tmp_path / "plot.png")


def test_other_kinds_of_file_are_refused() -> None:
    with pytest.raises(PlotError, match=r"a plot is a \.svg or a \.png file"):
        check_plot(Path("plot.pdf"))
