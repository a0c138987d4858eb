"""The page in a real browser: what it shows is what the trace says, and its controls do what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from snugmalloc.trace import Flags, Header, Operation, TraceReader, TraceWriter
from snugmalloc.trace.importing import convert
from snugmalloc.trace.symbols import symbols_of
from snugmalloc.trace.tables import NativeFrame
from snugmalloc.viewing.page import TEMPLATE, fill

from ..cli.test_trace import snug
from .conftest import Opener, Shown
from .traces import GROWS_EVERY, GROWTH, Memory, View, write_trace

MOMENTS = (0, 1, 700, 2500, 4000)
DASH = "\N{EN DASH}"
TOLERANCE = 3  # of 255: a logarithm is not rounded in the same way everywhere


def differing(shown: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> list[int]:
    """The cells whose colours are not the same."""
    assert len(shown) == len(expected)
    return [
        cell
        for cell, (one, other) in enumerate(zip(shown, expected, strict=True))
        if max(abs(a - b) for a, b in zip(one, other, strict=True)) > TOLERANCE
    ]


def wait_for(shown: Shown, condition: str) -> None:
    """Wait until something is so of the elements `map`, `slider` and `event`."""
    names = ("map", "slider", "event")
    elements = ", ".join(f"{name} = document.getElementById('{name}')" for name in names)
    shown.page.wait_for_function(f"() => {{ const {elements}; return {condition}; }}")


def zoom_in(shown: Shown, times: int) -> None:
    for _ in range(times):
        before = shown.view
        shown.page.keyboard.press("+")
        wait_for(shown, f"+map.dataset.cell != {before.cell}")


@pytest.mark.parametrize("now", MOMENTS)
def test_the_pixels_are_the_heap(now: int, trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(now)
    memory = Memory(trace, now)
    assert shown.view.columns * shown.view.rows * shown.view.cell >= memory.size
    assert differing(shown.pixels(), memory.pixels(shown.view, "size", "light")) == []
    zoom_in(shown, 3)
    assert differing(shown.pixels(), memory.pixels(shown.view, "size", "light")) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_colouring_in_each_theme(theme: str, trace: Path, opener: Opener) -> None:
    shown = opener.show(trace, theme=theme)
    shown.go(3000)
    memory = Memory(trace, 3000)
    for colouring in ("age", "thread", "stack", "size"):
        before = shown.pixels()
        shown.page.select_option("#colouring", colouring)
        while shown.pixels() == before:
            shown.page.wait_for_timeout(20)
        assert differing(shown.pixels(), memory.pixels(shown.view, colouring, theme)) == []


def test_given_back_memory_is_shown(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(4000)
    back = [cell for cell in shown.pixels() if cell == (0xCF, 0xE4, 0xF7)]
    assert back
    assert "given back to the system" in shown.text("#legend")


def test_the_figures_are_those_of_the_trace(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    for now in MOMENTS:
        shown.go(now)
        memory = Memory(trace, now)
        assert shown.text("#figures .blocks dd") == f"{len(memory.live):,}"
        assert said_bytes(shown.text("#figures .live dd")) == pytest.approx(
            sum(block.size for block in memory.live.values()), rel=0.01, abs=60
        )
        assert said_bytes(shown.text("#figures .taken dd")) == -(-now // GROWS_EVERY) * GROWTH


def said_bytes(text: str) -> float:
    """`1.5 KiB` as a number."""
    number, unit = text.split()
    power = ["byte", "KiB", "MiB", "GiB"].index(unit.removesuffix("s"))
    return float(number.replace(",", "")) * float(1024**power)


def test_it_opens_where_most_was_live(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    live = most = now = 0
    with TraceReader(trace) as reader:
        size_of: dict[int, int] = {}
        for number, event in enumerate(reader.events(), 1):
            live -= size_of.get(event.freed, 0)
            if event.block >= 0:
                size_of[event.block] = event.size
                live += event.size
            if live > most:
                most, now = live, number
    shown.wait_for(now)


def test_keys_move_through_time(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    peak = shown.now
    for key, now in (
        ("Home", 0),
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("Shift+ArrowRight", 41),
        ("End", 4000),
        ("p", peak),
    ):
        shown.page.keyboard.press(key)
        shown.wait_for(now)
        assert shown.text("#event").startswith(f"Event {now:,} of 4,000")


def test_play_goes_on_and_stops(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(0)
    shown.page.keyboard.press("Space")
    wait_for(shown, "slider.value > 20")
    assert shown.page.get_attribute("#play", "aria-label") == "Pause"
    shown.page.click("#play")
    stopped = shown.now
    shown.page.wait_for_timeout(200)
    assert shown.now == stopped
    assert shown.page.get_attribute("#play", "aria-label") == "Play"


def test_a_click_on_the_curves_goes_there(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    box = shown.page.locator("#curves .u-over").bounding_box()
    assert box
    shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    wait_for(shown, "Math.abs(slider.value - 2000) < 20")


def test_zooming_in_time_leaves_single_events(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(2000)
    shown.page.hover("#curves .u-over")
    for _ in range(20):
        shown.page.mouse.wheel(0, -100)
    wait_for(shown, "slider.max - slider.min == 20")
    shown.page.dblclick("#curves .u-over")
    wait_for(shown, "slider.max == 4000")


def test_zoom_and_scroll_of_the_map(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    whole = shown.view
    zoom_in(shown, 4)
    zoomed = shown.view
    assert zoomed.cell < whole.cell and zoomed.start > 0
    shown.page.keyboard.press("ArrowDown")
    wait_for(shown, f"+map.dataset.start > {zoomed.start}")
    shown.page.keyboard.press("0")
    shown.page.wait_for_selector(f'#map[data-cell="{whole.cell}"]', state="attached")
    assert shown.view._replace(now=0) == whole._replace(now=0)
    shown.page.hover("#map")
    shown.page.mouse.wheel(0, -100)
    wait_for(shown, f"+map.dataset.cell < {whole.cell}")


def cell_of(memory: Memory, view: View, address: int) -> tuple[int, int]:
    """Column and row of the cell that the middle of a block is in."""
    offset = memory.offset_of(address) + memory.live[address].size // 2
    cell = (offset - view.start) // view.cell
    return cell % view.columns, cell // view.columns


def point_of(shown: Shown, memory: Memory, address: int) -> tuple[float, float]:
    box = shown.page.locator("#map").bounding_box()
    assert box
    column, row = cell_of(memory, shown.view, address)
    return (
        box["x"] + (column + 0.5) * box["width"] / shown.view.columns,
        box["y"] + (row + 0.5) * box["height"] / shown.view.rows,
    )


def test_hover_and_click_tell_of_the_block(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(2500)
    memory = Memory(trace, 2500)
    address, block = next((address, block) for address, block in memory.live.items() if block.size == 5000)
    x, y = point_of(shown, memory, address)
    shown.page.mouse.move(x, y)
    shown.page.wait_for_selector("#tip")
    assert "4.9 KiB, live" in shown.text("#tip") and f"{address:#x}" in shown.text("#tip")
    shown.page.mouse.click(x, y)
    shown.page.wait_for_selector("#panel .terms")
    panel = shown.text("#panel")
    assert f"{address:#x} {DASH} {address + block.size:#x}" in panel
    assert f"event {block.born + 1:,}" in panel and f"thread {block.thread}" in panel
    assert re.search(r"step_\d \(app\.py:\d0\)\s+main \(app\.py:3\)", panel)
    shown.page.click(f"#panel >> text=event {block.born + 1:,}")
    shown.wait_for(block.born + 1)
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_selector("#panel .hint")


def test_header_and_padding_are_told_apart_from_payload(opener: Opener, tmp_path: Path) -> None:
    """Three blocks with 12 bytes between them and a far one: what is between them is drawn when it can be."""
    path = tmp_path / "close.snug"
    with TraceWriter(path) as writer:
        for address, size in ((0x10800, 100), (0x10870, 36), (0x108A0, 64), (0x10FC0, 64)):
            writer.add(Operation.MALLOC, size=size, address=address)
    shown = opener.show(path)
    wait_for(shown, "map.dataset.now == 4")
    shown.page.wait_for_selector('#marks[data-overheads="2"]', state="attached")
    view = shown.view
    box = shown.page.locator("#map").bounding_box()
    assert box
    cell = (0x878 - view.start) // view.cell
    edge = box["width"] / view.columns
    shown.page.mouse.click(
        box["x"] + (cell % view.columns + 0.5) * edge, box["y"] + (cell // view.columns + 0.5) * edge
    )
    shown.page.wait_for_selector("#panel .place")
    parts = ["12", "payload 36", "12"]
    assert shown.page.locator("#panel .place span").all_inner_texts() == parts
    assert "behind 12 bytes of header and padding" in shown.text("#panel")


def test_sizes_are_counted(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(2500)
    shown.page.keyboard.press("2")
    shown.page.wait_for_selector("#panel .histogram")
    memory = Memory(trace, 2500)
    classes = {8: ("8", "16"), 24: ("16", "32"), 100: ("64", "128"), 700: ("512", "1K"), 5000: ("4K", "8K")}
    for size, bounds in classes.items():
        name = DASH.join(bounds)
        count = sum(block.size == size for block in memory.live.values())
        row = shown.page.locator(f"#panel section:first-child tr:has(th:text-is('{name}'))")
        assert [text.split()[1] for text in row.all_inner_texts()] == ([f"{count:,}"] if count else [])


def test_the_ledger_marks_the_blocks_of_a_line(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(4000)
    marks = "() => document.getElementById('marks').toDataURL()"
    shown.page.keyboard.press("3")
    shown.page.wait_for_selector("#panel .ledger")
    assert "step_" in shown.text("#panel .ledger tbody")
    before = shown.page.evaluate(marks)
    shown.page.click("#panel .ledger tbody tr")
    shown.page.wait_for_selector("#panel .ledger tr.chosen")
    assert shown.page.evaluate(marks) != before


def test_stacks_are_drawn_and_zoomed(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.page.keyboard.press("4")
    shown.page.wait_for_selector("#panel .flame")
    names = shown.page.locator("#panel .flame button").all_inner_texts()
    assert names[:2] == ["all that is live", "main (app.py:3)"]
    assert {name.split()[0] for name in names[2:]} == {"step_1", "step_2", "step_3", "step_4"}
    shown.page.click("#panel .flame button:nth-child(3)")
    shown.page.wait_for_selector("#panel >> text=all stacks")
    assert shown.page.locator("#panel .flame button").all_inner_texts() == names[:3]


def test_a_frame_shows_its_blocks_on_the_map(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.go(2500)
    shown.page.keyboard.press("4")
    shown.page.wait_for_selector("#panel .flame")
    memory = Memory(trace, 2500)
    with TraceReader(trace) as reader:
        list(reader.events())
        label_of = {block.stack: str(reader.tables.frames_of(block.stack)[0]) for block in memory.live.values()}
    label = shown.page.inner_text("#panel .flame button:nth-child(4)")
    shown.page.click("#panel .flame button:nth-child(4)")
    shown.page.wait_for_selector("#panel .flame .shown:nth-child(3)")
    chosen = [block for block in memory.live.values() if label_of[block.stack] == label]
    assert 0 < len(chosen) < len(memory.live)
    assert f"in {len(chosen):,} blocks: {label}" in shown.text("#panel h2")
    wait_for_pixels(
        shown, lambda view: memory.pixels(view, "size", "light", lambda one: label_of[one.stack] == label)
    )
    assert "of other stacks" in shown.text("#legend")
    shown.page.keyboard.press("2")
    assert shown.text("#within") == f"only {label} \N{MULTIPLICATION SIGN}"
    shown.page.click("#within")
    wait_for_pixels(shown, lambda view: memory.pixels(view, "size", "light"))
    assert not shown.page.is_visible("#within") and "of other stacks" not in shown.text("#legend")


def wait_for_pixels(shown: Shown, expected: Callable[[View], list[tuple[int, ...]]]) -> None:
    """Wait until the map is as it should be; it may be drawn again meanwhile."""
    for _ in range(200):
        view, pixels = shown.view, shown.pixels()
        if len(pixels) == view.columns * view.rows and not differing(pixels, expected(view)):
            return
        shown.page.wait_for_timeout(50)
    raise AssertionError("the map does not become what it should be")


def test_machine_code_has_the_names_that_reports_have(opener: Opener, tmp_path: Path) -> None:
    """One place in the C library, which has symbols, and one in a file that is not there."""
    libc = next(
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libc.so" in line
    )
    function = next(symbol for symbol in symbols_of(libc, Path(libc)) if symbol.name == "qsort")
    path = tmp_path / "native.snug"
    with TraceWriter(path) as writer:
        stack = writer.stack([NativeFrame(libc, function.begin + 1), NativeFrame("/none/<b>.so", 16)])
        writer.add(Operation.MALLOC, size=100, address=0x10000, stack=stack)
    shown = opener.show(path)
    shown.page.keyboard.press("4")
    shown.page.wait_for_selector("#panel .flame")
    names = shown.page.locator("#panel .flame button").all_inner_texts()
    assert names == ["all that is live", "/none/<b>.so+0x10", f"qsort ({libc})"]
    report = json.loads(snug("report", path, "--json", "-").stdout)
    assert report["moment"]["live"]["by_stack"][0]["frames"] == names[:0:-1]


def test_without_stacks_there_is_no_flame_graph(trace: Path, opener: Opener, tmp_path: Path) -> None:
    plain = tmp_path / "plain.snug"
    convert(trace, plain, without=Flags.STACKS)
    shown = opener.show(plain)
    assert shown.page.locator("#tab-stacks").count() == 0
    assert shown.page.locator("#colouring option").all_inner_texts() == ["size", "age", "thread"]


@pytest.mark.parametrize("page_size", [0, 16384, 65536])
@pytest.mark.parametrize("at", ["end", "peak"])
@pytest.mark.parametrize("has_stacks", [True, False])
def test_the_ledger_is_that_of_the_report(
    page_size: int, at: str, has_stacks: bool, opener: Opener, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "app.snug", page_size=page_size)
    if not has_stacks:
        convert(path, tmp_path / "plain.snug", without=Flags.STACKS)
        path = tmp_path / "plain.snug"
    report = json.loads(snug("report", path, "--at", at, "--json", "-").stdout)["moment"]["held"]
    shown = opener.show(path)
    shown.page.keyboard.press("p" if at == "peak" else "End")
    shown.page.keyboard.press("3")
    shown.page.wait_for_selector(f'#panel[data-now="{shown.now}"] .ledger')
    pages = "4.0 KiB" if not page_size else f"{page_size / 1024:.1f} KiB"
    count = report["pinned_pages"]
    assert f"{count:,} page{'s' * (count != 1)} of {pages}, each" in shown.text("#panel p")
    assert float(shown.page.get_attribute("#panel h2", "data-held") or 0) == report["held_bytes"]
    lines = shown.page.eval_on_selector_all(
        "#panel .ledger tbody tr", "all => all.map(one => [one.cells[2].textContent, Number(one.dataset.held)])"
    )
    if has_stacks:
        expected = {part["origin"]: part["held_bytes"] for part in report["by"]["by_origin"]}
        assert dict(lines) == pytest.approx(expected)
    else:  # the page tells threads apart as well
        assert sum(held for _, held in lines) == pytest.approx(report["held_bytes"])


def test_a_sampled_trace_has_no_ledger(opener: Opener, tmp_path: Path) -> None:
    path = tmp_path / "sampled.snug"
    with TraceWriter(path, Header(mean_gap=1000)) as writer:
        writer.add(Operation.MALLOC, size=10, address=0x1000)
    shown = opener.show(path)
    assert shown.page.locator("#tab-pins").count() == 0
    assert json.loads(snug("report", path, "--json", "-").stdout)["moment"]["held"] is None


def test_the_theme_follows_the_system_and_a_key(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace, theme="dark")
    assert shown.page.get_attribute("html", "data-theme") == "dark"
    shown.page.keyboard.press("t")
    assert shown.page.get_attribute("html", "data-theme") == "light"
    for scheme in ("light", "dark"):
        shown.page.emulate_media(color_scheme=scheme)
        shown.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    shown.page.wait_for_selector("html[data-theme=dark]", state="attached")


@pytest.mark.parametrize("width", [360, 760, 1280])
def test_nothing_is_wider_than_the_screen(width: int, trace: Path, opener: Opener) -> None:
    shown = opener.show(trace, width, 740)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    box = shown.page.locator("#map").bounding_box()
    assert box and box["width"] > width / 2 and box["height"] > 150


def test_keys_are_told(trace: Path, opener: Opener) -> None:
    shown = opener.show(trace)
    shown.page.keyboard.press("?")
    assert "play, pause" in shown.text("dialog")
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_selector("dialog", state="hidden")


def test_a_trace_without_addresses_has_curves_and_says_why_no_map(
    trace: Path, opener: Opener, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.snug"
    convert(trace, plain, without=Flags.ADDRESSES)
    shown = opener.show(plain)
    assert "no addresses" in shown.text("#no-map")
    shown.page.keyboard.press("End")
    wait_for(shown, "event.textContent.startsWith('Event 4,000 of')")
    memory = Memory(trace, 4000)
    assert shown.text("#figures .blocks dd") == f"{len(memory.live):,}"
    assert "Live blocks" in shown.text("#panel")


def test_a_trace_with_nothing_in_it_opens(opener: Opener, tmp_path: Path) -> None:
    empty = tmp_path / "empty.snug"
    TraceWriter(empty).close()
    shown = opener.show(empty)
    assert "nothing has happened yet" in shown.text("#event")


def test_one_block_opens(opener: Opener, tmp_path: Path) -> None:
    path = tmp_path / "one.snug"
    with TraceWriter(path) as writer:
        writer.add(Operation.MALLOC, size=2**40, address=0x1000)
    shown = opener.show(path)
    assert shown.text("#figures .live dd") == "1.0 TiB"


def test_names_are_text(opener: Opener, tmp_path: Path) -> None:
    path = tmp_path / "<b>it's</script>.snug".replace("/", "&")
    with TraceWriter(path, about={"program": "<img src=x>"}) as writer:
        writer.add(Operation.MALLOC, size=10, address=0x1000)
    shown = opener.show(path)
    assert shown.text("#name") == path.name
    assert shown.text("#summary").startswith("<img src=x>, 1 event")


def test_a_page_without_a_trace_says_so(opener: Opener, tmp_path: Path) -> None:
    file = tmp_path / "cut.html"
    file.write_bytes(fill(TEMPLATE.read_bytes(), "cut", [], b"no trace, but long enough for a header. " * 3))
    shown = opener.blank()
    shown.page.goto(file.as_uri())
    shown.page.wait_for_selector("html[data-state=failed]", state="attached")
    assert "not a .snug trace" in shown.text("#opening-text")
