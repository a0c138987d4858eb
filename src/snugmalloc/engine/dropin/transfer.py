"""Owns the transfer cache: whole lists that one thread's cache was full of, for the next that has none.

Each size class has four places (`Place`), of which objects up to 512 bytes use all and others one. The lists
are of objects or blocks, linked through their first words. So what one thread allocates and another
frees goes round without being touched. A list that nobody wants for a while goes back to slabs or heap. (One
place for small objects, too: batches take 1.15 of the time. Four for larger ones: the same times, more memory.)
"""

from __future__ import annotations

from ..machine import Word, load_word
from .block import size_of
from .classes import ALL_CLASSES, SMALL_CLASSES, has_objects, usable_in_class
from .control import PLACES, ClassPlaces, Heap
from .heap import free_block
from .layout import ONE
from .slab import give_objects

CALLS_OF_AGE = 32


def places_for(size_class: Word) -> Word:
    """How many lists of the class may lie here."""
    return PLACES if size_class <= SMALL_CLASSES else ONE


def class_places(heap: Heap, size_class: Word) -> ClassPlaces:
    """The places for lists of the class."""
    return heap.transfer[size_class]


# ---- Back to the heap ----


def give_blocks(heap: Heap, chain: Word) -> None:
    """All blocks of a linked list go back to the heap."""
    while chain != 0:
        following = load_word(chain)
        free_block(heap, chain, size_of(chain))
        chain = following


def give_list(heap: Heap, chain: Word, size_class: Word) -> None:
    """A linked list goes back to its slabs, or to the heap."""
    if has_objects(size_class):
        give_objects(heap, chain, size_class)
    else:
        give_blocks(heap, chain)


# ---- From thread to thread ----


def hand_over(heap: Heap, chain: Word, size_class: Word, count: Word) -> bool:
    """Leave a list for others; whether there was a place."""
    own = class_places(heap, size_class)
    for number in range(places_for(size_class)):
        place = own.places[number]
        if place.first == 0:
            place.first = chain
            place.count = count
            place.age = 0
            return True
    return False


def take_over(heap: Heap, size_class: Word) -> tuple[Word, Word]:
    """A list that somebody left, or 0, and its length."""
    own = class_places(heap, size_class)
    number = places_for(size_class)
    while number != 0:
        number -= 1
        place = own.places[number]
        chain = place.first
        if chain != 0:
            place.first = 0
            return chain, place.count
    return 0, 0


def give_waiting(heap: Heap, first_class: Word, age: Word) -> None:
    """The lists from this class on that have this age or more go back to the heap; the others are one older."""
    for size_class in range(first_class, ALL_CLASSES + 1):
        own = class_places(heap, size_class)
        for number in range(places_for(size_class)):
            place = own.places[number]
            chain = place.first
            if chain == 0:
                continue
            if place.age < age:
                place.age += 1
            else:
                place.first = 0
                give_list(heap, chain, size_class)


def age_lists(heap: Heap) -> bool:
    """Now and then give back what nobody wanted; called every PACE operations. Whether it was time."""
    heap.transfer_calls += 1
    if heap.transfer_calls < CALLS_OF_AGE:
        return False
    heap.transfer_calls = 0
    give_waiting(heap, ONE, 1)
    return True


# ---- Looking ----


def waiting_in_class(heap: Heap, size_class: Word) -> Word:
    """How many objects or blocks of the class lie here."""
    total: Word = 0
    own = class_places(heap, size_class)
    for number in range(places_for(size_class)):
        place = own.places[number]
        total += place.count if place.first != 0 else 0
    return total


def waiting_blocks(heap: Heap) -> Word:
    """How many objects and blocks lie here."""
    total: Word = 0
    for size_class in range(1, ALL_CLASSES + 1):
        total += waiting_in_class(heap, size_class)
    return total


def waiting_bytes(heap: Heap) -> Word:
    """How many bytes lie here."""
    total: Word = 0
    for size_class in range(1, ALL_CLASSES + 1):
        total += waiting_in_class(heap, size_class) * usable_in_class(size_class)
    return total
