"""The toy's machine: a little memory, as bytes, and nothing else. Its compiled face is machine.h."""

from __future__ import annotations

from typing import TypeAlias

Word: TypeAlias = int
Half: TypeAlias = int
Byte: TypeAlias = int
Int: TypeAlias = int
Text: TypeAlias = bytes

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
