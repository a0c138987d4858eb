"""Owns what becomes of a request: which of the four places serves it, resizing, alignment, and errors."""

from __future__ import annotations

from ..machine import (
    ENOMEM,
    Byte,
    Word,
    clear_bytes,
    copy_bytes,
    fatal,
    fill_bytes,
    highest_bit,
    likely,
    load_half,
    load_thread_word,
    set_errno,
    unlikely,
)
from .block import SIZE_SHIFT, USED, is_used, size_of, tag_at, usable_bytes
from .cache import (
    allocate_block,
    dispose_block,
    dispose_object,
    enter,
    has_ring,
    leave,
    obtain_block,
    obtain_object,
    operations_for,
    take_medium,
)
from .figures import (
    COUNTING,
    EXACT_LIVE_BYTES,
    EXACT_PEAK_BYTES,
    FREE_CALLS,
    MALLOC_CALLS,
    REALLOC_CALLS,
    REFUSED_REQUESTS,
    figure,
    raise_figure,
    set_figure,
)
from .heap import allocate_aligned, allocate_cleared, grow_block, shrink_block
from .large import free_large, is_large, is_zeroed, large_bytes, map_large, resize_large
from .layout import (
    HEADER,
    LARGEST,
    LIST_UNITS,
    MEDIUM_UNITS,
    MOST_UNITS,
    ONE,
    SLAB_LIMIT,
    UNIT,
    UNIT_SHIFT,
    class_of,
    round_up,
    units_for,
)
from .options import fills_memory, have_options, is_hardened, mmap_threshold, read_options
from .pages import BLOCKS, FOREIGN, kind_at
from .purge import give_all_back
from .vet import NOT_IN_USE, NOT_OURS, vet

LISTED_LIMIT = LIST_UNITS * UNIT - UNIT - HEADER  # what a block in a cache's lists has room for, at most
LEAST_CUT = 4  # units; a block is not shrunk by less

HANDED_OUT: Byte = 0xA5  # with SNUG_FILL=1, bytes that the program has not written
FREED: Byte = 0x5A  # and bytes that it has freed


# ---- Counting, under SNUG_STATS=1 ----


def note_size(more: Word, less: Word) -> None:
    """What the program holds has changed."""
    live = figure(EXACT_LIVE_BYTES) + more - less
    set_figure(EXACT_LIVE_BYTES, live)
    if live > figure(EXACT_PEAK_BYTES):
        set_figure(EXACT_PEAK_BYTES, live)


def note(which: Word, more: Word, less: Word) -> None:
    """A call was made."""
    held = enter()
    raise_figure(which, 1)
    note_size(more, less)
    leave(held, 0)


# ---- Judging pointers ----


def usable(pointer: Word) -> Word:
    """The usable bytes of a block in use; whatever is no such block ends the process."""
    kind = kind_at(pointer)
    if kind == BLOCKS and pointer & (UNIT - 1) == 0:
        if not is_used(pointer):
            fatal(NOT_IN_USE, pointer, 0)
        return usable_bytes(size_of(pointer))
    if kind == FOREIGN and is_large(pointer):
        return large_bytes(pointer)
    if kind == FOREIGN or kind >= BLOCKS:
        fatal(NOT_OURS, pointer, 0)
    return kind << UNIT_SHIFT


def look_closely(pointer: Word) -> None:
    """In hardened mode: a pointer that comes back is a block in use, or this is the end."""
    if unlikely(is_hardened()):
        held = enter()
        vet(pointer)
        leave(held, 0)


# ---- Allocating ----


def refuse() -> Word:
    """NULL, because there is no memory to be had."""
    raise_figure(REFUSED_REQUESTS, 1)
    set_errno(ENOMEM)
    return 0


def obtain_large(size: Word, alignment: Word, cleared: bool) -> Word:
    """A block in a mapping of its own; or from the heap if that is refused even after free memory went back.

    With `cleared` it reads as zero. Or 0.
    """
    held = enter()
    pointer = map_large(size, alignment)
    if pointer == 0 and give_all_back(0):
        pointer = map_large(size, alignment)
    dirty = not is_zeroed()
    if pointer == 0 and units_for(size) + (alignment >> UNIT_SHIFT) <= MOST_UNITS:
        dirty = alignment > UNIT
        pointer = allocate_aligned(units_for(size), alignment) if dirty else allocate_cleared(units_for(size))
    leave(held, operations_for(units_for(size)))
    if pointer != 0 and cleared and dirty:
        clear_bytes(pointer, size)
    return pointer


def given(pointer: Word) -> Word:
    """The answer to a request for memory: `pointer`, or a refusal if it is 0."""
    if likely(pointer != 0 and figure(COUNTING) == 0):
        return pointer
    if pointer == 0:
        return refuse()
    note(MALLOC_CALLS, usable(pointer), 0)
    return pointer


def filled(pointer: Word) -> Word:
    """The answer to a request for memory that need not be zero; with SNUG_FILL=1 it is full of HANDED_OUT."""
    if unlikely(fills_memory()) and pointer != 0:
        fill_bytes(pointer, usable(pointer), HANDED_OUT)
    return pointer


def obtain_cached(cache: Word, size: Word) -> Word:
    """A block for more bytes than the lists have, for a thread with a cache; or 0."""
    units = units_for(size)
    return take_medium(cache, units) if units < MEDIUM_UNITS else allocate_block(units)


