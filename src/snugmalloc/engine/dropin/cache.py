"""Owns the thread caches: their lifetime, filling and emptying lists, entering and leaving a heap.

A thread's word points to its cache (`ThreadCache`), or initially to as many zeros: a cache of empty lists
without room, so the fast paths need no test for initialization. The thread's state is 0 at first, then the
cache, and after the thread's destructors ENDED: it frees and allocates on without a cache.

A cache has a home, the heap that serves its thread. Its lists can have blocks of any heap; a list that goes
back is divided among the owners.

The cache of a thread that has ended is kept for the next one, with its small objects: short-lived threads take
a sixth to a quarter less time (benchmarks/workloads/threads.c). If no thread comes for a while, they go back.
"""

from __future__ import annotations

from ..common.figures import figure, raise_figure, set_figure
from ..common.sizes import ONE
from ..machine import (
    Int,
    Word,
    clear_bytes,
    inline,
    likely,
    load_byte,
    load_thread_state,
    load_thread_word,
    load_word,
    store_thread_state,
    store_thread_word,
    store_word,
    thread_without_cache,
    trap,
    unlikely,
    watch_thread_end,
)
from .block import units_of
from .classes import (
    ALL_CLASSES,
    BLOCK_CLASSES,
    CLASSES,
    COUNTED_CLASSES,
    LISTED_LIMIT,
    MAX_LISTED_UNITS,
    SMALL_CLASSES,
    class_block_units,
    fill_tables,
    has_objects,
    object_bytes,
    usable_in_class,
)
from .control import Heap, lock_heap, process_heap, unlock_heap
from .figures import Figures
from .heap import allocate, allocate_run, free_block, set_aside
from .large import owner_of
from .layout import DEBUG, PAGE_BASE, PAGED, UNIT, UNIT_SHIFT, units_for
from .lists import (
    ENTRY_SHIFT,
    List,
    ThreadCache,
    empty_list,
    fill,
    is_cache_sound,
    listed,
    pop,
    push,
    raise_limit,
)
from .options import fills_memory, max_heaps, read_options, serve_and_more, thread_cache
from .outside import IN_MEMORY, has_order, look_at, own_command
from .pages import is_slab_kind, kind_at
from .publish import is_publishing, publish_figures
from .purge import is_time, is_use_falling, take_step
from .returns import has_returned, may_return, next_returned, return_list, returned_length, take_returned
from .ring import has_ring
from .sampling import takes_samples
from .series import follow_figures
from .shards import (
    CROWDED,
    TOTALS,
    VISITS,
    add_up,
    count_processors,
    heap_count,
    heap_number,
    join_heap,
    leave_heap,
    next_home,
    number_of,
)
from .slab import give_row, open_slab, take_objects
from .tracefile import is_recording
from .transfer import OLD, hand_over, is_time_to_age, next_waiting, take_over, waiting_blocks, waiting_bytes
from .walk import OK, check, total_figures

EMPTY = 1 << 32  # of a cache that waits: it has no objects
LONG_ENOUGH = 2  # times that lists grew old: then nobody wants the objects

ENDED = 1

BYTES_OF_OPERATION_SHIFT: Int = 14
PAGED_UNITS = PAGED >> 4  # blocks of so many units are not left to others, nor those with room for one word
CHECK_EVERY = 127  # of a checking build: one visit in 128


# ---- Into a heap, and out ----


def enter(heap: Heap) -> bool:
    """Take the heap's lock, which is held until `leave`, and collect what was returned to the heap."""
    held = lock_heap(heap)
    if unlikely(has_returned(heap)):
        collect(heap)
    return held


def look_outside() -> None:
    """Without a lock: check for commands from outside, for one of the next calls to execute."""
    look_at(own_command(), IN_MEMORY * ONE)
    if unlikely(has_order()):
        serve_and_more()


def look_after(heap: Heap) -> None:
    """Without a lock: periodic work, which purges memory that is not needed."""
    take_step(heap)
    if heap.is_private != 0:
        return
    if is_use_falling(heap) and empty_larger_lists():
        take_step(heap)
    if unlikely(is_publishing()):
        publish_figures(heap, number_of(heap))
    if unlikely(has_ring()):
        follow_figures()
    look_outside()
    held = lock_heap(heap)
    is_aging = is_time_to_age(heap)
    unlock_heap(heap, held)
    if is_aging:
        give_waiting(heap, ONE, OLD)
        age_caches(LONG_ENOUGH)


