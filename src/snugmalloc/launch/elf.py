"""What the header of an ELF file says about it: word size, machine, and the loader that it asks for."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAGIC = b"\x7fELF"
IDENT_BYTES = 16
ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_STRTAB, DT_STRSZ = 5, 10
PATH_MAX = 4096

# e_machine, as people call it.
MACHINES = {
    3: "i386",
    8: "mips",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86-64",
    183: "aarch64",
    243: "riscv",
}


@dataclass(frozen=True)
class ElfHeader:
    """The part of an ELF file that decides what can be loaded into it."""

    bits: int
    """32 or 64."""
    machine: int
    """e_machine of the ELF specification."""
    loader: str | None
    """The dynamic loader that the program asks for; None for a static program and for a library."""
    dynamic: bool
    """Whether there is anything for a dynamic loader to do."""

    @property
    def architecture(self) -> str:
        """The name of word size and machine, such as `x86-64`."""
        name = MACHINES.get(self.machine, f"machine {self.machine}")
        return f"{name}, {self.bits}-bit"

    def runs_with(self, other: ElfHeader) -> bool:
        """Whether both can be in one process."""
        return (self.bits, self.machine) == (other.bits, other.machine)


def read_elf(path: Path) -> ElfHeader | None:
    """The header of the file at `path`, or None if it is no ELF file.

    Raises OSError when it cannot be read, with ENOEXEC when it is damaged, or neither program nor library.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return None
        return _Reader(file, path).header()


def read_dynamic_strings(path: Path) -> bytes:
    """The names that the ELF file at `path` gives to the loader: libraries and symbols; empty without any."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return b""
        return _Reader(file, path).dynamic_strings()


class _Segment(NamedTuple):
    """One entry of the program header table."""

    kind: int
    offset: int
    address: int
    size: int
    """In the file."""


class _Reader:
    """An open ELF file, read by word size and byte order. Every method raises OSError at a damaged one."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file = file
        self.path = path
        self.length = file.seek(0, os.SEEK_END)
        ident = self.read(0, IDENT_BYTES)
        self.order = "<" if ident[5] == 1 else ">"
        self.wide = ident[4] == 2
        fields = self.unpack(IDENT_BYTES, "HHIQQQIHHH" if self.wide else "HHIIIIIHHH")
        self.kind, self.machine, self.table = fields[0], fields[1], fields[4]
        self.entry_size, self.entries = fields[8], fields[9]
        if self.kind not in (ET_EXEC, ET_DYN):
            raise self.damage("an ELF file, but neither a program nor a library")

    def header(self) -> ElfHeader:
        """What decides what can be loaded."""
        loader, dynamic = None, False
        for segment in self.segments():
            dynamic = dynamic or segment.kind == PT_DYNAMIC
            if segment.kind == PT_INTERP:
                loader = os.fsdecode(self.read(segment.offset, min(segment.size, PATH_MAX)).rstrip(b"\0"))
        return ElfHeader(64 if self.wide else 32, self.machine, loader, dynamic)

    def segments(self) -> list[_Segment]:
        """The program header table."""
        if not self.entries or self.entry_size < struct.calcsize(self.order + self.entry_layout):
            raise self.damage("an ELF file without program headers")
        return [self.segment(self.table + index * self.entry_size) for index in range(self.entries)]

    @property
    def entry_layout(self) -> str:
        return "IIQQQQ" if self.wide else "IIIII"

    def segment(self, place: int) -> _Segment:
        fields = self.unpack(place, self.entry_layout)
        kind, rest = fields[0], fields[2:] if self.wide else fields[1:]
        return _Segment(kind, rest[0], rest[1], rest[3])

    def dynamic_strings(self) -> bytes:
        """The string table of the dynamic section."""
        segments = self.segments()
        entries = {}
        for dynamic in (segment for segment in segments if segment.kind == PT_DYNAMIC):
            layout = struct.Struct(self.order + ("QQ" if self.wide else "II"))
            table = self.read(dynamic.offset, dynamic.size)
            entries = dict(layout.iter_unpack(table[: len(table) // layout.size * layout.size]))
        place, size = entries.get(DT_STRTAB, 0), entries.get(DT_STRSZ, 0)
        for load in (segment for segment in segments if segment.kind == PT_LOAD):
            if load.address <= place < load.address + load.size:
                return self.read(load.offset + place - load.address, min(size, load.size))
        return b""

    def unpack(self, place: int, layout: str) -> tuple[int, ...]:
        """The numbers that stand at `place`."""
        whole = struct.Struct(self.order + layout)
        return whole.unpack(self.read(place, whole.size))

    def read(self, place: int, size: int) -> bytes:
        """`size` bytes at `place`."""
        if place + size > self.length:
            raise self.damage("a truncated ELF file")
        self.file.seek(place)
        return self.file.read(size)

    def damage(self, what: str) -> OSError:
        """The error that says so of this file."""
        return OSError(errno.ENOEXEC, what, str(self.path))
