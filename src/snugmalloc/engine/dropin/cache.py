"""Owns the threads' caches: what a thread freed and takes again without a lock.

A thread's word points to its cache (`ThreadCache`), or at first to as many zeros: a cache in which nothing is
found and nothing fits, so the fast paths need no test for set-up. The thread's state is 0 at first, then the
cache, and after the thread's destructors ENDED: it frees and allocates on without a cache.

A list's limit begins small and doubles whenever it runs empty or full, up to `thread_cache` bytes, and in a
small heap fewer: a program that needs little keeps little.

The cache of a thread that has ended waits for the next one, and its small objects with it: threads that live
for a moment take a sixth to a quarter less time (benchmarks/workloads/threads.c). If no thread comes for a
while, they go back.
"""

from __future__ import annotations

from ..machine import (
    Array,
    Half,
    Int,
    Record,
    Word,
    array,
    clear_bytes,
    likely,
    load_byte,
    load_thread_state,
    load_word,
    store_thread_state,
    store_thread_word,
    store_word,
    thread_without_cache,
    trap,
    unlikely,
    watch_thread_end,
)
from .block import is_used, size_of
from .classes import (
    ALL_CLASSES,
    BLOCK_CLASSES,
    MOST_LISTED_UNITS,
    SMALL_CLASSES,
    class_block_units,
    fill_tables,
    has_objects,
    usable_in_class,
)
from .control import lock_heap, process_heap, unlock_heap
from .figures import Figures, figure, raise_figure, set_figure
from .heap import allocate, allocate_run, free_block, set_aside
from .layout import DEBUG, ONE, UNIT_SHIFT, units_for
from .options import fills_memory, read_options, thread_cache
from .pages import BLOCKS, DIRTY, kind_at
from .purge import is_time, is_use_falling, take_step
from .slab import give_row, open_slab, take_objects
from .transfer import (
    age_lists,
    give_list,
    give_waiting,
    hand_over,
    take_over,
    waiting_blocks,
    waiting_bytes,
)
from .walk import OK, check

ENTRY_SHIFT = 4  # a list is found at 16 times its class
EMPTY = 1 << 32  # of a cache that waits: it has no objects
LONG_ENOUGH = 2  # times that lists grew old: then nobody wants the objects

ENDED = 1

FIRST_SMALL = 32  # the limit that a list of objects up to 512 bytes begins with; others begin with one,
MANY_THREADS = 64  # as all do where more threads have caches
MOST_LISTED = 255
LEAST_BYTES = 8192  # what a list may hold,
HEAP_SHIFT: Int = 10  # and a 1024th of the heap
BYTES_OF_OPERATION_SHIFT: Int = 14
CHECK_EVERY = 127  # of a checking build: one visit in 128


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
    """What one thread keeps.

       0  lists       by class; of objects that is the kind of their pages
     976  no_lists    always zero: the kinds of other pages lead here, where nothing is found and nothing fits
    1104  next_cache  of all caches
    1112  next_spare  of the caches that wait for a thread
    1120  waited      how long it has waited for a thread
    1128
    """

    lists: Array[List] = array(ALL_CLASSES + 1)
    no_lists: Array[List] = array(DIRTY - ALL_CLASSES)
    next_cache: Word
    next_spare: Word
    waited: Word


newest_cache: Word = 0
waiting_cache: Word = 0
visits: Word = 0


# ---- Entering the heap ----


def enter() -> bool:
    """Take the heap's lock, which is held until `leave`."""
    return lock_heap(process_heap())


def look_after() -> None:
    """Without the lock: what is done now and then. Memory that nobody needs goes back."""
    take_step(process_heap())
    if is_use_falling(process_heap()) and empty_larger_lists():
        take_step(process_heap())
    held = enter()
    if age_lists(process_heap()):
        age_caches(LONG_ENOUGH)
    unlock_heap(process_heap(), held)


def check_sometimes() -> None:
    """Builds that check everything do it here, every so many visits; under the lock."""
    global visits
    visits += 1
    if visits & CHECK_EVERY == 0 and check(process_heap()) != OK:
        trap()


