"""`snug view --demo`: what it tells of each call is what the engine does, and the page shows what it tells."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from snugcommand import INTERRUPTED
from snugmalloc import engine
from snugmalloc.engine import Simulation
from snugmalloc.heap import HEADER, Block, Status
from snugmalloc.viewing.demo import Session, make_demo
from snugmalloc.viewing.lesson import STEPS
from snugmalloc.viewing.passages import Passage, Tracer

from ..builds import ROOT
from ..cli.test_trace import snug
from ..docs.documents import blocks_of
from .conftest import Opener, Shown
from .test_page import SNUG

DOCUMENT = ROOT / "docs" / "four-functions.md"
FUNCTIONS = ("os_malloc", "os_calloc", "os_realloc", "os_free")
LAST = len(STEPS)
WIDE, NARROW = (1280, 720), (390, 844)
UNITS = {WIDE: 512, NARROW: 256}
LONGEST = 512


class Call(NamedTuple):
    """A call, and the blocks after it."""

    function: str
    arguments: tuple[int, ...]
    answer: int | None
    blocks: list[Block]


class Listening(Simulation):
    """The four functions, and what was asked of them."""

    calls: list[Call]

    def __init__(self) -> None:
        super().__init__()
        Listening.calls = []
        for name in FUNCTIONS:
            setattr(self, name, self._listened(name, getattr(self, name)))

    def _listened(self, name: str, function: Callable[..., int | None]) -> Callable[..., int | None]:
        def called(*arguments: int) -> int | None:
            answer = function(*arguments)
            self.calls.append(Call(name, arguments, answer, self.blocks()))
            return answer

        return called


@pytest.fixture(scope="module")
def session() -> dict[str, Any]:
    """What the page has."""
    played: dict[str, Any] = json.loads(json.dumps(Session().play(STEPS)))
    return played


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    """The same calls without anybody who looks on."""
    played = Session()
    played.simulation = Listening()
    played.play(STEPS)
    return Listening.calls


def test_the_calls_are_those_of_the_document(calls: list[Call], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(calls)
    monkeypatch.setattr(engine, "Simulation", Listening)
    names: dict[str, Any] = {}
    for block in blocks_of(DOCUMENT.read_text()):
        if block.language == "python":
            exec(block.text, names)
    assert Listening.calls == expected


def test_the_blocks_are_those_of_the_walk(session: dict[str, Any], calls: list[Call]) -> None:
    for step, call in zip(session["steps"], calls, strict=True):
        assert step["answer"] == call.answer
        told = [Block(one["at"], one["size"], Status[one["status"].upper()]) for one in step["blocks"]]
        assert told == call.blocks


def test_fields_fill_the_header_and_say_what_is_there(session: dict[str, Any]) -> None:
    for step in session["steps"]:
        for block in step["blocks"]:
            fields = block["fields"]
            ends = [field["offset"] + field["width"] for field in fields]
            assert [field["offset"] for field in fields] == [0, *ends[:-1]] and ends[-1] == HEADER
            values = {field["name"]: int(field["value"], 16) for field in fields}
            assert values["size"] == block["size"]
            assert values["status"] == Status[block["status"].upper()]
            is_tree = block["kept"] == "tree"
            assert ("smaller" in values) == is_tree
            assert ("older" in values) == (block["status"] != "live" and not is_tree)


def test_neighbours_are_told_as_they_are(session: dict[str, Any]) -> None:
    told = 0
    for step in session["steps"]:
        heap = [block for block in step["blocks"] if block["status"] != "mapped"]
        for at, block in enumerate(heap):
            says = {field["name"]: field["says"] for field in block["fields"]}
            before = f"the block before has {heap[at - 1]['size']:,} bytes" if at else "no block before"
            assert before in says["tags"]
            assert ("it is the last one" in says["tags"]) == (block is heap[-1]) == block["isTop"]
            if block["status"] == "live" and block is not heap[-1]:
                is_free = heap[at + 1]["status"] == "free"
                assert says["free_next"] == f"the block behind is {'free' if is_free else 'not free'}"
                told += 1
    assert told > 50


def test_the_block_that_is_taken_is_the_best_fit(session: dict[str, Any]) -> None:
    searches = [step["search"] for step in session["steps"] if step["search"]]
    assert len(searches) > 8
    for search in searches:
        places = [(one["size"], one["at"]) for one in search["candidates"]]
        assert places == sorted(places)
        fitting = [at for size, at in places if size >= search["wanted"]]
        assert search["chosen"] == (fitting[0] if fitting else 0)


def kinds_of(step: dict[str, Any]) -> list[str]:
    return [happening["kind"] for happening in step["happened"]]


def test_what_happened_is_what_the_document_says(session: dict[str, Any]) -> None:
    told = {step["title"]: kinds_of(step) for step in session["steps"]}
    assert told["Preallocation"] == ["grown", "split"]
    assert told["Free"] == ["freed"]
    assert told["Best fit"] == ["chosen"]
    assert told["Coalesce"] == ["merged", "chosen"]
    assert told["Realloc: shrink in place"] == ["split"]
    assert told["Realloc: grow in place"] == ["merged", "split"]
    assert told["Realloc: move"] == ["chosen", "split", "moved", "freed"]
    assert told["Growing the heap"] == ["merged", "searched", "grown"]
    assert told["Realloc: grow at the end"] == ["grown"]
    assert told["A mapping of its own"] == ["mapped"]
    assert told["Free a mapping"] == ["unmapped"]
    assert told["When the system refuses"] == ["refused"]


def test_splits_and_merges_are_those_that_the_engine_counts() -> None:
    played = Session()
    session = played.play(STEPS)
    figures = played.simulation.engine.Figures(played.simulation.engine.FIGURES)
    kinds = [kind for step in session["steps"] for kind in kinds_of(step)]
    assert kinds.count("split") == figures.splits
    assert kinds.count("merged") == figures.coalescings


def test_the_system_calls_are_told(session: dict[str, Any]) -> None:
    names = {
        step["title"]: [(call["name"], call["result"] is not None) for call in step["systemCalls"]]
        for step in session["steps"]
    }
    assert names["Preallocation"] == [("brk", True), ("brk", True)]
    assert names["Best fit"] == []
    assert names["Free a mapping"] == [("munmap", True)]
    assert names["When the system refuses"] == [("mmap", False)]


def test_each_step_goes_through_the_function_that_it_is_about(session: dict[str, Any]) -> None:
    for step, told in zip(STEPS, session["steps"], strict=True):
        passages = [session["functions"][passage["function"]]["name"] for passage in told["passages"]]
        assert passages[0] == step.function
        assert passages[told["about"]] == step.about


def test_the_lines_that_ran_are_lines_of_the_function(session: dict[str, Any]) -> None:
    folder = Path(engine.__file__).parent
    for function in session["functions"]:
        lines = (folder / function["layer"]).read_text().splitlines(keepends=True)
        source = function["source"].splitlines(keepends=True)
        assert lines[function["line"] - 1 :][: len(source)] == source
    for step in session["steps"]:
        for passage in step["passages"]:
            function = session["functions"][passage["function"]]
            end = function["line"] + function["source"].count("\n")
            assert passage["lines"]
            assert all(function["line"] < line < end for line in passage["lines"])


def nothing(passage: Passage) -> None:
    """Nobody is told."""


def test_a_tracer_marks_the_lines_that_ran_and_no_others() -> None:
    simulation = Simulation()
    tracer = Tracer(nothing, nothing)
    with tracer.listening():
        simulation.os_free(0)
    simulation.os_free(0)
    (passage,) = tracer.passages
    source = passage.function.source.splitlines()
    ran = [source[line - passage.function.line].strip() for line in sorted(passage.lines)]
    assert ran == ["if pointer == 0:", "return"]
    assert (passage.function.layer, passage.arguments) == ("osmem/front.py", {"pointer": 0})


def test_the_page_is_written(tmp_path: Path) -> None:
    target = tmp_path / "demo.html"
    outcome = snug("view", "--demo", "-o", target)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    assert target.read_bytes() == make_demo()
    assert str(ROOT).encode() not in target.read_bytes()


def test_the_page_is_served() -> None:
    with subprocess.Popen(
        [SNUG, "view", "--demo"], stdout=subprocess.PIPE, text=True, env={"PATH": "", "BROWSER": "true"}
    ) as server:
        assert server.stdout
        assert re.match(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        server.send_signal(signal.SIGINT)
        assert server.wait(300) == INTERRUPTED


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "Missing argument 'TRACE'"), (["--demo", __file__], "leave out TRACE")]
)
def test_a_trace_or_the_demo(arguments: list[str], said: str) -> None:
    outcome = snug("view", *arguments)
    assert outcome.returncode == 2
    assert said in outcome.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a file."""
    path = tmp_path_factory.mktemp("demo") / "demo.html"
    path.write_bytes(make_demo())
    return path


