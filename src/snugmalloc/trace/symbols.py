"""Owns the function names of places in machine code, by the symbols of the file that the trace names.

The files are read by pyelftools (the extra `symbols`) where it is installed, and are those that were recorded
if they have the same build-id. If a file is missing, different, or without symbols, places stay numbers.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from snugmalloc.trace.tables import NativeFrame, Tables

MODULE = "module "
"""In what a trace says of itself: the name of the file that has a build-id begins so."""
SYMBOL = {64: struct.Struct("<IBBHQQ"), 32: struct.Struct("<IIIBBH")}
FUNCTION, INDIRECT = 2, 10
DEBUG_FILES = Path("/usr/lib/debug/.build-id")


class Symbol(NamedTuple):
    """A function in a file."""

    begin: int
    end: int
    name: str


def name_frames(tables: Tables, about: Mapping[str, str]) -> None:
    """Name the functions and files of frames in machine code, if they can be found."""
    native = {number: frame for number, frame in enumerate(tables.frames) if isinstance(frame, NativeFrame)}
    symbols: dict[str, list[Symbol]] = {}
    for number, frame in native.items():
        file = about.get(MODULE + frame.module, "")
        if frame.module not in symbols:
            symbols[frame.module] = symbols_of(frame.module, Path(file or frame.module))
        function = function_at(symbols[frame.module], frame.offset)
        tables.frames[number] = frame._replace(function=function, file=file)


def function_at(symbols: list[Symbol], offset: int) -> str:
    """The name of the function that an offset is in, of symbols in order; empty if there is none."""
    at = bisect_right(symbols, offset, key=lambda symbol: symbol.begin) - 1
    return symbols[at].name if at >= 0 and offset < symbols[at].end else ""


def symbols_of(module: str, file: Path) -> list[Symbol]:
    """The functions in the file of a module, in order; none where it cannot be read."""
    if find_spec("elftools") is None or not file.is_absolute():
        return []
    debug = DEBUG_FILES / module[:2] / f"{module[2:]}.debug"
    found = {symbol.begin: symbol for path in (file, debug) for symbol in _read(path, module)}
    return [found[begin] for begin in sorted(found)]


def _read(path: Path, module: str) -> list[Symbol]:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if path != Path(module) and _build_id(elf) != module:
                return []
            return list(_functions(elf))
    except (OSError, ELFError, ValueError, struct.error):
        return []


def _build_id(elf: Any) -> str:
    from elftools.elf.sections import NoteSection

    for section in elf.iter_sections():
        if isinstance(section, NoteSection):
            for note in section.iter_notes():
                if note["n_type"] == "NT_GNU_BUILD_ID":
                    return str(note["n_desc"])
    return ""


def _functions(elf: Any) -> Iterator[Symbol]:
    """Those of the dynamic table first: where both tables name a place, the other one has more names."""
    for name in (".dynsym", ".symtab"):
        table = elf.get_section_by_name(name)
        if table is None or table["sh_type"] == "SHT_NOBITS":
            continue
        names = elf.get_section(table["sh_link"]).data()
        for entry in SYMBOL[elf.elfclass].iter_unpack(table.data()):
            if elf.elfclass == 64:
                name_at, info, _, section, begin, size = entry
            else:
                name_at, begin, size, info, _, section = entry
            if info & 15 in (FUNCTION, INDIRECT) and section and begin:
                text = names[name_at : names.index(b"\0", name_at)].decode(errors="replace")
                yield Symbol(begin, begin + max(size, 1), text)
