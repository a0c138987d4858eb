"""Owns requests to malloc beyond the fast path: choosing a place, resizing, alignment, and errors."""

from __future__ import annotations

from ..common.figures import figure, raise_figure, set_figure
from ..common.sizes import LARGEST, ONE, round_up
from ..machine import (
    ENOMEM,
    Word,
    clear_bytes,
    copy_bytes,
    fatal,
    fork_generation,
    highest_bit,
    inline,
    libc_calloc,
    libc_free,
    libc_malloc,
    libc_memalign,
    libc_realloc,
    likely,
    load_half,
    set_errno,
    start_helper,
    unlikely,
)
from .block import SIZE_SHIFT, USED, tag_at, units_of
from .cache import (
    allocate_block,
    dispose_block,
    dispose_object,
    enter,
    leave,
    obtain_listed,
    operations_for,
    own_heap,
    reclaim,
    release_block,
)
from .classes import LISTED_LIMIT, MAX_LISTED_UNITS, SLAB_LIMIT, class_of, object_bytes
from .control import process_heap
from .figures import Figures, OwnFigures
from .heap import free_block
from .large import free_large, is_mapped_block, owner_of, unmap_spares
from .layout import IN_PAGE, MIB, PAGE, PAGED, UNIT, units_for
from .options import hands_over, is_hardened, is_serving, mmap_threshold, wants_helper
from .pages import BLOCKS, FOREIGN, MAPPING, PRIVATE, SPARE, is_block_kind, is_heap_kind, is_slab_kind, kind_at
from .places import (
    CLEARED_LIMIT,
    anywhere,
    dispose_large,
    fill_freed,
    filled,
    lower_break_for,
    resize_in_place,
    usable,
)
from .private import is_of_private_heap, resize_private
from .recording import have_recorder
from .refusals import count_refusal, note_reason
from .rows import note_refusal, record_move
from .shards import heap_count, heap_number
from .slab import give_row
from .tracefile import is_recording
from .vet import NOT_IN_USE, vet

WORTH_HELPER = 4 * MIB

helper_process: Word = (
    0  # the process that has a helper thread, as the number of forks before it and one; 0: none
)


# ---- Counting, under SNUG_STATS=1 ----


def note_size(more: Word, less: Word) -> None:
    """Count a change of the program's live bytes."""
    live = figure(process_heap(), OwnFigures.exact_live_bytes) + more - less
    set_figure(process_heap(), OwnFigures.exact_live_bytes, live)
    if live > figure(process_heap(), OwnFigures.exact_peak_bytes):
        set_figure(process_heap(), OwnFigures.exact_peak_bytes, live)


def note(which: Word, more: Word, less: Word) -> None:
    """Count a call."""
    held = enter(process_heap())
    raise_figure(process_heap(), which, 1)
    note_size(more, less)
    leave(process_heap(), held, 0)


# ---- Judging pointers ----


def look_closely(pointer: Word) -> None:
    """In hardened mode: end the process unless the pointer is a block in use."""
    if unlikely(is_hardened()):
        heap = owner_of(pointer) if kind_at(pointer) != FOREIGN else process_heap()
        held = enter(heap)
        vet(heap, pointer)
        leave(heap, held, 0)


# ---- Allocating ----


def refuse() -> Word:
    """Refuse a request for lack of memory: NULL, with errno ENOMEM."""
    if unlikely(is_recording()):
        have_recorder()  # a thread that had no sample has none yet
        note_refusal()
    count_refusal(process_heap())
    set_errno(ENOMEM)
    return 0


def refuse_size() -> Word:
    """Refuse a request that exceeds PTRDIFF_MAX: NULL, with errno."""
    note_reason(Figures.refused_size)
    return refuse()


def given(pointer: Word) -> Word:
    """The result of a request for memory: `pointer`, or a refusal if it is 0."""
    if likely(pointer != 0 and figure(process_heap(), Figures.counting) == 0):
        return pointer
    if pointer == 0:
        return refuse()
    note(Figures.malloc_calls, usable(pointer), 0)
    return pointer


def make_room(size: Word) -> bool:
    """After a refusal by the system or the limit: give back what is cached, spare or free below the break.

    Returns True if there was anything, so that it is worth trying again.
    """
    any_found = reclaim()
    for number in range(heap_count()):
        any_found = unmap_spares(heap_number(number)) or any_found
    return lower_break_for(process_heap(), size) or any_found


