"""Owns computing a trace's history from its events: one by one, or all at once by NumPy.

Both have the same result. At once, what begins blocks is gathered from all columns first; that the free of a
block is missing shows when blocks are sorted by address, and live bytes are the sums of all changes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from snugmalloc.trace.blocks import NEVER, Blocks, History
from snugmalloc.trace.columns import COLUMN_NAMES, NO_BLOCK, Columns
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import IS_CALL, Operation
from snugmalloc.trace.reader import OPERATIONS, TraceReader
from snugmalloc.trace.vectors import WORD, numpy
from snugmalloc.trace.weight import blocks_behind

MOST_AT_ONCE = 1 << 62
"""Bytes that blocks have in all: beyond that numbers of 64 bits are too small for what may be live."""

Number = TypeVar("Number", int, float)
Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""


class Follower(Protocol):
    """What follows the events of a trace."""

    def follow(self, columns: Columns) -> None:
        """The next events."""

    def finish(self) -> History | None:
        """The history, after the last event; None if this way cannot compute it."""


def read_history(reader: TraceReader, progress: Progress | None = None) -> History:
    """Read all of a trace."""
    history = _read(reader, AtOnce(reader), progress) if numpy() else None
    return history or _read(reader, OneByOne(reader), progress) or History()


def _read(reader: TraceReader, follower: Follower, progress: Progress | None) -> History | None:
    total = reader.count_events()
    for columns in reader.columns():
        follower.follow(columns)
        if progress:
            progress(columns.first + len(columns), total)
    return follower.finish()


def _note_event(history: History, reader: TraceReader, operation: Operation, event: tuple[int, ...]) -> None:
    """Count an event other than a call: its thread, size and number."""
    thread, size, number = event
    history.events[operation] += 1
    history.event_bytes[operation] += size
    if operation is Operation.THREAD_BEGIN:
        history.thread_ids[thread] = number
    elif operation is Operation.THREAD_NAME:
        history.names[thread] = reader.tables.text(number)
    elif operation is Operation.LOST:
        history.lost += number


def _bytes_behind(size: int, mean_gap: int) -> int:
    """How many bytes a sampled block stands for."""
    return round(size * blocks_behind(size, mean_gap)) if mean_gap else size


# ---- One after the other ----


class OneByOne:
    """Follows the events one after the other, and knows the live block at each address."""

    def __init__(self, reader: TraceReader) -> None:
        self.history = History()
        self.reader = reader
        self.has_addresses = Flags.ADDRESSES in reader.header.flags
        self.block_at: dict[int, int] = {}
        self.mean_gap = reader.header.mean_gap
        self.live = 0
        self.calls = 0

    def follow(self, columns: Columns) -> None:
        """The next events."""
        history = self.history
        for row in columns.rows():
            operation, refused, thread, time, size, number, address, old, block, freed, stack = row
            if time > history.last_time:
                history.last_time = time
            if not IS_CALL[operation]:
                _note_event(history, self.reader, OPERATIONS[operation], (thread, size, number))
                continue
            self.calls += 1
            history.calls[OPERATIONS[operation]] += 1
            history.calls_of_thread[thread] += 1
            if freed != NO_BLOCK:
                if not (refused and size):
                    self.end(freed, thread, time)
            elif old:
                history.unknown_frees += 1
            if block != NO_BLOCK:
                self.begin(operation, address, freed, thread, time, size, stack)
            elif refused and size:
                history.refused += 1
            history.live.append(min(self.live, WORD))
            history.time.append(time)

    def finish(self) -> History:
        """The history."""
        return self.history

    def begin(
        self, operation: int, address: int, freed: int, thread: int, time: int, size: int, stack: int
    ) -> None:
        blocks = self.history.blocks
        block = len(blocks)
        if self.has_addresses:
            unnoticed = self.block_at.get(address)
            if unnoticed is not None:
                self.history.missing_frees += 1
                self.end(unnoticed, thread, time)
            self.block_at[address] = block
        is_moved = freed != NO_BLOCK and blocks.address[freed] != address
        blocks.moved.append(min(blocks.size[freed], size) if is_moved else 0)
        blocks.size.append(size)
        blocks.address.append(address)
        blocks.operation.append(operation)
        blocks.thread.append(thread)
        blocks.stack.append(stack)
        blocks.begun.append(self.calls)
        blocks.begun_at.append(time)
        blocks.ended.append(NEVER)
        blocks.ended_at.append(0)
        blocks.ended_by.append(0)
        self.live += _bytes_behind(size, self.mean_gap)

    def end(self, block: int, thread: int, time: int) -> None:
        blocks = self.history.blocks
        if blocks.ended[block] != NEVER:
            return
        if self.has_addresses:
            del self.block_at[blocks.address[block]]
        blocks.ended[block] = self.calls
        blocks.ended_at[block] = time
        blocks.ended_by[block] = thread
        self.live -= _bytes_behind(blocks.size[block], self.mean_gap)


# ---- At once ----


class AtOnce:
    """Gathers the events, and follows them at the end."""

    def __init__(self, reader: TraceReader) -> None:
        self.history = History()
        self.reader = reader
        self.calls = 0
        self.begins: list[dict[str, Any]] = []
        self.blocks = 0
        self.life = {name: numpy().zeros(0, TYPES.get(name, "uint64")) for name in LIFE}
        """Of each block how it ended."""
        self.times: list[Any] = []
        self.operations: Counter[int] = Counter()

    def follow(self, columns: Columns) -> None:
        """The next events."""
        np, history = numpy(), self.history
        of = {name: np.asarray(getattr(columns, name)) for name in COLUMN_NAMES}
        if not len(columns):
            return
        history.last_time = max(history.last_time, int(of["time"].max()))
        is_call = np.frombuffer(IS_CALL, np.uint8)[of["operation"]] != 0
        others = (of[name][~is_call].tolist() for name in ("operation", "thread", "size", "number"))
        for operation, *event in zip(*others, strict=True):
            _note_event(history, self.reader, OPERATIONS[operation], tuple(event))
        self._gather({name: column[is_call] for name, column in of.items()})

    def _gather(self, of: dict[str, Any]) -> None:
        """The next calls."""
        np, history = numpy(), self.history
        of["call"] = np.arange(self.calls + 1, self.calls + 1 + len(of["time"]))
        self.calls += len(of["time"])
        self.times.append(of["time"])
        _count(self.operations, of["operation"])
        _count(history.calls_of_thread, of["thread"])
        gives, frees = of["block"] != NO_BLOCK, of["freed"] != NO_BLOCK
        is_kept = (of["refused"] != 0) & (of["size"] != 0)
        history.unknown_frees += int(np.count_nonzero(~frees & (of["old"] != 0)))
        history.refused += int(np.count_nonzero(~gives & is_kept))
        self.begins.append({name: of[name][gives] for name in BEGIN})
        self._extend(int(np.count_nonzero(gives)))
        is_end = frees & ~is_kept
        self._end({name: of[name][is_end] for name in (*LIFE, "freed")})

    def _extend(self, count: int) -> None:
        """Add blocks that begin."""
        np, start = numpy(), self.blocks
        self.blocks += count
        if self.blocks > len(self.life["call"]):
            room = max(self.blocks, self.reader.count_events())
            for name, values in self.life.items():
                self.life[name] = np.empty(room, values.dtype)
                self.life[name][:start] = values[:start]
        for name, values in self.life.items():
            values[start : self.blocks] = NEVER if name == "call" else 0

    def _end(self, ends: dict[str, Any]) -> None:
        """Blocks end, each by the first call that frees it."""
        blocks, first = numpy().unique(ends["freed"], return_index=True)
        is_new = self.life["call"][blocks] == NEVER
        for name, values in self.life.items():
            values[blocks[is_new]] = ends[name][first[is_new]]

    def finish(self) -> History | None:
        """The history; None if blocks are too large."""
        history = self.history
        begins = _joined(self.begins, BEGIN)
        weights = _weights(begins["size"], self.reader.header.mean_gap)
        if weights is None:
            return None
        for operation, count in self.operations.items():
            history.calls[OPERATIONS[operation]] = count
        life = {name: values[: self.blocks] for name, values in self.life.items()}
        if Flags.ADDRESSES in self.reader.header.flags:
            history.missing_frees = _end_unnoticed(begins, life)
        history.live = _array("Q", _live(weights, begins["call"], life["call"], self.calls))
        history.time = _array("Q", numpy().concatenate(self.times or [weights]))
        begins["moved"] = _moved(begins.pop("freed"), begins["size"], begins["address"])
        history.blocks = Blocks(
            **{place: _array("Q", begins.pop(name)) for place, name in PLACES.items()},
            operation=_array("B", begins.pop("operation")),
            ended=_array("q", life.pop("call")),
            ended_at=_array("Q", life.pop("time")),
            ended_by=_array("Q", life.pop("thread")),
        )
        return history


BEGIN = ("call", "operation", "thread", "time", "size", "address", "freed", "stack")
LIFE = ("call", "time", "thread")
PLACES = {  # in `Blocks`, of what begins a block
    "size": "size",
    "address": "address",
    "moved": "moved",
    "thread": "thread",
    "stack": "stack",
    "begun": "call",
    "begun_at": "time",
}
TYPES = {"call": "int64", "freed": "int64", "operation": "uint8"}


def _count(counter: Counter[int], values: Any) -> None:
    """Count the values, in the order in which they come first."""
    found, first, counts = numpy().unique(values, return_index=True, return_counts=True)
    for at in first.argsort():
        counter[int(found[at])] += int(counts[at])


def _joined(pieces: list[dict[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """The columns of all pieces joined; releases the pieces."""
    np = numpy()
    empty = {name: np.zeros(0, TYPES.get(name, "uint64")) for name in names}
    return {name: np.concatenate([piece.pop(name) for piece in [empty, *pieces]]) for name in names}


def _weights(sizes: Any, mean_gap: int) -> Any:
    """How many bytes each sampled block stands for; None if these are too many."""
    np = numpy()
    different, which = np.unique(sizes, return_inverse=True)
    behind = [_bytes_behind(size, mean_gap) for size in different.tolist()]
    counts = np.bincount(which, minlength=len(behind)).tolist() if behind else []
    if sum(map(int.__mul__, behind, counts)) >= MOST_AT_ONCE:
        return None
    return np.array(behind, np.int64)[which]


def _end_unnoticed(begins: dict[str, Any], life: dict[str, Any]) -> int:
    """End blocks whose address is handed out again before a free. Returns how many there are."""
    np = numpy()
    order = np.argsort(begins["address"], kind="stable")
    earlier, later = order[:-1], order[1:]
    ended, begun = life["call"][earlier], begins["call"][later]
    is_unnoticed = begins["address"][earlier] == begins["address"][later]
    is_unnoticed &= (ended == NEVER) | (ended > begun)
    for name, values in life.items():
        values[earlier[is_unnoticed]] = begins[name][later[is_unnoticed]]
    return int(np.count_nonzero(is_unnoticed))


def _moved(freed: Any, sizes: Any, addresses: Any) -> Any:
    """For each block the bytes that a realloc moved from another address."""
    np = numpy()
    moved = np.zeros(len(sizes), np.uint64)
    resized = np.flatnonzero(freed != NO_BLOCK)
    resized = resized[addresses[freed[resized]] != addresses[resized]]
    moved[resized] = np.minimum(sizes[freed[resized]], sizes[resized])
    return moved


def _live(weights: Any, begun: Any, ended: Any, calls: int) -> Any:
    """The live bytes after each call."""
    np = numpy()
    changes = np.zeros(calls + 1, np.int64)
    np.add.at(changes, begun, weights)
    is_freed = ended != NEVER
    np.subtract.at(changes, ended[is_freed], weights[is_freed])
    return np.cumsum(changes[1:])


def _array(kind: str, values: Any) -> array[int]:
    """An array of the standard library with these values."""
    found: array[int] = array(kind)
    found.frombytes(numpy().ascontiguousarray(values).astype(kind, copy=False).data.cast("B"))
    return found
