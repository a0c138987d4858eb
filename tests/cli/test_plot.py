"""The pictures: what is in them, that all of it can be read, and the files that they become."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy
import pytest
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.text import Text

from snugmalloc.cli import plot
from snugmalloc.cli.plot import draw_comparison, draw_timeline, looks
from snugmalloc.launch.allocators import Allocator
from snugmalloc.launch.comparison import Comparison, Series
from snugmalloc.launch.launcher import Figures, Timeline

SVG = "{http://www.w3.org/2000/svg}"
MIB = 1 << 20
LONG = "a-library-that-has-a-very-long-name-indeed"
# Name, seconds, peak and final MiB: some apart, some on top of each other.
CROWDED = [
    ("pymalloc", 1.20, 66, 27),
    ("system", 1.50, 70, 66),
    ("jemalloc", 1.21, 67, 39),
    ("mimalloc", 1.21, 67, 61),
    ("tcmalloc", 1.21, 66.5, 66.5),
    ("snugmalloc", 1.20, 66.5, 26),
    ("snugmalloc-pymalloc", 1.20, 66.4, 26),
    (LONG, 1.205, 66.8, 66),
]
Draw = Callable[[Comparison, Path], None]
DRAWN: list[Draw] = [draw_comparison, draw_timeline]


def figures(wall: float, peak: float, final: float | None) -> Figures:
    """A run that holds its peak for half of its time, then what it ends with."""
    resident = None if final is None else int(final * MIB)
    mean = None if final is None else int((peak + final) / 2 * MIB)
    seconds = array("d", [0.01, wall / 2, wall / 2 + 0.01, wall])
    timeline = Timeline(seconds, array("q", [int(mib * MIB) for mib in (peak, peak, final or 0, final or 0)]))
    return Figures(1, wall, wall, 0.0, int(peak * MIB), mean, resident, 0, 0, 0, None, timeline)


def comparison(rows: list[tuple[str, float, float, float]], *program: str) -> Comparison:
    series = tuple(
        Series(
            Allocator(name, Path("/x"), None),
            [figures(wall * spread, peak, final) for spread in (0.99, 1, 1.02)],
        )
        for name, wall, peak, final in rows
    )
    return Comparison(program or ("program", "--with", "<arguments>"), 3, series)


def texts(picture: Path) -> list[str]:
    return [element.text or "" for element in ElementTree.parse(picture).iter(f"{SVG}text")]


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[Drawing]:
    """What has been drawn, in place of the files; laid out."""
    drawn: list[Drawing] = []

    def keep(drawing: Drawing, kind: str, title: str) -> bytes:
        drawing.draw_without_rendering()
        drawn.append(drawing)
        return b""

    monkeypatch.setattr(plot, "_content", keep)
    return drawn


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(x, y) for x, y in numpy.asarray(line.get_xydata()).tolist()]


# ---- What is in them -------------------------------------------------------------------------------------


def test_there_is_a_full_and_a_hollow_mark_for_each_allocator(drawings: list[Drawing], tmp_path: Path) -> None:
    draw_comparison(comparison(CROWDED), tmp_path / "plot.svg")
    marks = [line for line in drawings[0].axes[0].lines if len(points(line)) == 1]
    places = {(wall, round(memory, 1)) for line in marks for wall, memory in points(line)}
    assert places == {(wall, memory) for _, wall, *both in CROWDED for memory in both}
    assert sum(line.get_markerfacecolor() == "white" for line in marks) == len(CROWDED) == len(marks) / 2


def test_a_line_is_what_the_typical_run_held_over_time(drawings: list[Drawing], tmp_path: Path) -> None:
    runs = [figures(wall, peak, 10) for wall, peak in ((1.0, 300), (2.0, 60), (3.0, 50), (4.0, 20))]
    series = Series(Allocator("system", Path("/x"), None), runs)
    draw_timeline(Comparison(("program",), 4, (series,)), tmp_path / "timeline.svg")
    (line,) = drawings[0].axes[0].lines
    assert points(line) == [(0, 50), (0.01, 50), (1.5, 50), (1.51, 10), (3.0, 10)]
    assert [text.get_text() for text in drawings[0].legends[0].get_texts()] == ["system, 30.0 MiB"]


@pytest.mark.parametrize(
    ("wall", "unit", "end"), [(0.002, "seconds", 0.002), (600, "minutes", 10), (36_000, "hours", 10)]
)
def test_time_is_told_in_its_unit(
    wall: float, unit: str, end: float, drawings: list[Drawing], tmp_path: Path
) -> None:
    series = Series(Allocator("system", Path("/x"), None), [figures(wall, 20, 10)])
    draw_timeline(Comparison(("program",), 1, (series,)), tmp_path / "timeline.svg")
    assert drawings[0].axes[0].get_xlabel() == f"time, {unit}"
    assert points(drawings[0].axes[0].lines[0])[-1] == pytest.approx((end, 10))


@pytest.mark.parametrize("draw", DRAWN)
def test_what_failed_and_what_is_unknown_is_left_out(draw: Draw, tmp_path: Path) -> None:
    rows = comparison(CROWDED[:4])
    rows.series[1].failure = "exit status 1"
    rows.series[2].runs[:] = []
    rows.series[3].runs[:] = [Figures(1, 1.0, 1.0, 0.0, MIB, None, None, 0, 0, 0, None, None)]
    draw(rows, tmp_path / "picture.svg")
    told = " ".join(texts(tmp_path / "picture.svg"))
    assert "stock Python" in told and "system" not in told and "jemalloc" not in told
    assert ("mimalloc" in told) == (draw is draw_comparison)  # its time and its peak are known


@pytest.mark.parametrize("draw", DRAWN)
def test_where_nothing_is_known_the_picture_is_empty(draw: Draw, tmp_path: Path) -> None:
    rows = comparison(CROWDED[:1])
    rows.series[0].runs[:] = []
    draw(rows, tmp_path / "picture.svg")
    assert "program --with <arguments>" in texts(tmp_path / "picture.svg")


def test_each_allocator_has_a_look_of_its_own() -> None:
    styles = looks([*(name for name, *_ in CROWDED), "mimalloc3", "before", "x"])
    assert len({look.color for look in styles.values()}) == len({look.marker for look in styles.values()}) == 11


# ---- Whether it can be read ------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", DRAWN)
def test_texts_do_not_cover_each_other_nor_leave_the_picture(
    draw: Draw, drawings: list[Drawing], tmp_path: Path
) -> None:
    draw(comparison(CROWDED, "W" * 200), tmp_path / "picture.svg")
    (drawing,) = drawings
    (axes,) = drawing.axes
    (suptitle,) = drawing.texts
    names = drawing.legends[0].get_texts()
    (note,) = [text for text in axes.findobj(Text) if text.get_text() == axes.get_title(loc="left")]
    boxes = [text.get_window_extent() for text in (suptitle, note, *names)]
    assert len(names) == len(CROWDED)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.x1 <= drawing.bbox.x1 for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= drawing.bbox.y1 for box in boxes)


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("kind", [".svg", ".png", ".html"])
def test_any_name_and_any_program_can_be_drawn(draw: Draw, kind: str, tmp_path: Path) -> None:
    picture = tmp_path / f"picture{kind}"
    odd = ("_x", "a<b>&c", "$x_{", "中", "a\x01b\nc", "\udcff", "%s{}", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(comparison([(name, 1, 2, 1) for name in odd], *odd), picture)
    content = picture.read_bytes()
    if kind != ".png":
        start, end = content.index(b"<svg"), content.rindex(b"</svg>") + len(b"</svg>")
        told = [e.text or "" for e in ElementTree.fromstring(content[start:end]).iter(f"{SVG}text")]
        assert "_x a<b>&c $x_{ 中 a b c   %s{} " in told
        labels = {name.partition(",")[0].strip() for name in told}
        assert {"_x", "a<b>&c", "$x_{", "中", "a b c", "%s{}"} <= labels


# ---- The files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("kind", [".svg", ".png", ".html"])
def test_the_same_figures_give_the_same_file(draw: Draw, kind: str, tmp_path: Path) -> None:
    pictures = [tmp_path / f"one{kind}", tmp_path / f"other{kind}"]
    for picture in pictures:
        draw(comparison(CROWDED), picture)
    one, other = (picture.read_bytes() for picture in pictures)
    assert one == other
    assert b"date" not in one and b"Matplotlib v" not in one


def test_a_png_is_one(tmp_path: Path) -> None:
    draw_comparison(comparison(CROWDED), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_page_holds_all_that_it_needs(tmp_path: Path) -> None:
    draw_timeline(comparison(CROWDED), tmp_path / "timeline.html")
    page = (tmp_path / "timeline.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "<title>program --with &lt;arguments&gt;</title>" in page
    assert "src=" not in page and "url(http" not in page and "<?xml" not in page


def test_a_file_that_cannot_be_written_is_named() -> None:
    with pytest.raises(OSError) as raised:
        draw_timeline(comparison(CROWDED), Path("/dev/full/x.svg"))
    assert raised.value.filename == "/dev/full/x.svg"
    with pytest.raises(OSError) as raised:
        draw_timeline(comparison(CROWDED), Path("/nosuch/x.svg"))
    assert raised.value.filename == "/nosuch/x.svg"


def test_many_readings_make_no_large_picture(tmp_path: Path) -> None:
    count = 400_000  # half an hour and more
    resident = array("q", [MIB * (100 + number * 7919 % 50) for number in range(count)])
    timeline = Timeline(array("d", [number * 0.005 for number in range(count)]), resident)
    run = Figures(1, 2000.0, 1.0, 0.0, 150 * MIB, 125 * MIB, MIB, 0, 0, 0, None, timeline)
    series = Series(Allocator("system", Path("/x"), None), [run])
    for kind in (".svg", ".png"):
        draw_timeline(Comparison(("program",), 1, (series,)), tmp_path / f"timeline{kind}")
        assert (tmp_path / f"timeline{kind}").stat().st_size < 1_000_000
