"""Owns the shelves: records, fields of every kind, and functions that give more than one thing."""

from __future__ import annotations

from ..machine import Array, Byte, Half, Line, Record, Word, array, load_word, reserve

SLOT_BYTES = 16
SLOTS = 4
LOW_BITS = 2**44 - 1


class Slot(Record, size=SLOT_BYTES):
    """A place on a shelf.

     0  held      what lies there
     8  times     how often something was put there
    12  mark      the low byte of it
    13  unused
    16
    """

    held: Word
    times: Half
    mark: Byte
    unused: Array[Byte] = array(3)


class Shelf(Record, align=64):
    """Some slots, and on a cache line of its own what is written at each use."""

    label: Word
    slots: Array[Slot] = array(SLOTS)
    written: Line
    uses: Half
    marks: Array[Byte] = array(4 + 8)
    sums: Array[Word] = array(6)


SHELVES = reserve(2 * Shelf.SIZE)
SUMS = Shelf.sums


def shelf(number: Word) -> Shelf:
    """One of two."""
    return Shelf(SHELVES + (number & 1) * Shelf.SIZE)


def put(shelf: Shelf, index: Word, thing: Word) -> tuple[Word, bool]:
    """Put something into a slot. What lay there, and whether anything ever did."""
    slot = shelf.slots[index]
    before = slot.held
    was_used = slot.times != 0
    slot.held = thing
    slot.times += 1
    slot.mark = thing & 255
    shelf.uses = (  # on more
        shelf.uses + 1  # lines than one
    )
    shelf.marks[index] = (shelf.marks[index] + Slot(shelf + Shelf.slots).mark) & 255
    shelf.sums[index] = load_word(shelf + SUMS + 8 * index) ^ thing
    return before, was_used


def described(which: Shelf) -> tuple[Word, Word]:
    """The uses of a shelf, far up in a word, and its sums and marks combined."""
    total: Word = 0
    for index in range(SLOTS):
        total ^= which.sums[index] + (which.marks[index] << 40) & LOW_BITS ^ Slot(which.slots).times
    return which.uses << 40, total + (which.written - which)
