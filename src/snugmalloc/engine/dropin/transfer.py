"""Owns the transfer cache: whole lists that one thread's cache was full of, for the next that has none.

    for each number of units, 1 to 63:
    | list | count, age | list | count, age | list | count, age | list | count, age |

Up to 32 units the lists are of objects of slabs, beyond that of blocks, linked through their first words. So
blocks that one thread allocates and another frees go round without being touched. A list that nobody wants for
a while goes back to the heap.
"""

from __future__ import annotations

from ..machine import Int, Word, load_half, load_word, prefetch, reserve, store_half, store_word
from .block import expect_merge, size_of, usable_bytes
from .heap import free_block
from .layout import LIST_UNITS, PAGE_BASE, SLAB_CLASSES, UNIT_SHIFT
from .slab import give_row

PLACES_PER_SIZE = 4
PLACE_SHIFT: Int = 4
SIZE_PLACES_SHIFT: Int = 6
COUNT = 8
AGE = 12
CALLS_OF_AGE = 32

LISTS = reserve(LIST_UNITS * PLACES_PER_SIZE * 16)

transferred: Word = 0
calls: Word = 0


def place_of_list(units: Word, number: Word) -> Word:
    """The address of one of the places for lists of so many units."""
    return LISTS + (units << SIZE_PLACES_SHIFT) + (number << PLACE_SHIFT)


def bytes_of(units: Word) -> Word:
    """The usable bytes of an object, or a block from 33 units on."""
    return units << UNIT_SHIFT if units <= SLAB_CLASSES else usable_bytes(units)


# ---- Back to the heap ----


def give_objects(chain: Word, units: Word) -> Word:
    """All objects of a linked list go back to their slabs, those of one slab in a row at once. How many."""
    total: Word = 0
    while chain != 0:
        slab = chain & PAGE_BASE
        last = chain
        count: Word = 1
        following = load_word(chain)
        while following & PAGE_BASE == slab:
            last = following
            following = load_word(following)
            count += 1
        give_row(chain, last, count, units)
        total += count
        chain = following
    return total


def give_blocks(chain: Word) -> Word:
    """All blocks of a linked list go back to the heap. How many."""
    count: Word = 0
    while chain != 0:
        following = load_word(chain)
        if following != 0:
            prefetch(following)
            expect_merge(following, size_of(chain))
        free_block(chain, size_of(chain))
        chain = following
        count += 1
    return count


def give_list(chain: Word, units: Word) -> Word:
    """A linked list goes back to the heap. How long it was."""
    return give_objects(chain, units) if units <= SLAB_CLASSES else give_blocks(chain)


# ---- From thread to thread ----


def hand_over(chain: Word, units: Word, count: Word) -> bool:
    """Leave a list for others; whether there was a place."""
    for number in range(PLACES_PER_SIZE):
        place = place_of_list(units, number)
        if load_word(place) == 0:
            store_word(place, chain)
            store_half(place + COUNT, count)
            store_half(place + AGE, 0)
            return True
    return False


def how_many_transferred() -> Word:
    """How long the list is that `take_over` gave last."""
    return transferred


def take_over(units: Word) -> Word:
    """A list that somebody left, or 0."""
    global transferred
    number: Word = PLACES_PER_SIZE
    while number != 0:
        number -= 1
        place = place_of_list(units, number)
        chain = load_word(place)
        if chain != 0:
            store_word(place, 0)
            transferred = load_half(place + COUNT)
            return chain
    return 0


def grow_old(age: Word) -> None:
    """All lists of this age and more go back to the heap; the others are one older."""
    for units in range(1, LIST_UNITS):
        for number in range(PLACES_PER_SIZE):
            place = place_of_list(units, number)
            chain = load_word(place)
            if chain == 0:
                continue
            if load_half(place + AGE) < age:
                store_half(place + AGE, load_half(place + AGE) + 1)
            else:
                store_word(place, 0)
                give_list(chain, units)


def age_lists() -> bool:
    """Now and then give back what nobody wanted; called every PACE operations. Whether it was time."""
    global calls
    calls += 1
    if calls < CALLS_OF_AGE:
        return False
    calls = 0
    grow_old(1)
    return True


# ---- Looking ----


def waiting_blocks() -> Word:
    """How many blocks lie here."""
    total: Word = 0
    for units in range(1, LIST_UNITS):
        for number in range(PLACES_PER_SIZE):
            place = place_of_list(units, number)
            total += load_half(place + COUNT) if load_word(place) != 0 else 0
    return total


def waiting_bytes() -> Word:
    """How many bytes lie here."""
    total: Word = 0
    for units in range(1, LIST_UNITS):
        for number in range(PLACES_PER_SIZE):
            place = place_of_list(units, number)
            if load_word(place) != 0:
                total += load_half(place + COUNT) * bytes_of(units)
    return total
