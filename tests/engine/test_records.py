"""Records: both backends of the engine see the same bytes, and so does whoever reads the declaration."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

import snugmalloc.engine
from amalgamation.language import read_library
from amalgamation.model import Field, Record, State
from snugmalloc.engine import FreshEngine, SimulatedMachine
from snugmalloc.engine.machine import Array, Byte, Half, Line, Word, array
from snugmalloc.engine.machine import Record as MachineRecord

from ..builds import build_library

ENGINE = Path(snugmalloc.engine.__file__).parent
PICTURE_LINE = re.compile(r"^ *(\d+)(?: +([a-z][a-z0-9_]*)(?:  .*)?)?$", re.MULTILINE)


def picture(docstring: str) -> list[tuple[int, str]]:
    """The lines ``offset  field  what it is`` of a docstring, and at the end the size alone."""
    return [(int(offset), field) for offset, field in PICTURE_LINE.findall(docstring)]


def layout(record: Record) -> list[tuple[int, str]]:
    """The same of a declaration."""
    return [*((field.offset, field.name) for field in record.fields.values()), (record.size, "")]


def records(library: str) -> list[Record]:
    """The records of a library, as the amalgamation sees them."""
    layers = read_library(ENGINE, library, {}).layers.values()
    return [definition for layer in layers for definition in layer if isinstance(definition, Record)]


@pytest.mark.parametrize("library", ["osmem", "dropin"])
def test_the_picture_of_a_record_is_its_declaration(library: str) -> None:
    for record in records(library):
        if drawn := picture(record.docstring):
            assert drawn == layout(record), record.name


def test_the_engines_have_records_with_pictures() -> None:
    drawn = [
        record for library in ("osmem", "dropin") for record in records(library) if picture(record.docstring)
    ]
    assert {
        "Header",
        "LiveHeader",
        "Node",
        "Bin",
        "ThreadCache",
        "List",
        "Place",
        "SlabTag",
        "Links",
        "Leaf",
    } <= {record.name for record in drawn}


def test_a_picture_that_is_wrong_is_told() -> None:
    fields = {"size": Field("size", 0, "Word"), "tags": Field("tags", 8, "Half", 2)}
    record = Record("Block", fields, 16, 8, "")
    assert picture("A block.\n\n     0  size   the bytes\n     8  tags\n    16\n\n 3 of them.\n") == layout(
        record
    )
    for wrong in (
        " 0  size\n 9  tags\n16\n",
        " 0  size\n 8  flags\n16\n",
        " 0  size\n16\n",
        " 0  size\n 8  tags\n",
    ):
        assert picture(wrong) != layout(record)


@pytest.mark.parametrize("library", ["osmem", "dropin"])
def test_interpreted_records_have_the_offsets_of_compiled_ones(library: str) -> None:
    engine = FreshEngine(library, SimulatedMachine())
    for record in records(library):
        interpreted = getattr(engine, record.name)
        assert record.size == interpreted.SIZE
        for field in record.fields.values():
            assert getattr(interpreted, field.name) == field.offset, f"{record.name}.{field.name}"


def test_what_threads_read_and_what_they_write_stand_on_lines_of_their_own() -> None:
    heap = next(record for record in records("dropin") if record.name == "Heap")
    line = {name: field.offset // 64 for name, field in heap.fields.items()}
    read_by_all = {line["is_private"], line["threads"]}
    written_by_all = {line["owner"], line["waits"], line["returned"], line["returned_bytes"]}
    under_the_lock = {line[name] for name in ("listed_blocks", "heads", "dirty", "budget", "transfer")}
    assert len(read_by_all) == len(written_by_all) == 1
    assert not read_by_all & written_by_all and not (read_by_all | written_by_all) & under_the_lock
    assert heap.size % 64 == 0


def test_so_it_is_in_the_library() -> None:
    library = ctypes.CDLL(str(build_library("snugmalloc", "debug")))
    library.snug_thread_idle()
    library.snug_stats(None, ctypes.c_size_t(0))
    assert ctypes.c_uint64.in_dll(library, "snug_figures_at").value % 64 == 0


def test_no_other_state_is_written_while_threads_run() -> None:
    """What is left of modules' own variables is set once, by the options, or by the helper thread's start.

    That of the recording changes where that begins and ends, as do its ring and the room in its buffers, and
    with its definitions, which one thread at a time adds to; that of publishing in a forked child, which gets a
    file of its own.
    """
    states = {
        definition.name: layer
        for layer, definitions in read_library(ENGINE, "dropin", {}).layers.items()
        for definition in definitions
        if isinstance(definition, State)
    }
    recording = {"tracefile", "sampling", "ring", "recorder", "definitions", "modules", "pylines", "pyframes"}
    assert set(states.values()) <= {"options", "switch", "requests", "publish"} | recording
    assert [name for name, layer in states.items() if layer == "requests"] == ["helper_process"]


class Dot(MachineRecord, size=16):
    at: Word
    colour: Half
    flags: Array[Byte] = array(4)


class Shape(MachineRecord, align=64):
    name: Half
    unused: Array[Byte] = array(12)
    dots: Array[Dot] = array(2)
    written: Line
    uses: Word
    last: Array[Half] = array(14)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimulatedMachine:
    """The machine that these records stand on."""
    fresh = SimulatedMachine()
    monkeypatch.setattr("snugmalloc.engine.machine.backend", fresh)
    return fresh


def test_a_record_reads_and_writes_the_memory_at_its_address(machine: SimulatedMachine) -> None:
    shape = Shape(machine.reserve(Shape.SIZE))
    shape.name = 7
    shape.dots[1].at = 2**64 - 1
    shape.dots[1].flags[3] = 255
    shape.uses += 2
    shape.last[13] = 9
    assert machine.read(shape, 4) == b"\7\0\0\0"
    assert machine.read(shape + 32, 16) == b"\xff" * 8 + b"\0" * 7 + b"\xff"
    assert (machine.load(shape + 64, 8), machine.load(shape + 64 + 8 + 52, 4)) == (2, 9)
    assert (shape.dots[1].flags[3], shape.uses, shape.last[13], shape.dots[0].at) == (255, 2, 9, 0)
    assert (shape.written, shape.dots, Shape.written, Shape.dots, Dot.flags) == (
        shape + 64,
        shape + 16,
        64,
        16,
        12,
    )


def test_a_record_is_held_to_what_it_promises(machine: SimulatedMachine) -> None:
    with pytest.raises(TypeError, match="Wrong has 8 bytes and promises 16"):
        type("Wrong", (MachineRecord,), {"__annotations__": {"at": "Word"}}, size=16)
    address = machine.reserve(Shape.SIZE)
    with pytest.raises(ValueError, match="is no address of a Shape: not aligned to 64"):
        Shape(address + 8)
    with pytest.raises(IndexError, match="element 2 of an array of 2"):
        Shape(address).dots[2]
    with pytest.raises(Exception, match="0x100 does not fit in the 1 bytes"):
        Dot(address).flags[0] = 256
