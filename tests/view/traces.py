"""Traces for the page, and what a map of the heap should show of them, worked out block by block."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from snugmalloc.trace import Event, Flags, Header, Operation, SourceFrame, TraceReader, TraceWriter

from ..builds import ROOT

PALETTES = json.loads((ROOT / "web" / "src" / "palettes.json").read_text())
PAGE = 4096
LARGEST_GAP = 1 << 16
GRAIN = 16  # of spaces up to 4 MiB
GROWS_EVERY, GROWTH = 500, 128 * 1024
HEAP = 0x7F12_3450_0000
FAR = 0x7FFF_0000_0000

Colour = tuple[int, ...]


def write_trace(path: Path, seed: int = 1, calls: int = 4000, page_size: int = 0) -> Path:
    """A program with two threads, stacks and times; its heap has two parts, grows, and gives pages back."""
    chance = random.Random(seed)
    live: dict[int, int] = {}
    header = Header(Flags.TIMES | Flags.ADDRESSES | Flags.STACKS, page_size=page_size)
    with TraceWriter(path, header, {"program": "app"}) as writer:
        main = SourceFrame("app.py", 3, "main")
        stacks = [
            writer.stack([SourceFrame("app.py", 10 * line, f"step_{line}"), main]) for line in range(1, 5)
        ]
        free = {HEAP: 512 * 1024, FAR: 100_000}
        for call in range(calls):
            time = call * 1000
            if call % GROWS_EVERY == 0:
                writer.add(Operation.GROWTH, time=time, address=HEAP, size=GROWTH)
                continue
            if live and (chance.random() < 0.45 or (call > calls // 2 and chance.random() < 0.2)):
                address = chance.choice(list(live))
                size = live.pop(address)
                free[address] = -(-size // 16) * 16
                writer.add(Operation.FREE, thread=chance.randrange(2), time=time, old=address)
                continue
            if chance.random() < 0.02:
                page = HEAP + chance.randrange(0, 64) * PAGE
                writer.add(Operation.PURGE, time=time, address=page, size=chance.randrange(1, 8) * PAGE)
                continue
            size = chance.choice((8, 24, 100, 700, 5000))
            length = -(-size // 16) * 16
            address, room = chance.choice([hole for hole in free.items() if hole[1] >= length])
            del free[address]
            if room > length:
                free[address + length] = room - length
            live[address] = size
            writer.add(
                Operation.MALLOC,
                thread=chance.randrange(2),
                time=time,
                size=size,
                address=address,
                stack=chance.choice(stacks),
            )
    return path


class Block(NamedTuple):
    """A live block."""

    size: int
    born: int
    thread: int
    stack: int


Chooser = Callable[[Block], bool]


class View(NamedTuple):
    """What the page says of the pixels that it shows."""

    now: int
    start: int
    cell: int
    columns: int
    rows: int


class Memory:
    """All that a map can show of a heap at one moment."""

    def __init__(self, path: Path, now: int) -> None:
        with TraceReader(path) as reader:
            events = list(reader.events())
        self.now, self.events = now, len(events)
        self.parts = list(_parts(events))
        self.size = sum(end - begin for begin, end in self.parts)
        self.live: dict[int, Block] = {}
        self.freed_at = [0] * (self.size // GRAIN)
        self.back_at = [0] * (self.size // GRAIN)
        self.tells_given_back = any(event.operation is Operation.PURGE for event in events)
        self.thread_bytes: dict[int, int] = {}
        self.stack_bytes: dict[int, int] = {}
        for event in events:
            if event.block >= 0:
                total = self.thread_bytes.get(event.thread, 0) + event.size
                self.thread_bytes[event.thread] = total
                self.stack_bytes[event.stack] = self.stack_bytes.get(event.stack, 0) + event.size
        for number, event in enumerate(events[:now]):
            self._follow(number, event)

    def _follow(self, number: int, event: Event) -> None:
        if event.freed >= 0:
            self._mark(self.freed_at, event.old, self.live.pop(event.old).size, number + 1)
        if event.block >= 0:
            self.live[event.address] = Block(event.size, number, event.thread, event.stack)
            self._mark(self.back_at, event.address, event.size, 0)
        if event.operation is Operation.PURGE:
            for begin, end in self.parts:
                low, high = max(begin, event.address), min(end, event.address + event.size)
                if low < high:
                    self._mark(self.back_at, low, high - low, number + 1)

    def _mark(self, grains: list[int], address: int, size: int, value: int) -> None:
        offset = self.offset_of(address)
        for grain in range(offset // GRAIN, (offset + max(1, size) - 1) // GRAIN + 1):
            grains[grain] = value

    def offset_of(self, address: int) -> int:
        """Where an address is when the gaps between the parts are left out."""
        before = 0
        for begin, end in self.parts:
            if begin <= address < end:
                return before + address - begin
            before += end - begin
        raise AssertionError("no part has this address")

    def live_by_cell(self, view: View, counts: Chooser) -> tuple[dict[int, int], dict[int, Block]]:
        """Of each cell the live bytes of the blocks that count, and the block with most of them."""
        covered: dict[int, int] = {}
        most: dict[int, tuple[int, Block]] = {}
        for address, block in sorted(self.live.items()):
            if not counts(block):
                continue
            begin = self.offset_of(address)
            end = begin + max(1, block.size)
            for cell in range((begin - view.start) // view.cell, (end - 1 - view.start) // view.cell + 1):
                low = view.start + cell * view.cell
                count = min(end, low + view.cell) - max(begin, low)
                covered[cell] = covered.get(cell, 0) + count
                if count > most.get(cell, (0, block))[0]:
                    most[cell] = (count, block)
        return covered, {cell: block for cell, (_, block) in most.items()}

    def pixels(
        self, view: View, colouring: str, theme: str, is_shown: Chooser = lambda block: True
    ) -> list[Colour]:
        """The colour of each cell; blocks that are not shown all have the same one."""
        aside, beside = self.live_by_cell(view, lambda block: not is_shown(block))
        covered, owners = self.live_by_cell(view, is_shown)
        painted = []
        for cell in range(view.columns * view.rows):
            colour = self._free_colour(view, cell, theme)
            if cell in beside:
                colour = _blended(colour, _parsed(PALETTES[theme]["aside"]), aside[cell] / view.cell)
            if cell in owners:
                over = self._live_colour(owners[cell], colouring, theme)
                colour = _blended(colour, over, covered[cell] / view.cell)
            painted.append(colour)
        return painted

    def _free_colour(self, view: View, cell: int, theme: str) -> Colour:
        own = PALETTES[theme]
        low = view.start + cell * view.cell
        if low >= self.size:
            return _parsed(own["outside"])
        grains = slice(low // GRAIN, (low + view.cell - 1) // GRAIN + 1)
        if self.tells_given_back and all(self.back_at[grains]):
            return _parsed(own["back"])
        latest = max(self.freed_at[grains])
        if not latest:
            return _parsed(own["never"])
        return _step(own["freed"], _age_share(self.now - latest, self.events), 0, 1)

    def _live_colour(self, block: Block, colouring: str, theme: str) -> Colour:
        own = PALETTES[theme]
        if colouring in ("thread", "stack"):
            bytes_of = self.thread_bytes if colouring == "thread" else self.stack_bytes
            by_bytes = sorted(bytes_of, key=lambda key: -bytes_of[key])
            rank = by_bytes.index(block.thread if colouring == "thread" else block.stack)
            kinds = PALETTES["categories"]
            return _parsed(kinds[rank] if rank < len(kinds) else own["others"])
        if colouring == "size":
            share = math.log2(max(block.size, 1) / 16) / 20
        else:
            share = _age_share(self.now - 1 - block.born, self.events)
        return _step(PALETTES["ramp"], share, *own["ramp"])


def _parts(events: Sequence[Event]) -> Iterator[tuple[int, int]]:
    """Runs of pages with blocks, when no gap is larger than 64 KiB."""
    blocks = sorted((event.address, event.address + event.size) for event in events if event.block >= 0)
    begin, end = blocks[0]
    for low, high in blocks:
        if low > end + LARGEST_GAP:
            yield begin // PAGE * PAGE, -(-end // PAGE) * PAGE
            begin, end = low, high
        end = max(end, high)
    yield begin // PAGE * PAGE, -(-end // PAGE) * PAGE


def _age_share(age: int, events: int) -> float:
    return math.sqrt(age / events)


def _parsed(text: str) -> Colour:
    return tuple(bytes.fromhex(text[1:]))


def _step(anchors: Sequence[str], share: float, low: float, high: float) -> Colour:
    """The colour of one of so many steps along the anchors."""
    steps = PALETTES["steps"]
    step = max(0, min(steps - 1, math.floor(share * steps)))
    place = (low + (high - low) * step / (steps - 1)) * (len(anchors) - 1)
    before = min(len(anchors) - 2, math.floor(place))
    pairs = zip(_parsed(anchors[before]), _parsed(anchors[before + 1]), strict=True)
    return tuple(round(one + (other - one) * (place - before)) for one, other in pairs)


def _blended(under: Colour, over: Colour, share: float) -> Colour:
    least = PALETTES["leastShare"]
    much = least + (1 - least) * share
    return tuple(round(below + (above - below) * much) for below, above in zip(under, over, strict=True))
