"""The drop-in engine twice, interpreted and compiled, with one interface, and the model for both."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from snugmalloc.engine import FreshEngine, SimulatedMachine

FREE, LIVE, MAPPED = 0, 1, 2
MIB = 1 << 20
SMALL = {"SMALLEST_REGION": 2 * MIB, "DEFAULT_THRESHOLD": 2 * MIB}
"""Constants for heaps that fit in a bytearray: regions and mappings of some MiB."""
SMALL_REGIONS = {"SMALLEST_PRIVATE_REGION": MIB // 4}
"""And for private heaps that soon need another one."""
LIMIT = 24 * MIB


class Block(NamedTuple):
    """What a walk shows."""

    address: int
    size: int
    status: int


class Heap(Protocol):
    """The functions of snugmalloc.h, and the memory behind them."""

    def malloc(self, size: int) -> int: ...
    def calloc(self, count: int, size: int) -> int: ...
    def realloc(self, pointer: int, size: int) -> int: ...
    def aligned_alloc(self, alignment: int, size: int) -> int: ...
    def free(self, pointer: int) -> object: ...
    def usable(self, pointer: int) -> int: ...
    def trim(self, pad: int) -> int: ...
    def check(self) -> int: ...
    def walk(self) -> list[Block]: ...
    def read(self, address: int, count: int) -> bytes: ...
    def write(self, address: int, data: bytes) -> None: ...


class InterpretedHeap:
    """The engine under the interpreter, on a simulated machine of its own with small regions."""

    def __init__(
        self, machine: SimulatedMachine | None = None, constants: Mapping[str, int] | None = None
    ) -> None:
        self.machine = machine or SimulatedMachine()
        self.machine.lock_is_short = True
        self.engine = FreshEngine("dropin", self.machine, {**SMALL, **(constants or {})})
        self.malloc: Callable[[int], int] = self.engine.snug_malloc
        self.calloc: Callable[[int, int], int] = self.engine.snug_calloc
        self.realloc: Callable[[int, int], int] = self.engine.snug_realloc
        self.aligned_alloc: Callable[[int, int], int] = self.engine.snug_aligned_alloc
        self.free: Callable[[int], object] = self.engine.snug_free
        self.usable: Callable[[int], int] = self.engine.snug_malloc_usable_size
        self.check: Callable[[], int] = self.engine.snug_check
        self.read: Callable[[int, int], bytes] = self.machine.read
        self.write: Callable[[int, bytes], None] = self.machine.write

    @property
    def control(self) -> int:
        """The heap's control block."""
        return int(self.engine.process_heap())

    def trim(self, pad: int) -> int:
        return int(self.engine.snug_trim(pad))

    def walk(self) -> list[Block]:
        found: list[Block] = []

        def note(address: int, size: int, status: int, _context: int) -> int:
            found.append(Block(address, size, status))
            return 0

        self.machine.visitors[0] = note
        self._show()
        return found

    def walked_live(self) -> list[Block]:
        """The blocks in use that a walk shows."""
        return [block for block in self.walk() if block.status != FREE]

    def total(self, name: str) -> int:
        """The figure of this field's name that snug_stats would report."""
        self.engine.snug_stats(self.engine.TOTALS, 0)
        return self.machine.load(self.engine.TOTALS + getattr(self.engine.Figures, name), 8)

    def _show(self) -> None:
        """Show all blocks to the visitor."""
        assert self.engine.snug_walk(0, 0) == 0

    def figure(self, name: str) -> int:
        """The figure of this field's name, such as ``heap_bytes``, brought up to date."""
        self.engine.snug_stats(self.engine.TOTALS, 0)
        return int(self.engine.figure(self.engine.TOTALS, getattr(self.engine.Figures, name)))


