"""Records under the interpreter: a record is an address that knows the fields there.

``machine.py`` makes its `Record` of the one here, with its own memory. The declaration alone determines where
the fields stand; the amalgamation, which refuses what has gaps, finds the same offsets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from inspect import get_annotations
from typing import Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar, cast

WIDTHS = {"Word": 8, "Half": 4, "Byte": 1}
LINE_BYTES = 64
ARRAY = re.compile(r"Array\[(\w+)\]")

T = TypeVar("T")
R = TypeVar("R", bound="MemoryRecord")

Line: TypeAlias = int
"""The annotation of a field that takes no room: it stands where the next cache line begins."""


class Length(NamedTuple):
    """How many elements an array has."""

    elements: int


def array(count: int) -> Any:
    """Behind a field ``name: Array[Word]``: it has `count` elements."""
    return Length(count)


class MemoryRecord(int):
    """A structure in memory. The class of a record declares its fields; a value is the address of one.

    ``Header(block).status`` is what the field holds, and can be assigned; ``Header.status`` is its offset and
    ``Header.SIZE`` the bytes of all. With ``class Header(Record, size=32):`` they must be so many, and with
    ``align=64`` the address of every value is a multiple of that.
    """

    SIZE: ClassVar[int] = 0

    def __init_subclass__(cls, size: int | None = None, align: int = 1) -> None:
        if align != 1:
            cls.__new__ = aligned_to(align)  # type: ignore[assignment]  # others are made as fast as ints
        at = 0
        for name, annotation in get_annotations(cls).items():
            if annotation == "Line":
                at = -(-at // LINE_BYTES) * LINE_BYTES
                setattr(cls, name, Field(at, 0))
            elif match := ARRAY.fullmatch(annotation):
                count = vars(cls)[name].elements
                element = WIDTHS.get(match[1]) or cls._sibling(match[1])
                setattr(cls, name, ArrayField(at, element, count))
                at += count * width_of(element)
            else:
                setattr(cls, name, Field(at, WIDTHS[annotation]))
                at += WIDTHS[annotation]
        cls.SIZE = at
        if size not in (None, at):
            raise TypeError(f"{cls.__name__} has {at} bytes and promises {size}")

    @classmethod
    def _sibling(cls, name: str) -> type[MemoryRecord]:
        """The record of this name on the same machine: of several engines' the one declared last."""
        siblings: Sequence[type[MemoryRecord]] = cls.__bases__[0].__subclasses__()
        return next(sibling for sibling in reversed(siblings) if sibling.__name__ == name)

    @staticmethod
    def _load(address: int, width: int) -> int:
        raise NotImplementedError

    @staticmethod
    def _store(address: int, width: int, value: int) -> None:
        raise NotImplementedError


def aligned_to(alignment: int) -> Callable[[type[R], int], R]:
    """What makes a record whose address is a multiple of `alignment`."""

    def make(cls: type[R], address: int) -> R:
        if address % alignment:
            raise ValueError(f"{address:#x} is no address of a {cls.__name__}: not aligned to {alignment}")
        return int.__new__(cls, address)

    return make


Element: TypeAlias = int | type[MemoryRecord]
"""How many bytes an element of an array has, or the record that it is."""


def width_of(element: Element) -> int:
    """The bytes of an element."""
    return element if isinstance(element, int) else element.SIZE


class Field:
    """A Word, Half or Byte at an offset; or a Line, whose width is 0 and whose value its address."""

    def __init__(self, offset: int, width: int) -> None:
        self.offset = offset
        self.width = width

    def __get__(self, record: MemoryRecord | None, owner: type[MemoryRecord]) -> int:
        if record is None:
            return self.offset
        return record._load(record + self.offset, self.width) if self.width else record + self.offset

    def __set__(self, record: MemoryRecord, value: int) -> None:
        record._store(record + self.offset, self.width, value)


class Array(int, Generic[T]):
    """The elements of a field ``name: Array[Word] = array(8)`` of a record; as a number it is their address."""

    record: MemoryRecord
    element: Element
    count: int

    def _address(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise IndexError(f"element {index} of an array of {self.count}")
        return self + index * width_of(self.element)

    def __getitem__(self, index: int) -> T:
        address = self._address(index)
        if isinstance(self.element, int):
            return cast(T, self.record._load(address, self.element))
        return cast(T, self.element(address))

    def __setitem__(self, index: int, value: T) -> None:
        assert isinstance(self.element, int), "a record is not assigned, but its fields are"
        self.record._store(self._address(index), self.element, cast(int, value))


class ArrayField:
    """An array at an offset."""

    def __init__(self, offset: int, element: Element, count: int) -> None:
        self.offset = offset
        self.element = element
        self.count = count

    def __get__(self, record: MemoryRecord | None, owner: type[MemoryRecord]) -> int:
        if record is None:
            return self.offset
        elements: Array[Any] = Array(record + self.offset)
        elements.record, elements.element, elements.count = record, self.element, self.count
        return elements
