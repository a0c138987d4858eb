"""Owns the transfer cache: whole lists that one thread's cache was full of, for the next that has none.

    for each size class four places, of which objects up to 512 bytes use all and others one:
    +--------------+--------------------+--------------------+
    | first        | count              | age                |
    +--------------+--------------------+--------------------+

The lists are of objects or blocks, linked through their first words. So what one thread allocates and another
frees goes round without being touched. A list that nobody wants for a while goes back to slabs or heap. (One
place for small objects, too: batches take 1.15 of the time. Four for larger ones: the same times, more memory.)
"""

from __future__ import annotations

from ..machine import Int, Word, load_half, load_word, reserve, store_half, store_word
from .block import size_of
from .classes import ALL_CLASSES, SMALL_CLASSES, has_objects, usable_in_class
from .heap import free_block
from .layout import ONE
from .slab import give_objects

PLACES = 4
PLACE_SHIFT: Int = 4
CLASS_PLACES_SHIFT: Int = 6
COUNT = 8
AGE = 12
CALLS_OF_AGE = 32

LISTS = reserve((ALL_CLASSES + 1) * PLACES * 16)

calls: Word = 0


def places_for(size_class: Word) -> Word:
    """How many lists of the class may lie here."""
    return PLACES if size_class <= SMALL_CLASSES else ONE


def place_of_list(size_class: Word, number: Word) -> Word:
    """The address of one of the places for lists of the class."""
    return LISTS + (size_class << CLASS_PLACES_SHIFT) + (number << PLACE_SHIFT)


# ---- Back to the heap ----


def give_blocks(chain: Word) -> None:
    """All blocks of a linked list go back to the heap."""
    while chain != 0:
        following = load_word(chain)
        free_block(chain, size_of(chain))
        chain = following


def give_list(chain: Word, size_class: Word) -> None:
    """A linked list goes back to its slabs, or to the heap."""
    if has_objects(size_class):
        give_objects(chain, size_class)
    else:
        give_blocks(chain)


# ---- From thread to thread ----


def hand_over(chain: Word, size_class: Word, count: Word) -> bool:
    """Leave a list for others; whether there was a place."""
    for number in range(places_for(size_class)):
        place = place_of_list(size_class, number)
        if load_word(place) == 0:
            store_word(place, chain)
            store_half(place + COUNT, count)
            store_half(place + AGE, 0)
            return True
    return False


def take_over(size_class: Word) -> tuple[Word, Word]:
    """A list that somebody left, or 0, and its length."""
    number = places_for(size_class)
    while number != 0:
        number -= 1
        place = place_of_list(size_class, number)
        chain = load_word(place)
        if chain != 0:
            store_word(place, 0)
            return chain, load_half(place + COUNT)
    return 0, 0


def give_waiting(first_class: Word, age: Word) -> None:
    """The lists from this class on that have this age or more go back to the heap; the others are one older."""
    for size_class in range(first_class, ALL_CLASSES + 1):
        for number in range(places_for(size_class)):
            place = place_of_list(size_class, number)
            chain = load_word(place)
            if chain == 0:
                continue
            if load_half(place + AGE) < age:
                store_half(place + AGE, load_half(place + AGE) + 1)
            else:
                store_word(place, 0)
                give_list(chain, size_class)


def age_lists() -> bool:
    """Now and then give back what nobody wanted; called every PACE operations. Whether it was time."""
    global calls
    calls += 1
    if calls < CALLS_OF_AGE:
        return False
    calls = 0
    give_waiting(ONE, 1)
    return True


# ---- Looking ----


def waiting_in_class(size_class: Word) -> Word:
    """How many objects or blocks of the class lie here."""
    total: Word = 0
    for number in range(places_for(size_class)):
        place = place_of_list(size_class, number)
        total += load_half(place + COUNT) if load_word(place) != 0 else 0
    return total


def waiting_blocks() -> Word:
    """How many objects and blocks lie here."""
    total: Word = 0
    for size_class in range(1, ALL_CLASSES + 1):
        total += waiting_in_class(size_class)
    return total


def waiting_bytes() -> Word:
    """How many bytes lie here."""
    total: Word = 0
    for size_class in range(1, ALL_CLASSES + 1):
        total += waiting_in_class(size_class) * usable_in_class(size_class)
    return total
