"""A map of a heap in characters: rows of cells, each cell a number of bytes, coloured by their kind.

    heap: 131,072 bytes, 2 blocks
    +0x00000  ====############================........................
    +0x00200  ................................................................
           :  254 rows the same
    # live 104  . free 130,904  = header 64  8 bytes a cell

Blocks come from anywhere: this process's heap, the interpreted engine, a trace.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from snugmalloc.heap import HEADER, Status

MOST_ROWS = 32
"""How many rows of cells the heap is given when no cell size is asked for."""

FINE = HEADER
"""Up to this many bytes a cell shows the headers; in larger ones a header counts as its block does."""

Kind = str
"""What a byte is: one of the keys of LOOKS."""


@dataclass(frozen=True)
class Look:
    """How a cell looks: as a plain character, and as a background of the 256-colour palette."""

    character: str
    color: int


LOOKS = {
    "live": Look("#", 32),
    "mostly live": Look("x", 25),
    "mostly free": Look("-", 60),
    "free": Look(".", 238),
    "header": Look("=", 153),
    "mapped": Look("@", 172),
    "foreign": Look("~", 16),
}


@dataclass
class Stretch:
    """Memory drawn in one piece; `spans` are (bytes of header, of payload, kind) in order and fill it."""

    title: str
    start: int
    spans: list[tuple[int, int, Kind]] = field(default_factory=list)
    size: int = 0
    blocks: int = 0

    def add(self, header: int, payload: int, kind: Kind) -> None:
        """One more block, or with kind ``foreign`` memory between two of them that is not the heap's."""
        self.spans.append((header, payload, kind))
        self.size += header + payload
        self.blocks += kind != "foreign"

    @property
    def end(self) -> int:
        return self.start + self.size


class HeapMap:
    """The picture, drawn by `str()` and so by `print()`. `snugmalloc.heap_map` says what the arguments mean."""

    def __init__(
        self,
        blocks: Iterable[tuple[int, int, int]],
        width: int | None = None,
        cell: int | None = None,
        color: bool | None = None,
    ) -> None:
        ordered = sorted(blocks, key=lambda block: block[0])
        total = sum(HEADER + size for _, size, _ in ordered)
        self.width = _checked("width", width) if width is not None else _default_width()
        self.cell = _checked("cell", cell) if cell is not None else _default_cell(total, self.width)
        self.stretches = _stretches(ordered, self.width * self.cell)
        self.color = color

    def __str__(self) -> str:
        return self.draw(_wants_color() if self.color is None else self.color)

    def draw(self, color: bool) -> str:
        """The picture as text without a last newline; with terminal colours if `color`."""
        return "\n".join(self._lines(color))

    def _lines(self, color: bool) -> Iterator[str]:
        if not self.stretches:
            yield "the heap is empty"
            return
        digits = len(f"{max(stretch.size for stretch in self.stretches):x}")
        for stretch in self.stretches:
            yield from self._draw(stretch, digits, color)
        yield self._legend(color)

    def _draw(self, stretch: Stretch, digits: int, color: bool) -> Iterator[str]:
        """The title of `stretch` and its cells; rows that repeat the row above are counted, not drawn."""
        yield f"{stretch.title}: {stretch.size:,} bytes, {counted(stretch.blocks, 'block')}"
        at = 0
        for row, same in groupby(_rows(_cells(stretch, self.cell), self.width), key=lambda row: row[0]):
            repeated = sum(count for _, count in same) - 1
            yield f"+0x{at:0{digits}x}  {_paint(row, color)}"
            if repeated:
                yield f"{':':>{digits + 3}}  {counted(repeated, 'row')} the same"
            at += (repeated + 1) * self.width * self.cell

    def _legend(self, color: bool) -> str:
        totals = Counter[Kind]()
        for stretch in self.stretches:
            for header, payload, kind in stretch.spans:
                totals["header"] += header
                totals[kind] += payload
        shown = [kind for kind in ("live", "free", "mapped", "foreign") if totals[kind]]
        words = [f"{_paint([kind], color)} {kind} {totals[kind]:,}" for kind in shown]
        if self.cell <= FINE:
            words.append(f"{_paint(['header'], color)} header {totals['header']:,}")
        elif totals["live"] and totals["free"]:
            words.append(f"{_paint(['mostly live', 'mostly free'], color)} both")
        return "  ".join([*words, f"{counted(self.cell, 'byte')} a cell"])


