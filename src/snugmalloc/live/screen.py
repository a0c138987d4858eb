"""Owns the screens of `snug top`: a table of all processes, and one of them in detail."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Sparkline, Static

from snugmalloc.launch.diagnosis import bytes_text
from snugmalloc.launch.inside import REASONS
from snugmalloc.live.asking import Answer, Asked, Kind, open_mailbox
from snugmalloc.live.history import History, bars
from snugmalloc.live.processes import Missing, Reading, Sample
from snugmalloc.live.remote import PAGE, CannotAttach
from snugmalloc.live.walk import GIVEN, KEPT, LIVE, HeapView, Segment, grouped, walk_process
from snugmalloc.trace.bounds import SIZE_BOUNDS, bound_of

CURVE_WIDTH = 20
BAR_WIDTH = 60
BLUE, ORANGE, GREY = "#56B4E9", "#E69F00", "#808080"  # told apart by people who do not see all colours
LOOKS = {LIVE: ("█", BLUE), KEPT: ("▓", ORANGE), GIVEN: ("░", GREY)}
MAP_ROWS = 8
WALK_SECONDS = 5.0  # from one walk through a heap to the next, while its map is shown,
WALK_SHARE = 20  # and so many times what a walk takes
WORDS = {
    Missing.ENDED: "ended",
    Missing.NOT_PERMITTED: "not permitted to read",
    Missing.OFF: "off by an option",
    Missing.NO_CALLS: "without a call so far",
    Missing.OTHER_VERSION: "on another version",
}
COLUMNS = (
    "PID",
    "program",
    "live",
    "heap",
    "resident",
    "given back",
    "res/live",
    "calls/s",
    "threads",
    "refused",
    "resident over time",
)


def number(value: float | None, form: str = ",.0f") -> str:
    """A figure, or a dash where it is not known."""
    return "-" if value is None else format(value, form)


class Figures(Screen[None]):
    """What shows figures, and does so anew after each reading."""

    pid: int | None = None
    """The process that is shown; None for all."""

    @property
    def history(self) -> History:
        """The readings of the application."""
        assert isinstance(self.app, Top)
        return self.app.history

    def on_mount(self) -> None:
        """Show what there is so far."""
        self.show()

    def on_screen_resume(self) -> None:
        """Show what came while another screen was in front."""
        self.show()

    def show(self) -> None:
        """Show the latest figures."""
        raise NotImplementedError


class All(Figures):
    """A table of all processes, those with the most resident heap first."""

    def compose(self) -> ComposeResult:
        """The parts of the screen."""
        yield Static(id="summary")
        yield DataTable(cursor_type="row", zebra_stripes=True)
        yield Static("No process of this user is on snugmalloc: snug run -- PROGRAM starts one.", id="none")
        yield Footer()

    def on_mount(self) -> None:
        """The table's columns, and what there is so far."""
        table = self.query_one(DataTable)
        for name in COLUMNS:
            table.add_column(Text(name, justify="left" if name in COLUMNS[1::9] else "right"), key=name)
        super().on_mount()

    def show(self) -> None:
        """Fill the table anew; the cursor stays on its process."""
        reading = self.history.latest
        table = self.query_one(DataTable)
        chosen = self._chosen()
        samples = sorted(reading.samples, key=lambda one: (-one.heap.resident_bytes, one.pid))
        table.clear()
        for sample in samples:
            table.add_row(*self._cells(sample), key=str(sample.pid))
        pids = [sample.pid for sample in samples]
        if chosen in pids:
            table.move_cursor(row=pids.index(chosen), animate=False)
        table.display = bool(samples)
        self.query_one("#none").display = not samples
        self.query_one("#summary", Static).update(summary(reading))

    def _chosen(self) -> int | None:
        table = self.query_one(DataTable)
        if not table.row_count:
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        return int(key) if key else None

    def _cells(self, sample: Sample) -> Iterable[Text]:
        heap = sample.heap
        figures = [
            bytes_text(heap.live_bytes),
            bytes_text(heap.system_bytes),
            bytes_text(heap.resident_bytes),
            bytes_text(heap.purged_bytes),
            number(sample.fragmentation, ".2f"),
            number(self.history.calls_per_second(sample.pid)),
            number(sample.threads),
            number(heap.refused_requests),
        ]
        curve = self.history.curve(sample.pid, lambda one: one.heap.resident_bytes)
        yield Text(str(sample.pid), justify="right")
        yield Text(sample.program)
        for figure in figures:
            yield Text(figure, justify="right")
        yield Text(bars(curve, CURVE_WIDTH), style=BLUE)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter: the process in detail."""
        if event.row_key.value:
            self.app.push_screen(One(int(event.row_key.value)))


def summary(reading: Reading) -> str:
    """The sums over all processes, and how many were left out."""
    live = sum(sample.heap.live_bytes for sample in reading.samples)
    resident = sum(sample.heap.resident_bytes for sample in reading.samples)
    count = len(reading.samples)
    words = f"[b]snugmalloc[/b]  {count} {'process' if count == 1 else 'processes'}"
    words += f"  live {bytes_text(live)}  resident {bytes_text(resident)}"
    left_out = [f"{number} {WORDS[reason]}" for reason, number in reading.missing.items() if number]
    return words + (f"  left out: {', '.join(left_out)}" if left_out else "")


class One(Figures):
    """One process in detail."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "back", "All processes"),
        ("t", "trim", "Trim now"),
        ("r", "record", "Record"),
        ("m", "map", "Map"),
    ]

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid = pid
        self.wants_map = False
        self.walked = 0.0  # when the last walk ended
        self.found: HeapView | None = None

    def compose(self) -> ComposeResult:
        """The parts of the screen."""
        yield Static(id="title")
        yield Static(id="asked", markup=False)
        with VerticalScroll():
            yield Static(id="bar")
            with Horizontal(id="parts"):
                yield Static(id="figures")
                with Vertical(id="curves"):
                    for name in ("resident", "live", "calls"):
                        yield Static(id=f"{name}-words")
                        yield Sparkline([], id=name, summary_function=max)
            yield Static(id="refused")
            yield Static(id="map")
        yield Footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is a way back only to a table."""
        return action != "back" or any(isinstance(screen, All) for screen in self.app.screen_stack)

    def action_back(self) -> None:
        """Show all processes."""
        self.app.pop_screen()

    def action_trim(self) -> None:
        """Ask the process to give back what is free."""
        assert isinstance(self.app, Top) and self.pid is not None
        self.app.asks.ask(self.pid, Kind.TRIM)
        self.show()

    def action_record(self) -> None:
        """Ask the process to record, or to leave off."""
        assert isinstance(self.app, Top) and self.pid is not None
        sample = self.history.last(self.pid)
        self.app.asks.ask_to_record(self.pid, sample.program if sample else "process")
        self.show()

    def action_map(self) -> None:
        """Show the heap by addresses and sizes, or show it no more."""
        self.wants_map = not self.wants_map
        self.walked = 0.0
        self.query_one("#map").display = self.wants_map
        self.query_one("#map", Static).update("walking the heap ..." if self.wants_map else "")
        self.walk_if_due()

    def walk_if_due(self) -> None:
        """Walk through the heap, if its map is shown and the last walk is long ago."""
        pause = max(WALK_SECONDS, WALK_SHARE * self.found.seconds if self.found else 0)
        if self.wants_map and time.monotonic() - self.walked >= pause:
            self.run_worker(self._walk(), name="walk", exclusive=True)

    async def _walk(self) -> None:
        assert isinstance(self.app, Top) and self.pid is not None
        self.walked = time.monotonic()
        try:
            self.found = await asyncio.to_thread(self.app.walk_process, self.pid)
        except CannotAttach as error:
            self.query_one("#map", Static).update(Text(f"no map: {error}"))
            return
        finally:
            self.walked = time.monotonic()
        self.query_one("#map", Static).update(map_of(self.found))

    def show(self) -> None:
        """Show the latest figures; those of a process that has ended stay."""
        assert self.pid is not None
        sample = self.history.last(self.pid)
        self.query_one("#title", Static).update(self._title(sample))
        assert isinstance(self.app, Top)
        told = self.app.asks.told(self.pid)
        self.query_one("#asked", Static).update(told)
        self.query_one("#asked").display = bool(told)
        self.walk_if_due()
        if sample is None:
            return
        self.query_one("#bar", Static).update(bar(sample))
        self.query_one("#figures", Static).update(self._figures(sample))
        self.query_one("#refused", Static).update(refusals(sample))
        self._show_curve(
            "resident", self.history.curve(self.pid, lambda one: one.heap.resident_bytes), bytes_text
        )
        self._show_curve("live", self.history.curve(self.pid, lambda one: one.heap.live_bytes), bytes_text)
        self._show_curve("calls", self.history.call_rates(self.pid), number)

    def _title(self, sample: Sample | None) -> str:
        words = f"[b]{escape(sample.program) if sample else 'process'}[/b] {self.pid}"
        assert isinstance(self.app, Top) and self.pid is not None
        if self.history.is_running(self.pid):
            return words
        reasons = [WORDS[reason] for reason in self.history.latest.missing] if sample is None else []
        return f"{words}  [reverse] {self.app.ending() or ', '.join(reasons) or 'ended'} [/reverse]"

    def _figures(self, sample: Sample) -> Table:
        assert self.pid is not None
        heap = sample.heap
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column(justify="right")
        for name, value in (
            ("live", bytes_text(heap.live_bytes)),
            ("  in blocks", number(heap.live_blocks)),
            ("heap", bytes_text(heap.system_bytes)),
            ("  maximum so far", bytes_text(heap.peak_system_bytes)),
            ("  large blocks", bytes_text(heap.mapped_bytes)),
            ("resident heap", bytes_text(heap.resident_bytes)),
            ("resident / live", number(sample.fragmentation, ".2f")),
            ("given back, total", bytes_text(heap.returned_bytes)),
            ("limit", bytes_text(heap.limit_bytes) if heap.limit_bytes else "none"),
            ("threads", number(sample.threads)),
            ("thread caches", number(heap.thread_caches)),
            ("resident process", bytes_text(sample.process_resident_bytes)),
            ("brk calls", number(heap.brk_calls)),
            ("mmap, munmap, mremap", number(heap.mmap_calls + heap.munmap_calls + heap.mremap_calls)),
            ("madvise calls", number(heap.madvise_calls)),
        ):
            table.add_row(name, value)
        return table

    def _show_curve(self, name: str, values: list[float], words: Callable[[int], str]) -> None:
        what = {"resident": "resident heap", "live": "live", "calls": "system calls/s"}[name]
        lowest, highest = min(values, default=0), max(values, default=0)
        now = f"{words(int(values[-1]))}  ({words(int(lowest))} to {words(int(highest))})" if values else "-"
        self.query_one(f"#{name}-words", Static).update(f"[b]{what}[/b]  {now}")
        self.query_one(f"#{name}", Sparkline).data = values


def bar(sample: Sample) -> Text:
    """The heap's addresses: what is in use, free but kept, and given back."""
    heap = sample.heap
    parts = [
        (heap.live_bytes, *LOOKS[LIVE], "live or cached"),
        (heap.kept_free_bytes, *LOOKS[KEPT], "free but kept"),
        (heap.purged_bytes, *LOOKS[GIVEN], "given back"),
    ]
    total = sum(count for count, *_ in parts) or 1
    text = Text()
    for count, character, colour, _ in parts:
        text.append(character * round(count / total * BAR_WIDTH), style=colour)
    text.append("\n")
    for count, character, colour, words in parts:
        text.append(character, style=colour)
        text.append(f" {words} {bytes_text(count)}  ")
    return text