def leave(held: bool, operations: Word) -> None:
    """Release the lock; so many operations were done."""
    if DEBUG != 0:
        check_sometimes()
    is_due = is_time(process_heap(), operations)
    unlock_heap(process_heap(), held)
    if unlikely(is_due):
        look_after()


def operations_for(count: Word) -> Word:
    """What a request for so many bytes counts: one operation, and one for each 16 KiB."""
    return 1 + (count >> BYTES_OF_OPERATION_SHIFT)


# ---- Caches ----


def new_cache() -> Word:
    """A cache that no thread has, all zero, or 0."""
    global newest_cache, waiting_cache
    held = enter()
    cache = ThreadCache(waiting_cache)
    if cache != 0:
        waiting_cache = cache.next_spare
    else:
        cache = ThreadCache(set_aside(process_heap(), units_for(ThreadCache.SIZE)))
        if cache != 0:
            if newest_cache == 0:
                fill_tables()
            clear_bytes(cache, ThreadCache.SIZE)
            cache.next_cache = newest_cache
            newest_cache = cache
            raise_figure(process_heap(), Figures.thread_caches, 1)
    leave(held, 1)
    return cache


def make_cache() -> Word:
    """Give this thread a cache if it has not had one and the options are known; or 0."""
    if load_thread_state() == ENDED or not read_options() or thread_cache() == 0:
        return 0
    cache = new_cache()
    if cache == 0:
        return 0
    store_thread_state(cache)
    if figure(process_heap(), Figures.counting) == 0 and not fills_memory():
        store_thread_word(cache)
    watch_thread_end()
    return cache


def own_cache() -> ThreadCache:
    """This thread's cache, or 0 if it has none and gets none."""
    state = load_thread_state()
    return ThreadCache(state if likely(state > ENDED) else make_cache())


# ---- Without a cache ----


def allocate_object(size_class: Word) -> Word:
    """One object, or 0."""
    held = enter()
    pointer, _taken = take_objects(process_heap(), size_class, ONE, 0)
    leave(held, 1)
    return pointer


def free_object(pointer: Word, size_class: Word) -> None:
    """Free one object."""
    held = enter()
    give_row(process_heap(), pointer, pointer, 1, size_class)
    leave(held, 1)


def allocate_block(units: Word) -> Word:
    """One block, or 0."""
    held = enter()
    block = allocate(process_heap(), units)
    leave(held, operations_for(units << UNIT_SHIFT))
    return block


def release_block(pointer: Word, units: Word) -> None:
    """Free one block of so many units."""
    held = enter()
    free_block(process_heap(), pointer, units)
    leave(held, operations_for(units << UNIT_SHIFT))


# ---- Lists ----


def pop(entry: List) -> Word:
    """The first of a list, or 0."""
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
    """The limit that a list begins with: with very many threads most of them need little."""
    if size_class > SMALL_CLASSES or figure(process_heap(), Figures.thread_caches) > MANY_THREADS:
        return ONE
    return FIRST_SMALL * ONE


def list_bytes() -> Word:
    """How many bytes a list may hold."""
    most = LEAST_BYTES + (figure(process_heap(), Figures.heap_bytes) >> HEAP_SHIFT)
    return most if most < thread_cache() else thread_cache()


def raise_limit(entry: List, size_class: Word) -> bool:
    """Let a list of the class grow, from its first limit to its most. Whether it can hold more now."""
    before = entry.limit
    most = list_bytes() // usable_in_class(size_class)
    most = MOST_LISTED if most > MOST_LISTED else most
    most = ONE if most == 0 else most
    limit = before + before if before != 0 else first_limit(size_class)
    limit = most if limit > most else limit
    if limit <= before:
        return False
    entry.limit = limit
    entry.room += limit - before
    return True


def fill(entry: List, chain: Word, count: Word) -> Word:
    """Put a linked list into an empty entry, all but the first, which is the answer."""
    room = entry.room + 1
    if room < count:
        entry.limit += count - room
        room = count
    entry.first = load_word(chain)
    entry.room = room - count
    return chain


