"""A simulated machine that knows which pages are resident, and programs that run on it while time passes."""

from __future__ import annotations

from dataclasses import dataclass, field

from snugmalloc.engine import SimulatedMachine

from .heaps import FREE, InterpretedHeap

HEADER = 8
MOMENT = 1 << 20  # nanoseconds
CALL = 2_000  # nanoseconds that pass whenever somebody looks at the clock, and so in a call
SMALL_BLOCK = 30_000  # of small work: too long for a thread's cache


@dataclass
class ResidentMachine(SimulatedMachine):
    """Pages become resident when they are written and are not after the system had them back.

    `refaults` counts those that became resident again. Each call that gives memory back takes `call_takes`
    nanoseconds.
    """

    resident: set[int] = field(default_factory=set)
    given_back: set[int] = field(default_factory=set)
    refaults: int = 0
    call_takes: int = 0

    def _touch(self, address: int, count: int) -> None:
        for page in range(address // self.page, (address + count - 1) // self.page + 1):
            if page not in self.resident:
                self.resident.add(page)
                self.refaults += page in self.given_back
                self.given_back.discard(page)

    def _lose(self, address: int, count: int) -> None:
        gone = self.resident & set(range(address // self.page, -(-(address + count) // self.page)))
        self.resident -= gone
        self.given_back |= gone

    def store(self, address: int, width: int, value: int) -> None:
        super().store(address, width, value)
        self._touch(address, width)

    def write(self, address: int, data: bytes) -> None:
        super().write(address, data)
        if data:
            self._touch(address, len(data))

    def purge_memory(self, address: int, length: int) -> bool:
        self.pass_time(self.call_takes)
        done = super().purge_memory(address, length)
        if done:
            self._lose(address, length)
        return done

    def unmap_memory(self, address: int, length: int) -> bool:
        self.pass_time(self.call_takes)
        done = super().unmap_memory(address, length)
        if done:
            self._lose(address, length)
        return done

    def move_break(self, address: int) -> bool:
        before = self.break_address
        done = super().move_break(address)
        if done and address < before:
            self._lose(address, before - address)
        return done

    def clock(self) -> int:
        self.pass_time(CALL - 100_000)
        return super().clock()

    def calls(self) -> int:
        """How many system calls gave memory back."""
        return sum(call.name in ("madvise", "munmap") for call in self.log)


class Program:
    """Takes blocks, touches each page of them, and drops them; between that it does small work."""

    def __init__(self, **environment: bytes) -> None:
        settings = {name.encode(): value for name, value in environment.items()}
        self.machine = ResidentMachine(environment=settings)
        self.heap = InterpretedHeap(self.machine)
        self.held: list[int] = []
        self.sizes: dict[int, int] = {}
        self.heap.free(self.heap.malloc(100))
        self.own = set(self.machine.resident)  # the library's, and the page map's

    def take(self, size: int) -> int:
        """A block of `size` bytes, in use to its last page."""
        block = self.heap.malloc(size)
        assert block != 0
        for at in range(0, size, self.machine.page):
            self.machine.write(block + at, b"x")
        self.held.append(block)
        self.sizes[block] = size
        return block

    def drop(self, block: int) -> None:
        """The block goes."""
        self.held.remove(block)
        del self.sizes[block]
        self.heap.free(block)

    def take_all(self, size: int, total: int) -> None:
        """Blocks of `size` bytes, `total` in all."""
        for _ in range(total // size):
            self.take(size)

    def keep_one_in(self, number: int) -> None:
        """All blocks go but every `number`-th; with 0 all go."""
        for index, block in enumerate(list(self.held)):
            if number == 0 or index % number != 0:
                self.drop(block)

    def small_work(self, nanoseconds: int, steps: int = 40) -> None:
        """Small blocks come and go for so long."""
        for _ in range(steps):
            self.machine.pass_time(nanoseconds // steps)
            for _ in range(140):
                self.heap.free(self.heap.malloc(SMALL_BLOCK))

    @property
    def live(self) -> int:
        """Bytes in use."""
        return sum(self.sizes.values())

    @property
    def free_resident(self) -> int:
        """Bytes of resident pages in which nothing is in use."""
        page = self.machine.page
        used: set[int] = set()
        for block in self.heap.walk():
            if block.status != FREE:
                used |= set(range((block.address - HEADER) // page, -(-(block.address + block.size) // page)))
        return len(self.machine.resident - self.own - used) * page