def refusals(sample: Sample) -> Text:
    """Requests that were answered with NULL, by reason, with what to do."""
    met = [(reason, reason.count(sample.heap)) for reason in REASONS if reason.count(sample.heap)]
    if not met:
        return Text("No request was refused.", style="dim")
    text = Text("Refused\n", style="bold")
    for reason, count in met:
        text.append(f"{count:>10,}  {reason.words}: {reason.advice}\n", style="not bold")
    text.rstrip()
    return text


def map_of(view: HeapView) -> Group:
    """The heap by addresses, and its live blocks by size."""
    cells = cells_of(view.segments, BAR_WIDTH * MAP_ROWS)
    picture = Text()
    for row in range(0, len(cells), BAR_WIDTH):
        for cell in cells[row : row + BAR_WIDTH]:
            picture.append(*LOOKS[cell])
        picture.append("\n")
    pages = sum(len(segment.states) for segment in view.segments)
    each = bytes_text(max(1, -(-pages // max(1, len(cells)))) * PAGE)
    what = f"{len(view.segments)} segments" if len(view.segments) != 1 else "1 segment"
    picture.append(f"by address, {each} a cell, {what}; walked through in {view.seconds:.2f} s\n", style="dim")
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right", "right"):
        table.add_column(justify=justify)
    table.add_row(*(Text(title, style="bold") for title in ("live, up to", "blocks", "bytes", "held back")))
    parts = grouped(view.live, lambda block: bound_of(SIZE_BOUNDS, block))
    for bound, part in sorted(parts.items(), key=lambda entry: (entry[0] is None, entry[0] or 0)):
        size = "more" if bound is None else bytes_text(bound)
        held = bytes_text(round(part.held)) if part.held else ""
        table.add_row(size, number(part.blocks), bytes_text(round(part.bytes)), held)
    return Group(picture, table)


def cells_of(segments: Iterable[Segment], most: int) -> list[int]:
    """At most so many cells for the pages of all segments: what most of the pages of each are."""
    states = b"".join(segment.states for segment in segments)
    each = max(1, -(-len(states) // most))
    parts = (states[at : at + each] for at in range(0, len(states), each))
    return [max((LIVE, KEPT, GIVEN), key=part.count) for part in parts]


class Asks:
    """What the processes on the screen were asked for, and what became of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._newest: dict[int, Asked] = {}
        self._begun: dict[int, Asked] = {}
        """The recordings that were asked for, until their end is."""
        self._errors: dict[int, str] = {}

    def ask(self, pid: int, kind: Kind, path: str = "") -> bool:
        """Ask for something, unless what was asked before is still to be done. Whether it is asked."""
        self._errors.pop(pid, None)
        before = self._newest.get(pid)
        try:
            with open_mailbox(pid) as mailbox:
                if before is not None and mailbox.waits(before):
                    return False
                self._newest[pid] = mailbox.ask(kind, path)
        except CannotAttach as error:
            self._errors[pid] = str(error)
            return False
        return True

    def ask_to_record(self, pid: int, program: str) -> None:
        """Ask a process to record, or to leave off if it was asked to record, or says that it records."""
        begun = self._begun.get(pid)
        if begun is not None and (not begun.refusal or begun.answer is Answer.RECORDS_ALREADY):
            if self.ask(pid, Kind.END, begun.path):
                del self._begun[pid]
            return
        name = f"{Path(program).name}.{pid}-{time.strftime('%H%M%S')}.snug"
        if self.ask(pid, Kind.BEGIN, str((self._folder / name).absolute())):
            self._begun[pid] = self._newest[pid]

    def look(self) -> None:
        """Whether there are answers."""
        for pid, asked in self._newest.items():
            if asked.answer is not None:
                continue
            try:
                with open_mailbox(pid) as mailbox:
                    mailbox.look(asked)
            except CannotAttach as error:
                self._errors[pid] = str(error)

    def told(self, pid: int) -> str:
        """What to tell of a process."""
        asked = self._newest.get(pid)
        words = [self._errors[pid]] if pid in self._errors else [str(asked)] if asked else []
        begun = self._begun.get(pid)
        if begun is not None and begun is not asked and begun.answer is Answer.DONE:
            words.append(str(begun))
        return "; ".join(words)


class Top(App[None]):
    """The application: takes readings, and shows them."""

    CSS = """
    #summary, #title { padding: 0 1; background: $panel; height: 1; }
    #asked { padding: 0 1; height: auto; color: $accent; }
    #map { padding: 0 2 1 2; height: auto; display: none; }
    #none { padding: 1 2; }
    DataTable { height: 1fr; }
    #bar { padding: 1 2; }
    #parts { height: auto; padding: 0 2; }
    #figures { width: 38; height: auto; }
    #curves { width: 1fr; height: auto; }
    #curves Sparkline { height: 3; margin-bottom: 1; }
    #curves Sparkline > .sparkline--max-color { color: #56B4E9; }
    #curves Sparkline > .sparkline--min-color { color: #2f6f96; }
    #refused { padding: 1 2; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit"), ("s", "save", "Save a snapshot")]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        read: Callable[[], Reading],
        interval: float,
        *,
        pid: int | None = None,
        ending: Callable[[], str] = str,
        folder: Path = Path(),
        walk: Callable[[int], HeapView] = walk_process,
    ) -> None:
        """Shows all processes of `read` or, in detail, `pid`; `ending` says how that ended, if it is known.

        `walk` goes through the heap of a process.
        """
        super().__init__()
        self.history = History()
        self.asks = Asks(folder)
        self.walk_process = walk
        self.ending = ending
        self._read = read
        self._interval = interval
        self._pid = pid
        self._folder = folder

    async def on_mount(self) -> None:
        """Take the first reading, and the others from then on."""
        self.history.add(self._read())
        await self.push_screen(All() if self._pid is None else One(self._pid))
        self.run_worker(self._go_on())

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.take_reading()

    async def take_reading(self) -> None:
        """Read all figures, without holding up the keys meanwhile, and show them."""
        self.history.add(await asyncio.to_thread(self._read))
        await asyncio.to_thread(self.asks.look)
        if isinstance(self.screen, Figures):
            self.screen.show()

    def action_save(self) -> None:
        """Write what is shown into a file."""
        assert isinstance(self.screen, Figures)
        name = self._folder / time.strftime("snug-top-%Y%m%d-%H%M%S.json")
        try:
            name.write_text(json.dumps(self.history.as_json(self.screen.pid), indent=1) + "\n")
        except OSError as error:
            self.notify(f"{name}: {error.strerror}", severity="error")
        else:
            self.notify(f"saved: {name}")