def check_sometimes(heap: Heap) -> None:
    """Check all invariants at intervals, in debug builds; under the lock."""
    heap.check_visits += 1
    if heap.check_visits & CHECK_EVERY == 0 and check(heap) != OK:
        trap()


def leave(heap: Heap, held: bool, operations: Word) -> None:
    """Release the heap's lock, after this many operations."""
    if DEBUG != 0:
        check_sometimes(heap)
    is_due = is_time(heap, operations)
    unlock_heap(heap, held)
    if unlikely(is_due):
        look_after(heap)


def operations_for(count: Word) -> Word:
    """How many operations a request of `size` bytes counts: one, and one for each 16 KiB."""
    return 1 + (count >> BYTES_OF_OPERATION_SHIFT)


# ---- The life of a cache ----


def new_cache() -> Word:
    """An unused cache, or 0."""
    heap = process_heap()
    held = enter(heap)
    cache = ThreadCache(process_heap().waiting_cache)
    if cache != 0:
        process_heap().waiting_cache = cache.next_spare
    else:
        cache = ThreadCache(set_aside(heap, units_for(ThreadCache.SIZE)))
        if cache != 0:
            if process_heap().newest_cache == 0:
                fill_tables(COUNTED_CLASSES if takes_samples() else CLASSES)
            clear_bytes(cache, ThreadCache.SIZE)
            cache.home = heap
            cache.next_cache = process_heap().newest_cache
            process_heap().newest_cache = cache
            raise_figure(heap, Figures.thread_caches, 1)
    if cache != 0:
        join_heap(Heap(cache.home))
    leave(heap, held, 1)
    return cache


def make_cache() -> Word:
    """Give this thread a cache if it has not had one and the options are known; or 0."""
    if load_thread_state() == ENDED or not read_options() or thread_cache() == 0:
        return 0
    if figure(process_heap(), Figures.thread_caches) != 0 and max_heaps() == 0:
        count_processors()
    cache = new_cache()
    if cache == 0:
        return 0
    store_thread_state(cache)
    if is_plain() and (takes_samples() or not is_recording()):
        store_thread_word(cache)
    watch_thread_end()
    return cache


def is_plain() -> bool:
    """Whether calls are neither counted nor memory filled, so that the lists suffice."""
    return figure(process_heap(), Figures.counting) == 0 and not fills_memory()


def use_own_lists() -> None:
    """After a recording: let the fast paths of this thread find its lists again."""
    state = load_thread_state()
    if state > ENDED and is_plain():
        store_thread_word(state)


# ---- This thread's lists, while its word leads to none because calls are recorded ----


@inline
def take_listed(size: Word) -> Word:
    """Take a block for a request from this thread's list for its size; or 0."""
    state = load_thread_state()
    if unlikely(size > LISTED_LIMIT or state <= ENDED or not is_plain()):
        return 0
    return pop(ThreadCache(state).lists[load_byte(CLASSES + ((size + UNIT - 1) >> UNIT_SHIFT))])


@inline
def keep_listed(pointer: Word, kind: Word) -> bool:
    """Put an object on a page of this kind into this thread's list. Returns False if none has room."""
    state = load_thread_state()
    if unlikely(state <= ENDED or not is_plain()):
        return False
    entry = List(state + (kind << ENTRY_SHIFT))
    if unlikely(entry.room == 0):
        return False
    push(entry, pointer)
    return True


@inline
def take_counted(size: Word) -> Word:
    """The same while sampling, when free's fast path finds the lists and malloc's does not."""
    if unlikely(size > LISTED_LIMIT):
        return 0
    size_class = load_byte(COUNTED_CLASSES + ((size + UNIT - 1) >> UNIT_SHIFT))
    return pop(List(load_thread_word() + (size_class << ENTRY_SHIFT)))


def own_cache() -> ThreadCache:
    """This thread's cache, or 0 if it has none and gets none."""
    state = load_thread_state()
    return ThreadCache(state if likely(state > ENDED) else make_cache())


def give_up_cache() -> None:
    """Release this thread's cache for another one. The next request makes a new one."""
    state = load_thread_state()
    if state == 0 or state == ENDED:
        return
    store_thread_word(thread_without_cache())
    store_thread_state(0)
    cache = ThreadCache(state)
    empty_lists(cache, SMALL_CLASSES + ONE)
    heap = process_heap()
    held = enter(heap)
    leave_heap(Heap(cache.home))
    cache.waited = 0
    cache.next_spare = process_heap().waiting_cache
    process_heap().waiting_cache = cache
    leave(heap, held, 1)


# ---- A thread's home ----


