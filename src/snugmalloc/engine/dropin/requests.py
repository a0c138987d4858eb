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
    fork_generation,
    highest_bit,
    libc_calloc,
    libc_free,
    libc_malloc,
    libc_memalign,
    libc_realloc,
    libc_usable_size,
    likely,
    load_half,
    page_size,
    set_errno,
    start_helper,
    unlikely,
)
from .block import SIZE_SHIFT, USED, is_used, payload_bytes, size_of, tag_at
from .cache import (
    allocate_block,
    dispose_block,
    dispose_object,
    enter,
    leave,
    obtain_listed,
    operations_for,
    reclaim,
)
from .classes import LISTED_LIMIT, SLAB_LIMIT, block_units, class_of, object_bytes
from .clear import clear_block
from .control import process_heap
from .figures import Figures, OwnFigures, figure, raise_figure, set_figure
from .heap import allocate_aligned, free_block, grow_block, shrink_block
from .large import (
    clear_large,
    free_large,
    is_mapped_block,
    is_short_of_mappings,
    length_of,
    map_large,
    resize_large,
    unmap_spares,
)
from .layout import (
    IN_PAGE,
    LARGEST,
    MIB,
    MOST_UNITS,
    ONE,
    PAGE_UNITS,
    PAGED,
    UNIT,
    UNIT_SHIFT,
    round_up,
    units_for,
)
from .marks import mark_cleared
from .options import fills_memory, hands_over, is_hardened, is_serving, mmap_threshold, wants_helper
from .pages import BLOCKS, FOREIGN, MAPPING, SPARE, is_heap_kind, is_slab_kind, kind_at
from .refusals import count_refusal, note_reason
from .segments import top_bytes, trim
from .slab import give_row
from .vet import NOT_IN_USE, NOT_OURS, vet

CLEARED_LIMIT = 8192  # calloc takes more from the heap, where fresh pages need no writing
LEAST_CUT = 4  # units; a block is not shrunk by less
WORTH_HELPER = 4 * MIB

HANDED_OUT: Byte = 0xA5  # with SNUG_FILL=1, bytes that the program has not written
FREED: Byte = 0x5A  # and bytes that it has freed

helper_process: Word = (
    0  # the process that has a helper thread, as the number of forks before it and one; 0: none
)


# ---- Counting, under SNUG_STATS=1 ----


def note_size(more: Word, less: Word) -> None:
    """What the program holds has changed."""
    live = figure(process_heap(), OwnFigures.exact_live_bytes) + more - less
    set_figure(process_heap(), OwnFigures.exact_live_bytes, live)
    if live > figure(process_heap(), OwnFigures.exact_peak_bytes):
        set_figure(process_heap(), OwnFigures.exact_peak_bytes, live)


def note(which: Word, more: Word, less: Word) -> None:
    """A call was made."""
    held = enter()
    raise_figure(process_heap(), which, 1)
    note_size(more, less)
    leave(held, 0)


# ---- Judging pointers ----


def usable(pointer: Word) -> Word:
    """The usable bytes of a block in use; whatever is no such block ends the process."""
    kind = kind_at(pointer)
    if kind == BLOCKS and pointer & (UNIT - 1) == 0:
        if not is_used(pointer):
            fatal(NOT_IN_USE, pointer, 0)
        return payload_bytes(pointer, size_of(pointer))
    if is_slab_kind(kind):
        return object_bytes(kind)
    if is_mapped_block(pointer):
        return length_of(pointer)
    if not hands_over():
        fatal(NOT_OURS, pointer, 0)
    return libc_usable_size(pointer)


def look_closely(pointer: Word) -> None:
    """In hardened mode: a pointer that comes back is a block in use, or this is the end."""
    if unlikely(is_hardened()):
        held = enter()
        vet(process_heap(), pointer)
        leave(held, 0)


# ---- Allocating ----


def refuse() -> Word:
    """NULL, because there is no memory to be had."""
    count_refusal()
    set_errno(ENOMEM)
    return 0


def refuse_size() -> Word:
    """NULL, because nobody could have so much."""
    note_reason(Figures.refused_size)
    return refuse()


