"""The allocators' engines: plain typed Python that runs here, and compiled in the libraries. See README.md.

`Simulation` runs the four functions under the interpreter on a simulated machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from snugmalloc.heap import Block, Status

from .interpreted import FreshEngine
from .simulated import BadAccess, Fatal, SimulatedMachine, SystemCall, Trap

__all__ = ["BadAccess", "Fatal", "FreshEngine", "SimulatedMachine", "Simulation", "SystemCall", "Trap"]


class Simulation:
    """The four functions, interpreted, on a simulated machine: one heap of its own for each `Simulation`.

    `machine` is the machine below: its memory, its log of system calls, what it refuses. `engine` has every
    function and constant of the engine by its name. `constants` replaces some of them, as ``{"DEBUG": 1}``.
    """

    def __init__(
        self, machine: SimulatedMachine | None = None, constants: Mapping[str, int] | None = None
    ) -> None:
        self.machine = machine or SimulatedMachine()
        self.engine = FreshEngine("osmem", self.machine, constants)
        self.os_malloc: Callable[[int], int] = self.engine.os_malloc
        self.os_calloc: Callable[[int, int], int] = self.engine.os_calloc
        self.os_realloc: Callable[[int, int], int] = self.engine.os_realloc
        self.os_free: Callable[[int], None] = self.engine.os_free
        self.check: Callable[[], int] = self.engine.os_check

    def blocks(self) -> list[Block]:
        """Every block: the heap from its start, then the mappings, newest first."""
        found: list[Block] = []

        def note(address: int, size: int, status: int, _context: int) -> int:
            found.append(Block(address, size, Status(status)))
            return 0

        self.machine.visitors[0] = note
        self.engine.os_walk(0, 0)
        return found

    def system_calls(self) -> list[SystemCall]:
        """The system calls since the last call, which are removed from the machine's log."""
        calls, self.machine.log = self.machine.log, []
        return calls
