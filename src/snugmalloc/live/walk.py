"""Owns the walk through the heap of a running process: what is live, free, given back, what holds pages back.

The page map says of each page what it is, so a slab is counted by its tag alone; other blocks are followed from
tag to tag. The process runs meanwhile. Blocks whose tags do not agree were changed while they were read: they
are read again, and left out if that does not help; how much was left out is told.

What lies in the caches of threads, or is on its way from one thread to another, is not live here.
"""

from __future__ import annotations

import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from struct import Struct
from typing import Any

from snugmalloc.live.remote import PAGE, Attached, CannotAttach, attach
from snugmalloc.trace.pins import MOSTLY_FREE
from snugmalloc.trace.snapshot import Part

TAG = Struct("<II")  # size and flags, and the size of the block before: `pages.Tag`
PAGE_SHIFT = 12
TRIES = 4
STRETCH = 4096  # blocks
LARGEST_RUNS = 10
MOST_RETURNED = 1 << 16  # lists that were returned to one heap
LIVE, KEPT, GIVEN = range(3)  # a page with blocks; a free one that may be resident; one that the system has


@dataclass
class FreeRun:
    """A free block of the heap."""

    address: int
    size: int
    resident: int
    """Of it, what the system has not back."""


@dataclass
class Segment:
    """A run of pages of one heap, or all mappings of one. Sizes in bytes."""

    heap: str
    start: int
    end: int
    kinds: bytes = b""
    """What each page is, as the page map has it."""
    live: int = 0
    live_blocks: int = 0
    cached: int = 0
    free_in_slabs: int = 0
    kept: int = 0
    """In free blocks, and not given back."""
    given_back: int = 0
    """In free blocks: given back, or never touched."""
    held: int = 0
    pinned_pages: int = 0
    unread: int = 0
    """What changed too fast to be read."""
    states: bytes = b""
    """Of each page: LIVE, KEPT or GIVEN."""

    @property
    def size(self) -> int:
        """Its addresses."""
        return self.end - self.start

    @property
    def overhead(self) -> int:
        """What is left: tags, rests of slabs, and what the heap itself has."""
        known = self.live + self.cached + self.free_in_slabs + self.kept + self.given_back + self.unread
        return max(0, self.size - known)


@dataclass
class HeapView:
    """A heap as it was found."""

    pid: int
    page_size: int
    segments: list[Segment] = field(default_factory=list)
    """Of blocks, by address."""
    live: dict[int, Part] = field(default_factory=dict)
    """The live blocks by their usable size, with what those hold back that do."""
    holding: dict[int, Part] = field(default_factory=dict)
    """Those that hold something back, in the same way."""
    mapped: dict[str, Part] = field(default_factory=dict)
    """Large blocks with mappings of their own, by heap; they are in `live`, too."""
    spare: int = 0
    """Mappings of such that were freed."""
    spare_kept: int = 0
    """Of these, what may be resident."""
    cached_blocks: int = 0
    cached: int = 0
    free_runs: list[FreeRun] = field(default_factory=list)
    """The largest."""
    pages: int = 0
    """On which live blocks lie."""
    seconds: float = 0.0
    """How long it took."""

    def total(self, figure: str) -> int:
        """A figure of all segments."""
        return sum(int(getattr(segment, figure)) for segment in self.segments)

    @property
    def live_total(self) -> Part:
        """All that is live."""
        total = Part()
        for part in self.live.values():
            total.add(part.blocks, part.bytes, part.held)
        return total


def walk_heap(attached: Attached, page_size: int = PAGE) -> HeapView:
    """The heap of a process. Raises CannotAttach when that has ended."""
    begun = time.perf_counter()
    attached.machine.forget()
    try:
        view = _Walk(attached, page_size).walk()
    except OSError as error:
        raise CannotAttach(f"process {attached.pid} {_why(attached, error)}") from None
    except (ValueError, OverflowError, IndexError):  # words that were no addresses any more
        raise CannotAttach(f"process {attached.pid} changed its heap too fast: try again") from None
    view.seconds = time.perf_counter() - begun
    return view


def walk_process(pid: int, page_size: int = PAGE) -> HeapView:
    """The same of a process that nobody is attached to."""
    with attach(pid) as attached:
        return walk_heap(attached, page_size)


def _why(attached: Attached, error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}" if attached.is_running else "has ended"