def show(opener: Opener, page: Path, size: tuple[int, int] = WIDE, theme: str = "light") -> Shown:
    shown = opener.blank(*size, theme)
    shown.open(page.as_uri())
    return shown


def wait_for_step(shown: Shown, number: int) -> None:
    shown.page.wait_for_selector(f'html[data-step="{number}"]', state="attached")
    assert shown.text("#place") == f"call {number} of {LAST}"
    assert shown.text("#title") == STEPS[number - 1].title


def go(shown: Shown, number: int) -> None:
    """Move the slider to a step."""
    shown.page.eval_on_selector(
        "#slider",
        "(slider, now) => { slider.value = now; slider.dispatchEvent(new Event('input')); }",
        number - 1,
    )
    wait_for_step(shown, number)


def test_buttons_and_keys_move_from_call_to_call(page: Path, opener: Opener) -> None:
    shown = show(opener, page)
    wait_for_step(shown, 1)
    assert shown.page.is_disabled("#back")
    shown.page.click("#forward")
    wait_for_step(shown, 2)
    shown.page.click("#back")
    wait_for_step(shown, 1)
    for key, number in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", LAST), ("Home", 1)):
        shown.page.keyboard.press(key)
        wait_for_step(shown, number)
    shown.page.keyboard.press("End")
    assert shown.page.is_disabled("#forward")
    go(shown, 5)
    shown.page.click("#slider", position={"x": 2, "y": 5})
    wait_for_step(shown, 1)
    shown.page.keyboard.press("ArrowRight")
    wait_for_step(shown, 2)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_drawn_blocks_are_those_of_the_walk_and_to_scale(
    size: tuple[int, int], page: Path, opener: Opener, calls: list[Call]
) -> None:
    shown = show(opener, page, size)
    for number in (1, 2, 11, 12, 13, 15, 17, 21, LAST):
        go(shown, number)
        drawn = shown.page.eval_on_selector_all(
            ".piece", "all => all.map(one => ({...one.dataset, width: parseFloat(one.style.width)}))"
        )
        blocks = calls[number - 1].blocks
        assert {(int(one["at"]), int(one["size"]), one["status"]) for one in drawn} == {
            (block.address, block.size, block.status.name.lower()) for block in blocks
        }
        for block in blocks:
            widths = {"header": 0.0, "payload": 0.0}
            for one in drawn:
                if int(one["at"]) == block.address:
                    part = "header" if one["part"] == "header" else "payload"
                    widths[part] += one["width"] * UNITS[size] / 100
            assert widths["header"] == pytest.approx(HEADER, abs=0.01)
            if block.size <= LONGEST:
                assert widths["payload"] == pytest.approx(block.size, abs=0.01)
            else:
                assert widths["payload"] < LONGEST