def consider_moving(cache: ThreadCache) -> None:
    """At intervals: check whether another heap should serve this thread."""
    cache.home = next_home(Heap(cache.home), cache.waits >= CROWDED)
    cache.visits = 0
    cache.waits = 0


def visit(heap: Heap) -> bool:
    """As `enter`, counting the waits of this thread for its own home."""
    cache = ThreadCache(load_thread_state())
    if cache <= ENDED:
        return enter(heap)
    cache.visits += 1
    if unlikely(cache.visits >= VISITS):
        consider_moving(cache)
    before = heap.waits
    held = enter(heap)
    if heap.waits != before and heap == cache.home:
        cache.waits += 1
    return held


def own_heap() -> Heap:
    """The heap that serves this thread."""
    cache = own_cache()
    return Heap(cache.home) if cache != 0 else process_heap()


# ---- Past the lists ----


def allocate_object(heap: Heap, size_class: Word) -> Word:
    """One object, or 0."""
    held = enter(heap)
    pointer, _taken = take_objects(heap, size_class, ONE, 0)
    leave(heap, held, 1)
    return pointer


def free_object(pointer: Word, size_class: Word) -> None:
    """Free one object."""
    heap = owner_of(pointer)
    if serves_others(heap) and may_return(heap, object_bytes(size_class)):
        store_word(pointer, 0)
        return_list(heap, pointer, ONE)
        return
    held = enter(heap)
    give_row(heap, pointer, pointer, 1, size_class)
    leave(heap, held, 1)


def allocate_block(heap: Heap, units: Word) -> Word:
    """One block, or 0."""
    held = visit(heap)
    block = allocate(heap, units)
    leave(heap, held, operations_for(units << UNIT_SHIFT))
    return block


def release_block(pointer: Word, units: Word) -> None:
    """Free one block of `size` units."""
    heap = owner_of(pointer)
    if units > 1 and units < PAGED_UNITS and serves_others(heap) and may_return(heap, units << UNIT_SHIFT):
        return_list(heap, pointer, 0)
        return
    held = visit(heap)
    free_block(heap, pointer, units)
    leave(heap, held, operations_for(units << UNIT_SHIFT))


def release(pointer: Word, size_class: Word) -> None:
    """Free an object or a block of the class, past the lists."""
    if has_objects(size_class):
        free_object(pointer, size_class)
    else:
        release_block(pointer, class_block_units(size_class))


# ---- Lists that go back ----


def give_own_objects(heap: Heap, chain: Word, size_class: Word) -> Word:
    """Return the first objects of a linked list to this heap's slabs, as long as they belong to it.

    Returns the rest, which begins with an object of another heap.
    """
    is_only = heap_count() == 1
    while chain != 0 and (is_only or owner_of(chain) == heap):
        slab = chain & PAGE_BASE
        last = chain
        count: Word = 1
        following = load_word(chain)
        while following & PAGE_BASE == slab:
            last = following
            following = load_word(following)
            count += 1
        give_row(heap, chain, last, count, size_class)
        chain = following
    return chain


def give_own_blocks(heap: Heap, chain: Word) -> Word:
    """The same for a list of blocks."""
    is_only = heap_count() == 1
    while chain != 0 and (is_only or owner_of(chain) == heap):
        following = load_word(chain)
        free_block(heap, chain, units_of(chain))
        chain = following
    return chain


def give_own(heap: Heap, chain: Word, size_class: Word) -> Word:
    """Under the heap's lock: return the first items of a list that belong to this heap. Returns the rest."""
    if has_objects(size_class):
        return give_own_objects(heap, chain, size_class)
    return give_own_blocks(heap, chain)


def count_list(chain: Word) -> Word:
    """The length of a linked list."""
    count: Word = 0
    while chain != 0:
        count += 1
        chain = load_word(chain)
    return count


def class_of_listed(pointer: Word) -> Word:
    """The class of an object or a block."""
    kind = kind_at(pointer)
    return kind if is_slab_kind(kind) else load_byte(BLOCK_CLASSES + units_of(pointer))


def collect_list(heap: Heap, chain: Word, count: Word) -> None:
    """Under the heap's lock: put a returned list into the transfer cache, or free what belongs to this heap."""
    size_class = class_of_listed(chain)
    if (count > 1 or not has_objects(size_class)) and hand_over(heap, chain, size_class, count):
        return
    rest = give_own(heap, chain, size_class)
    if rest != 0:
        return_list(owner_of(rest), rest, count_list(rest))