def given(pointer: Word) -> Word:
    """The answer to a request for memory: `pointer`, or a refusal if it is 0."""
    if likely(pointer != 0 and figure(process_heap(), Figures.counting) == 0):
        return pointer
    if pointer == 0:
        return refuse()
    note(Figures.malloc_calls, usable(pointer), 0)
    return pointer


def filled(pointer: Word) -> Word:
    """The answer to a request for memory that need not be zero; with SNUG_FILL=1 it is full of HANDED_OUT."""
    if unlikely(fills_memory()) and pointer != 0:
        fill_bytes(pointer, usable(pointer), HANDED_OUT)
    return pointer


def in_heap(size: Word, alignment: Word, cleared: bool) -> Word:
    """A block of the heap at a multiple of `alignment`; from PAGED bytes on one of whole pages. Or 0."""
    units = block_units(size)
    if size >= PAGED:
        units = round_up(size, page_size()) >> UNIT_SHIFT
        alignment = page_size() if alignment < page_size() else alignment
    if units + (alignment >> UNIT_SHIFT) > MOST_UNITS:
        return 0
    held = enter()
    block = allocate_aligned(process_heap(), units, alignment, cleared)
    leave(held, operations_for(size))
    if block != 0 and cleared:
        clear_block(block, units)
        held = enter()
        mark_cleared(block, units)
        leave(held, 0)
    return block


def in_mapping(size: Word, alignment: Word, cleared: bool) -> Word:
    """A block in a mapping of its own at a multiple of `alignment`. Or 0."""
    mapping = map_large(process_heap(), size, alignment)
    if mapping == 0:
        return 0
    held = enter()
    leave(held, operations_for(size))
    if cleared:
        clear_large(mapping)
    return mapping


def anywhere(size: Word, alignment: Word, cleared: bool) -> Word:
    """A block in the heap or, from the threshold on, in a mapping; in the other if that is refused. Or 0."""
    if size >= mmap_threshold() and not is_short_of_mappings(process_heap()):
        mapping = in_mapping(size, alignment, cleared)
        return mapping if mapping != 0 else in_heap(size, alignment, cleared)
    block = in_heap(size, alignment, cleared)
    return block if block != 0 else in_mapping(size, alignment, cleared)


def make_room(size: Word) -> bool:
    """The system or the limit refused memory: what is cached, spare or free below the break goes back.

    Whether there was anything; then it is worth trying again.
    """
    any_found = reclaim()
    any_found = unmap_spares(process_heap()) or any_found
    held = enter()
    trimmed = (
        trim(process_heap(), 0) if size >= mmap_threshold() and top_bytes(process_heap(), 0) >= size else 0
    )
    leave(held, 0)
    return any_found or trimmed != 0


def by_size(size: Word) -> Word:
    """`size` bytes by the way that is for so many, or by any other; or 0."""
    pointer: Word = 0
    if size <= LISTED_LIMIT:
        pointer = obtain_listed(class_of(size))
    elif size < PAGED and size < mmap_threshold():
        pointer = allocate_block(units_for(size))
    return pointer if pointer != 0 else anywhere(size, UNIT, False)


def start_helper_once() -> None:
    """Without the lock, before a request is served: start the helper thread of this process, if it has none."""
    global helper_process
    helper_process = fork_generation() + 1  # first: to start a thread calls malloc
    start_helper()


def is_helper_due() -> bool:
    """Whether this process has no helper thread yet, and memory that is worth one."""
    return (
        helper_process != fork_generation() + 1 and figure(process_heap(), Figures.system_bytes) >= WORTH_HELPER
    )


def obtain(size: Word) -> Word:
    """`size` bytes, or NULL with errno: any size, by whatever way is left when the fast one is not."""
    if unlikely(wants_helper()) and is_helper_due():
        start_helper_once()
    if unlikely(not is_serving()) and hands_over():
        return libc_malloc(size)
    if size > LARGEST:
        return refuse_size()
    pointer = by_size(size)
    if unlikely(pointer == 0) and make_room(size):
        pointer = by_size(size)
    return filled(given(pointer))


