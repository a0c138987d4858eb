"""Owns the threads' caches: what a thread freed and takes again without a lock.

A thread's word points to its cache, or at first to 2 KiB of zeros: a cache in which nothing is found and
nothing fits, so the fast paths need no test for set-up. The thread's state is 0 at first, then the cache, and
after the thread's destructors ENDED: it frees and allocates on without a cache.

    0       lists of objects, at 16 times their units: 16 times the kind of their pages
    592     lists of blocks of up to 63 units, at 16 times the units from here; the first stay empty, for no
            block of so few units is cached, and the kinds of other pages lead there
    1036    whose turn it is in the ring
    1616    one block for each range of sizes from 64 to 543 units: its address << 12 and its units, in a word
    2008    the next of all caches
    2016    the next of the caches that wait for a thread
    2024    the units of all those single blocks
    2032    how long it has waited for a thread
    2048    the ring: four freed blocks that wait for a moment

An entry of a list:

    0              8                    12                   16
    +--------------+--------------------+--------------------+
    | first        | room: how many     | limit: how many    |
    |              | more it takes      | the list may hold  |
    +--------------+--------------------+--------------------+

In a large heap a freed block waits in the ring until four more have come: its size stands in its tag, which
is rarely in the processor's cache, and is asked for early (random sizes take a tenth less time, as measured
with benchmarks/workloads/sizes.c). Long blocks do not wait: the ring holds 34 KiB at most, and that goes back
before the heap grows.

A list's limit begins small and doubles whenever it runs empty or full, up to `thread_cache` bytes: a program
that needs little keeps little.

The cache of a thread that has ended waits for the next one, and its objects with it: threads that live
for a moment take a sixth to a quarter less time (benchmarks/workloads/threads.c). If no thread comes for a
while, they go back.
"""

from __future__ import annotations

from ..machine import (
    Int,
    Word,
    clear_bytes,
    likely,
    load_half,
    load_thread_state,
    load_word,
    lock,
    prefetch,
    store_half,
    store_thread_state,
    store_thread_word,
    store_word,
    thread_without_cache,
    trap,
    unlikely,
    unlock,
    watch_thread_end,
)
from .bins import bin_of, find
from .block import expect_merge, is_used, payload_bytes, size_of, usable_bytes
from .coalesce import wilderness
from .figures import (
    CACHED_BLOCKS,
    CACHED_BYTES,
    COUNTING,
    HEAP_BYTES,
    LIVE_BYTES,
    THREAD_CACHES,
    figure,
    raise_figure,
    set_figure,
)
from .heap import allocate_run, at_the_end, free_block, hand_out, run_length, set_aside
from .layout import DEBUG, HEADER, LIST_UNITS, MEDIUM_UNITS, ONE, SLAB_CLASSES, UNIT_SHIFT, units_for
from .options import fills_memory, read_options, thread_cache
from .pages import BLOCKS, kind_at
from .purge import is_time, take_step
from .slab import give_row, how_many_taken, open_slab, take_objects
from .transfer import (
    age_lists,
    give_list,
    grow_old,
    hand_over,
    how_many_transferred,
    take_over,
    waiting_blocks,
    waiting_bytes,
)
from .walk import OK, check

ENTRY_SHIFT = 4
ROOM = 8
LIST_LIMIT = 12
BLOCK_LISTS = 592
FIRST_LIST_UNITS = SLAB_CLASSES + 1
MEDIUM = 1616
MEDIUM_BINS = 49
NEXT_CACHE = 2008
NEXT_SPARE = 2016
REMEMBERED = 2024
ADDRESS_SHIFT: Int = 12
UNITS_BITS = 4095
WAITED = 2032
EMPTY = 1 << 32  # of a cache that waits: it has no objects
LONG_ENOUGH = 2  # times that lists grew old: then nobody wants the objects
TURN = BLOCK_LISTS + 27 * 16 + LIST_LIMIT  # in a cache that is always empty it reads as zero, too
RING = 2048
RING_END = 2080
CACHE_BYTES = 2080

ENDED = 1

FIRST_OBJECTS = 32  # the limit that a list begins with,
FIRST_BLOCKS = 4
MANY_THREADS = 64  # or one where more threads have caches
MOST_LISTED = 255
LEAST_REMEMBERED = 1024  # units of single blocks that a thread may keep: 16 KiB,
REMEMBERED_SHIFT: Int = 10  # and a 64th of the heap
MOST_IN_RUN = 8
UNITS_OF_OPERATION_SHIFT: Int = 10
CHECK_EVERY = 127  # of a checking build: one visit in 128

