"""The figures of the drop-in malloc in another process, read from outside: from its memory in /proc.

The library exports three words: `snug_figures_at` holds the address of the first heap's figures, once the
options are read, `snug_shards_at` that of a list of the other heaps, once there are some, and `snug_outside_at`
that of what `snugmalloc.live` looks at and asks for. They are found by the symbol table that the loader has in
memory, so it does not matter where the file is by now.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snugmalloc.engine.dropin import switch
from snugmalloc.engine.dropin.figures import STATS_VERSION
from snugmalloc.heap import ProcessStats

FIGURES = b"snug_figures_at"
SHARDS = b"snug_shards_at"
OUTSIDE = b"snug_outside_at"
ELF_64_LITTLE = b"\x7fELF\x02\x01"
HEADER = struct.Struct("<32xQ14xHH")  # of an ELF file: where the program headers are, their size, how many
SEGMENT = struct.Struct("<I12xQ16xQ")  # kind, address, size in memory
DYNAMIC = struct.Struct("<QQ")
SYMBOL_ENTRY = struct.Struct("<IBBHQQ")
PT_LOAD, PT_DYNAMIC = 1, 2
DT_STRTAB, DT_SYMTAB = 5, 6
PAGE_MASK = ~4095
MOST_SYMBOLS = 4096
MAX_BYTES = 1 << 20  # of a table

STATES: Mapping[int, str] = {
    0: "not decided: no call so far",
    switch.ON: "on",
    switch.OFF_BY_DISABLE: "off by SNUG_DISABLE",
    switch.OFF_BY_FILE: "off by SNUG_DISABLE_FILE",
    switch.OFF_BY_EXCEPT: "off by SNUG_EXCEPT",
    switch.OFF_BY_CANARY: "off by SNUG_CANARY",
}


@dataclass(frozen=True)
class Reason:
    """Why requests were refused."""

    figure: str
    """The field of `ProcessStats` that counts them."""
    words: str
    advice: str

    def count(self, figures: ProcessStats) -> int:
        """How many requests were refused for it."""
        return int(getattr(figures, self.figure))


REASONS = (
    Reason("refused_limit", "the limit of SNUG_LIMIT", "raise SNUG_LIMIT, or find out what uses so much"),
    Reason(
        "refused_size",
        "more than any program can have",
        "the program asked for more than 2^63 bytes: usually a negative size",
    ),
    Reason(
        "refused_addresses",
        "not enough address space",
        "raise RLIMIT_AS (ulimit -v) if it is set; else the request was larger than any gap",
    ),
    Reason("refused_mappings", "the limit on mappings, vm.max_map_count", "raise vm.max_map_count"),
    Reason("refused_locked", "the limit on locked memory, RLIMIT_MEMLOCK", "raise RLIMIT_MEMLOCK (ulimit -l)"),
    Reason(
        "refused_memory",
        "the system had no memory",
        "raise RLIMIT_DATA (ulimit -d) if it is set; else the kernel's overcommit forbade it",
    ),
)


class NotReadable(Exception):
    """Memory of another process that may not be read."""


class Inside(ProcessStats):
    """What the library in a process reports of itself.

    Read from outside, the figures that are computed when the process asks are as they were then, and what lies
    in thread caches counts as live.
    """

    __slots__ = ()

    @property
    def is_off(self) -> bool:
        """Whether libc serves the process's calls."""
        return self.state > switch.ON

    @property
    def kept_free_bytes(self) -> int:
        """Free, and not given back to the system."""
        free = self.heap_bytes + self.mapped_bytes - self.live_bytes - self.purged_bytes
        return max(0, free) + self.kept_bytes

    @property
    def resident_bytes(self) -> int:
        """What the heap holds of the system's memory: all of it but pages given back or never touched."""
        return self.system_bytes - self.purged_bytes


WORDS = struct.Struct(f"<{len(Inside._fields)}Q")
UNDECIDED = Inside._make([0] * len(Inside._fields))


