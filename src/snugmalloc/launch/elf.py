"""What the header of an ELF file tells about it: word size, machine, and the loader that it asks for."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

PT_INTERP = 3
PT_DYNAMIC = 2

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
    """The header of the file at `path`, or None if it is no ELF file. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        ident = file.read(16)
        if len(ident) < 16 or ident[:4] != b"\x7fELF":
            return None
        order = "<" if ident[5] == 1 else ">"
        wide = ident[4] == 2
        layout = struct.Struct(order + ("HHIQQQIHHH" if wide else "HHIIIIIHHH"))
        fields = layout.unpack(file.read(layout.size))
        machine, table, entry_size, entries = fields[1], fields[4], fields[8], fields[9]
        loader, dynamic = None, False
        for index in range(entries):
            file.seek(table + index * entry_size)
            kind, offset, size = _segment(file.read(entry_size), order, wide)
            dynamic = dynamic or kind == PT_DYNAMIC
            if kind == PT_INTERP:
                file.seek(offset)
                loader = file.read(size).rstrip(b"\0").decode(errors="replace")
    return ElfHeader(64 if wide else 32, machine, loader, dynamic)


def _segment(entry: bytes, order: str, wide: bool) -> tuple[int, int, int]:
    """Kind, place in the file and size of one entry of the program header table."""
    if wide:
        kind, _, offset, _, _, size = struct.unpack_from(order + "IIQQQQ", entry)
    else:
        kind, offset, _, _, size = struct.unpack_from(order + "IIIII", entry)
    return kind, offset, size