newest_cache: Word = 0
waiting_cache: Word = 0
visits: Word = 0


# ---- Entering the heap ----


def enter() -> bool:
    """The heap is ours until `leave`."""
    return lock()


def look_after() -> None:
    """Without the lock: what is done now and then. Memory that nobody needs goes back."""
    take_step()
    held = enter()
    if age_lists():
        age_caches(LONG_ENOUGH)
    unlock(held)


def check_sometimes() -> None:
    """Builds that check everything do it here, every so many visits; under the lock."""
    global visits
    visits += 1
    if visits & CHECK_EVERY == 0 and check() != OK:
        trap()


def leave(held: bool, operations: Word) -> None:
    """The heap is others' again, and so many operations were done."""
    if DEBUG != 0:
        check_sometimes()
    is_due = is_time(operations)
    unlock(held)
    if unlikely(is_due):
        look_after()


def operations_for(units: Word) -> Word:
    """What a request for so many units counts: one operation, and one for each 16 KiB."""
    return 1 + (units >> UNITS_OF_OPERATION_SHIFT)


# ---- Caches ----


def object_list(cache: Word, units: Word) -> Word:
    """The entry for objects of so many units, 1 to 32."""
    return cache + (units << ENTRY_SHIFT)


def block_list(cache: Word, units: Word) -> Word:
    """The entry for blocks of so many units, 33 to 63."""
    return cache + BLOCK_LISTS + (units << ENTRY_SHIFT)


def medium_place(cache: Word, units: Word) -> Word:
    """Where the one block of a range of sizes is remembered; `units` are 64 to 543."""
    return cache + MEDIUM + (bin_of(units) - LIST_UNITS) * 8


def new_cache() -> Word:
    """A cache that no thread has, all zero, or 0."""
    global newest_cache, waiting_cache
    held = enter()
    cache = waiting_cache
    if cache != 0:
        waiting_cache = load_word(cache + NEXT_SPARE)
    else:
        cache = set_aside(units_for(CACHE_BYTES))
        if cache != 0:
            clear_bytes(cache, CACHE_BYTES)
            store_half(cache + TURN, RING)
            store_word(cache + NEXT_CACHE, newest_cache)
            newest_cache = cache
            raise_figure(THREAD_CACHES, 1)
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
    if figure(COUNTING) == 0 and not fills_memory():
        store_thread_word(cache)
    watch_thread_end()
    return cache


def own_cache() -> Word:
    """This thread's cache, or 0 if it has none and gets none."""
    state = load_thread_state()
    return state if likely(state > ENDED) else make_cache()


# ---- The ring ----


def empty_ring(cache: Word) -> bool:
    """What waits goes back to the heap, which is ours. Whether anything did."""
    any_waited = False
    for place in range(cache + RING, cache + RING_END, 8):
        block = load_word(place)
        if block != 0:
            store_word(place, 0)
            free_block(block, size_of(block))
            any_waited = True
    return any_waited


def empty_own_ring() -> bool:
    """The same for this thread."""
    cache = load_thread_state()
    return cache > ENDED and empty_ring(cache)


def wait_in_ring(cache: Word, block: Word) -> Word:
    """A freed block takes its turn; the one that has waited longest, or 0 if none has."""
    turn = load_half(cache + TURN)
    prefetch(block - HEADER)
    place = cache + turn
    waited = load_word(place)
    store_word(place, block)
    turn += 8
    store_half(cache + TURN, turn if turn != RING_END else RING)
    return waited


def has_ring(cache: Word) -> bool:
    """Whether this is a thread's cache, and not the one that is always empty."""
    return load_half(cache + TURN) != 0


# ---- Without a cache ----


def allocate_object(units: Word) -> Word:
    """One object, or 0."""
    held = enter()
    pointer = take_objects(units, ONE)
    leave(held, 1)
    return pointer


def free_object(pointer: Word, units: Word) -> None:
    """Free one object."""
    held = enter()
    give_row(pointer, pointer, 1, units)
    leave(held, 1)


def allocate_block(units: Word) -> Word:
    """One block, or 0."""
    held = enter()
    block = find(units)
    if block == 0 and wilderness() < units and empty_own_ring():
        block = find(units)
    pointer = hand_out(block if block != 0 else at_the_end(units), units)
    leave(held, operations_for(units))
    return pointer


def release_block(pointer: Word, units: Word) -> None:
    """Free one block of so many units."""
    held = enter()
    free_block(pointer, units)
    leave(held, operations_for(units))