def read_inside(folder: Path, base: int) -> Inside | None:
    """What the library reports that is loaded at `base` in the process of the /proc folder `folder`.

    None where it is no library with such figures. Raises NotReadable.
    """
    try:
        with (folder / "mem").open("rb", buffering=0) as file:
            memory = Memory(file.fileno())
            place = memory.find_symbol(base, FIGURES)
            if place is None:
                return None
            return _read_figures(memory, memory.word(place), memory.find_symbol(base, SHARDS))
    except OSError as error:
        raise NotReadable(error.strerror or str(error)) from None


def _read_figures(memory: Memory, address: int, shards_at: int | None) -> Inside | None:
    """The sums of all heaps' figures: what stands only once, such as the version, is 0 in the shards."""
    if address == 0:
        return UNDECIDED
    heaps = [address, *(memory.words_behind_count(memory.word(shards_at)) if shards_at is not None else [])]
    return add_up([WORDS.unpack(memory.read(heap, WORDS.size)) for heap in heaps])


def add_up(figures: list[tuple[int, ...]]) -> Inside | None:
    """The sums of the figures of all heaps; None where they are of another version."""
    inside = Inside._make(map(sum, zip(*figures, strict=True)))
    return inside if inside.version >= STATS_VERSION else None


@dataclass(frozen=True)
class Memory:
    """The memory of a process, open at `descriptor`. Every method raises OSError where there is none."""

    descriptor: int

    def read(self, address: int, count: int) -> bytes:
        """`count` bytes at `address`."""
        found = os.pread(self.descriptor, count, address)
        if len(found) != count:
            raise OSError("the memory ends there")
        return found

    def write(self, address: int, content: bytes) -> None:
        """Put `content` at `address`."""
        if os.pwrite(self.descriptor, content, address) != len(content):
            raise OSError("the memory ends there")

    def word(self, address: int) -> int:
        """The 8 bytes at `address`."""
        return int.from_bytes(self.read(address, 8), "little")

    def words_behind_count(self, address: int) -> list[int]:
        """Of a list that begins with how many there are, the words; none if there is no list."""
        return [self.word(address + 8 * (1 + index)) for index in range(self.word(address) if address else 0)]

    def find_symbol(self, base: int, name: bytes) -> int | None:
        """The address of the symbol `name` of the ELF file that is mapped at `base`; None without one."""
        if self.read(base, len(ELF_64_LITTLE)) != ELF_64_LITTLE:
            return None
        segments = list(self._segments(base))
        bias = base - min((address & PAGE_MASK for kind, address, _ in segments if kind == PT_LOAD), default=0)
        for kind, address, size in segments:
            if kind == PT_DYNAMIC:
                entries = dict(
                    DYNAMIC.iter_unpack(self.read(bias + address, size // DYNAMIC.size * DYNAMIC.size))
                )
                tables = [entries.get(tag, 0) for tag in (DT_SYMTAB, DT_STRTAB)]
                # The loader has put addresses there on most machines, and has left offsets on some.
                symbols, strings = (table if table >= base else bias + table for table in tables)
                return self._find(symbols, strings, bias, name)
        return None

    def _segments(self, base: int) -> Iterator[tuple[int, int, int]]:
        table, size, count = HEADER.unpack(self.read(base, HEADER.size))
        for index in range(count):
            yield SEGMENT.unpack(self.read(base + table + index * size, SEGMENT.size))

    def _find(self, symbols: int, strings: int, bias: int, name: bytes) -> int | None:
        """Linkers put the names behind the symbols: the table ends there at the latest."""
        count = min((strings - symbols) // SYMBOL_ENTRY.size, MOST_SYMBOLS)
        if count <= 0:
            return None
        for at, *_, section, value, _ in SYMBOL_ENTRY.iter_unpack(
            self.read(symbols, count * SYMBOL_ENTRY.size)
        ):
            if section and at < MAX_BYTES and self._has_text(strings + at, name + b"\0"):
                return bias + int(value)
        return None

    def _has_text(self, address: int, text: bytes) -> bool:
        try:
            return self.read(address, len(text)) == text
        except OSError:
            return False