def _stretches(ordered: Iterable[tuple[int, int, int]], row: int) -> list[Stretch]:
    """The heap, in pieces where more than a `row` of bytes lies between, then all mappings in one."""
    heap: list[Stretch] = []
    mappings = Stretch("mappings", 0)
    for address, size, status in ordered:
        if status == Status.MAPPED:
            mappings.add(HEADER, size, "mapped")
            continue
        start = address - HEADER
        between = start - heap[-1].end if heap else 0
        if not heap:
            heap.append(Stretch("heap", start))
        elif between > row:
            heap.append(Stretch(f"heap, {between:,} bytes further on", start))
        elif between:
            heap[-1].add(0, between, "foreign")
        heap[-1].add(HEADER, size, "live" if status == Status.LIVE else "free")
    return [*heap, mappings] if mappings.blocks else heap


def _rows(cells: Iterable[tuple[Kind, int]], width: int) -> Iterator[tuple[Sequence[Kind], int]]:
    """Rows of `width` cells, the last perhaps shorter, each with how often it stands there in a row."""
    row: list[Kind] = []
    for kind, count in cells:
        if row:
            fitting = min(count, width - len(row))
            row += [kind] * fitting
            count -= fitting
            if len(row) < width:
                continue
            yield row, 1
        if count >= width:
            yield [kind] * width, count // width
        row = [kind] * (count % width)
    if row:
        yield row, 1


def _cells(stretch: Stretch, cell: int) -> Iterator[tuple[Kind, int]]:
    """What the cells of `stretch` show, and how many in a row show it; the last one may be less than full."""
    inside = Counter[Kind]()
    room = cell
    for size, kind in _counted_as(stretch.spans, cell):
        if room < cell:
            fitting = min(size, room)
            inside[kind] += fitting
            size -= fitting
            room -= fitting
            if room:
                continue
            yield _seen(inside), 1
            inside.clear()
        if size >= cell:
            yield kind, size // cell
        inside[kind] += size % cell
        room = cell - size % cell
    if room < cell:
        yield _seen(inside), 1


def _counted_as(spans: Iterable[tuple[int, int, Kind]], cell: int) -> Iterator[tuple[int, Kind]]:
    """The bytes of `spans` by kind; a header counts as payload where cells are too coarse to show it."""
    for header, payload, kind in spans:
        if cell <= FINE:
            yield header, "header"
            yield payload, kind
        else:
            yield header + payload, kind


def _seen(inside: Counter[Kind]) -> Kind:
    """What a cell shows that has `inside[kind]` bytes of each kind."""
    live, free = inside["live"], inside["free"]
    if live and free and not inside["header"]:
        return "mostly live" if live >= free else "mostly free"
    return max(inside, key=lambda kind: inside[kind])


def _paint(row: Sequence[Kind], color: bool) -> str:
    """The cells of `row` as characters; with `color` as coloured cells, still characters when copied."""
    if not color:
        return "".join(LOOKS[kind].character for kind in row)
    runs = ((LOOKS[kind], len(list(cells))) for kind, cells in groupby(row))
    return (
        "".join(f"\x1b[38;5;{look.color};48;5;{look.color}m{look.character * run}" for look, run in runs)
        + "\x1b[0m"
    )


def _default_width() -> int:
    columns = shutil.get_terminal_size().columns
    return 128 if columns >= 145 else 64 if columns >= 78 else 32 if columns >= 46 else 16


def _default_cell(total: int, width: int) -> int:
    cell = 8
    while total > cell * width * MOST_ROWS:
        cell *= 2
    return cell


def _wants_color() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _checked(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1: {value}")
    return value


def counted(number: int, what: str) -> str:
    """`number` of `what`, in the plural unless it is one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
