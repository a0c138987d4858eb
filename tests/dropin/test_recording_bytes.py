"""What the recorder writes, interpreted: numbers, checksums, and the sizes that a ring counts."""

from __future__ import annotations

from random import Random
from zlib import adler32

import pytest

from snugmalloc.engine import FreshEngine, SimulatedMachine
from snugmalloc.trace.vectors import decode_varints, encode_varints

from .conftest import Make

ROOM = 1 << 16
EDGES = [2**bits + beside for bits in range(1, 65) for beside in (-1, 0) if bits < 64 or beside < 0]
STEPS = [0, 1, 127, 128, 0x3FFF, 0x4000, 2**28, 2**64 - 1]


@pytest.fixture
def machine() -> SimulatedMachine:
    return SimulatedMachine()


@pytest.fixture
def room(machine: SimulatedMachine) -> int:
    """The address of some memory."""
    return machine.map_memory(ROOM)


@pytest.fixture
def engine(machine: SimulatedMachine, make_heap: Make) -> FreshEngine:
    return make_heap(machine).engine


def test_numbers_are_the_shortest_varints(machine: SimulatedMachine, engine: FreshEngine, room: int) -> None:
    for number in EDGES:
        end = engine.put_number(room, number)
        assert machine.read(room, end - room) == encode_varints([number])


def test_steps_are_varints_of_two_bytes_or_more(
    machine: SimulatedMachine, engine: FreshEngine, room: int
) -> None:
    for step in STEPS:
        end = engine.put_step(room, step)
        assert list(decode_varints(machine.read(room, end - room))) == [step]
        assert end - room == max(2, len(encode_varints([step])))


def test_checksums_are_those_of_zlib(machine: SimulatedMachine, engine: FreshEngine, room: int) -> None:
    for count in (*range(140), 4095, ROOM - 1, ROOM):
        for data in (b"\xff" * count, Random(count).randbytes(count)):
            machine.write(room, data)
            assert engine.adler(room, count) == adler32(data)


def test_objects_count_as_requests_of_their_class(engine: FreshEngine) -> None:
    for size_class in range(1, engine.SLAB_CLASSES + 1):
        assert engine.size_bin(engine.object_bytes(size_class)) == size_class