def elsewhere(size: Word, alignment: Word, cleared: bool) -> Word:
    """The same from another heap, because the thread's own has no memory; or 0."""
    own = own_heap()
    for number in range(heap_count()):
        heap = heap_number(number)
        pointer = anywhere(heap, size, alignment, cleared) if heap != own else 0
        if pointer != 0:
            return pointer
    return 0


def by_size(size: Word) -> Word:
    """`size` bytes by the usual way for this size, or by any other; or 0."""
    pointer: Word = 0
    if size <= LISTED_LIMIT:
        pointer = obtain_listed(class_of(size))
    elif size < PAGED and size < mmap_threshold():
        pointer = allocate_block(own_heap(), units_for(size))
    return pointer if pointer != 0 else anywhere(own_heap(), size, UNIT, False)


def start_helper_once() -> None:
    """Without the lock, before a request is served: start the helper thread of this process, if it has none."""
    global helper_process
    helper_process = fork_generation() + 1  # first: to start a thread calls malloc
    start_helper()


def is_helper_due() -> bool:
    """Whether this process has no helper thread yet, and enough memory to need one."""
    return (
        helper_process != fork_generation() + 1 and figure(process_heap(), Figures.system_bytes) >= WORTH_HELPER
    )


def obtain(size: Word) -> Word:
    """`size` bytes, or NULL with errno: any size, after the fast path has failed."""
    if unlikely(not is_serving()) and hands_over():
        return libc_malloc(size)
    return serve(size)


def serve(size: Word) -> Word:
    """The same in a process that is on the heap."""
    if unlikely(wants_helper()) and is_helper_due():
        start_helper_once()
    if size > LARGEST:
        return refuse_size()
    pointer = by_size(size)
    if unlikely(pointer == 0) and make_room(size):
        pointer = by_size(size)
    if unlikely(pointer == 0):
        pointer = elsewhere(size, UNIT, False)
    return filled(given(pointer))


def cleared_by_size(size: Word) -> Word:
    """`size` bytes that read as zero, as do all usable bytes; or 0."""
    if size > CLEARED_LIMIT:
        return anywhere(own_heap(), size, UNIT, True)
    pointer = by_size(size)
    if pointer != 0:
        clear_bytes(pointer, usable(pointer))
    return pointer


def obtain_cleared(size: Word) -> Word:
    """`size` bytes that read as zero, or NULL with errno."""
    if unlikely(not is_serving()) and hands_over():
        return libc_calloc(ONE, size)
    if size > LARGEST:
        return refuse_size()
    pointer = cleared_by_size(size)
    if unlikely(pointer == 0) and make_room(size):
        pointer = cleared_by_size(size)
    if unlikely(pointer == 0):
        pointer = elsewhere(size, UNIT, True)
    return given(pointer)


def obtain_aligned(alignment: Word, size: Word) -> Word:
    """`size` bytes at a multiple of `alignment`, a power of two; or NULL with errno."""
    if alignment <= UNIT:
        return obtain(size)
    if unlikely(not is_serving()) and hands_over():
        return libc_memalign(alignment, size)
    if size > LARGEST or alignment > LARGEST:
        return refuse_size()
    rounded = round_up(size, alignment)
    if rounded <= SLAB_LIMIT and size != 0 and object_bytes(class_of(rounded)) & (alignment - 1) == 0:
        pointer = obtain(rounded)  # objects stand at multiples of their size in the page
        if likely(pointer & (alignment - 1) == 0):
            return pointer
        dispose(pointer)  # there was no page for a slab
    pointer = anywhere(own_heap(), size, alignment, False)
    if unlikely(pointer == 0) and make_room(size):
        pointer = anywhere(own_heap(), size, alignment, False)
    if unlikely(pointer == 0):
        pointer = elsewhere(size, alignment, False)
    return filled(given(pointer))


def is_power_of_two(number: Word) -> bool:
    """Whether `number` is a power of two."""
    return number != 0 and number & (number - 1) == 0


def power_of_two(number: Word) -> Word:
    """The next power of two from `number` on, which is at most half of all addresses."""
    if number <= UNIT:
        return UNIT * ONE
    return ONE << (highest_bit(number - 1) + 1)


# ---- Freeing ----


