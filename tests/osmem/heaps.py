"""The three heaps that must agree: the naive model, the interpreted engine, libosmem.so in a driver process.

Each plays the same calls on a kernel that places memory alike, and returns an `Outcome`; the outcomes
of one call are equal or somebody is wrong.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple, Protocol

from snugmalloc.engine import Simulation
from snugmalloc.engine.simulated import PAGE, SimulatedMachine, SystemCall
from snugmalloc.heap import Stats

from .naive import FREE, LIVE, MAPPED, META, NaiveHeap

NEVER = 2**64 - 1
STATS = Stats._fields


@dataclass(frozen=True)
class Refusal:
    """What the kernel refuses during one call: brk and mmap from these arguments on, and munmap."""

    brk_from: int = NEVER
    mmap_from: int = NEVER
    munmap: bool = False

    def __call__(self, name: str, arguments: tuple[int, ...]) -> bool:
        limit = {"brk": self.brk_from, "mmap": self.mmap_from, "munmap": 0 if self.munmap else NEVER}
        return arguments[0] >= limit[name]


NOTHING = Refusal()


class Call(NamedTuple):
    """One call of a function: m(size), c(count, size), r(pointer, size), f(pointer)."""

    name: str
    first: int
    second: int = 0


class Outcome(NamedTuple):
    """All that can be seen of one call."""

    result: int
    errno: int
    system_calls: list[SystemCall]
    check: int
    stats: dict[str, int]
    blocks: list[tuple[int, int, int]]


def in_order(blocks: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The heap's blocks as they come, then the mapped ones by address."""
    return sorted(blocks, key=lambda block: block[0] if block[2] == MAPPED else 0)


class Heap(Protocol):
    def call(self, call: Call, refusal: Refusal = ...) -> Outcome: ...
    def foreign_break(self, count: int) -> None: ...


# ---- The bytes that programs keep in their blocks ----

PATTERN = bytes((at * 2654435761 >> 16) & 0xFF for at in range(1 << 20))


def pattern(count: int, seed: int) -> bytes:
    return PATTERN[seed : seed + count]


# ---- The model ----


class ModelHeap:
    def __init__(self, page: int = PAGE) -> None:
        self.machine = SimulatedMachine(page)
        self.naive = NaiveHeap(self.machine)

    def call(self, call: Call, refusal: Refusal = NOTHING) -> Outcome:
        self.machine.errno = 0
        self.machine.refuse = refusal
        before = len(self.machine.log)
        result = self._play(call)
        calls = self.machine.log[before:]
        blocks = [(block.pointer, block.payload, block.status) for block in self.naive.blocks]
        return Outcome(result, self.machine.errno, calls, 0, self._stats(), in_order(blocks))

    def _play(self, call: Call) -> int:
        if call.name == "m":
            return self.naive.malloc(call.first)
        if call.name == "c":
            return self.naive.calloc(call.first, call.second)
        if call.name == "r":
            return self.naive.realloc(call.first, call.second)
        self.naive.free(call.first)
        return 0

    def foreign_break(self, count: int) -> None:
        self.machine.foreign_break(count)

    def _stats(self) -> dict[str, int]:
        sizes: dict[int, list[int]] = {LIVE: [], FREE: [], MAPPED: []}
        for block in self.naive.blocks:
            sizes[block.status].append(block.payload)
        names = [call.name for call in self.machine.log]
        figures = (
            *(figure for some in sizes.values() for figure in (sum(some), len(some))),
            self.naive.heap_bytes,
            self.naive.heap_bytes + sum(META + size for size in sizes[MAPPED]),
            *(names.count(name) for name in ("brk", "mmap", "munmap")),
            *(self.naive.splits, self.naive.coalescings, self.naive.ignored_frees),
        )
        return dict(zip(STATS, figures, strict=True))


# ---- The engine, interpreted ----


