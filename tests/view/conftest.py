"""A browser, and pages that are opened in it as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from snugmalloc.viewing.page import make_page

from ..dropin.test_programs import ON_UBUNTU, need
from .traces import View, write_trace

FLAGS = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync"]
READ = """map => {
    const copy = new OffscreenCanvas(map.width, map.height).getContext("2d", {willReadFrequently: true});
    copy.drawImage(map, 0, 0);
    return Array.from(copy.getImageData(0, 0, map.width, map.height).data);
}"""
OPENS_WITHIN = 300_000  # milliseconds: more is a fault and not a slow machine


@pytest.fixture(scope="session")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace that has everything."""
    return write_trace(tmp_path_factory.mktemp("view") / "app.snug")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    if ON_UBUNTU:
        pytest.skip("Ubuntu has chromium as a snap alone")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=FLAGS)
        yield browser
        browser.close()


class Shown:
    """A page that is open; `complaints` is what the browser had to say, `requests` what it loaded."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(OPENS_WITHIN)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.context.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> None:
        """Open a page, and wait until its trace is."""
        self.page.goto(address)
        self.page.wait_for_selector("html[data-state=ready]", state="attached")

    def go(self, now: int) -> None:
        """Move the slider to a moment."""
        self.page.eval_on_selector(
            "#slider",
            "(slider, now) => { slider.value = now; slider.dispatchEvent(new Event('input')); }",
            now,
        )
        self.wait_for(now)

    def wait_for(self, now: int) -> None:
        """Wait until the map shows a moment."""
        self.page.wait_for_selector(f'#map[data-now="{now}"]', state="attached")

    @property
    def now(self) -> int:
        """The moment that the slider is at."""
        return int(self.page.input_value("#slider"))

    @property
    def view(self) -> View:
        """What the map shows."""
        shown: dict[str, str] = self.page.eval_on_selector("#map", "map => ({...map.dataset})")
        return View(*(int(shown[name]) for name in View._fields))

    def pixels(self) -> list[tuple[int, ...]]:
        """The colour of each cell of the map."""
        values: list[int] = self.page.eval_on_selector("#map", READ)
        return [tuple(values[at : at + 3]) for at in range(0, len(values), 4)]

    def text(self, selector: str) -> str:
        """What an element says."""
        return self.page.inner_text(selector)


class Opener:
    """Opens traces as files."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser = browser
        self.folder = folder
        self.all: list[Shown] = []

    def show(self, trace: Path, width: int = 1280, height: int = 720, theme: str = "light") -> Shown:
        """The page of a trace."""
        file = self.folder / f"{trace.stem}.html"
        file.write_bytes(make_page(trace).html)
        shown = self.blank(width, height, theme)
        shown.open(file.as_uri())
        return shown

    def blank(self, width: int = 1280, height: int = 720, theme: str = "light") -> Shown:
        """A page that nothing is open in yet."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            has_touch=width < 600,
        )
        shown = Shown(context.new_page())
        self.all.append(shown)
        return shown


@pytest.fixture
def opener(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens traces, of which the browser has nothing to complain, and which load nothing."""
    opener = Opener(browser, tmp_path)
    yield opener
    for shown in opener.all:
        loaded = [url for url in shown.requests if not url.startswith(("blob:", "data:"))]
        shown.page.context.close()
        assert shown.complaints == []
        assert len(loaded) == 1, loaded  # the page itself