def collect(heap: Heap) -> None:
    """Under the heap's lock: collect what was returned to it."""
    chain = take_returned(heap)
    while chain != 0:
        below = next_returned(chain)
        count = returned_length(chain)
        if count != 0:
            collect_list(heap, chain, count)
        else:
            free_block(heap, chain, units_of(chain))
        chain = below


def give_list(chain: Word, size_class: Word) -> None:
    """Without a lock: return a linked list to the heaps that own its items."""
    while chain != 0:
        heap = owner_of(chain)
        held = enter(heap)
        chain = give_own(heap, chain, size_class)
        unlock_heap(heap, held)


# ---- Lists of this thread ----


def refill_objects(cache: ThreadCache, entry: List, size_class: Word) -> Word:
    """An object for a thread whose list of them is empty, and more for the list; or 0."""
    heap = Heap(cache.home)
    raise_limit(heap, entry, size_class)
    want = (entry.limit + 1) >> 1
    held = visit(heap)
    chain, count = take_over(heap, size_class)
    while count < want and (count == 0 or open_slab(heap, size_class) != 0):
        chain, taken = take_objects(heap, size_class, want - count, chain)
        count += taken
        if chain == 0:
            leave(heap, held, 1)
            return 0
    leave(heap, held, count)
    return fill(entry, chain, count)


def refill_blocks(cache: ThreadCache, entry: List, size_class: Word) -> Word:
    """A block for a thread whose list of them is empty, and more for the list; or 0."""
    heap = Heap(cache.home)
    raise_limit(heap, entry, size_class)
    held = visit(heap)
    chain, count = take_over(heap, size_class)
    if chain == 0:
        chain, count = allocate_run(heap, class_block_units(size_class), (entry.limit + 1) >> 1)
    if chain == 0:
        leave(heap, held, 1)
        return 0
    leave(heap, held, operations_for(count * usable_in_class(size_class)))
    return fill(entry, chain, count)


def serves_others(heap: Heap) -> bool:
    """Whether the heap serves other threads and not this one."""
    state = load_thread_state()
    is_own = state > ENDED and ThreadCache(state).home == heap
    return heap.threads != 0 and not is_own and state != ENDED


def pass_on(entry: List, size_class: Word) -> None:
    """Pass a full list to other threads or, if too many wait there already, back to slabs or heap.

    It waits in the heap of its first object, where the allocating thread may find it.
    """
    chain = entry.first
    count = entry.limit
    entry.first = 0
    entry.room = count
    heap = owner_of(chain)
    if serves_others(heap) and may_return(heap, count * usable_in_class(size_class)):
        return_list(heap, chain, count)
        return
    held = visit(heap)
    rest: Word = 0
    if not hand_over(heap, chain, size_class, count):
        rest = give_own(heap, chain, size_class)
    leave(heap, held, count)
    give_list(rest, size_class)


def keep(cache: ThreadCache, pointer: Word, size_class: Word) -> None:
    """Put a freed object or block into its list; a full list is enlarged or passed on."""
    entry = cache.lists[size_class]
    heap = Heap(cache.home)
    if entry.room == 0:
        if size_class > SMALL_CLASSES and is_use_falling(heap):
            release(pointer, size_class)
            return
        if not raise_limit(heap, entry, size_class):
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
        if has_objects(size_class):
            return allocate_object(process_heap(), size_class)
        return allocate_block(process_heap(), class_block_units(size_class))
    entry = cache.lists[size_class]
    pointer = pop(entry)
    if pointer != 0:
        return pointer
    if has_objects(size_class):
        return refill_objects(cache, entry, size_class)
    return refill_blocks(cache, entry, size_class)


def dispose_object(pointer: Word, size_class: Word) -> None:
    """Free an object of the class."""
    cache = own_cache()
    if cache != 0:
        keep(cache, pointer, size_class)
    else:
        free_object(pointer, size_class)


def dispose_block(pointer: Word, units: Word) -> None:
    """Free a block of `size` units."""
    size_class = load_byte(BLOCK_CLASSES + units) if units <= MAX_LISTED_UNITS else 0
    cache = own_cache() if size_class != 0 else ThreadCache(0)
    if cache != 0:
        keep(cache, pointer, size_class)
    else:
        release_block(pointer, units)


# ---- Emptying: all without a lock ----


def give_waiting(heap: Heap, first_class: Word, age: Word) -> bool:
    """Free the heap's waiting lists from this class on, of this age or more. Returns True if there were any."""
    any_given = False
    size_class = first_class
    while size_class <= ALL_CLASSES:
        held = lock_heap(heap)
        chain, size_class = next_waiting(heap, size_class, age)
        unlock_heap(heap, held)
        any_given = any_given or chain != 0
        give_list(chain, size_class)
    return any_given