class InterpretedPrivateHeap(InterpretedHeap):
    """The same with a private heap of the engine, with a limit if that is not 0."""

    def __init__(
        self,
        machine: SimulatedMachine | None = None,
        constants: Mapping[str, int] | None = None,
        limit: int = 0,
    ) -> None:
        super().__init__(machine, {**SMALL_REGIONS, **(constants or {})})
        self.address: int = self.engine.snug_heap_create(limit, 0)
        assert self.address != 0
        self.malloc = self._of_this(self.engine.snug_heap_malloc)
        self.calloc = self._of_this(self.engine.snug_heap_calloc)
        self.realloc = self._of_this(self.engine.snug_heap_realloc)
        self.aligned_alloc = self._of_this(self.engine.snug_heap_aligned)
        self.free = self._of_this(self.engine.snug_heap_free)
        self.check = self._of_this(self.engine.snug_heap_check)

    @property
    def control(self) -> int:
        return self.address

    def _of_this(self, function: Callable[..., int]) -> Callable[..., int]:
        return partial(function, self.address)

    def trim(self, pad: int) -> int:
        """Without a pad."""
        return int(self.engine.snug_heap_trim(self.address))

    def destroy(self) -> None:
        """The heap is no more."""
        self.engine.snug_heap_destroy(self.address)

    def _show(self) -> None:
        assert self.engine.snug_heap_walk(self.address, 0, 0) == 0

    def figure(self, name: str) -> int:
        self.engine.snug_heap_stats(self.address, self.engine.TOTALS, 0)
        return int(self.engine.figure(self.address, getattr(self.engine.Figures, name)))


def interpreted_limited(
    machine: SimulatedMachine | None = None, constants: Mapping[str, int] | None = None
) -> InterpretedHeap:
    """A private heap with a limit that no test reaches by chance."""
    return InterpretedPrivateHeap(machine, constants, LIMIT)


INTERPRETED: dict[str, Callable[..., InterpretedHeap]] = {
    "process": InterpretedHeap,
    "private": InterpretedPrivateHeap,
    "limited": interpreted_limited,
}
"""Every instance of a heap that the interpreted engine can make, by its kind."""


class CompiledHeap:
    """libsnugmalloc.so in this very process, beside libc's malloc."""

    Visitor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p)

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        word, none = ctypes.c_uint64, None
        self.malloc = self._function("snug_malloc", word, word)
        self.calloc = self._function("snug_calloc", word, word, word)
        self.realloc = self._function("snug_realloc", word, word, word)
        self.aligned_alloc = self._function("snug_aligned_alloc", word, word, word)
        self.free = self._function("snug_free", none, word)
        self.usable = self._function("snug_malloc_usable_size", word, word)
        self.trim = self._function("snug_trim", ctypes.c_int, word)
        self.check = self._function("snug_check", ctypes.c_int)

    def _function(self, name: str, result: type | None, *parameters: type) -> Callable[..., int]:
        function = getattr(self.library, name)
        function.restype = result
        function.argtypes = parameters
        return function  # type: ignore[no-any-return]

    def walk(self) -> list[Block]:
        found = (ctypes.c_uint64 * (3 << 20))()  # the visitor may not allocate here, or libc's break moves
        count = 0

        def note(address: int, size: int, status: int, _context: object) -> int:
            nonlocal count
            found[count : count + 3] = [address, size, status]
            count += 3
            return 0

        self._show(self.Visitor(note))
        return [Block(*found[at : at + 3]) for at in range(0, count, 3)]

    def _show(self, visitor: object) -> None:
        """Show all blocks to the visitor."""
        assert self.library.snug_walk(visitor, None) == 0

    def destroy(self) -> None:
        """The heap of this very process stays."""

    def read(self, address: int, count: int) -> bytes:
        return ctypes.string_at(address, count)

    def write(self, address: int, data: bytes) -> None:
        ctypes.memmove(address, data, len(data))


