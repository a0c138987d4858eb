"""Owns the transfer cache: whole lists that overflowed one thread's cache, for the next whose cache is empty.

Each size class has four places (`Place`), of which objects up to 512 bytes use all and others one. The lists
are of objects or blocks, linked through their first words. So what one thread allocates and another frees
circulates without being touched. A list that is unused for a while goes back to slabs or heap. (One place for
small objects, too: batches take 1.15 of the time. Four for larger ones: the same times, more memory.)
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import Word
from .classes import ALL_CLASSES, SMALL_CLASSES, usable_in_class
from .control import PLACES, ClassPlaces, Heap

CALLS_OF_AGE = 32
OLD = 2  # a list that was there when this was looked at twice


def places_for(size_class: Word) -> Word:
    """The maximum number of lists of the class here."""
    return PLACES if size_class <= SMALL_CLASSES else ONE


def class_places(heap: Heap, size_class: Word) -> ClassPlaces:
    """The places for lists of the class."""
    return heap.transfer[size_class]


# ---- From thread to thread ----


def hand_over(heap: Heap, chain: Word, size_class: Word, count: Word) -> bool:
    """Leave a list for others. Returns False if there is no place."""
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
    """Take a list that another thread left, or 0, and its length."""
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


def take_aged(heap: Heap, size_class: Word, age: Word) -> Word:
    """A list of the class that has this age or more, or 0."""
    own = class_places(heap, size_class)
    for number in range(places_for(size_class)):
        place = own.places[number]
        chain = place.first
        if chain != 0 and place.age >= age:
            place.first = 0
            return chain
    return 0


def next_waiting(heap: Heap, size_class: Word, age: Word) -> tuple[Word, Word]:
    """A list from this class on that has this age or more, and its class.

    If there is none the list is 0, and the class an invalid one.
    """
    while size_class <= ALL_CLASSES:
        chain = take_aged(heap, size_class, age)
        if chain != 0:
            return chain, size_class
        size_class += 1
    return 0, size_class


def make_lists_older(heap: Heap) -> None:
    """Increment the age of all lists here."""
    for size_class in range(1, ALL_CLASSES + 1):
        own = class_places(heap, size_class)
        for number in range(places_for(size_class)):
            own.places[number].age += 1


def is_time_to_age(heap: Heap) -> bool:
    """Whether to return unused lists; called every PACE operations. If so, increments the age of all lists."""
    heap.transfer_calls += 1
    if heap.transfer_calls < CALLS_OF_AGE:
        return False
    heap.transfer_calls = 0
    make_lists_older(heap)
    return True


# ---- Looking ----


def waiting_in_class(heap: Heap, size_class: Word) -> Word:
    """How many objects or blocks of the class are here."""
    total: Word = 0
    own = class_places(heap, size_class)
    for number in range(places_for(size_class)):
        place = own.places[number]
        total += place.count if place.first != 0 else 0
    return total


def waiting_blocks(heap: Heap) -> Word:
    """How many objects and blocks are here."""
    total: Word = 0
    for size_class in range(1, ALL_CLASSES + 1):
        total += waiting_in_class(heap, size_class)
    return total


def waiting_bytes(heap: Heap) -> Word:
    """How many bytes are here."""
    total: Word = 0
    for size_class in range(1, ALL_CLASSES + 1):
        total += waiting_in_class(heap, size_class) * usable_in_class(size_class)
    return total