def refill_objects(entry: List, size_class: Word) -> Word:
    """An object for a thread whose list of them is empty, and more for the list. Or 0."""
    raise_limit(entry, size_class)
    want = (entry.limit + 1) >> 1
    held = enter()
    chain, count = take_over(process_heap(), size_class)
    while count < want and (count == 0 or open_slab(process_heap(), size_class) != 0):
        chain, taken = take_objects(process_heap(), size_class, want - count, chain)
        count += taken
        if chain == 0:
            leave(held, 1)
            return 0
    leave(held, count)
    return fill(entry, chain, count)


def refill_blocks(entry: List, size_class: Word) -> Word:
    """A block for a thread whose list of them is empty, and more for the list. Or 0."""
    raise_limit(entry, size_class)
    held = enter()
    chain, count = take_over(process_heap(), size_class)
    if chain == 0:
        chain, count = allocate_run(process_heap(), class_block_units(size_class), (entry.limit + 1) >> 1)
    if chain == 0:
        leave(held, 1)
        return 0
    leave(held, operations_for(count * usable_in_class(size_class)))
    return fill(entry, chain, count)


def pass_on(entry: List, size_class: Word) -> None:
    """A full list goes to other threads or, if too many wait there already, back to slabs or heap."""
    chain = entry.first
    count = entry.limit
    entry.first = 0
    entry.room = count
    held = enter()
    if not hand_over(process_heap(), chain, size_class, count):
        give_list(process_heap(), chain, size_class)
    leave(held, count)


def release(pointer: Word, size_class: Word) -> None:
    """Free an object or a block of the class, past the lists."""
    if has_objects(size_class):
        free_object(pointer, size_class)
    else:
        release_block(pointer, class_block_units(size_class))


def keep(cache: ThreadCache, pointer: Word, size_class: Word) -> None:
    """Put a freed object or block into its list; one without room becomes longer, or is passed on."""
    entry = cache.lists[size_class]
    if entry.room == 0:
        if size_class > SMALL_CLASSES and is_use_falling(process_heap()):
            release(pointer, size_class)
            return
        if not raise_limit(entry, size_class):
            pass_on(entry, size_class)
    if entry.room != 0:
        push(entry, pointer)
    else:  # all lists were emptied meanwhile
        release(pointer, size_class)


# ---- Any object or block, through this thread's cache if it has one ----


def obtain_listed(size_class: Word) -> Word:
    """An object or a block of the class, or 0."""
    cache = own_cache()
    if cache == 0:
        return (
            allocate_object(size_class)
            if has_objects(size_class)
            else allocate_block(class_block_units(size_class))
        )
    entry = cache.lists[size_class]
    pointer = pop(entry)
    if pointer != 0:
        return pointer
    return refill_objects(entry, size_class) if has_objects(size_class) else refill_blocks(entry, size_class)


def dispose_object(pointer: Word, size_class: Word) -> None:
    """Free an object of the class."""
    cache = own_cache()
    if cache != 0:
        keep(cache, pointer, size_class)
    else:
        free_object(pointer, size_class)


def dispose_block(pointer: Word, units: Word) -> None:
    """Free a block of so many units."""
    size_class = load_byte(BLOCK_CLASSES + units) if units <= MOST_LISTED_UNITS else 0
    cache = own_cache() if size_class != 0 else ThreadCache(0)
    if cache != 0:
        keep(cache, pointer, size_class)
    else:
        release_block(pointer, units)


# ---- Emptying ----


def empty_list(entry: List) -> Word:
    """Take all that a list holds; its limit begins anew."""
    chain = entry.first
    entry.first = 0
    entry.room = 0
    entry.limit = 0
    return chain


def empty_lists(cache: ThreadCache, first_class: Word) -> None:
    """What a cache holds, from this class on, goes back to slabs and heap; under the lock."""
    for size_class in range(first_class, ALL_CLASSES + 1):
        give_list(process_heap(), empty_list(cache.lists[size_class]), size_class)


