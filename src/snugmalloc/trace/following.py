"""Owns computing a trace's history from its events: one by one, or all at once by NumPy.

Both have the same result. At once, what begins blocks is gathered from all columns first; that the free of a
block is missing shows when blocks are sorted by address, and live bytes are the sums of all changes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from snugmalloc.trace.alike import slices
from snugmalloc.trace.blocks import NEVER, Blocks, History
from snugmalloc.trace.columns import COLUMN_NAMES, NO_BLOCK, Columns
from snugmalloc.trace.format import Flags
from snugmalloc.trace.narrow import Narrow
from snugmalloc.trace.operations import IS_CALL, Operation
from snugmalloc.trace.reader import OPERATIONS, TraceReader
from snugmalloc.trace.vectors import WORD, numpy
from snugmalloc.trace.weight import Chances, blocks_behind

SIGNED_BITS = 31
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


def _bytes_behind(size: int, chance: int, mean_gap: int) -> int:
    """How many bytes a sampled block stands for."""
    return round(size * blocks_behind(chance, mean_gap))


# ---- One after the other ----


class OneByOne:
    """Follows the events one after the other, and knows the live block at each address."""

    def __init__(self, reader: TraceReader) -> None:
        self.history = History()
        self.reader = reader
        self.has_addresses = Flags.ADDRESSES in reader.header.flags
        self.block_at: dict[int, int] = {}
        self.mean_gap = reader.header.mean_gap
        self.chances = Chances()
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
                    self.end(freed, thread)
            elif old:
                history.unknown_frees += 1
            if block != NO_BLOCK:
                self.begin(operation, address, freed, thread, size, stack)
            elif refused and size:
                history.refused += 1
            history.live.append(min(self.live, WORD))
            history.time.append(time)

    def bytes_of(self, block: int) -> int:
        """How many bytes a block stands for."""
        blocks = self.history.blocks
        size = blocks.size[block]
        return _bytes_behind(size, blocks.chance[block], self.mean_gap) if self.mean_gap else size

    def finish(self) -> History:
        """The history."""
        return self.history

    def begin(self, operation: int, address: int, freed: int, thread: int, size: int, stack: int) -> None:
        blocks = self.history.blocks
        block = len(blocks)
        if self.has_addresses:
            unnoticed = self.block_at.get(address)
            if unnoticed is not None:
                self.history.missing_frees += 1
                self.end(unnoticed, thread)
            self.block_at[address] = block
        is_moved = freed != NO_BLOCK and blocks.address[freed] != address
        blocks.moved.append(min(blocks.size[freed], size) if is_moved else 0)
        blocks.size.append(size)
        blocks.address.append(address)
        blocks.operation.append(operation)
        blocks.thread.append(thread)
        blocks.stack.append(stack)
        blocks.begun.append(self.calls)
        blocks.ended.append(NEVER)
        blocks.ended_by.append(0)
        if self.mean_gap:
            blocks.chance.append(self.chances.add(size, address, freed))
        self.live += self.bytes_of(block)

    def end(self, block: int, thread: int) -> None:
        blocks = self.history.blocks
        if blocks.ended[block] != NEVER:
            return
        if self.has_addresses:
            del self.block_at[blocks.address[block]]
        blocks.ended[block] = self.calls
        blocks.ended_by[block] = thread
        self.live -= self.bytes_of(block)


# ---- At once ----


class AtOnce:
    """Gathers the events, and follows them at the end."""

    def __init__(self, reader: TraceReader) -> None:
        self.history = History()
        self.reader = reader
        self.calls = 0
        self.begins = {name: Narrow() for name in BEGIN}
        """What began each block."""
        self.resized, self.freed = Narrow(), Narrow()
        """The blocks that reallocs gave in place of others, and these others."""
        self.ended: array[int] = array("q" if reader.count_events() >> SIGNED_BITS else "i")
        """Of each block the call that ended it."""
        self.ended_by = Narrow()
        self.time: array[int] = array("Q")
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
        self.time.frombytes(np.ascontiguousarray(of["time"], np.uint64).data.cast("B"))
        end = self.calls + len(of["time"])
        of["call"] = np.arange(self.calls + 1, end + 1)
        self.calls = end
        _count(self.operations, of["operation"])
        _count(history.calls_of_thread, of["thread"])
        gives, frees = of["block"] != NO_BLOCK, of["freed"] != NO_BLOCK
        is_kept = (of["refused"] != 0) & (of["size"] != 0)
        history.unknown_frees += int(np.count_nonzero(~frees & (of["old"] != 0)))
        history.refused += int(np.count_nonzero(~gives & is_kept))
        for name, column in self.begins.items():
            column.extend(of[name][gives])
        self.resized.extend(of["block"][gives & frees])
        self.freed.extend(of["freed"][gives & frees])
        more = int(np.count_nonzero(gives))
        self.ended.extend(array(self.ended.typecode, [NEVER]) * more)
        self.ended_by.extend_by_zeros(more)
        is_end = frees & ~is_kept
        self._end(of["freed"][is_end], of["call"][is_end], of["thread"][is_end])

    def _end(self, freed: Any, calls: Any, threads: Any) -> None:
        """Blocks end, each by the first call that frees it."""
        blocks, first = numpy().unique(freed, return_index=True)
        ended = self._ended()
        is_new = ended[blocks] == NEVER
        ended[blocks[is_new]] = calls[first[is_new]]
        self.ended_by.put(blocks[is_new], threads[first[is_new]])

    def _ended(self) -> Any:
        return numpy().asarray(self.ended)

    def finish(self) -> History | None:
        """All that they tell; None if blocks are too large."""
        history, gap = self.history, self.reader.header.mean_gap
        chances = self._chances() if gap else array("Q")
        weights = _weights(self.begins["size"].view(), chances, gap)
        if weights is None:
            return None
        for operation, count in self.operations.items():
            history.calls[OPERATIONS[operation]] = count
        if Flags.ADDRESSES in self.reader.header.flags:
            history.missing_frees = self._end_unnoticed()
        history.live = _live(weights, self.begins["call"].view(), self._ended(), self.calls)
        history.time = self.time
        history.blocks = Blocks(
            **{place: self.begins[name].values for place, name in PLACES.items()},
            moved=self._moved(),
            ended=self.ended,
            ended_by=self.ended_by.values,
            chance=chances,
        )
        return history

    def _end_unnoticed(self) -> int:
        """A block whose address is handed out again ends then, if it did not before. How many there are."""
        np, ended = numpy(), self._ended()
        addresses, calls, threads = (self.begins[name].view() for name in ("address", "call", "thread"))
        order = np.argsort(addresses, kind="stable")
        unnoticed = 0
        for part in slices(len(order) - 1):
            earlier, later = order[part], order[part.start + 1 : part.stop + 1]
            is_unnoticed = addresses[earlier] == addresses[later]
            is_unnoticed &= (ended[earlier] == NEVER) | (ended[earlier] > calls[later])
            earlier, later = earlier[is_unnoticed], later[is_unnoticed]
            ended[earlier] = calls[later]
            self.ended_by.put(earlier, threads[later])
            unnoticed += len(earlier)
        return unnoticed

    def _moved(self) -> array[int]:
        """Of each block how many bytes a realloc brought from another address."""
        sizes, addresses = self.begins["size"].view(), self.begins["address"].view()
        resized, freed = self.resized.view(), self.freed.view()
        is_moved = addresses[freed] != addresses[resized]
        resized, freed = resized[is_moved], freed[is_moved]
        moved = Narrow()
        moved.extend_by_zeros(len(sizes))
        moved.put(resized, numpy().minimum(sizes[freed], sizes[resized]))
        return moved.values

    def _chances(self) -> array[int]:
        """The sizes by which the blocks of a sampled trace are in it."""
        chances = Chances()
        before = dict(zip(self.resized.values, self.freed.values, strict=True))
        places = zip(self.begins["size"].values, self.begins["address"].values, strict=True)
        for block, place in enumerate(places):
            chances.add(*place, before.get(block, NO_BLOCK))
        return chances.sizes


BEGIN = ("call", "operation", "thread", "size", "address", "stack")
PLACES = {  # in `Blocks`, of what begins a block
    "operation": "operation",
    "size": "size",
    "address": "address",
    "thread": "thread",
    "stack": "stack",
    "begun": "call",
}


def _count(counter: Counter[int], values: Any) -> None:
    """Count the values, in the order in which they come first."""
    found, first, counts = numpy().unique(values, return_index=True, return_counts=True)
    for at in first.argsort():
        counter[int(found[at])] += int(counts[at])


def _weights(sizes: Any, chances: array[int], mean_gap: int) -> Any:
    """How many bytes each block stands for; None if these are too many."""
    np = numpy()
    if mean_gap:
        behind = [_bytes_behind(*each, mean_gap) for each in zip(sizes.tolist(), chances, strict=True)]
        return np.array(behind, np.int64) if sum(behind) < MOST_AT_ONCE else None
    is_little = len(sizes) == 0 or int(sizes.max()) * len(sizes) < MOST_AT_ONCE
    return sizes if is_little or sum(sizes.tolist()) < MOST_AT_ONCE else None


def _live(weights: Any, begun: Any, ended: Any, calls: int) -> array[int]:
    """The live bytes after each call."""
    np = numpy()
    is_small = len(weights) == 0 or int(weights.max()) >> SIGNED_BITS - 2 == 0  # a call ends two blocks at most
    changes = np.zeros(calls + 1, np.int32 if is_small else np.int64)
    changes[begun] = weights  # a call begins one block at most
    for part in slices(len(ended)):
        is_freed = ended[part] != NEVER
        np.subtract.at(changes, ended[part][is_freed], weights[part][is_freed].astype(changes.dtype))
    found = Narrow()
    live = 0
    for part in slices(calls):
        after = np.cumsum(changes[part.start + 1 : part.stop + 1], dtype=np.int64) + live
        live = int(after[-1])
        found.extend(after)
    return found.values
