"""Owns the slabs: pages cut into objects of one size class, without headers.

    page     | object | object | ... | object | (rest) |
              free objects are linked through their first words

Its metadata are the page's tag and links. To the heap the page is a used block of known size, so where other
blocks have their size the tag has the list of free objects (`SlabTag`). The links are the neighbours in the
list of slabs of the class that have free objects.

A slab that has no object in use goes back to the heap at once, and coalesces.

Objects are taken in address order, not in the order of their frees: what a program allocates in sequence it
often reads in sequence, too. Python's small objects take 4 % less time (instances.py and containers.py in
benchmarks/workloads/python: garbage collection walks them in the order of their creation).
"""

from __future__ import annotations

from ..common.bitmap import WORD_SHIFT, set_plain_bit
from ..common.sizes import ONE, WORD_BYTES
from ..machine import Half, Int, Record, Word, highest_bit, load_word, store_word
from .block import USED
from .chain import enter_list, first_of, unlink
from .classes import object_bytes
from .control import NOTED_WORDS, Heap
from .figures import count_in, count_out
from .heap import allocate_page, free_page
from .layout import IN_PAGE, PAGE_BASE, UNIT_SHIFT
from .pages import page_of, page_tag, set_kind

COUNT_SHIFT: Int = 2
COUNT_BITS = 1023
FIRST_SHIFT: Int = 12

CAPACITIES: tuple[Half, ...] = (
    0, 256, 128, 85, 64, 51, 42, 36, 32, 28, 25, 23, 21, 19, 18, 17, 16,
    15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
)  # fmt: skip


class SlabTag(Record, size=8):
    """The tag of a slab's page.

    0  free    bit 0: used, bits 2 to 11: how many are free, bits 12 to 20: the first one's unit in the page
    4  before  as in every block
    8
    """

    free: Half
    before: Half


def capacity(size_class: Word) -> Word:
    """How many objects a slab of the class has."""
    return CAPACITIES[size_class]


def open_list(heap: Heap, size_class: Word) -> Word:
    """The head of the list of slabs of the class that have free objects."""
    return heap.open_slabs + size_class * WORD_BYTES


def open_slab(heap: Heap, size_class: Word) -> Word:
    """The first slab of the class with free objects, or 0."""
    return first_of(heap, open_list(heap, size_class))


def slab_tag(slab: Word) -> SlabTag:
    """The slab's tag."""
    return SlabTag(page_tag(slab))


def free_count(slab: Word) -> Word:
    """How many of the slab's objects are free."""
    return slab_tag(slab).free >> COUNT_SHIFT & COUNT_BITS


def first_free(slab: Word) -> Word:
    """The first free object of a slab that has one."""
    return slab + (slab_tag(slab).free >> FIRST_SHIFT << UNIT_SHIFT)


def set_free(slab: Word, first: Word, count: Word) -> None:
    """Write the slab's list of free objects."""
    free = (first - slab) >> UNIT_SHIFT << FIRST_SHIFT | count << COUNT_SHIFT
    slab_tag(slab).free = free | USED


def new_slab(heap: Heap, size_class: Word) -> Word:
    """A slab with all objects free, in its class's list, or 0."""
    slab = allocate_page(heap)
    if slab == 0:
        return 0
    set_kind(page_of(slab), size_class)
    size = object_bytes(size_class)
    last = slab + (capacity(size_class) - 1) * size
    part = slab
    while part != last:
        store_word(part, part + size)
        part += size
    store_word(last, 0)
    set_free(slab, slab, capacity(size_class))
    enter_list(heap, open_list(heap, size_class), slab)
    return slab


def note_places(heap: Heap, first: Word) -> None:
    """Set the bits of all objects of a linked list."""
    part = first
    while part != 0:
        unit = (part & IN_PAGE) >> UNIT_SHIFT
        set_plain_bit(heap.noted, unit)
        part = load_word(part)


def link_noted(heap: Heap, slab: Word) -> Word:
    """A linked list of the objects whose bits are set, in address order; clears the bits."""
    chain: Word = 0
    word: Word = NOTED_WORDS
    while word != 0:
        word -= 1
        bits = load_word(heap.noted + word * WORD_BYTES)
        store_word(heap.noted + word * WORD_BYTES, 0)
        while bits != 0:
            last = highest_bit(bits)
            bits -= ONE << last
            part = slab + ((word << WORD_SHIFT) + last << UNIT_SHIFT)
            store_word(part, chain)
            chain = part
    return chain


def take_objects(heap: Heap, size_class: Word, maximum: Word, chain: Word) -> tuple[Word, Word]:
    """Take up to `maximum` free objects of one slab of the class in front of a linked list.

    Returns the list, and how many were taken.
    """
    slab = open_slab(heap, size_class)
    if slab == 0:
        slab = new_slab(heap, size_class)
        if slab == 0:
            return chain, 0
    first = first_free(slab)
    count = free_count(slab)
    taken = count if count < maximum else maximum
    if count != capacity(size_class):  # else it is new, and they are in order
        note_places(heap, first)
        first = link_noted(heap, slab)
    last = first
    for _ in range(1, taken):
        last = load_word(last)
    if count <= maximum:
        set_free(slab, slab, 0)
        unlink(heap, open_list(heap, size_class), slab)
    else:
        set_free(slab, load_word(last), count - taken)
    store_word(last, chain)
    count_out(heap, object_bytes(size_class) * taken, taken)
    return first, taken


def give_row(heap: Heap, first: Word, last: Word, count: Word, size_class: Word) -> None:
    """Return `count` linked objects of one slab to it; and the slab, if all are free now, to the heap."""
    slab = first & PAGE_BASE
    before = free_count(slab)
    store_word(last, first_free(slab) if before != 0 else 0)
    count_in(heap, object_bytes(size_class) * count, count)
    if before + count == capacity(size_class):
        if before != 0:
            unlink(heap, open_list(heap, size_class), slab)
        free_page(heap, slab)
        return
    set_free(slab, first, before + count)
    if before == 0:
        enter_list(heap, open_list(heap, size_class), slab)
