"""Owns the exported functions, under their standard names and ours, and nothing else."""

from __future__ import annotations

from ..common.figures import raise_figure
from ..common.sizes import LARGEST, round_up
from ..machine import (
    EINVAL,
    ENOMEM,
    Int,
    Word,
    copy_bytes,
    is_thread_ending,
    libc_mallopt,
    libc_trim,
    page_size,
    product_overflows,
    set_errno,
    store_word,
)
from .cache import enter, give_up_cache, is_own_cache_sound, leave, look_after, reclaim, total_all
from .commands import give_all_now
from .control import Heap, process_heap
from .fast import allocate_cleared, allocate_fast, allocate_on, allocate_on_next, free_fast, reallocate
from .figures import PUBLISHED, Figures
from .heaps import destroy_heap, make_private_heap
from .layout import HEADER, UNIT
from .options import hands_over, read_options, set_mmap_threshold
from .places import usable
from .private import check_owner, obtain_private, refuse_private, resize_private
from .purge import give_all_back
from .recorded import answer_aligned, answer_product, know_orders, look_around
from .recording import end_recording, end_thread, note_private_heap
from .requests import dispose, is_power_of_two, look_closely
from .shards import TOTALS, heap_count, heap_number
from .stacks import code_to_keep
from .walk import BAD_CACHE, OK, check, total_figures, walk

M_MXFAST: Int = 1
M_MMAP_THRESHOLD: Int = -3
MAX_MXFAST: Int = 160
MAX_MMAP_THRESHOLD: Int = 32 << 20


# ---- The standard names ----


def malloc(size: Word) -> Word:
    """malloc(3)."""
    return allocate_fast(size)


def free(pointer: Word) -> None:
    """free(3)."""
    free_fast(pointer)


def calloc(count: Word, size: Word) -> Word:
    """calloc(3)."""
    return allocate_cleared(count, size)


def realloc(pointer: Word, size: Word) -> Word:
    """realloc(3)."""
    return reallocate(pointer, size)


def reallocarray(pointer: Word, count: Word, size: Word) -> Word:
    """reallocarray(3)."""
    return snug_reallocarray(pointer, count, size)


def aligned_alloc(alignment: Word, size: Word) -> Word:
    """aligned_alloc(3)."""
    return allocate_on(alignment, size)


def memalign(alignment: Word, size: Word) -> Word:
    """memalign(3)."""
    return allocate_on_next(alignment, size)


def posix_memalign(target: Word, alignment: Word, size: Word) -> Int:
    """posix_memalign(3)."""
    return snug_posix_memalign(target, alignment, size)


def valloc(size: Word) -> Word:
    """valloc(3)."""
    return snug_valloc(size)


def pvalloc(size: Word) -> Word:
    """pvalloc(3)."""
    return snug_pvalloc(size)


def malloc_usable_size(pointer: Word) -> Word:
    """malloc_usable_size(3)."""
    return snug_malloc_usable_size(pointer)


def cfree(pointer: Word) -> None:
    """cfree(3)."""
    free(pointer)


def free_sized(pointer: Word, size: Word) -> None:
    """free_sized of C23."""
    free(pointer)


def free_aligned_sized(pointer: Word, alignment: Word, size: Word) -> None:
    """free_aligned_sized of C23."""
    free(pointer)


def malloc_trim(pad: Word) -> Int:
    """malloc_trim(3)."""
    return snug_trim(pad)


def mallopt(parameter: Int, value: Int) -> Int:
    """mallopt(3)."""
    return snug_mallopt(parameter, value)


# ---- Our names: see snugmalloc.h ----


def snug_malloc(size: Word) -> Word:
    """As malloc."""
    return malloc(size)


def snug_free(pointer: Word) -> None:
    """As free."""
    free(pointer)


def snug_calloc(count: Word, size: Word) -> Word:
    """As calloc."""
    return allocate_cleared(count, size)


def snug_realloc(pointer: Word, size: Word) -> Word:
    """As realloc."""
    return reallocate(pointer, size)


def snug_reallocarray(pointer: Word, count: Word, size: Word) -> Word:
    """As reallocarray."""
    if product_overflows(count, size):
        return answer_product(pointer)
    return reallocate(pointer, count * size)


def snug_aligned_alloc(alignment: Word, size: Word) -> Word:
    """As aligned_alloc."""
    return allocate_on(alignment, size)


def snug_memalign(alignment: Word, size: Word) -> Word:
    """As memalign."""
    return allocate_on_next(alignment, size)


def snug_posix_memalign(target: Word, alignment: Word, size: Word) -> Int:
    """As posix_memalign."""
    if not is_power_of_two(alignment) or alignment < HEADER:
        return EINVAL
    pointer = answer_aligned(alignment, size)
    if pointer == 0:
        return ENOMEM
    store_word(target, pointer)
    return 0


def snug_valloc(size: Word) -> Word:
    """As valloc."""
    return answer_aligned(page_size(), size)


def snug_pvalloc(size: Word) -> Word:
    """As pvalloc."""
    return answer_aligned(page_size(), round_up(size, page_size()) if size <= LARGEST else size)


def snug_malloc_usable_size(pointer: Word) -> Word:
    """As malloc_usable_size."""
    return usable(pointer) if pointer != 0 else 0


def snug_cfree(pointer: Word) -> None:
    """As cfree."""
    free(pointer)


def snug_free_sized(pointer: Word, size: Word) -> None:
    """As free_sized."""
    free(pointer)


def snug_free_aligned_sized(pointer: Word, alignment: Word, size: Word) -> None:
    """As free_aligned_sized."""
    free(pointer)