class CompiledPrivateHeap(CompiledHeap):
    """The same with a private heap of the library, with a limit if that is not 0."""

    def __init__(self, library: Path, limit: int = 0) -> None:
        super().__init__(library)
        word, heap, number = ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int
        create = self._function("snug_heap_create", heap, word, ctypes.c_char_p)
        self.address = create(limit, b"of a test")
        assert self.address != 0
        self._destroy = self._function("snug_heap_destroy", None, heap)
        self.malloc = self._of_this("snug_heap_malloc", word, word)
        self.calloc = self._of_this("snug_heap_calloc", word, word, word)
        self.realloc = self._of_this("snug_heap_realloc", word, word, word)
        self.aligned_alloc = self._of_this("snug_heap_aligned", word, word, word)
        self.free = self._of_this("snug_heap_free", None, word)
        self.check = self._of_this("snug_heap_check", number)
        trim = self._of_this("snug_heap_trim", number)
        self.trim = lambda pad: trim()

    def _of_this(self, name: str, result: type | None, *parameters: type) -> Callable[..., int]:
        return partial(self._function(name, result, ctypes.c_uint64, *parameters), self.address)

    def _show(self, visitor: object) -> None:
        assert self.library.snug_heap_walk(ctypes.c_uint64(self.address), visitor, None) == 0

    def destroy(self) -> None:
        """The heap is no more."""
        self._destroy(self.address)


COMPILED: dict[str, Callable[[Path], CompiledHeap]] = {
    "process": CompiledHeap,
    "private": CompiledPrivateHeap,
    "limited": lambda library: CompiledPrivateHeap(library, LIMIT),
}
"""Every instance of a heap that a compiled library can make, by its kind."""


@dataclass
class Model:
    """Plays a random program on a heap and knows what every block must hold.

    `largest` bounds the sizes, which are log-uniform; 0 and 1 come too.
    """

    heap: Heap
    seed: int
    largest: int = 300_000
    blocks: dict[int, bytes] = field(default_factory=dict)
    usable: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def size(self) -> int:
        return int(self.largest ** self.random.random()) - self.random.randrange(2)

    def adopt(self, address: int, size: int, alignment: int) -> None:
        """A new block: aligned, large enough, apart from all others; fill it."""
        usable = self.heap.usable(address)
        assert address % alignment == 0
        assert usable >= size
        for other, room in self.usable.items():
            assert address + usable <= other or other + room <= address
        data = self.random.randbytes(size)
        self.heap.write(address, data)
        self.blocks[address] = data
        self.usable[address] = usable

    def drop(self, address: int) -> bytes:
        """A block goes: it must hold what was put there."""
        data = self.blocks.pop(address)
        del self.usable[address]
        assert self.heap.read(address, len(data)) == data
        return data

    def step(self) -> None:
        """One call of a random kind, less often an allocation the more there are."""
        kind = self.random.choices(
            (self.allocate, self.allocate_clear, self.allocate_aligned, self.resize, self.release),
            (6, 2, 1, 3, 3 + len(self.blocks) // 16),
        )[0]
        kind()

    def allocate(self) -> None:
        size = self.size()
        self.adopt(self.heap.malloc(size), size, 16)

    def allocate_clear(self) -> None:
        size = self.size()
        address = self.heap.calloc(1, size)
        assert self.heap.read(address, size) == bytes(size)
        self.adopt(address, size, 16)

    def allocate_aligned(self) -> None:
        size, alignment = self.size(), 1 << self.random.randrange(4, 14)
        self.adopt(self.heap.aligned_alloc(alignment, size), size, alignment)

    def resize(self) -> None:
        if not self.blocks:
            return
        address = self.random.choice(list(self.blocks))
        size, usable = self.size() + 1, self.usable[address]
        data = self.drop(address)
        moved = self.heap.realloc(address, size)
        assert moved == address or size > usable
        kept = min(size, len(data))
        assert self.heap.read(moved, kept) == data[:kept]
        self.adopt(moved, size, 16)

    def release(self) -> None:
        if self.blocks:
            address = self.random.choice(list(self.blocks))
            self.drop(address)
            self.heap.free(address)

    def live(self) -> list[tuple[int, int]]:
        """Every block's address and usable size, in order."""
        return sorted(self.usable.items())

    def walked(self) -> list[tuple[int, int]]:
        """The same, as the heap's walk reports it."""
        return sorted((block.address, block.size) for block in self.heap.walk() if block.status != FREE)

    def finish(self) -> None:
        """All blocks go."""
        for address in list(self.blocks):
            self.drop(address)
            self.heap.free(address)