def obtain(size: Word) -> Word:
    """`size` bytes, or NULL with errno: any size, by whatever way is left when the fast one is not."""
    cache = load_thread_word()
    pointer: Word = 0
    if has_ring(cache) and size > LISTED_LIMIT and size < mmap_threshold():
        pointer = obtain_cached(cache, size)
        if likely(pointer != 0):
            return pointer
    if unlikely(not have_options()):
        read_options()
    if size <= SLAB_LIMIT:
        return filled(given(obtain_object(class_of(size))))
    if size > LARGEST:
        return refuse()
    if size < mmap_threshold():
        pointer = obtain_block(units_for(size))
    return filled(given(pointer if pointer != 0 else obtain_large(size, UNIT, False)))


def obtain_cleared(size: Word) -> Word:
    """`size` bytes that read as zero, or NULL with errno."""
    read_options()
    if size > LARGEST:
        return refuse()
    units = units_for(size)
    if size >= mmap_threshold():
        pointer = obtain_large(size, UNIT, True)
    elif units >= MEDIUM_UNITS:
        held = enter()
        pointer = allocate_cleared(units)
        leave(held, operations_for(units))
    else:
        pointer = obtain_object(class_of(size)) if size <= SLAB_LIMIT else obtain_block(units)
        if pointer != 0:
            clear_bytes(pointer, size)
    return given(pointer)


def obtain_aligned(alignment: Word, size: Word) -> Word:
    """`size` bytes at a multiple of `alignment`, a power of two; or NULL with errno."""
    if alignment <= UNIT:
        return obtain(size)
    if size > LARGEST or alignment > LARGEST:
        return refuse()
    rounded = round_up(size, alignment)
    if rounded <= SLAB_LIMIT and size != 0:
        return obtain(rounded)  # objects in a slab stand at multiples of their size
    read_options()
    pointer: Word = 0
    if size + alignment < mmap_threshold():
        held = enter()
        pointer = allocate_aligned(units_for(size) if size != 0 else ONE, alignment)
        leave(held, 1)
    if pointer == 0:
        pointer = obtain_large(size, alignment, False)
    return filled(given(pointer))


def is_power_of_two(number: Word) -> bool:
    """Whether `number` is one."""
    return number != 0 and number & (number - 1) == 0


def power_of_two(number: Word) -> Word:
    """The next power of two from `number` on, which is at most half of all addresses."""
    if number <= UNIT:
        return UNIT * ONE
    return ONE << (highest_bit(number - 1) + 1)


# ---- Freeing ----


def dispose_large(pointer: Word) -> None:
    """Free a block in a mapping of its own."""
    if not is_large(pointer):
        fatal(NOT_OURS, pointer, 0)
    held = enter()
    free_large(pointer)
    leave(held, 1)


def dispose(pointer: Word) -> None:
    """Free the block at `pointer`, by whatever way is left when the fast one is not."""
    if pointer == 0:
        return
    look_closely(pointer)
    kind = kind_at(pointer)
    if unlikely(fills_memory()) and kind != FOREIGN:
        fill_bytes(pointer, usable(pointer), FREED)
    if figure(COUNTING) != 0:
        note(FREE_CALLS, 0, usable(pointer))
    if kind == BLOCKS:
        tag = load_half(tag_at(pointer))
        if unlikely(pointer & (UNIT - 1) != 0 or tag & USED == 0):
            fatal(NOT_IN_USE, pointer, 0)
        dispose_block(pointer, tag >> SIZE_SHIFT)
    elif kind == FOREIGN:
        dispose_large(pointer)
    elif kind < BLOCKS:
        dispose_object(pointer, kind)
    else:
        fatal(NOT_IN_USE, pointer, 0)


# ---- Resizing ----


def resize_block(pointer: Word, size: Word) -> bool:
    """Give a block of the heap room for `size` bytes where it stands. Whether that went."""
    before = size_of(pointer)
    units = units_for(size)
    if units + LEAST_CUT > before and units <= before:
        return True
    done = True
    held = enter()
    if units < before:
        shrink_block(pointer, before, units)
    else:
        done = grow_block(pointer, before, units)
    leave(held, 1)
    return done


def move(pointer: Word, size: Word, before: Word) -> Word:
    """A new block of `size` bytes with what the old one held; or NULL, and the old one is as it was."""
    target = obtain(size)
    if target != 0:
        copy_bytes(target, pointer, before if before < size else size)
        dispose(pointer)
    return target


def resize_mapping(pointer: Word, size: Word) -> Word:
    """Give a large block `size` bytes; or 0, and it is as it was."""
    held = enter()
    moved = resize_large(pointer, size)
    leave(held, 1)
    return moved


def resize(pointer: Word, size: Word) -> Word:
    """The block at `pointer` with room for `size` bytes, neither of them 0; or NULL with errno."""
    if size > LARGEST:
        return refuse()
    look_closely(pointer)
    kind = kind_at(pointer)
    before = usable(pointer)
    moved: Word = 0
    if kind == FOREIGN:
        moved = resize_mapping(pointer, size)
        moved = pointer if moved == 0 and size <= before else moved
    elif (kind == BLOCKS and size < mmap_threshold() and resize_block(pointer, size)) or size <= before:
        moved = pointer
    if moved == 0:
        return move(pointer, size, before)
    if figure(COUNTING) != 0:
        note(REALLOC_CALLS, usable(moved), before)
    return moved
