"""Owns the layout of a thread's cache, and its lists: what a thread freed and can reuse without a lock.

A list's limit begins small and doubles whenever it runs empty or full, up to `thread_cache` bytes, and in a
small heap less: a program that needs little keeps little.
"""

from __future__ import annotations

from ..common.figures import figure
from ..common.sizes import ONE
from ..machine import Array, Half, Int, Record, Word, array, load_word, store_word
from .block import is_used, units_of
from .classes import ALL_CLASSES, SMALL_CLASSES, class_block_units, has_objects, usable_in_class
from .control import Heap, process_heap
from .figures import Figures
from .options import thread_cache
from .pages import BLOCKS, DIRTY, kind_at

ENTRY_SHIFT = 4  # a list is found at 16 times its class

FIRST_SMALL = 32  # the limit that a list of objects up to 512 bytes begins with; others begin with one,
MANY_THREADS = 64  # as all do where more threads have caches
MAX_LISTED = 255
MIN_LIST_BYTES = 8192  # what a list may hold,
HEAP_SHIFT: Int = 10  # and a 1024th of the heap


class List(Record, size=1 << ENTRY_SHIFT):
    """A list of objects or blocks of one class, linked through their first words.

     0  first
     8  room   how many more it takes
    12  limit  how many it may hold
    16
    """

    first: Word
    room: Half
    limit: Half


class ThreadCache(Record):
    """A thread's cache.

       0  lists       by class; of objects that is the kind of their pages
     976  no_lists    always zero: the kinds of other pages lead here, to empty lists without room
    1104  next_cache  in the list of all caches
    1112  next_spare  in the list of caches that wait for a thread
    1120  waited      how long it has waited for a thread
    1128  home        the heap that serves the thread
    1136  visits      how often the thread took that heap's lock,
    1144  waits       and how often it had to wait for it, since the last check
    1152
    """

    lists: Array[List] = array(ALL_CLASSES + 1)
    no_lists: Array[List] = array(DIRTY - ALL_CLASSES)
    next_cache: Word
    next_spare: Word
    waited: Word
    home: Word
    visits: Word
    waits: Word


def pop(entry: List) -> Word:
    """Take the first of a list, or 0."""
    first = entry.first
    if first != 0:
        entry.first = load_word(first)
        entry.room += 1
    return first


def push(entry: List, pointer: Word) -> None:
    """Put into a list that has room."""
    store_word(pointer, entry.first)
    entry.first = pointer
    entry.room -= 1


def first_limit(size_class: Word) -> Word:
    """The initial limit of a list: with very many threads most of them need little."""
    if size_class > SMALL_CLASSES or figure(process_heap(), Figures.thread_caches) > MANY_THREADS:
        return ONE
    return FIRST_SMALL * ONE


def list_bytes(heap: Heap) -> Word:
    """The maximum bytes in a list of a thread that this heap serves."""
    maximum = MIN_LIST_BYTES + (figure(heap, Figures.heap_bytes) >> HEAP_SHIFT)
    return maximum if maximum < thread_cache() else thread_cache()


def raise_limit(heap: Heap, entry: List, size_class: Word) -> bool:
    """Raise the limit of a list, from its first limit to its maximum. Returns False if it is at the maximum."""
    before = entry.limit
    maximum = list_bytes(heap) // usable_in_class(size_class)
    maximum = MAX_LISTED if maximum > MAX_LISTED else maximum
    maximum = ONE if maximum == 0 else maximum
    limit = before + before if before != 0 else first_limit(size_class)
    limit = maximum if limit > maximum else limit
    if limit <= before:
        return False
    entry.limit = limit
    entry.room += limit - before
    return True


def fill(entry: List, chain: Word, count: Word) -> Word:
    """Put a linked list into an empty entry, except the first, which is returned."""
    room = entry.room + 1
    if room < count:
        entry.limit += count - room
        room = count
    entry.first = load_word(chain)
    entry.room = room - count
    return chain


def empty_list(entry: List) -> Word:
    """Take all of a list, and reset its limit."""
    chain = entry.first
    entry.first = 0
    entry.room = 0
    entry.limit = 0
    return chain


# ---- Looking ----


def listed(entry: List) -> Word:
    """The length of a list, as in its entry: another thread may be using it."""
    limit = entry.limit
    room = entry.room
    return limit - room if limit > room else 0


def is_listed_block(pointer: Word, size_class: Word) -> bool:
    """Whether this is an object or a block of the class."""
    if has_objects(size_class):
        return kind_at(pointer) == size_class
    if kind_at(pointer) != BLOCKS or not is_used(pointer):
        return False
    return units_of(pointer) == class_block_units(size_class)


def is_list_sound(entry: List, size_class: Word) -> bool:
    """Whether a list of this thread has the right length and only objects of its class."""
    count = listed(entry)
    pointer = entry.first
    while pointer != 0 and count != 0:
        if not is_listed_block(pointer, size_class):
            return False
        pointer = load_word(pointer)
        count -= 1
    return pointer == 0 and count == 0


def is_cache_sound(cache: ThreadCache) -> bool:
    """Whether a cache's lists are valid."""
    for size_class in range(1, ALL_CLASSES + 1):
        entry = cache.lists[size_class]
        if not is_list_sound(entry, size_class):
            return False
    return True