# ---- Lists ----


def pop(entry: Word) -> Word:
    """The first of a list, or 0."""
    first = load_word(entry)
    if first != 0:
        store_word(entry, load_word(first))
        store_half(entry + ROOM, load_half(entry + ROOM) + 1)
    return first


def push(entry: Word, pointer: Word) -> None:
    """Put into a list that has room."""
    store_word(pointer, load_word(entry))
    store_word(entry, pointer)
    store_half(entry + ROOM, load_half(entry + ROOM) - 1)


def first_limit(units: Word) -> Word:
    """The limit that a list begins with: with very many threads most of them need little."""
    if figure(THREAD_CACHES) > MANY_THREADS:
        return ONE
    return FIRST_OBJECTS * ONE if units <= SLAB_CLASSES else FIRST_BLOCKS * ONE


def raise_limit(entry: Word, units: Word) -> bool:
    """Let a list of so many units grow, from its first limit to its most. Whether it can hold more now."""
    before = load_half(entry + LIST_LIMIT)
    most = thread_cache() // (units << UNIT_SHIFT)
    most = MOST_LISTED if most > MOST_LISTED else most
    limit = before + before if before != 0 else first_limit(units)
    limit = most if limit > most else limit
    if limit <= before:
        return False
    store_half(entry + LIST_LIMIT, limit)
    store_half(entry + ROOM, load_half(entry + ROOM) + limit - before)
    return True


def fill(entry: Word, chain: Word, count: Word) -> Word:
    """Put a linked list into an empty entry, all but the first, which is the answer."""
    room = load_half(entry + ROOM) + 1
    if room < count:
        store_half(entry + LIST_LIMIT, load_half(entry + LIST_LIMIT) + count - room)
        room = count
    store_word(entry, load_word(chain))
    store_half(entry + ROOM, room - count)
    return chain


def join(chain: Word, more: Word) -> Word:
    """One linked list of two, the second in front."""
    last = more
    while load_word(last) != 0:
        last = load_word(last)
    store_word(last, chain)
    return more


def refill_objects(entry: Word, units: Word) -> Word:
    """An object for a thread whose list of them is empty, and more for the list. Or 0."""
    raise_limit(entry, units)
    want = (load_half(entry + LIST_LIMIT) >> 1) + 1
    held = enter()
    chain = take_over(units)
    count = how_many_transferred()
    if chain == 0:
        chain = take_objects(units, want)
        count = how_many_taken()
    if chain == 0:
        leave(held, 1)
        return 0
    while count < want and open_slab(units) != 0:
        chain = join(chain, take_objects(units, want - count))
        count += how_many_taken()
    leave(held, count)
    return fill(entry, chain, count)


def refill_blocks(entry: Word, units: Word) -> Word:
    """A block for a thread whose list of them is empty, and more for the list. Or 0."""
    raise_limit(entry, units)
    want = (load_half(entry + LIST_LIMIT) >> 1) + 1
    held = enter()
    chain = take_over(units)
    count = how_many_transferred()
    if chain == 0:
        chain = allocate_run(units, MOST_IN_RUN if want > MOST_IN_RUN else want)
        count = run_length()
    leave(held, 1)
    if chain == 0:
        return 0
    return fill(entry, chain, count)


def pass_on(entry: Word, units: Word) -> None:
    """A full list goes to other threads or, if too many wait there already, back to the heap."""
    chain = load_word(entry)
    count = load_half(entry + LIST_LIMIT)
    store_word(entry, 0)
    store_half(entry + ROOM, count)
    held = enter()
    if not hand_over(chain, units, count):
        give_list(chain, units)
    leave(held, count)


def cache_object(entry: Word, pointer: Word, units: Word) -> None:
    """A freed object for a list without room: the list becomes longer, or another one begins."""
    if not raise_limit(entry, units):
        pass_on(entry, units)
    if load_half(entry + ROOM) != 0:
        push(entry, pointer)
    else:
        free_object(pointer, units)


def cache_block(entry: Word, pointer: Word, units: Word) -> None:
    """A freed block for a list without room: the list becomes longer, or another one begins."""
    if not raise_limit(entry, units):
        pass_on(entry, units)
    if load_half(entry + ROOM) != 0:
        push(entry, pointer)
    else:
        release_block(pointer, units)


# ---- Any small or medium block, through this thread's cache if it has one ----


