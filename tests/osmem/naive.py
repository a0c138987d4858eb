"""The four functions as their specification states them: plain lists that are walked, and no cleverness.

The model keeps no bytes, only which blocks there are; it lives on a simulated machine for the sake of its
system calls. Addresses of blocks are those of their headers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from snugmalloc.engine.simulated import SimulatedMachine

META = 32
WALL = 32
THRESHOLD = 131072
PREALLOC = 131072
REGION = 131072
PTRDIFF_MAX = 2**63 - 1
SIZE_MAX = 2**64 - 1
ENOMEM = 12

FREE, LIVE, MAPPED = 0, 1, 2


def up8(count: int) -> int:
    return (count + 7) & ~7


class NoMemory(Exception):
    """A request that gives NULL and ENOMEM."""


@dataclass(eq=False)
class Block:
    address: int
    payload: int
    status: int

    @property
    def pointer(self) -> int:
        return self.address + META

    @property
    def end(self) -> int:
        return self.address + META + self.payload


@dataclass
class NaiveHeap:
    """The heap of one process on `system`; a pointer of 0 is NULL, and errno is the system's."""

    system: SimulatedMachine = field(default_factory=SimulatedMachine)
    segments: list[list[Block]] = field(default_factory=list)
    mapped: list[Block] = field(default_factory=list)
    stale: set[int] = field(default_factory=set)
    splits: int = 0
    coalescings: int = 0
    ignored_frees: int = 0
    heap_bytes: int = 0

    def __post_init__(self) -> None:
        self._end: int | None = None
        self._top: list[Block] = []

    # ---- The four functions ----

    def malloc(self, size: int) -> int:
        return self._answer(lambda: self._allocate(size, THRESHOLD))

    def calloc(self, count: int, size: int) -> int:
        return self._answer(lambda: self._allocate(count * size, self.system.page_size()))

    def free(self, pointer: int) -> None:
        if not pointer:
            return
        block = self._block(pointer)
        if block is None or block.status == FREE:
            self.ignored_frees += 1
        elif block.status == LIVE:
            block.status = FREE
        elif self.system.unmap_memory(block.address, META + block.payload):
            self.mapped.remove(block)

    def realloc(self, pointer: int, size: int) -> int:
        if not pointer:
            return self.malloc(size)
        if not size:
            self.free(pointer)
            return 0
        return self._answer(lambda: self._resize(pointer, size))

    def _answer(self, function: Callable[[], Block | None]) -> int:
        try:
            block = function()
        except NoMemory:
            self.system.set_errno(ENOMEM)
            return 0
        return block.pointer if block else 0

    # ---- What can be seen ----

    @property
    def blocks(self) -> list[Block]:
        """The heap's blocks in order of segments and addresses, then the mapped ones, newest first."""
        return [*self._heap_blocks(), *reversed(self.mapped)]

    def _heap_blocks(self) -> list[Block]:
        return [block for segment in self.segments for block in segment]

    def _block(self, pointer: int) -> Block | None:
        """The block at `pointer`; None for one that was absorbed while free and whose header still says so."""
        for block in self.blocks:
            if block.pointer == pointer:
                return block
        assert pointer - META in self.stale, f"{pointer:#x} is no block's"
        return None

    # ---- Obtaining memory ----

    def _allocate(self, request: int, limit: int) -> Block | None:
        if request == 0:
            return None
        if request > PTRDIFF_MAX:
            raise NoMemory
        payload = up8(request)
        if META + payload >= limit:
            return self._map(payload)
        if not self.segments:
            return self._begin(payload)
        self._coalesce()
        fitting = [block for block in self._heap_blocks() if block.status == FREE and block.payload >= payload]
        if fitting:
            return self._hand_out(min(fitting, key=lambda block: (block.payload, block.address)), payload)
        last = self._last()
        if last is None or last.status == LIVE:
            grown = self._append(payload)
        else:
            grown = last if self._grow(last, payload) else None
        return self._hand_out(grown or self._append_region(payload), payload)

    def _map(self, payload: int) -> Block:
        address = self.system.map_memory(META + payload)
        if not address:
            raise NoMemory
        self.mapped.append(Block(address, payload, MAPPED))
        return self.mapped[-1]

    def _begin(self, payload: int) -> Block:
        """The first use of the heap."""
        if self._end is None:
            self._end = up8(self.system.system_break())
        return self._hand_out(self._append(PREALLOC - META) or self._append_region(payload), payload)

    def _append(self, payload: int) -> Block | None:
        """A new last block of the heap over brk, behind a wall if somebody else has moved the break."""
        assert self._end is not None
        start = up8(self.system.known_break()) if self._is_foreign_above() else self._end
        block = Block(start + (WALL if start != self._end else 0), payload, FREE)
        if not self.system.move_break(block.end):
            return None
        if start != self._end:
            self._top = []
            self.segments.append(self._top)
        elif not self._top:
            self.segments.insert(0, self._top)
        self._top.append(block)
        self.heap_bytes += block.end - start
        self._end = block.end
        return block

    def _append_region(self, payload: int) -> Block:
        """A block of a new mapped region, behind its wall, because the break was refused."""
        needed = WALL + META + payload
        length = max(REGION, needed)
        address = self.system.map_memory(length)
        if not address and length > needed:
            length = needed
            address = self.system.map_memory(length)
        if not address:
            raise NoMemory
        block = Block(address + WALL, length - WALL - META, FREE)
        self.segments.append([block])
        self.heap_bytes += length
        return block

    # ---- The break ----

    def _is_foreign_above(self) -> bool:
        assert self._end is not None
        return self.system.known_break() > self._end

    def _last(self) -> Block | None:
        """The last block of the heap over brk, unless foreign memory lies behind it."""
        return self._top[-1] if self._top and not self._is_foreign_above() else None

    def _grow(self, last: Block, payload: int) -> bool:
        end = last.address + META + payload
        if not self.system.move_break(end):
            return False
        self.heap_bytes += end - last.end
        self._end = end
        last.payload = payload
        return True

    # ---- Blocks ----

    def _hand_out(self, block: Block, payload: int) -> Block:
        block.status = LIVE
        self._split(block, payload)
        return block

    def _split(self, block: Block, payload: int) -> None:
        if block.payload >= payload + META + 8:
            segment = self._segment(block)
            rest = Block(block.address + META + payload, block.payload - payload - META, FREE)
            segment.insert(segment.index(block) + 1, rest)
            block.payload = payload
            self.splits += 1
            self.stale = {address for address in self.stale if abs(address - rest.address) >= META}
        self._forget_stale(block)

    def _forget_stale(self, block: Block) -> None:
        """The block is the program's with all that it holds: stale headers in it may be written over."""
        self.stale = {address for address in self.stale if not block.address <= address < block.end}

    def _segment(self, block: Block) -> list[Block]:
        return next(segment for segment in self.segments if block in segment)

    def _coalesce(self) -> None:
        for segment in self.segments:
            for block in list(segment):
                if block in segment and block.status == FREE:
                    while self._absorb_next(block):
                        pass

    def _absorb_next(self, block: Block) -> bool:
        segment = self._segment(block)
        at = segment.index(block) + 1
        if at == len(segment) or segment[at].status != FREE:
            return False
        absorbed = segment.pop(at)
        block.payload += META + absorbed.payload
        self.stale.add(absorbed.address)
        self.coalescings += 1
        return True

    def _resize(self, pointer: int, size: int) -> Block | None:
        block = self._block(pointer)
        if block is None or block.status == FREE:
            return None
        if size > PTRDIFF_MAX:
            raise NoMemory
        payload = up8(size)
        if block.status == LIVE and META + payload < THRESHOLD and self._resize_in_place(block, payload):
            return block
        moved = self._allocate(size, THRESHOLD)
        self.free(pointer)
        return moved

    def _resize_in_place(self, block: Block, payload: int) -> bool:
        if block.payload < payload and block is self._last() and self._grow(block, payload):
            return True
        while block.payload < payload and self._absorb_next(block):
            pass
        if block.payload < payload:
            self._forget_stale(block)
            return False
        self._split(block, payload)
        return True
