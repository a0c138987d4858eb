"""`snug top`: its screens of made-up processes, and of real ones."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import pty
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import DataTable, Sparkline, Static

from snugmalloc.engine.dropin.outside import Command
from snugmalloc.launch.inside import Memory
from snugmalloc.live import screen
from snugmalloc.live.asking import Answer, Kind, Mailbox
from snugmalloc.live.history import History, bars
from snugmalloc.live.processes import Reading, read_one
from snugmalloc.live.remote import CannotAttach
from snugmalloc.live.screen import All, One, Top, cells_of
from snugmalloc.live.walk import GIVEN, KEPT, LIVE, HeapView, Segment

from .live import MIB, FakeProcess, FakeSource, fake_heap, fake_sample, fake_view
from .programs import PYTHON, SNUG, snug
from .test_state import REFUSED, running

NEVER = 1e6  # seconds to the next reading: those in between are taken by the test
SIZE = (128, 36)
Act = Callable[[Pilot[None]], Awaitable[None]]


async def readings(pilot: Pilot[None], count: int = 30) -> None:
    """So many more readings."""
    assert isinstance(pilot.app, Top)
    for _ in range(count):
        await pilot.app.take_reading()
    await pilot.pause()


async def in_detail(pilot: Pilot[None]) -> None:
    """The first process, after some readings."""
    await readings(pilot)
    await pilot.press("enter")
    await pilot.pause()


def play(app: Top, act: Act) -> None:
    """Do `act` with the application, which then ends."""

    async def run() -> None:
        async with app.run_test(size=SIZE) as pilot:
            await act(pilot)

    asyncio.run(run())


def words(app: Top, place: str) -> str:
    """What a part of the screen in front shows."""
    return str(app.screen.query_one(place, Static).render())


def rows(app: Top) -> list[list[str]]:
    """The cells of the table."""
    table = app.screen.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(index)] for index in range(table.row_count)]


# ---- How it looks ----


@pytest.mark.parametrize("size", [SIZE, (80, 24)])
@pytest.mark.parametrize("act", [readings, in_detail])
def test_the_screens_look_as_they_did(act: Act, size: tuple[int, int], snap_compare: Any) -> None:
    assert snap_compare(Top(FakeSource().read, NEVER), run_before=act, terminal_size=size)


async def with_a_map(pilot: Pilot[None]) -> None:
    """The same, with its heap."""
    await in_detail(pilot)
    await pilot.press("m")
    for worker in [worker for worker in pilot.app.workers if worker.name == "walk"]:
        await worker.wait()
    pilot.app.screen.query_one(VerticalScroll).scroll_end(animate=False)
    await pilot.pause()


@pytest.mark.parametrize("size", [SIZE, (80, 24)])
def test_the_map_looks_as_it_did(size: tuple[int, int], snap_compare: Any) -> None:
    app = Top(FakeSource().read, NEVER, walk=fake_view)
    assert snap_compare(app, run_before=with_a_map, terminal_size=size)


async def recorded(pilot: Pilot[None]) -> None:
    """A process that records, and was asked to give back what is free."""
    await in_detail(pilot)
    await pilot.press("r")
    await readings(pilot, 1)
    await pilot.press("t")
    await readings(pilot, 1)


def test_what_was_asked_for_looks_as_it_did(snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    process = FakeProcess()
    process.answer = Answer.DONE
    monkeypatch.setattr(screen, "open_mailbox", process)
    monkeypatch.setattr(
        time, "strftime", lambda form, *_: form.replace("%H%M%S", "123456").replace("%H:%M:%S", "12:34:56")
    )
    app = Top(FakeSource().read, NEVER, folder=Path("/folder"))
    assert snap_compare(app, run_before=recorded, terminal_size=SIZE)


# ---- Asked for ----


def test_a_trim_is_asked_for_and_told_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    process = FakeProcess()
    monkeypatch.setattr(screen, "open_mailbox", process)
    app = Top(FakeSource().read, NEVER)

    async def act(pilot: Pilot[None]) -> None:
        await in_detail(pilot)
        assert not app.screen.query_one("#asked").display
        await pilot.press("t")
        await readings(pilot, 1)
        assert words(app, "#asked") == "trim: requested; waits for the process's next heap activity"
        await pilot.press("r")  # not before that is done
        assert words(app, "#asked") == "trim: requested; waits for the process's next heap activity"
        process.answer = Answer.DONE
        await readings(pilot, 1)
        assert words(app, "#asked").startswith("trimmed at ")
        assert words(app, "#asked").endswith(": 12.0 MiB given back")
        assert [asked.kind for asked in process.asked] == [Kind.TRIM]

    play(app, act)


def test_a_recording_is_begun_and_ended_by_the_same_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = FakeProcess()
    process.answer = Answer.DONE
    monkeypatch.setattr(screen, "open_mailbox", process)
    app = Top(FakeSource().read, NEVER, folder=tmp_path)

    async def act(pilot: Pilot[None]) -> None:
        await in_detail(pilot)
        await pilot.press("r")
        await readings(pilot, 1)
        assert words(app, "#asked").startswith("recording since ")
        await pilot.press("r")
        await readings(pilot, 1)
        assert words(app, "#asked").startswith("recorded until ")
        begun, ended = process.asked
        assert (begun.kind, ended.kind) == (Kind.BEGIN, Kind.END) and begun.path == ended.path
        assert Path(begun.path).parent == tmp_path and Path(begun.path).name.startswith("python3.4711-")
        process.answer = Answer.NOT_MADE
        await pilot.press("r")
        await readings(pilot, 1)
        assert "could not make the file" in words(app, "#asked")
        await pilot.press("r")  # it does not record: so this begins again
        assert process.asked[-1].kind is Kind.BEGIN

    play(app, act)


@pytest.mark.parametrize("key", ["t", "r"])
def test_an_answer_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str) -> None:
    with (tmp_path / "memory").open("w+b", buffering=0) as file:
        file.truncate(Command.SIZE)
        memory = Memory(file.fileno())
        monkeypatch.setattr(screen, "open_mailbox", lambda pid: nullcontext(Mailbox(memory, 0, pid)))
        app = Top(FakeSource().read, NEVER, folder=tmp_path)

        async def act(pilot: Pilot[None]) -> None:
            await in_detail(pilot)
            await pilot.press(key)
            memory.write(Command.answer, (99).to_bytes(8, "little"))
            memory.write(Command.answered, memory.read(Command.asked, 8))
            await readings(pilot, 1)
            assert words(app, "#asked").endswith(
                ": unknown answer: use the snug of the same version as its library"
            )

        play(app, act)


def test_a_process_that_cannot_be_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    process = FakeProcess()
    process.has_ended = True
    monkeypatch.setattr(screen, "open_mailbox", process)

    def cannot_walk(pid: int) -> HeapView:
        raise CannotAttach(f"process {pid} cannot be read: Permission denied (try sudo)")

    app = Top(FakeSource().read, NEVER, walk=cannot_walk)

    async def act(pilot: Pilot[None]) -> None:
        await with_a_map(pilot)
        assert "cannot be read" in words(app, "#map")
        await pilot.press("t")
        await readings(pilot, 1)
        assert words(app, "#asked") == "process 4711 has ended"

    play(app, act)


def test_a_real_process_gives_back_and_shows_its_map() -> None:
    code = "import threading, time\nkept = [bytes(3000) for _ in range(30_000)]\ndel kept[::2]\n"
    code += "def work():\n while True: [bytes(20_000) for _ in range(500)]; time.sleep(0.01)\n"
    code += "threading.Thread(target=work, daemon=True).start()"
    with running(code, SNUG_PURGE_DELAY="1G") as pid:
        app = Top(functools.partial(read_one, pid), NEVER, pid=pid)

        async def act(pilot: Pilot[None]) -> None:
            await readings(pilot, 1)
            await pilot.press("t", "m")
            for _ in range(600):
                await readings(pilot, 1)
                if (
                    "given back" in words(app, "#asked")
                    and app.screen.query_one("#map", Static).size.height > 8
                ):
                    return
                await asyncio.sleep(0.05)
            raise AssertionError(words(app, "#asked"))

        play(app, act)


def test_cells_show_what_most_of_their_pages_are() -> None:
    states = bytes([LIVE] * 10 + [KEPT] * 10 + [GIVEN] * 5)
    segments = [Segment("process", 0, 0, states=states[:12]), Segment("shard 1", 0, 0, states=states[12:])]
    assert cells_of(segments, 5) == [LIVE, LIVE, KEPT, KEPT, GIVEN]
    assert cells_of(segments, 100) == list(states)
    assert cells_of([], 5) == []


# ---- Made-up processes ----


def test_all_processes_are_shown_the_largest_first() -> None:
    app = Top(FakeSource().read, NEVER)

    async def act(pilot: Pilot[None]) -> None:
        await readings(pilot, 1)
        found = rows(app)
        assert [row[0] for row in found] == ["4711", "812", "99"]
        assert found[1][1:9] == [
            "redis-server",
            "90.0 MiB",
            "96.0 MiB",
            "96.0 MiB",
            "0 bytes",
            "1.07",
            "0",
            "2",
        ]
        assert found[0][7] == "7" and found[0][9] == "3"  # one brk, three mmap, three madvise in a second
        assert "3 processes" in words(app, "#summary") and "left out: 2 off by an option" in words(
            app, "#summary"
        )

    play(app, act)


def test_the_cursor_stays_on_its_process() -> None:
    source = FakeSource()
    app = Top(source.read, NEVER)

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("down")
        source.gone.add(4711)
        await readings(pilot, 2)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, One) and app.screen.pid == 812

    play(app, act)


def test_a_process_in_detail_and_back() -> None:
    app = Top(FakeSource().read, NEVER)

    async def act(pilot: Pilot[None]) -> None:
        await in_detail(pilot)
        assert words(app, "#title") == "python3 4711"
        assert "3  the limit of SNUG_LIMIT" in words(app, "#refused")
        curve = app.screen.query_one("#live", Sparkline).data
        assert curve is not None and len(curve) == 31 and max(curve) == 680 * MIB
        await readings(pilot, 1)
        assert len(app.screen.query_one("#live", Sparkline).data or ()) == 32
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, All) and len(rows(app)) == 3

    play(app, act)


def test_a_process_that_ended_keeps_its_figures() -> None:
    source = FakeSource()
    app = Top(source.read, NEVER)

    async def act(pilot: Pilot[None]) -> None:
        await in_detail(pilot)
        source.gone.add(4711)
        await readings(pilot, 1)
        assert "ended" in words(app, "#title") and "python3" in words(app, "#title")
        assert "live" in words(app, "#live-words")

    play(app, act)


@pytest.mark.parametrize("detail", [False, True])
def test_a_snapshot_holds_what_is_shown(detail: bool, tmp_path: Path) -> None:
    app = Top(FakeSource().read, NEVER, folder=tmp_path)

    async def act(pilot: Pilot[None]) -> None:
        await (in_detail if detail else readings)(pilot)
        await pilot.press("s")
        await pilot.pause()

    play(app, act)
    (file,) = tmp_path.glob("snug-top-*.json")
    saved = json.loads(file.read_text())
    assert saved["left_out"] == {"off": 2}
    programs = {entry["pid"]: entry for entry in saved["processes"]}
    assert set(programs) == ({4711} if detail else {4711, 812, 99})
    assert programs[4711]["figures"]["refused_limit"] == 3
    assert programs[4711]["calls_per_second"] == 1 + 3 + 31**2 - 30**2
    assert [len(entry.get("curve", ())) for entry in saved["processes"]][:1] == ([31] if detail else [0])


def test_a_snapshot_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    app = Top(FakeSource().read, NEVER, folder=tmp_path / "none")

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("s")
        await pilot.pause()
        (note,) = app._notifications
        assert note.severity == "error" and note.message.endswith("No such file or directory")

    play(app, act)


def test_without_processes_it_says_how_to_start_one() -> None:
    app = Top(lambda: Reading(0, (), {}), NEVER)

    async def act(pilot: Pilot[None]) -> None:
        await readings(pilot, 1)
        assert app.screen.query_one("#none").display and not app.screen.query_one(DataTable).display

    play(app, act)


def test_q_ends_it() -> None:
    app = Top(FakeSource().read, NEVER)

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running

    play(app, act)


def test_the_history_forgets_what_is_old() -> None:
    history = History(kept=3)
    for step in range(5):
        samples = tuple(
            fake_sample(pid, heap=fake_heap(brk_calls=10 * step)) for pid in ((7, 8) if step < 2 else (7,))
        )
        history.add(Reading(float(2 * step), samples, {}))
    assert history.last(8) is None and not history.is_running(8) and history.is_running(7)
    assert history.call_rates(7) == [5.0, 5.0]
    history.add(Reading(11.0, (fake_sample(7, "another"),), {}))
    assert history.calls_per_second(7) is None
    assert bars([0.0, 1.0, 2.0, 4.0], 5) == " ▁▃▅█"


# ---- Real ones ----


def test_a_real_process_is_shown() -> None:
    with running(REFUSED.replace("LIMITED", "1"), SNUG_LIMIT="16M") as pid:
        app = Top(functools.partial(read_one, pid), NEVER, pid=pid)

        async def act(pilot: Pilot[None]) -> None:
            await readings(pilot, 2)
            assert words(app, "#title").endswith(str(pid))
            assert "2  no addresses for so many bytes" in words(app, "#refused")
            assert min(app.screen.query_one("#resident", Sparkline).data or [0]) > 0

        play(app, act)


def on_a_terminal(*arguments: str, keys: bytes, until: bytes) -> tuple[int, bytes]:
    """`snug top` on a terminal, with `keys` once it shows `until`: its exit status, and what it printed."""
    terminal, inner = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen(
        [str(SNUG), "top", *arguments], stdin=inner, stdout=inner, stderr=inner, env=environment
    ) as process:
        os.close(inner)
        printed, pressed = b"", False
        while True:
            try:
                printed += os.read(terminal, 1 << 16)
            except OSError:  # it has ended
                break
            if until in printed and not pressed:
                os.write(terminal, keys)
                pressed = True
    os.close(terminal)
    return process.returncode, printed


def test_a_program_is_started_and_ended_with_the_screen(tmp_path: Path) -> None:
    output = tmp_path / "output"
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    status, printed = on_a_terminal(
        "-o", str(output), "--", PYTHON, "-c", code, keys=b"q", until=b"resident heap"
    )
    assert status == 0, printed
    pid = int(output.read_text())
    assert str(pid).encode() in printed
    assert not Path(f"/proc/{pid}").exists()


def test_how_a_program_ended_is_shown() -> None:
    status, _ = on_a_terminal("--interval", "0.1", "--", PYTHON, "-c", "exit(3)", keys=b"q", until=b"status 3")
    assert status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "snug top needs a terminal: snug metrics prints the figures"),
        (["--interval", "0"], "Invalid value for '--interval'"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], words: str) -> None:
    ended = snug("top", *arguments)
    assert ended.returncode != 0 and words in ended.stderr and ended.stderr.count("\n") == 1


def test_without_the_extra_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError(name='textual')")
    ended = snug("top", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (
        1,
        "snug: snug top needs textual: pip install 'snugmalloc[top]'\n",
    )
