"""Addresses and system calls as the specification writes them: offsets from the break, or the n-th mapping."""

from __future__ import annotations

from collections.abc import Iterable

from snugmalloc.engine.simulated import SystemCall


class Notation:
    """Learns from system calls in their order where the break began and which mapping is which."""

    def __init__(self) -> None:
        self._break: int | None = None
        self._mappings: list[tuple[int, int]] = []

    def system_calls(self, calls: Iterable[SystemCall]) -> list[str]:
        """``brk(0x20000)``, ``mmap(4096)``, ``munmap(M1,4096)``; a refused one ends with ``!``."""
        return [self._system_call(call) + ("!" if call.result is None else "") for call in calls]

    def _system_call(self, call: SystemCall) -> str:
        first, *rest = call.arguments
        if call.name == "brk":
            if first == 0:
                self._break = call.result
                return "brk(0)"
            return f"brk({self.address(first)})"
        if call.name == "mmap":
            if call.result is not None:
                self._mappings.append((call.result, first))
            return f"mmap({first})"
        return f"munmap({self.address(first).removesuffix('+0x0')},{rest[0]})"

    def address(self, address: int) -> str:
        """``NULL``, ``0x20``, ``M1+0x20``; whoever holds a mapping now is the newest at its place."""
        if address == 0:
            return "NULL"
        for number, (start, length) in reversed(list(enumerate(self._mappings, 1))):
            if start <= address < start + length:
                return f"M{number}+{address - start:#x}"
        assert self._break is not None and address >= self._break, f"{address:#x} is nowhere"
        return f"{address - self._break:#x}"