def test_the_best_fit_is_marked_among_the_candidates(page: Path, opener: Opener, calls: list[Call]) -> None:
    shown = show(opener, page)
    go(shown, 11)
    answer = calls[10].answer
    assert shown.page.get_attribute("#candidates tr.chosen", "data-at") == str(answer)
    rows = shown.page.locator("#candidates tbody tr").all_inner_texts()
    assert [row.split("\t")[1] for row in rows] == ["64", "120", "200", "130,264"]
    assert [row.split("\t")[3] for row in rows] == ["8", "64", "144", "130,208"]
    assert "the smallest, of 64 bytes" in shown.text("#happened")
    assert shown.page.locator(".mark.did-chosen b").count() == 1


def test_the_header_of_any_block_is_told(page: Path, opener: Opener, calls: list[Call]) -> None:
    shown = show(opener, page)
    go(shown, 11)
    assert re.search(r"g: the block at \+0x[0-9a-f]+\s+64 bytes, live", shown.text("#block"))
    assert shown.page.locator("#block .parts span").all_inner_texts() == ["header 32", "asked for 50", "14"]
    assert "50 asked for, 14 of padding" in shown.text("#block")
    fields = shown.page.locator("#block .fields tbody tr").all_inner_texts()
    assert fields[0].split("\t")[:4] == ["\N{MINUS SIGN}32", "8", "size", "0x40"]
    shown.page.keyboard.press("ArrowUp")
    assert "c: the block" in shown.text("#block")
    first = calls[10].blocks[0].address
    shown.page.click(f'.piece[data-at="{first}"][data-part=payload]')
    assert "a: the block at +0x20" in shown.text("#block")


def test_the_code_that_ran_is_marked(page: Path, opener: Opener, session: dict[str, Any]) -> None:
    shown = show(opener, page)
    go(shown, 11)
    assert shown.text("#passages .chosen").startswith("take_best_fit(size 56)")
    told = session["steps"][10]
    lines = [int(text.strip(" \N{BLACK RIGHT-POINTING SMALL TRIANGLE}")) for text in ran(shown)]
    assert lines == told["passages"][told["about"]]["lines"]
    some = shown.page.locator("#passages li").count()
    shown.page.keyboard.press("d")
    assert shown.page.locator("#passages li").count() == len(told["passages"]) > some
    shown.page.click("#passages li:first-child button")
    assert "def os_malloc(size: Word)" in shown.text("#source")


def ran(shown: Shown) -> list[str]:
    return shown.page.locator("#source .ran i").all_inner_texts()


def test_an_address_opens_a_step(page: Path, opener: Opener) -> None:
    shown = opener.blank()
    shown.open(f"{page.as_uri()}#step=13")
    wait_for_step(shown, 13)


@pytest.mark.parametrize("width", [360, 760, 1000, 1280])
def test_nothing_is_wider_than_the_screen(width: int, page: Path, opener: Opener) -> None:
    shown = show(opener, page, (width, 740))
    for number in range(1, LAST + 1):
        go(shown, number)
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_follows_the_system_and_a_key(page: Path, opener: Opener) -> None:
    shown = show(opener, page, theme="dark")
    assert shown.page.get_attribute("html", "data-theme") == "dark"
    shown.page.keyboard.press("t")
    assert shown.page.get_attribute("html", "data-theme") == "light"


def test_keys_are_told(page: Path, opener: Opener) -> None:
    shown = show(opener, page)
    shown.page.keyboard.press("?")
    assert "the first call" in shown.text("dialog")
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_selector("dialog", state="hidden")