def obtain_object(units: Word) -> Word:
    """An object of so many units, 1 to 32; or 0."""
    cache = own_cache()
    if cache == 0:
        return allocate_object(units)
    entry = object_list(cache, units)
    pointer = pop(entry)
    return pointer if pointer != 0 else refill_objects(entry, units)


def dispose_object(pointer: Word, units: Word) -> None:
    """Free an object of so many units."""
    cache = own_cache()
    if cache == 0:
        free_object(pointer, units)
        return
    entry = object_list(cache, units)
    if load_half(entry + ROOM) != 0:
        push(entry, pointer)
    else:
        cache_object(entry, pointer, units)


def obtain_listed(units: Word) -> Word:
    """A block of so many units, 33 to 63; or 0."""
    cache = own_cache()
    if cache == 0:
        return allocate_block(units)
    entry = block_list(cache, units)
    pointer = pop(entry)
    return pointer if pointer != 0 else refill_blocks(entry, units)


def take_remembered(cache: Word, units: Word) -> Word:
    """The block remembered for the range of `units`, 64 to 543, if it is large enough; or 0."""
    place = medium_place(cache, units)
    word = load_word(place)
    found = word & UNITS_BITS
    if found < units:
        return 0
    store_word(place, 0)
    store_word(cache + REMEMBERED, load_word(cache + REMEMBERED) - found)
    return word >> ADDRESS_SHIFT


def take_medium(cache: Word, units: Word) -> Word:
    """A block of at least so many units, 64 to 543; or 0."""
    pointer = take_remembered(cache, units)
    return pointer if pointer != 0 else allocate_block(units)


def obtain_medium(units: Word) -> Word:
    """The same, whether this thread has a cache or not."""
    cache = own_cache()
    return take_medium(cache, units) if cache != 0 else allocate_block(units)


def obtain_block(units: Word) -> Word:
    """A block of at least so many units; or 0."""
    if units < LIST_UNITS:
        return obtain_listed(units if units >= FIRST_LIST_UNITS else FIRST_LIST_UNITS)
    if units < MEDIUM_UNITS:
        return obtain_medium(units)
    own_cache()  # long blocks are never in it, but with one the way to the heap is shorter from now on
    return allocate_block(units)


def remember(cache: Word, pointer: Word, units: Word) -> None:
    """Remember a freed block of 64 to 543 units; the one before it goes back. A small heap remembers few."""
    place = medium_place(cache, units)
    before = load_word(place)
    before_units = before & UNITS_BITS
    remembered = load_word(cache + REMEMBERED) + units - before_units
    if remembered > LEAST_REMEMBERED + (figure(HEAP_BYTES) >> REMEMBERED_SHIFT):
        release_block(pointer, units)
        return
    expect_merge(pointer, units)
    store_word(place, pointer << ADDRESS_SHIFT | units)
    store_word(cache + REMEMBERED, remembered)
    if before_units != 0:
        release_block(before >> ADDRESS_SHIFT, before_units)


def dispose_block(pointer: Word, units: Word) -> None:
    """Free a block of so many units."""
    if units >= MEDIUM_UNITS or units < FIRST_LIST_UNITS:
        release_block(pointer, units)
        return
    cache = own_cache()
    if cache == 0:
        release_block(pointer, units)
    elif units >= LIST_UNITS:
        remember(cache, pointer, units)
    else:
        entry = block_list(cache, units)
        if load_half(entry + ROOM) != 0:
            push(entry, pointer)
        else:
            cache_block(entry, pointer, units)


# ---- Emptying ----


def empty_list(entry: Word) -> Word:
    """Take all that a list holds; its limit begins anew."""
    chain = load_word(entry)
    store_word(entry, 0)
    store_word(entry + ROOM, 0)
    return chain


def empty_of_objects(cache: Word) -> None:
    """The objects that a cache holds go back to their slabs; the heap is ours."""
    for units in range(1, SLAB_CLASSES + 1):
        give_list(empty_list(object_list(cache, units)), units)


def empty_of_blocks(cache: Word) -> None:
    """The blocks that a cache holds go back to the heap, which is ours."""
    for units in range(FIRST_LIST_UNITS, LIST_UNITS):
        give_list(empty_list(block_list(cache, units)), units)
    for number in range(MEDIUM_BINS):
        place = cache + MEDIUM + number * 8
        word = load_word(place)
        if word != 0:
            store_word(place, 0)
            free_block(word >> ADDRESS_SHIFT, word & UNITS_BITS)
    store_word(cache + REMEMBERED, 0)
    empty_ring(cache)