def snug_mallopt(parameter: Int, value: Int) -> Int:
    """As mallopt."""
    if hands_over():
        return libc_mallopt(parameter, value)
    if parameter == M_MXFAST:
        return 1 if value >= 0 and value <= MAX_MXFAST else 0
    if parameter == M_MMAP_THRESHOLD:
        if value < 0 or value > MAX_MMAP_THRESHOLD:
            return 0
        set_mmap_threshold(value)
    return 1


def snug_trim(pad: Word) -> Int:
    """Give free memory back now."""
    if hands_over():
        return libc_trim(pad)
    look_around()
    any_given, _count = give_all_now(pad)
    return 1 if any_given else 0


def snug_malloc_trim(pad: Word) -> Int:
    """As malloc_trim."""
    return snug_trim(pad)


def snug_background_step() -> None:
    """Purge if the policy says so: what the helper thread does while the program sleeps."""
    look_around()
    for number in range(heap_count()):
        look_after(heap_number(number))
    look_around()
    held = enter(process_heap())
    raise_figure(process_heap(), Figures.background_steps, 1)
    leave(process_heap(), held, 0)


def snug_thread_idle() -> None:
    """Empty this thread's cache until its next request."""
    give_up_cache()
    if is_thread_ending():
        end_thread()


def snug_record_end() -> None:
    """End the recording and write the rest to the file."""
    end_recording()


def snug_code_to_keep() -> Word:
    """An address in the module that must not be unloaded, or 0: for the ``dlclose`` in family.c."""
    return code_to_keep()


def snug_stats(stats: Word, size: Word) -> None:
    """Copy the first `size` bytes of the figures, at most all, to `stats`."""
    read_options()
    held = enter(process_heap())
    total_all()
    copy_bytes(stats, TOTALS, size if size < PUBLISHED else PUBLISHED)
    leave(process_heap(), held, 0)


def snug_walk(visitor: Word, context: Word) -> Int:
    """Show every block to the visitor."""
    reclaim()
    complete = True
    for number in range(heap_count()):
        heap = heap_number(number)
        held = enter(heap)
        complete = complete and walk(heap, visitor, context)
        leave(heap, held, 0)
    return 0 if complete else 1


def snug_check() -> Int:
    """Check every invariant."""
    broken: Int = OK if is_own_cache_sound() else BAD_CACHE
    for number in range(heap_count()):
        heap = heap_number(number)
        held = enter(heap)
        broken = check(heap) if broken == OK else broken
        leave(heap, held, 0)
    return broken


# ---- Private heaps: see snugmalloc.h ----


def obtain_own(heap: Word, size: Word, alignment: Word, cleared: bool) -> Word:
    """A request to a private heap. A program that has nothing but these obeys those outside, too."""
    know_orders()
    return obtain_private(Heap(heap), size, alignment, cleared)


def snug_heap_create(limit: Word, name: Word) -> Word:
    """A new private heap, or NULL with errno."""
    read_options()
    heap = make_private_heap(limit, name)
    if heap == 0:
        return refuse_private(process_heap())
    note_private_heap()
    return heap


def snug_heap_destroy(heap: Word) -> None:
    """Destroy a private heap and give all its memory back."""
    if heap != 0:
        destroy_heap(Heap(heap))


def snug_heap_malloc(heap: Word, size: Word) -> Word:
    """As malloc, from a private heap."""
    return obtain_own(heap, size, UNIT, False)


def snug_heap_calloc(heap: Word, count: Word, size: Word) -> Word:
    """As calloc, from a private heap."""
    total = LARGEST + 1 if product_overflows(count, size) else count * size
    return obtain_own(heap, total, UNIT, True)


def snug_heap_aligned(heap: Word, alignment: Word, size: Word) -> Word:
    """As aligned_alloc, from a private heap."""
    if not is_power_of_two(alignment):
        set_errno(EINVAL)
        return 0
    return obtain_own(heap, size, alignment, False)


def snug_heap_realloc(heap: Word, pointer: Word, size: Word) -> Word:
    """As realloc, from a private heap."""
    if pointer == 0:
        return obtain_own(heap, size, UNIT, False)
    check_owner(Heap(heap), pointer)
    if size == 0:
        dispose(pointer)
        return 0
    look_closely(pointer)
    return resize_private(Heap(heap), pointer, size)


def snug_heap_free(heap: Word, pointer: Word) -> None:
    """As free, of a block of a private heap."""
    if pointer != 0:
        check_owner(Heap(heap), pointer)
        dispose(pointer)


def snug_heap_name(heap: Word) -> Word:
    """The name that a private heap was created with."""
    return Heap(heap).name


def snug_heap_stats(heap: Word, stats: Word, size: Word) -> None:
    """As snug_stats, for a private heap."""
    held = enter(Heap(heap))
    total_figures(Heap(heap))
    copy_bytes(stats, heap, size if size < PUBLISHED else PUBLISHED)
    leave(Heap(heap), held, 0)


def snug_heap_walk(heap: Word, visitor: Word, context: Word) -> Int:
    """As snug_walk, for a private heap."""
    held = enter(Heap(heap))
    complete = walk(Heap(heap), visitor, context)
    leave(Heap(heap), held, 0)
    return 0 if complete else 1


def snug_heap_check(heap: Word) -> Int:
    """As snug_check, for a private heap."""
    held = enter(Heap(heap))
    broken = check(Heap(heap))
    leave(Heap(heap), held, 0)
    return broken


def snug_heap_trim(heap: Word) -> Int:
    """As snug_trim, for a private heap."""
    return 1 if give_all_back(Heap(heap), 0) else 0