def dispose_vetted(pointer: Word) -> None:
    """In hardened mode, without thread caches: check the pointer and free the block, under one lock."""
    heap = owner_of(pointer) if kind_at(pointer) != FOREIGN else process_heap()
    held = enter(heap)
    vet(heap, pointer)
    fill_freed(pointer)
    kind = kind_at(pointer)
    length = usable(pointer)
    if is_block_kind(kind):
        free_block(heap, pointer, units_of(pointer))
    elif kind == MAPPING:
        free_large(heap, pointer)
    else:
        give_row(heap, pointer, pointer, 1, kind)
    leave(heap, held, operations_for(length))


@inline
def dispose_tagged(pointer: Word, past_lists: bool) -> None:
    """Free a block of a heap, by its tag."""
    tag = load_half(tag_at(pointer))
    if unlikely(pointer & (UNIT - 1) != 0 or tag & USED == 0):
        fatal(NOT_IN_USE, pointer, 0)
    if past_lists:
        release_block(pointer, tag >> SIZE_SHIFT)
    else:
        dispose_block(pointer, tag >> SIZE_SHIFT)


@inline
def count_free(pointer: Word) -> None:
    """Under SNUG_STATS=1: a block is about to be freed."""
    if figure(process_heap(), Figures.counting) != 0 and not is_of_private_heap(pointer):
        note(Figures.free_calls, 0, usable(pointer))


def dispose(pointer: Word) -> None:
    """Free the block at `pointer`, after the fast path has failed."""
    if pointer == 0:
        return
    count_free(pointer)
    if unlikely(is_hardened()):
        dispose_vetted(pointer)
        return
    kind = kind_at(pointer)
    fill_freed(pointer)
    if is_block_kind(kind):
        dispose_tagged(pointer, kind == PRIVATE)
    elif is_slab_kind(kind):
        dispose_object(pointer, kind)
    elif kind == FOREIGN and hands_over():
        libc_free(pointer)
    elif not is_heap_kind(kind) and kind != SPARE:
        dispose_large(pointer)
    else:
        fatal(NOT_IN_USE, pointer, 0)


# ---- Blocks apart: their frees always come past the fast path ----


def comes_back(pointer: Word) -> bool:
    """Whether the free of this block always misses the fast path."""
    kind = kind_at(pointer)
    if pointer & IN_PAGE == 0:
        return kind == BLOCKS or is_mapped_block(pointer)
    return kind == BLOCKS and pointer & (UNIT - 1) == 0 and units_of(pointer) > MAX_LISTED_UNITS


def obtain_apart(size: Word, cleared: bool) -> Word:
    """`size` bytes in a small block for which that is true, because it is page-aligned; or 0.

    It does not give memory back to make room: any other place will do.
    """
    pointer = anywhere(own_heap(), size, PAGE * ONE, cleared)
    if pointer == 0:
        return 0
    return given(pointer) if cleared else filled(given(pointer))


def dispose_apart(pointer: Word) -> None:
    """Free such a block; a small one does not go into a list."""
    if is_hardened() or not is_block_kind(kind_at(pointer)):
        dispose(pointer)
        return
    count_free(pointer)
    fill_freed(pointer)
    dispose_tagged(pointer, True)


# ---- Resizing ----


def move(pointer: Word, size: Word, before: Word) -> Word:
    """Move to a new block of `size` bytes; or NULL, and the old one is unchanged."""
    target = obtain(size)
    if target != 0:
        copy_bytes(target, pointer, before if before < size else size)
        if unlikely(is_recording()):
            record_move(target)
        dispose(pointer)
    return target


def resize(pointer: Word, size: Word) -> Word:
    """The block at `pointer` with room for `size` bytes, neither of them 0; or NULL with errno."""
    kind = kind_at(pointer)
    if unlikely(kind == FOREIGN) and hands_over():
        return libc_realloc(pointer, size)
    look_closely(pointer)
    if is_of_private_heap(pointer):
        return resize_private(owner_of(pointer), pointer, size)
    if size > LARGEST:
        return refuse_size()
    before = usable(pointer)
    moved = resize_in_place(pointer, size, before)
    if moved == 0:
        return move(pointer, size, before)
    if figure(process_heap(), Figures.counting) != 0:
        note(Figures.realloc_calls, usable(moved), before)
    return moved