def cleared_by_size(size: Word) -> Word:
    """`size` bytes that read as zero, and so do all that are usable; or 0."""
    if size > CLEARED_LIMIT:
        return anywhere(size, UNIT, True)
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
    pointer = anywhere(size, alignment, False)
    if unlikely(pointer == 0) and make_room(size):
        pointer = anywhere(size, alignment, False)
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
    held = enter()
    length = length_of(pointer) if is_mapped_block(pointer) else 0
    if not free_large(process_heap(), pointer):
        fatal(NOT_OURS, pointer, 0)
    leave(held, operations_for(length))


def dispose_vetted(pointer: Word) -> None:
    """In hardened mode, without thread caches: judge the pointer and free what it points at, in one step."""
    held = enter()
    vet(process_heap(), pointer)
    if fills_memory():
        fill_bytes(pointer, usable(pointer), FREED)
    kind = kind_at(pointer)
    length = usable(pointer)
    if kind == BLOCKS:
        free_block(process_heap(), pointer, size_of(pointer))
    elif kind == MAPPING:
        free_large(process_heap(), pointer)
    else:
        give_row(process_heap(), pointer, pointer, 1, kind)
    leave(held, operations_for(length))


def dispose(pointer: Word) -> None:
    """Free the block at `pointer`, by whatever way is left when the fast one is not."""
    if pointer == 0:
        return
    if figure(process_heap(), Figures.counting) != 0:
        note(Figures.free_calls, 0, usable(pointer))
    if unlikely(is_hardened()):
        dispose_vetted(pointer)
        return
    kind = kind_at(pointer)
    if unlikely(fills_memory()):
        fill_bytes(pointer, usable(pointer), FREED)
    if kind == BLOCKS:
        tag = load_half(tag_at(pointer))
        if unlikely(pointer & (UNIT - 1) != 0 or tag & USED == 0):
            fatal(NOT_IN_USE, pointer, 0)
        dispose_block(pointer, tag >> SIZE_SHIFT)
    elif is_slab_kind(kind):
        dispose_object(pointer, kind)
    elif kind == FOREIGN and hands_over():
        libc_free(pointer)
    elif not is_heap_kind(kind) and kind != SPARE:
        dispose_large(pointer)
    else:
        fatal(NOT_IN_USE, pointer, 0)


# ---- Resizing ----


def units_to_resize(pointer: Word, before: Word, size: Word) -> Word:
    """The units that a block of `before` units shall have for `size` bytes: one of whole pages stays one."""
    if pointer & IN_PAGE == 0 and before & (PAGE_UNITS - 1) == 0 and size >= PAGED:
        return round_up(size, page_size()) >> UNIT_SHIFT
    return block_units(size)


def resize_block(pointer: Word, size: Word) -> bool:
    """Give a block of the heap room for `size` bytes where it stands. Returns True on success."""
    before = size_of(pointer)
    units = units_to_resize(pointer, before, size)
    if units + LEAST_CUT > before and units <= before:
        return True
    done = True
    held = enter()
    if units < before:
        shrink_block(process_heap(), pointer, before, units)
    else:
        done = grow_block(process_heap(), pointer, before, units)
    leave(held, operations_for((before - units) << UNIT_SHIFT if units < before else 0))
    return done


def move(pointer: Word, size: Word, before: Word) -> Word:
    """A new block of `size` bytes with what the old one held; or NULL, and the old one is as it was."""
    target = obtain(size)
    if target != 0:
        copy_bytes(target, pointer, before if before < size else size)
        dispose(pointer)
    return target


def resize(pointer: Word, size: Word) -> Word:
    """The block at `pointer` with room for `size` bytes, neither of them 0; or NULL with errno."""
    kind = kind_at(pointer)
    if unlikely(kind == FOREIGN) and hands_over():
        return libc_realloc(pointer, size)
    if size > LARGEST:
        return refuse_size()
    look_closely(pointer)
    before = usable(pointer)
    moved: Word = 0
    if kind == MAPPING:
        moved = resize_large(process_heap(), pointer, size)
        moved = pointer if moved == 0 and size <= before else moved
    elif (kind == BLOCKS and size < mmap_threshold() and resize_block(pointer, size)) or size <= before:
        moved = pointer
    if moved == 0:
        return move(pointer, size, before)
    if figure(process_heap(), Figures.counting) != 0:
        note(Figures.realloc_calls, usable(moved), before)
    return moved