def empty_own_lists(first_class: Word) -> None:
    """This thread keeps no list of these classes, and none waits for others; under the lock."""
    give_waiting(process_heap(), first_class, 0)
    state = load_thread_state()
    if state > ENDED:
        empty_lists(ThreadCache(state), first_class)


def empty_larger_lists() -> bool:
    """Without the lock: of this thread and in the transfer cache only lists of small objects stay.

    The others would keep pages, and the break where it is. Whether any was not empty.
    """
    held = enter()
    before = figure(process_heap(), Figures.live_bytes)
    empty_own_lists(SMALL_CLASSES + ONE)
    any_given = figure(process_heap(), Figures.live_bytes) < before
    unlock_heap(process_heap(), held)
    return any_given


def empty_own_cache() -> None:
    """This thread keeps nothing, and nothing waits for others; under the lock."""
    empty_own_lists(ONE)
    age_caches(0)


def reclaim() -> bool:
    """Without the lock: what this thread keeps or waits for others goes to the heap. Whether anything did."""
    held = enter()
    before = figure(process_heap(), Figures.live_bytes)
    empty_own_cache()
    any_reclaimed = figure(process_heap(), Figures.live_bytes) < before
    leave(held, 0)
    return any_reclaimed


def age_caches(most: Word) -> None:
    """Caches that have waited for a thread so many times lose their objects; the others are one older."""
    cache = ThreadCache(waiting_cache)
    while cache != 0:
        waited = cache.waited
        if waited < most:
            cache.waited = waited + 1
        elif waited != EMPTY:
            empty_lists(cache, ONE)
            cache.waited = EMPTY
        cache = ThreadCache(cache.next_spare)


def give_up_cache() -> None:
    """This thread needs its cache no more: another one may have it. The next request would make one again."""
    global waiting_cache
    state = load_thread_state()
    if state == 0 or state == ENDED:
        return
    store_thread_word(thread_without_cache())
    store_thread_state(0)
    held = enter()
    cache = ThreadCache(state)
    empty_lists(cache, SMALL_CLASSES + ONE)
    cache.waited = 0
    cache.next_spare = waiting_cache
    waiting_cache = cache
    leave(held, 1)


# ---- Looking ----


def listed(entry: List) -> Word:
    """How many a list holds, as its entry says: another thread may be at it."""
    limit = entry.limit
    room = entry.room
    return limit - room if limit > room else 0


def count_cached() -> None:
    """Bring the figures of what lies in caches up to date."""
    count = waiting_blocks(process_heap())
    total = waiting_bytes(process_heap())
    cache = ThreadCache(newest_cache)
    while cache != 0:
        for size_class in range(1, ALL_CLASSES + 1):
            found = listed(cache.lists[size_class])
            count += found
            total += found * usable_in_class(size_class)
        cache = ThreadCache(cache.next_cache)
    set_figure(process_heap(), Figures.cached_bytes, total)
    set_figure(process_heap(), Figures.cached_blocks, count)


def is_list_sound(entry: List, size_class: Word) -> bool:
    """Whether a list of this thread is as long as its entry says, and holds what it should."""
    count = listed(entry)
    pointer = entry.first
    while pointer != 0 and count != 0:
        if has_objects(size_class):
            if kind_at(pointer) != size_class:
                return False
        elif (
            kind_at(pointer) != BLOCKS
            or not is_used(pointer)
            or size_of(pointer) != class_block_units(size_class)
        ):
            return False
        pointer = load_word(pointer)
        count -= 1
    return pointer == 0 and count == 0


def is_own_cache_sound() -> bool:
    """Whether this thread's cache holds what it should."""
    cache = ThreadCache(load_thread_state())
    if cache == 0 or cache == ENDED:
        return True
    for size_class in range(1, ALL_CLASSES + 1):
        entry = cache.lists[size_class]
        if not is_list_sound(entry, size_class):
            return False
    return True
