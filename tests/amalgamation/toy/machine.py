"""The toy's machine: a little memory, as bytes, and nothing else. Its compiled backend is machine.h."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from snugmalloc.engine.records import Array as Array
from snugmalloc.engine.records import Line as Line
from snugmalloc.engine.records import MemoryRecord
from snugmalloc.engine.records import array as array

Word: TypeAlias = int
Half: TypeAlias = int
Byte: TypeAlias = int
Int: TypeAlias = int
Text: TypeAlias = bytes

Callee = TypeVar("Callee", bound=Callable[..., object])

LIMIT = 1000

memory = bytearray(64)


def load_word(address: Word) -> Word:
    """The 8 bytes at `address`."""
    return int.from_bytes(memory[address : address + 8], "little")


def store_word(address: Word, value: Word) -> None:
    """Write `value` into the 8 bytes at `address`."""
    memory[address : address + 8] = value.to_bytes(8, "little")


def load_half(address: Word) -> Half:
    """The 4 bytes at `address`."""
    return int.from_bytes(memory[address : address + 4], "little")


def store_half(address: Word, value: Half) -> None:
    """Write `value` into the 4 bytes at `address`."""
    memory[address : address + 4] = value.to_bytes(4, "little")


def load_byte(address: Word) -> Byte:
    """The byte at `address`."""
    return memory[address]


def store_byte(address: Word, value: Byte) -> None:
    """Write `value` into the byte at `address`."""
    memory[address] = value


def atomic_load(address: Word) -> Word:
    """The word at `address`; there is one thread."""
    return load_word(address)


def inline(function: Callee) -> Callee:
    """The function, which is inline in C."""
    return function


class Record(MemoryRecord):
    """A record in this memory."""

    @staticmethod
    def _load(address: int, width: int) -> int:
        return int.from_bytes(memory[address : address + width], "little")

    @staticmethod
    def _store(address: int, width: int, value: int) -> None:
        memory[address : address + width] = value.to_bytes(width, "little")


def text_length(text: Text) -> Int:
    """How many bytes `text` has."""
    return len(text)


def likely(condition: bool) -> bool:
    """`condition`, which mostly holds."""
    return condition


def reserve(count: Word) -> Word:
    """The address of `count` zeroed bytes."""
    address = len(memory)
    memory.extend(bytes(count))
    return address