class _PageMap:
    """The page map of a process, read in large pieces, and whose the pages are."""

    def __init__(self, attached: Attached) -> None:
        self.attached = attached
        self.memory = attached.memory
        engine = self.engine = attached.engine
        self.leaf_pages: int = engine.LEAF_PAGES
        of_heap = bytes([*range(1, engine.SLAB_CLASSES + 1), *range(engine.UNCLEARED, engine.DIRTY + 1)])
        self.heap_pages = re.compile(b"[%s]+" % re.escape(of_heap))
        self.mapping_pages = re.compile(b"[%c%c]" % (engine.MAPPING, engine.SPARE))
        self.names = {int(heap): name for heap, name in _heaps(attached)}

    def leaves(self) -> Iterator[tuple[int, Any]]:
        """The leaves of all addresses that are mapped, each with the number of its first page."""
        engine = self.engine
        entries: set[int] = set()
        for line in self.attached.maps():
            start, _, end = line.partition(" ")[0].partition("-")
            first, last = (page >> PAGE_SHIFT for page in (int(start, 16), int(end, 16) - 1))
            if last >> engine.ADDRESS_BITS - PAGE_SHIFT == 0:
                entries.update(range(first // self.leaf_pages, last // self.leaf_pages + 1))
        for entry in sorted(entries):
            page = entry * self.leaf_pages
            if engine.has_leaf(page):
                yield page, engine.leaf_of_page(page)

    def kinds(self, page: int, count: int) -> bytes:
        """The kinds of pages."""
        return self._parts(page, count, "kinds", 1)

    def tags(self, page: int, count: int) -> array[int]:
        """The tags of pages, as words."""
        return array("Q", self._parts(page, count, "tags", self.engine.Tag.SIZE))

    def _parts(self, page: int, count: int, field_name: str, width: int) -> bytes:
        found = []
        while count:
            at = page % self.leaf_pages
            here = min(count, self.leaf_pages - at)
            leaf = self.engine.leaf_of_page(page)
            found.append(self.memory.read(int(getattr(leaf, field_name)) + width * at, width * here))
            page, count = page + here, count - here
        return b"".join(found)

    def heap_of(self, page: int) -> str:
        """The name of the heap that a page belongs to."""
        return self.names.get(int(self.engine.owner_of_page(page)), "another")

    def runs(self) -> list[tuple[str, int, bytes]]:
        """Runs of pages of a heap, with the first page, and the kinds."""
        found: list[tuple[str, int, bytes]] = []
        for first, leaf in self.leaves():
            kinds = self.memory.read(int(leaf.kinds), self.leaf_pages)
            for match in self.heap_pages.finditer(kinds):
                page, heap = first + match.start(), self.heap_of(first + match.start())
                if found and found[-1][0] == heap and found[-1][1] + len(found[-1][2]) == page:
                    found[-1] = (heap, found[-1][1], found[-1][2] + match[0])
                else:
                    found.append((heap, page, match[0]))
        return found

    def mappings(self) -> Iterator[tuple[int, bool]]:
        """Where mappings begin, and whether they are in use."""
        for first, leaf in self.leaves():
            kinds = self.memory.read(int(leaf.kinds), self.leaf_pages)
            for match in self.mapping_pages.finditer(kinds):
                yield (first + match.start()) << PAGE_SHIFT, match[0][0] == self.engine.MAPPING


def _heaps(attached: Attached) -> Iterator[tuple[Any, str]]:
    """All heaps with their names: the process's, shards, and private ones."""
    engine, memory = attached.engine, attached.memory
    shards = {
        address: number for number, address in enumerate(memory.words_behind_count(attached.shards_at), 1)
    }
    heap = engine.process_heap()
    yield heap, "process"
    seen = {int(heap)}
    while lock := heap.next_lock:
        heap = engine.heap_of_lock(lock)
        try:
            name = memory.read(int(heap) + engine.Heap.name, engine.NAME_BYTES).partition(b"\0")[0]
        except OSError:  # it was destroyed just now
            return
        if int(heap) in seen:
            return
        seen.add(int(heap))
        number = shards.get(int(heap))
        yield heap, f"private {name.decode(errors='replace')}".rstrip() if number is None else f"shard {number}"


class _Cached:
    """What lies in threads' caches, or waits for a thread: objects by page and class, and blocks."""

    def __init__(self, attached: Attached) -> None:
        self.memory = attached.memory
        self.engine = attached.engine
        self.seen: set[int] = set()
        self.objects: Counter[tuple[int, int]] = Counter()
        """How many of a class are on the page that begins there."""
        self.blocks: set[int] = set()
        self._look_at_caches()
        for heap, _ in _heaps(attached):
            if not heap.is_private:
                self._look_at_heap(heap)

    def _look_at_caches(self) -> None:
        engine = self.engine
        cache = engine.process_heap().newest_cache
        seen: set[int] = set()
        while cache and cache not in seen:
            seen.add(cache)
            record = engine.ThreadCache(cache)
            for size_class in range(1, engine.ALL_CLASSES + 1):
                entry = record.lists[size_class]
                self._add(entry.first, engine.listed(entry), size_class)
            cache = record.next_cache

    def _look_at_heap(self, heap: Any) -> None:
        engine = self.engine
        for size_class in range(1, engine.ALL_CLASSES + 1):
            places = engine.class_places(heap, size_class)
            for number in range(engine.places_for(size_class)):
                place = places.places[number]
                self._add(place.first, place.count, size_class)
        chain, looked_at = heap.returned, 0
        while chain and looked_at < MOST_RETURNED:
            looked_at += 1
            try:
                below, count = engine.next_returned(chain), engine.returned_length(chain)
                size_class = engine.class_of_listed(chain)
            except OSError:
                return
            self._add(chain, count or 1, size_class if count else engine.ALL_CLASSES)
            chain = below

    def _add(self, pointer: int, count: int, size_class: int) -> None:
        """A list; the thread that has it may be at it, and then it leads astray."""
        are_objects = self.engine.has_objects(size_class)
        try:
            while pointer and count > 0 and pointer not in self.seen and not pointer % self.engine.UNIT:
                following = self.memory.word(pointer)
                self.seen.add(pointer)
                if are_objects:
                    self.objects[pointer & -PAGE, size_class] += 1
                else:
                    self.blocks.add(pointer)
                pointer, count = following, count - 1
        except (OSError, OverflowError):
            return


class _Ledger:
    """The pin ledger, by the rule of `trace.pins`, of blocks that come by their addresses."""

    def __init__(self, view: HeapView) -> None:
        self.view = view
        self.shift = view.page_size.bit_length() - 1
        self.least = view.page_size * (1 - MOSTLY_FREE)
        self.segment = Segment("", 0, 0)
        self.page = -1
        self.used = 0
        self.sharers = 0
        self.entries: list[tuple[int, int, list[bool] | None]] = []
        """The blocks of a page: their size, how many, and whether one was counted that lies on two pages."""

    def put(self, begin: int, size: int, count: int) -> None:
        """So many live blocks of one size from `begin` on, all on one page; or one block."""
        first, last = begin >> self.shift, (begin + size - 1) >> self.shift
        if first != self.page:
            self.settle(first)
        self.sharers += count
        if first == last or count > 1:
            self.used += size * count
            self.entries.append((size, count, None))
            return
        counted = [False]
        self.used += ((first + 1) << self.shift) - begin
        self.entries.append((size, 1, counted))
        self.settle(last)
        self.view.pages += last - first - 1
        self.used, self.sharers = begin + size - (last << self.shift), 1
        self.entries.append((size, 1, counted))

    def settle(self, following: int) -> None:
        """No more blocks come for the page."""
        if self.sharers:
            self.view.pages += 1
            if self.used < self.least:
                self._hold()
        self.page, self.used, self.sharers = following, 0, 0
        self.entries.clear()

    def _hold(self) -> None:
        held = self.view.page_size - self.used
        self.segment.held += held
        self.segment.pinned_pages += 1
        for size, count, counted in self.entries:
            part = self.view.holding.setdefault(size, Part())
            part.add(0, 0, held * count / self.sharers)
            self.view.live[size].held += held * count / self.sharers
            if counted is None or not counted[0]:
                part.add(count, size * count, 0)
            if counted is not None:
                counted[0] = True


class _Layout:
    """What the engine's modules say of a heap's layout, at hand: they are asked for each block."""

    def __init__(self, engine: Any) -> None:
        self.slab_classes: int = engine.SLAB_CLASSES
        self.page_units: int = engine.PAGE_UNITS
        self.unit_shift: int = engine.UNIT_SHIFT
        self.header: int = engine.HEADER
        self.size_shift: int = engine.SIZE_SHIFT
        self.before_bits: int = engine.BEFORE_BITS
        self.used: int = engine.USED
        self.own: int = engine.OWN
        self.count_shift: int = engine.COUNT_SHIFT
        self.count_bits: int = engine.COUNT_BITS
        self.capacities: tuple[int, ...] = engine.CAPACITIES
        self.object_bytes = [engine.object_bytes(number) for number in range(engine.SLAB_CLASSES + 1)]
        self.gone_kinds: tuple[int, ...] = (engine.FRESH, engine.PURGED)
        states = {engine.DIRTY: KEPT, **dict.fromkeys(self.gone_kinds, GIVEN)}
        self.states = bytes(states.get(kind, LIVE) for kind in range(256))


Found = tuple[int, int, int]
"""What a walk finds: the address; the size class of a slab, or minus the units of a block; its tag."""


class _Walk:
    """One walk through all heaps of a process."""

    def __init__(self, attached: Attached, page_size: int) -> None:
        self.attached = attached
        self.view = HeapView(attached.pid, page_size)
        self.map = _PageMap(attached)
        self.ledger = _Ledger(self.view)
        self.layout = _Layout(attached.engine)
        self.runs: list[FreeRun] = []

    def walk(self) -> HeapView:
        """All of them."""
        self.cached = _Cached(self.attached)
        for heap, page, kinds in self.map.runs():
            segment = Segment(heap, page << PAGE_SHIFT, (page + len(kinds)) << PAGE_SHIFT, kinds)
            self.view.segments.append(segment)
            self.ledger.segment = segment
            for found in self._stretches(segment):
                self._count(segment, found)
            self.ledger.settle(-1)
            segment.states = segment.kinds.translate(self.layout.states)
        self._count_mappings()
        self.view.free_runs = nlargest(LARGEST_RUNS, self.runs, key=lambda run: run.size)
        return self.view

    # ---- From tag to tag ----

    def _stretches(self, segment: Segment) -> Iterator[list[Found]]:
        """The blocks of a segment, as far as their tags agree."""
        block, before = segment.start, 0
        tags = self._read_again(segment)
        tries = 0
        while block < segment.end:
            try:
                found, following, before_it = self._stretch(segment, tags, block, before)
            except (OSError, _Changed):
                tries += 1
                tags = self._read_again(segment)
                if tries == TRIES:
                    block, before, tries = self._skip(segment, block), -1, 0
                continue
            yield found
            block, before, tries = following, before_it, 0

    def _stretch(
        self, segment: Segment, tags: array[int], block: int, before: int
    ) -> tuple[list[Found], int, int]:
        """Some blocks from `block` on, where the next one begins, and the size of the last in units."""
        layout, read, kinds = self.layout, self.map.memory.read, segment.kinds
        slab_classes, page_units, unit_shift = layout.slab_classes, layout.page_units, layout.unit_shift
        size_shift, header, before_bits = layout.size_shift, layout.header, layout.before_bits
        end, first_page = segment.end, segment.start >> PAGE_SHIFT
        page_there, page = -1, b""
        found: list[Found] = []
        while block < end and len(found) < STRETCH:
            if block % PAGE:
                if (block - header) >> PAGE_SHIFT != page_there:
                    page_there = (block - header) >> PAGE_SHIFT
                    page = read(page_there << PAGE_SHIFT, PAGE)
                size, tag_before = TAG.unpack_from(page, (block - header) % PAGE)
                kind = 0
            else:
                at = (block >> PAGE_SHIFT) - first_page
                kind = kinds[at]
                size, tag_before = tags[at] & 0xFFFF_FFFF, tags[at] >> 32
            is_slab = 0 < kind <= slab_classes
            units = page_units if is_slab else size >> size_shift
            following = block + (units << unit_shift)
            if not units or following > end or (before >= 0 and tag_before & before_bits != before):
                if len(found) < 2:
                    raise _Changed
                last = found.pop()  # it is the one that may have changed
                return found, last[0], page_units if found[-1][1] > 0 else -found[-1][1]
            found.append((block, kind if is_slab else -units, size))
            block, before = following, units
        return found, block, before

    def _read_again(self, segment: Segment) -> array[int]:
        """The page map of a segment anew: it may have become shorter."""
        if not self.attached.is_running:
            raise OSError("it has ended")
        page = segment.start >> PAGE_SHIFT
        kinds = self.map.kinds(page, len(segment.kinds))
        match = self.map.heap_pages.match(kinds)
        segment.kinds = match[0] if match else b""
        segment.end = segment.start + (len(segment.kinds) << PAGE_SHIFT)
        return self.map.tags(page, len(segment.kinds))

    def _skip(self, segment: Segment, block: int) -> int:
        """Where the next slab begins behind `block`, which is a block for sure; or the segment's end."""
        page = -(-block // PAGE) - (segment.start >> PAGE_SHIFT)
        while page < len(segment.kinds) and not 0 < segment.kinds[page] <= self.layout.slab_classes:
            page += 1
        following = max(block, segment.start + (page << PAGE_SHIFT))
        segment.unread += following - block
        return following

    # ---- Counting ----

    def _count(self, segment: Segment, found: Iterable[Found]) -> None:
        used, own = self.layout.used, self.layout.own
        for block, what, tag in found:
            if what > 0:
                self._count_slab(segment, block, what, tag)
            elif not tag & used:
                self._count_free(segment, block, -what)
            elif not tag & own:
                self._count_block(segment, block, -what)

    def _count_slab(self, segment: Segment, slab: int, size_class: int, tag: int) -> None:
        layout = self.layout
        size, capacity = layout.object_bytes[size_class], layout.capacities[size_class]
        out = max(0, capacity - (tag >> layout.count_shift & layout.count_bits))
        cached = min(out, self.cached.objects.get((slab, size_class), 0))
        live = out - cached
        segment.free_in_slabs += (capacity - out) * size
        segment.cached += cached * size
        self.view.cached += cached * size
        self.view.cached_blocks += cached
        if live:
            self._count_live(segment, slab, size, live)

    def _count_block(self, segment: Segment, block: int, units: int) -> None:
        layout = self.layout
        size = units << layout.unit_shift
        if block % PAGE or units % layout.page_units:
            size -= layout.header
        if block in self.cached.blocks:
            segment.cached += size
            self.view.cached += size
            self.view.cached_blocks += 1
        else:
            self._count_live(segment, block, size, 1)

    def _count_live(self, segment: Segment, begin: int, size: int, count: int) -> None:
        segment.live += size * count
        segment.live_blocks += count
        self.view.live.setdefault(size, Part()).add(count, size * count, 0)
        self.ledger.put(begin, size, count)

    def _count_free(self, segment: Segment, block: int, units: int) -> None:
        size = units << self.layout.unit_shift
        first = -(-block // PAGE) - (segment.start >> PAGE_SHIFT)
        last = (block + size) // PAGE - (segment.start >> PAGE_SHIFT)
        gone = 0
        if first < last:
            kinds = segment.kinds[first:last]
            gone = PAGE * sum(map(kinds.count, self.layout.gone_kinds))
        segment.given_back += gone
        segment.kept += size - gone
        self.runs.append(FreeRun(block, size, size - gone))
        if len(self.runs) > 1 << 16:
            self.runs = nlargest(LARGEST_RUNS, self.runs, key=lambda run: run.size)

    def _count_mappings(self) -> None:
        engine, view = self.attached.engine, self.view
        self.attached.machine.forget()
        for mapping, is_used in self.map.mappings():
            length = engine.length_of(mapping)
            if not is_used:
                view.spare += length
                view.spare_kept += 0 if engine.is_clean(mapping) else length
                continue
            heap = self.map.names.get(int(engine.owner_of(mapping)), "another")
            view.mapped.setdefault(heap, Part()).add(1, length, 0)
            view.live.setdefault(length, Part()).add(1, length, 0)
            view.pages += length // view.page_size


class _Changed(Exception):
    """Tags that do not agree: the process was at these blocks."""


def grouped(parts: dict[int, Part], bound: Callable[[int], int | None]) -> dict[int | None, Part]:
    """The parts by bounds of their sizes."""
    found: dict[int | None, Part] = {}
    for size, part in parts.items():
        found.setdefault(bound(size), Part()).add(part.blocks, part.bytes, part.held)
    return found