def empty_cache(cache: Word) -> None:
    """All that a cache holds goes back to the heap, which is ours."""
    empty_of_objects(cache)
    empty_of_blocks(cache)


def empty_own_cache() -> None:
    """This thread keeps nothing, and nothing waits for others; the heap is ours."""
    grow_old(0)
    age_caches(0)
    state = load_thread_state()
    if state != 0 and state != ENDED:
        empty_cache(state)


def reclaim() -> bool:
    """Without the lock: what this thread keeps or waits for others goes to the heap. Whether anything did."""
    held = enter()
    before = figure(LIVE_BYTES)
    empty_own_cache()
    any_reclaimed = figure(LIVE_BYTES) < before
    leave(held, 0)
    return any_reclaimed


def age_caches(most: Word) -> None:
    """Caches that have waited for a thread so many times lose their objects; the others are one older."""
    cache = waiting_cache
    while cache != 0:
        waited = load_word(cache + WAITED)
        if waited < most:
            store_word(cache + WAITED, waited + 1)
        elif waited != EMPTY:
            empty_of_objects(cache)
            store_word(cache + WAITED, EMPTY)
        cache = load_word(cache + NEXT_SPARE)


def give_up_cache() -> None:
    """This thread needs its cache no more: another one may have it. The next request would make one again."""
    global waiting_cache
    state = load_thread_state()
    if state == 0 or state == ENDED:
        return
    store_thread_word(thread_without_cache())
    store_thread_state(0)
    held = enter()
    empty_of_blocks(state)
    store_word(state + WAITED, 0)
    store_word(state + NEXT_SPARE, waiting_cache)
    waiting_cache = state
    leave(held, 1)


# ---- Looking ----


def listed(entry: Word) -> Word:
    """How many a list holds, as its entry says: another thread may be at it."""
    limit = load_half(entry + LIST_LIMIT)
    room = load_half(entry + ROOM)
    return limit - room if limit > room else 0


def count_cached() -> None:
    """Bring the figures of what lies in caches up to date."""
    count = waiting_blocks()
    total = waiting_bytes()
    cache = newest_cache
    while cache != 0:
        for units in range(1, SLAB_CLASSES + 1):
            found = listed(object_list(cache, units))
            count += found
            total += found * units << UNIT_SHIFT
        for units in range(FIRST_LIST_UNITS, LIST_UNITS):
            found = listed(block_list(cache, units))
            count += found
            total += found * usable_bytes(units)
        for number in range(MEDIUM_BINS):
            word = load_word(cache + MEDIUM + number * 8)
            if word != 0:
                count += 1
                total += payload_bytes(word >> ADDRESS_SHIFT, word & UNITS_BITS)
        for place in range(cache + RING, cache + RING_END, 8):
            block = load_word(place)
            if block != 0:
                count += 1
                total += payload_bytes(block, size_of(block))
        cache = load_word(cache + NEXT_CACHE)
    set_figure(CACHED_BYTES, total)
    set_figure(CACHED_BLOCKS, count)


def is_list_sound(entry: Word, is_object: bool, units: Word) -> bool:
    """Whether a list of this thread is as long as its entry says, and holds what it should."""
    count = listed(entry)
    pointer = load_word(entry)
    while pointer != 0 and count != 0:
        if is_object and kind_at(pointer) != units:
            return False
        if not is_object and (kind_at(pointer) != BLOCKS or not is_used(pointer) or size_of(pointer) != units):
            return False
        pointer = load_word(pointer)
        count -= 1
    return pointer == 0 and count == 0


def is_own_cache_sound() -> bool:
    """Whether this thread's cache holds what it should."""
    cache = load_thread_state()
    if cache == 0 or cache == ENDED:
        return True
    for units in range(1, SLAB_CLASSES + 1):
        if not is_list_sound(object_list(cache, units), True, units):
            return False
    for units in range(FIRST_LIST_UNITS, LIST_UNITS):
        if not is_list_sound(block_list(cache, units), False, units):
            return False
    for number in range(MEDIUM_BINS):
        place = cache + MEDIUM + number * 8
        word = load_word(place)
        units = word & UNITS_BITS
        if word != 0 and (size_of(word >> ADDRESS_SHIFT) != units or bin_of(units) - LIST_UNITS != number):
            return False
    for place in range(cache + RING, cache + RING_END, 8):
        block = load_word(place)
        if block != 0 and (kind_at(block) != BLOCKS or not is_used(block) or size_of(block) >= MEDIUM_UNITS):
            return False
    return True