def empty_lists(cache: ThreadCache, first_class: Word) -> bool:
    """Give back a cache's lists, from this class on, to slabs and heaps. Returns True if there were any."""
    any_given = False
    for size_class in range(first_class, ALL_CLASSES + 1):
        chain = empty_list(cache.lists[size_class])
        any_given = any_given or chain != 0
        give_list(chain, size_class)
    return any_given


def empty_own_lists(first_class: Word) -> bool:
    """Empty this thread's and the waiting lists of these classes. Returns True if there were any."""
    any_given = False
    state = load_thread_state()
    if state > ENDED:
        any_given = empty_lists(ThreadCache(state), first_class)
    for number in range(heap_count()):
        held = enter(heap_number(number))
        unlock_heap(heap_number(number), held)
    for number in range(heap_count()):
        any_given = give_waiting(heap_number(number), first_class, 0) or any_given
    return any_given


def empty_larger_lists() -> bool:
    """Empty this thread's and the waiting lists, except those of small objects. Returns True if there were any.

    They would keep pages, and the break.
    """
    return empty_own_lists(SMALL_CLASSES + ONE)


def reclaim() -> bool:
    """Free all that this thread caches, and all waiting lists. Returns True if there was any."""
    any_given = empty_own_lists(ONE)
    return age_caches(0) or any_given


def take_aged_list(maximum: Word) -> tuple[Word, Word]:
    """A list of a waiting cache of this age, and its class; or 0 if there is none.

    Under the lock of the process's heap.
    """
    cache = ThreadCache(process_heap().waiting_cache)
    while cache != 0:
        if cache.waited >= maximum and cache.waited != EMPTY:
            for size_class in range(1, ALL_CLASSES + 1):
                chain = empty_list(cache.lists[size_class])
                if chain != 0:
                    return chain, size_class
            cache.waited = EMPTY
        cache = ThreadCache(cache.next_spare)
    return 0, 0


def make_caches_older(maximum: Word) -> None:
    """Increment the age of waiting caches below this age.

    Under the lock of the process's heap.
    """
    cache = ThreadCache(process_heap().waiting_cache)
    while cache != 0:
        cache.waited += 1 if cache.waited < maximum else 0
        cache = ThreadCache(cache.next_spare)


def age_caches(maximum: Word) -> bool:
    """Empty the waiting caches of this age, and increment the age of the others.

    Returns True if any had objects.
    """
    any_given = False
    going = True
    while going:
        held = lock_heap(process_heap())
        chain, size_class = take_aged_list(maximum)
        going = chain != 0
        if not going:
            make_caches_older(maximum)
        unlock_heap(process_heap(), held)
        any_given = any_given or going
        give_list(chain, size_class)
    return any_given


# ---- Looking ----


def count_cached() -> None:
    """Update the figures of cached memory."""
    count: Word = 0
    total: Word = 0
    for number in range(heap_count()):
        count += waiting_blocks(heap_number(number))
        total += waiting_bytes(heap_number(number))
    cache = ThreadCache(process_heap().newest_cache)
    while cache != 0:
        for size_class in range(1, ALL_CLASSES + 1):
            found = listed(cache.lists[size_class])
            count += found
            total += found * usable_in_class(size_class)
        cache = ThreadCache(cache.next_cache)
    set_figure(process_heap(), Figures.cached_bytes, total)
    set_figure(process_heap(), Figures.cached_blocks, count)


def total_all() -> None:
    """Update the sums of all heaps' figures, including those computed on request.

    Cached memory does not count as in use. Under the lock of the process's heap.
    """
    count_cached()
    total_figures(process_heap())
    for number in range(1, heap_count()):
        heap = heap_number(number)
        held = enter(heap)
        total_figures(heap)
        unlock_heap(heap, held)
    add_up()
    lower_total(Figures.live_bytes, figure(process_heap(), Figures.cached_bytes))
    lower_total(Figures.live_blocks, figure(process_heap(), Figures.cached_blocks))


def lower_total(which: Word, by: Word) -> None:
    """Subtract from a sum."""
    store_word(TOTALS + which, load_word(TOTALS + which) - by)


def is_own_cache_sound() -> bool:
    """Whether this thread's cache is valid."""
    state = load_thread_state()
    return state <= ENDED or is_cache_sound(ThreadCache(state))