class InterpretedHeap:
    def __init__(self, page: int = PAGE, *, hardened: bool = False) -> None:
        environment = {b"SNUG_HARDEN": b"1"} if hardened else {}
        self.simulation = Simulation(SimulatedMachine(page, environment))
        self.machine = self.simulation.machine
        self._stats_at = self.machine.reserve(8 * len(STATS))

    def call(self, call: Call, refusal: Refusal = NOTHING) -> Outcome:
        self.machine.errno = 0
        self.machine.refuse = refusal
        result = self._play(call)
        errno, calls = self.machine.errno, self.simulation.system_calls()
        return Outcome(result, errno, calls, self.simulation.check(), self._stats(), self._blocks())

    def _play(self, call: Call) -> int:
        if call.name == "m":
            return int(self.simulation.os_malloc(call.first))
        if call.name == "c":
            return int(self.simulation.os_calloc(call.first, call.second))
        if call.name == "r":
            return int(self.simulation.os_realloc(call.first, call.second))
        self.simulation.os_free(call.first)
        return 0

    def foreign_break(self, count: int) -> None:
        self.machine.foreign_break(count)

    def _stats(self) -> dict[str, int]:
        self.simulation.engine.os_stats(self._stats_at, 8 * len(STATS))
        return {name: self.machine.load(self._stats_at + 8 * at, 8) for at, name in enumerate(STATS)}

    def _blocks(self) -> list[tuple[int, int, int]]:
        blocks = [(block.address, block.size, block.status) for block in self.simulation.blocks()]
        for address, size, status in blocks:
            assert (size, status) == (self.machine.load(address - 32, 8), self.machine.load(address - 24, 4))
        return in_order(blocks)

    def write(self, pointer: int, count: int, seed: int) -> None:
        self.machine.write(pointer, pattern(count, seed))

    def holds(self, pointer: int, count: int, seed: int) -> bool:
        return self.machine.read(pointer, count) == pattern(count, seed)

    def is_zero(self, pointer: int, count: int) -> bool:
        return not any(self.machine.read(pointer, count))

    def statuses(self, pointers: Iterable[int]) -> list[int]:
        return [self.machine.load(pointer - 24, 4) for pointer in pointers]


# ---- The engine, compiled ----


class CompiledHeap:
    """libosmem.so in the process of `driver` (c/driver.c)."""

    def __init__(self, driver: Path, *, hardened: bool = False) -> None:
        environment = {**os.environ, "SNUG_HARDEN": str(int(hardened))}
        self._process = subprocess.Popen([driver], stdin=PIPE, stdout=PIPE, env=environment)

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def _send(self, name: str, *numbers: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {' '.join(map(str, numbers))}\n".encode())
        self._process.stdin.flush()

    def _numbers(self) -> list[int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the driver ended with status {self._process.wait()}"
        return [int(word) for word in line.split()]

    def call(self, call: Call, refusal: Refusal = NOTHING) -> Outcome:
        self._send(*call, refusal.brk_from, refusal.mmap_from, int(refusal.munmap))
        result, errno = self._numbers()
        calls = [self._system_call(*fields) for fields in self._tuples(4)]
        (check,) = self._numbers()
        stats = dict(zip(STATS, self._numbers(), strict=True))
        blocks = [(pointer, size, status) for pointer, size, status in self._tuples(3)]
        return Outcome(result, errno, calls, check, stats, in_order(blocks))

    def _tuples(self, count: int) -> Iterator[tuple[int, ...]]:
        numbers = iter(self._numbers())
        return zip(*[numbers] * count, strict=True)

    @staticmethod
    def _system_call(name: int, first: int, second: int, result: int) -> SystemCall:
        if chr(name) == "u":
            return SystemCall("munmap", (first, second), 0 if result else None)
        return SystemCall("brk" if chr(name) == "b" else "mmap", (first,), result or None)

    def foreign_break(self, count: int) -> None:
        self._send("s", count)
        self._numbers()

    def _is(self, question: str, *numbers: int) -> bool:
        self._send(question, *numbers)
        return self._numbers() == [1]

    def write(self, pointer: int, count: int, seed: int) -> None:
        assert self._is("w", pointer, count, seed)

    def holds(self, pointer: int, count: int, seed: int) -> bool:
        return self._is("k", pointer, count, seed)

    def is_zero(self, pointer: int, count: int) -> bool:
        return self._is("z", pointer, count)

    def statuses(self, pointers: Iterable[int]) -> list[int]:
        self._send("h", *pointers)
        return self._numbers()
