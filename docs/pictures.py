"""Makes the pictures of docs/, in Debian's chromium: python docs/pictures.py. Needs what the tests need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
ROOT = DOCS.parent
SNUG = Path(sys.executable).with_name("snug")
SCREENS = ROOT / "tests" / "cli" / "__snapshots__" / "test_top"
FLAGS = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync"]
WIDE, PHONE = (1280, 720), (390, 844)
TERMINAL = (1400, 823)
SMALL_CELL = 8  # bytes
PYTHON = "/usr/bin/python3"
SERVICE = """\
import json


def load(number):
    text = json.dumps([{"name": f"item {n}", "tags": ["a", "b"], "price": n / 7} for n in range(number)])
    return json.loads(text)


def main():
    kept, cache = [], {}
    for step in range(400):
        items = load(20 + step % 50)
        kept.append([item["name"] for item in items[::5]])
        cache[step % 120] = items
        if step % 40 == 39:
            kept = kept[::2]
    cache.clear()


main()
"""


class Camera:
    """Opens pages, and photographs them into docs/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.playwright = sync_playwright().start()
        self.browser = self.playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)

    def close(self) -> None:
        """Close the browser."""
        self.browser.close()
        self.playwright.stop()

    def open(self, size: tuple[int, int], theme: str = "light") -> Page:
        """An empty page."""
        width, height = size
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            has_touch=size == PHONE,
        )
        return context.new_page()

    def show(self, page_file: Path, size: tuple[int, int], theme: str = "light", at: str = "") -> Page:
        """A page of `snug view`, once it is ready."""
        page = self.open(size, theme)
        page.goto(page_file.as_uri() + at)
        page.wait_for_selector("html[data-state=ready]", state="attached")
        return page

    def photograph(self, page: Page, name: str) -> None:
        """Keep what the page shows, once it has settled."""
        page.wait_for_timeout(1000)
        page.screenshot(path=DOCS / name)
        page.context.close()


def snug(*arguments: str | Path, cwd: Path | None = None) -> None:
    """Run the command."""
    subprocess.run([SNUG, *arguments], check=True, cwd=cwd)


def at_the_peak(page: Page, tab: str) -> Page:
    """The peak of a trace, with the tab of this number."""
    page.click("#to-peak")
    page.keyboard.press(tab)
    page.wait_for_timeout(1000)
    return page


def point_at_map(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the map is on the page, in parts of its width and height."""
    box = page.locator("#map").bounding_box()
    assert box
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def heap_pictures(camera: Camera) -> None:
    """The trace that the package has."""
    page_file = camera.folder / "systemui.html"
    snug("view", ROOT / "src/snugmalloc/data/systemui.zip", "-o", page_file)
    page = at_the_peak(camera.show(page_file, WIDE), "2")
    page.mouse.move(*point_at_map(page, 0.4, 0.3))
    camera.photograph(page, "view-light.png")

    page = camera.show(page_file, WIDE, "dark")
    page.select_option("#colouring", "age")
    page.click("#panel >> nth=0")
    at_the_peak(page, "3")
    page.click("#panel .ledger tbody tr")
    camera.photograph(page, "view-dark.png")

    page = camera.show(page_file, WIDE)
    page.select_option("#colouring", "thread")
    page.click("#to-peak")
    page.wait_for_timeout(1000)
    page.mouse.click(*point_at_map(page, 0.3, 0.946))
    page.click("#panel >> text=zoom to it")
    page.wait_for_timeout(1000)
    while int(page.get_attribute("#map", "data-cell") or 0) > SMALL_CELL:
        page.keyboard.press("+")
        page.wait_for_timeout(1000)
    page.mouse.click(*point_at_map(page, 0.25, 0.75))
    camera.photograph(page, "view-zoomed.png")

    camera.photograph(at_the_peak(camera.show(page_file, PHONE, "dark"), "2"), "view-phone.png")


def flame_picture(camera: Camera) -> None:
    """A Python program with its lines."""
    home = Path(tempfile.gettempdir()) / "app"  # which is in the picture
    home.mkdir()
    try:
        (home / "app.py").write_text(SERVICE)
        trace, page_file = camera.folder / "app.snug", camera.folder / "app.html"
        snug("record", "--stacks", "python", "-o", trace, "--", PYTHON, "app.py", cwd=home)
        snug("view", trace, "-o", page_file)
    finally:
        shutil.rmtree(home)
    page = at_the_peak(camera.show(page_file, WIDE), "4")
    page.click("#panel .flame button >> text=/^load/")
    camera.photograph(page, "view-flame.png")


def demo_pictures(camera: Camera) -> None:
    """How malloc works."""
    page_file = camera.folder / "demo.html"
    snug("view", "--demo", "-o", page_file)
    camera.photograph(camera.show(page_file, WIDE, at="#step=11"), "demo-light.png")
    camera.photograph(camera.show(page_file, WIDE, "dark", at="#step=13"), "demo-dark.png")
    camera.photograph(camera.show(page_file, PHONE, at="#step=13"), "demo-phone.png")


def screen_pictures(camera: Camera) -> None:
    """The screens of snug top, which the tests hold."""
    screens = {
        "top.png": "test_the_screens_look_as_they_did[in_detail-size0].svg",
        "top-map.png": "test_the_map_looks_as_it_did[size0].svg",
    }
    for name, screen in screens.items():
        page = camera.open(TERMINAL)
        drawing = (SCREENS / screen).read_text().replace(">Top<", ">snug top<")
        page.set_content(f'<body style="margin:0">{drawing}</body>')
        camera.photograph(page, f"metrics/{name}")


def main() -> None:
    """Make them all."""
    with tempfile.TemporaryDirectory() as folder:
        camera = Camera(Path(folder))
        try:
            heap_pictures(camera)
            flame_picture(camera)
            demo_pictures(camera)
            screen_pictures(camera)
        finally:
            camera.close()


if __name__ == "__main__":
    main()
