"""Owns putting rows in order by NumPy: those of many chunks at a time, and which block each pointer belongs to.

The result is that of `gathering` and the reader's plain way, event by event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from snugmalloc.trace.columns import COLUMN_NAMES, NO_BLOCK, Columns
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.format import Flags, Head
from snugmalloc.trace.gathering import EVENTS_IN_CHUNK
from snugmalloc.trace.operations import (
    GIVES_BLOCK,
    HAS_ADDRESS,
    HAS_NUMBER,
    HAS_POINTER,
    HAS_SIZE,
    IS_KNOWN,
    IS_REFUSED,
    WITHOUT_REFUSED,
)
from snugmalloc.trace.rows import STACK, STEPS
from snugmalloc.trace.vectors import decode_varints, numpy, undo_shift_and_zigzag

EVENTS_AT_ONCE = 1 << 20
"""So many events are put in order at a time, and some more."""
NO_SENSE = "a chunk of rows is invalid"


class Rows(NamedTuple):
    """Rows of one chunk, or of many in order: an array for each figure. `operation` has refused ones marked."""

    sequence: Any
    time: Any
    thread: Any
    operation: Any
    size: Any
    number: Any
    old: Any
    address: Any
    stack: Any

    def part(self, first: int, end: int | None) -> Rows:
        return Rows(*(column[first:end] for column in self))

    def in_order(self, order: Any) -> Rows:
        return Rows(*(column[order] for column in self))


class Piece(NamedTuple):
    """What is left of a chunk, and where that stands in the file."""

    place: int
    rows: Rows


def table(of: bytes) -> Any:
    """A table of `operations`, to be indexed by arrays."""
    return numpy().frombuffer(of, dtype=numpy().uint8)


def following_rows(numbers: Any, has_times: bool) -> Any:
    """Where the next row begins if one begins at each number; behind everything where none can begin."""
    np = numpy()
    codes = np.arange(256)
    kind = codes & ~(STEPS | STACK)
    lengths = 1 + int(has_times) + ((codes & STEPS) != 0) + ((codes & STACK) != 0)
    for of in (HAS_SIZE, HAS_NUMBER, HAS_POINTER, HAS_ADDRESS):
        lengths = lengths + table(of)[kind]
    beyond = len(numbers) + 1
    lengths = np.append(np.where(table(IS_KNOWN)[kind] != 0, lengths, beyond), beyond)
    return np.arange(len(numbers)) + lengths[np.minimum(numbers, 256).astype(np.intp)]


def row_starts(following: Sequence[int], count: int) -> list[int]:
    """Where the rows begin. Raises TraceError if they are not `count` that fill everything."""
    starts: list[int] = []
    add = starts.append
    at, end = 0, len(following)
    while at < end:
        add(at)
        at = following[at]
    if at != end or len(starts) != count:
        raise TraceError(NO_SENSE)
    return starts


def unpack(head: Head, payload: bytes, flags: Flags) -> Rows:
    """The rows of a chunk. Raises TraceError where the payload is invalid."""
    np = numpy()
    has_times = Flags.TIMES in flags
    try:
        numbers = np.asarray(decode_varints(payload), dtype=np.uint64)
    except ValueError as error:
        raise TraceError(f"{NO_SENSE}: {error}") from None
    starts = np.array(row_starts(following_rows(numbers, has_times).tolist(), head.entries), dtype=np.intp)
    first = numbers[starts].astype(np.intp)
    kind = first & ~(STEPS | STACK)
    at = starts + 1
    zeros = np.zeros(len(starts), dtype=np.uint64)

    def take(where: Any) -> Any:
        """The next number of each row where it has one, and where that stands."""
        nonlocal at
        places = at[where]
        column = zeros.copy()
        column[where] = numbers[places]
        at = at + where
        return column, places

    everywhere = np.ones(len(starts), dtype=bool)
    time = _sums(take(everywhere)[0] if has_times else zeros, head.first_time)
    sequence = _sums(take((first & STEPS) != 0)[0], head.first)
    size, _ = take(table(HAS_SIZE)[kind] != 0)
    number, _ = take(table(HAS_NUMBER)[kind] != 0)
    has_old, has_address = table(HAS_POINTER)[kind] != 0, table(HAS_ADDRESS)[kind] != 0
    _, old_places = take(has_old)
    _, address_places = take(has_address)
    stack, _ = take((first & STACK) != 0)
    places = np.sort(np.concatenate((old_places, address_places)))
    pointers = np.cumsum(undo_shift_and_zigzag(numbers[places], 0), dtype=np.uint64)
    old, address = zeros.copy(), zeros.copy()
    old[has_old] = pointers[np.searchsorted(places, old_places)]
    address[has_address] = pointers[np.searchsorted(places, address_places)]
    thread = np.full(len(starts), head.thread, dtype=np.uint64)
    return Rows(sequence, time, thread, kind.astype(np.uint8), size, number, old, address, stack)


def _sums(steps: Any, start: int) -> Any:
    """`start` and the steps up to each; raises TraceError if that is too large."""
    np = numpy()
    totals = np.cumsum(steps, dtype=np.uint64) + np.uint64(start)
    if len(totals) and (int(totals[0]) < start or (totals[1:] < totals[:-1]).any()):
        raise TraceError(f"{NO_SENSE}: a time that is too large")
    return totals


# ---- In order ----


def merge(chunks: Sequence[tuple[int, Head]], read: Callable[[tuple[int, Head]], Rows]) -> Iterator[Rows]:
    """The rows of all chunks by sequence number, then by time, then by place; many at a time."""
    waiting = sorted(chunks, key=lambda chunk: (chunk[1].first, chunk[1].first_time, chunk[0]))
    pieces: list[Piece] = []
    count = 0
    for number, chunk in enumerate(waiting, 1):
        pieces.append(Piece(chunk[0], read(chunk)))
        count += chunk[1].entries
        if count < EVENTS_AT_ONCE and number < len(waiting):
            continue
        following = waiting[number] if number < len(waiting) else None
        ready, pieces = split(pieces, following)
        count = sum(len(piece.rows.time) for piece in pieces)
        if ready:
            yield in_order(ready)


def split(pieces: list[Piece], following: tuple[int, Head] | None) -> tuple[list[Piece], list[Piece]]:
    """What stands before all of the chunk that follows, and what may not."""
    if following is None:
        return pieces, []
    ready, kept = [], []
    for place, rows in pieces:
        end = rows_before(place, rows, following)
        if end:
            ready.append(Piece(place, rows.part(0, end)))
        if end < len(rows.time):
            kept.append(Piece(place, rows.part(end, None)))
    return ready, kept


def rows_before(place: int, rows: Rows, following: tuple[int, Head]) -> int:
    """How many rows of a chunk stand before the first of another."""
    np = numpy()
    other, head = following
    low = int(np.searchsorted(rows.sequence, np.uint64(head.first), side="left"))
    high = int(np.searchsorted(rows.sequence, np.uint64(head.first), side="right"))
    side = "right" if place < other else "left"
    return low + int(np.searchsorted(rows.time[low:high], np.uint64(head.first_time), side=side))


def in_order(pieces: list[Piece]) -> Rows:
    """All rows of some pieces, in order."""
    np = numpy()
    pieces = sorted(pieces, key=lambda piece: piece.place)
    rows = Rows(*(np.concatenate(columns) for columns in zip(*(piece.rows for piece in pieces), strict=True)))
    if rows.sequence.any():
        return rows.in_order(np.lexsort((rows.time, rows.sequence)))
    return rows.in_order(np.argsort(rows.time, kind="stable"))


# ---- Which block ----


class Numberer:
    """Makes columns of rows in order: numbers the blocks, and finds which one a pointer belongs to."""

    def __init__(self, start: int) -> None:
        np = numpy()
        self.start = start
        self.events = self.blocks = 0
        self.live_addresses = np.zeros(0, dtype=np.uint64)
        self.live_blocks = np.zeros(0, dtype=np.int64)
        self.left: Columns | None = None

    def number(self, rows: Rows) -> Columns:
        """The next rows as columns."""
        np = numpy()
        gives = table(GIVES_BLOCK)[rows.operation] != 0
        refused = (table(IS_REFUSED)[rows.operation] != 0) | (gives & (rows.address == 0))
        gives &= ~refused
        block = np.where(gives, self.blocks + np.cumsum(gives) - 1, NO_BLOCK)
        releases = (rows.old != 0) & (table(HAS_POINTER)[rows.operation] != 0)
        keeps = releases & refused & (rows.size != 0)
        freed = self.find(rows, block, gives, releases, keeps)
        columns = Columns(
            first=self.events,
            first_block=self.blocks,
            operation=table(WITHOUT_REFUSED)[rows.operation],
            refused=refused.astype(np.uint8),
            thread=rows.thread,
            time=rows.time - np.uint64(self.start),
            size=rows.size,
            number=rows.number,
            address=rows.address,
            old=np.where(freed == NO_BLOCK, rows.old, np.uint64(0)),
            block=block,
            freed=freed,
            stack=rows.stack,
        )
        self.events += len(block)
        self.blocks += int(gives.sum())
        return columns

    def find(self, rows: Rows, block: Any, gives: Any, releases: Any, keeps: Any) -> Any:
        """The block that each pointer belongs to. Live ones are known afterwards.

        What happens at each address, in order: blocks that live from before, then of each event what it
        releases and what it gives. A pointer belongs to the block that was given there last, if no free is
        between; a realloc that was refused leaves the block, and so it is passed over.
        """
        np = numpy()
        live = len(self.live_addresses)
        there = woven(releases, gives)
        addresses = np.concatenate((self.live_addresses, woven(rows.old, rows.address)[there]))
        given = np.concatenate((self.live_blocks, woven(np.full(len(block), NO_BLOCK), block)[there]))
        passed = np.concatenate((np.zeros(live, bool), woven(keeps, np.zeros(len(block), bool))[there]))
        order = np.argsort(addresses, kind="stable")
        at, now = addresses[order], given[order]
        counts = ~passed[order]
        latest = np.maximum.accumulate(np.where(counts, np.arange(len(order)), -1))
        before = np.empty(len(order), dtype=np.intp)
        before[:1] = -1
        before[1:] = latest[:-1]
        is_same = (before >= 0) & (at[before] == at)
        owner = np.where(is_same, now[before], NO_BLOCK)
        found = np.empty(len(order), dtype=np.int64)
        found[order] = owner
        freed = np.full(len(block), NO_BLOCK)
        freed[releases] = found[live:][woven(releases, np.zeros(len(block), bool))[there]]
        self.keep_live(at, now, latest)
        return freed

    def keep_live(self, at: Any, now: Any, latest: Any) -> None:
        """The last thing that happened at each address says whether a block lives there."""
        np = numpy()
        is_last = np.ones(len(at), dtype=bool)
        is_last[:-1] = at[1:] != at[:-1]
        ends = np.flatnonzero(is_last)
        last = latest[ends]
        is_there = (last >= 0) & (at[last] == at[ends]) & (now[last] != NO_BLOCK)
        self.live_addresses, self.live_blocks = at[ends][is_there], now[last][is_there]


def woven(first: Any, second: Any) -> Any:
    """One value of each in turn."""
    return numpy().stack((first, second), axis=1).ravel()


def in_chunks(several: Iterator[Columns]) -> Iterator[Columns]:
    """The same columns, EVENTS_IN_CHUNK events at a time."""
    kept: list[Columns] = []
    count = 0
    for columns in several:
        kept.append(columns)
        count += len(columns)
        if count < EVENTS_IN_CHUNK:
            continue
        whole = join(kept)
        end = count - count % EVENTS_IN_CHUNK
        for first in range(0, end, EVENTS_IN_CHUNK):
            yield part(whole, first, first + EVENTS_IN_CHUNK)
        kept, count = ([part(whole, end, count)] if end < count else []), count - end
    if count:
        yield join(kept)


def join(several: Sequence[Columns]) -> Columns:
    """Columns that follow each other as one."""
    if len(several) == 1:
        return several[0]
    np = numpy()
    joined = (np.concatenate([getattr(columns, name) for columns in several]) for name in COLUMN_NAMES)
    return Columns(several[0].first, several[0].first_block, *joined)


def part(columns: Columns, first: int, end: int) -> Columns:
    """Some of the events."""
    np = numpy()
    blocks = int((np.asarray(columns.block)[:first] != NO_BLOCK).sum())
    cut = (np.asarray(getattr(columns, name))[first:end] for name in COLUMN_NAMES)
    return Columns(columns.first + first, columns.first_block + blocks, *cut)
