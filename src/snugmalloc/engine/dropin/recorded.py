"""Owns the slow path of every call: it is served, and recorded if there is a recording.

During a recording a thread's word leads to empty lists, so that every call comes here. It is served from the
thread's lists as usual. A block's row is written while the block belongs to the caller alone: after malloc has
it, before free releases it, and where realloc has both. docs/trace-format.md explains why.

In a sampled recording `sampled` serves the call.

Blocks of private heaps are not recorded: their heap may be destroyed as a whole.
"""

from __future__ import annotations

from ..machine import Word, clear_bytes, frame_address, inline, likely, tick, tick_or_so, unlikely
from .cache import keep_listed, take_listed, use_own_lists
from .chunks import (
    ALIGNED_CALL,
    CALLOC_CALL,
    HAS_NUMBER,
    HAS_OLD,
    HAS_SIZE,
    MALLOC_CALL,
    REALLOC_CALL,
    REFUSED,
)
from .commands import obey
from .layout import ALL_BITS
from .lists import ENTRY_SHIFT
from .options import is_serving_only, read_options
from .outside import has_order
from .pages import is_slab_kind, kind_at
from .places import CLEARED_LIMIT, usable
from .private import is_of_private_heap
from .recorder import Recorder
from .recording import known_recorder, own_recorder, renew_recorder
from .requests import dispose, obtain, obtain_aligned, obtain_cleared, refuse_size, resize, serve
from .rows import (
    ask_resize,
    record_block,
    record_refused,
    record_resize,
    write_free,
    write_malloc,
    write_row,
)
from .sampled import (
    hit_of,
    sample_aligned,
    sample_cleared,
    sample_first,
    sample_free,
    sample_last,
    sample_malloc,
    sample_resize,
)
from .sampling import takes_samples
from .stacks import note_free, note_stack
from .tally import bytes_before, count_given, count_resized, count_taken
from .tracefile import has_recorded, is_recording, takes_stacks


def know_orders() -> None:
    """At the beginning of a call: read the options, and execute commands from outside."""
    read_options()
    if unlikely(has_order()):
        obey()


def look_around() -> None:
    """The same before memory is given back, which may have events of its own."""
    know_orders()
    if is_recording():
        renew_recorder()
    elif has_recorded():
        use_own_lists()


def recorder_of_call() -> Recorder:
    """The recorder for a call, after reading the options; 0 if it is not recorded."""
    know_orders()
    if likely(is_recording()):
        return own_recorder()
    if has_recorded():
        use_own_lists()
    return Recorder(0)


def has_samples() -> bool:
    """Whether `sampled` serves the call, after reading the options and executing commands."""
    read_options()
    if unlikely(has_order()):
        obey()
    return takes_samples()


# ---- Allocating ----


# What comes from this thread's list was there before: a clock that may be a little early will do. What comes
# from elsewhere another thread may have freed just now.


@inline
def obtain_at_once(size: Word) -> tuple[Word, Word]:
    """`size` bytes, or NULL with errno, from this thread's list or by any other way; and the time."""
    pointer = take_listed(size)
    if likely(pointer != 0):
        return pointer, tick_or_so()
    pointer = serve(size)
    return pointer, tick()


def answer_malloc(size: Word) -> Word:
    """As malloc."""
    return serve(size) if likely(is_serving_only()) else count_malloc(size)


def count_malloc(size: Word) -> Word:
    """The same if there may be a recording: sampled, as far as known."""
    return sample_malloc(size) if takes_samples() else record_malloc(size)


def record_malloc(size: Word) -> Word:
    """The same if each call may be recorded."""
    recorder = known_recorder()
    if unlikely(recorder == 0):
        if has_samples():  # the options were not known yet
            return sample_malloc(size)
        recorder = recorder_of_call()
        if recorder == 0:
            return obtain(size)
    pointer, time = obtain_at_once(size)
    if takes_stacks():
        note_stack(recorder, frame_address())
    if likely(pointer != 0):
        write_malloc(recorder, time, size, pointer)
        count_given(recorder, pointer)
    else:
        record_refused(recorder, MALLOC_CALL, 0, size, 0)
    return pointer


def cleared_at_once(size: Word) -> Word:
    """As `obtain_cleared`, but first from this thread's list."""
    pointer = take_listed(size) if size <= CLEARED_LIMIT else 0
    if unlikely(pointer == 0):
        return obtain_cleared(size)
    clear_bytes(pointer, usable(pointer))
    return pointer


def answer_cleared(count: Word, size: Word) -> Word:
    """As calloc: `size` bytes, of `count` elements."""
    if likely(is_serving_only()):
        return obtain_cleared(size)
    if unlikely(has_samples()):
        return sample_cleared(count, size)
    recorder = recorder_of_call()
    if recorder == 0:
        return obtain_cleared(size)
    pointer = cleared_at_once(size)
    if takes_stacks():
        note_stack(recorder, frame_address())
    record_block(recorder, tick(), CALLOC_CALL, HAS_NUMBER, size, count, pointer)
    count_given(recorder, pointer)
    return pointer


def answer_overflow(count: Word) -> Word:
    """As calloc, of `count` elements whose total size overflows."""
    recorder = recorder_of_call()
    pointer = refuse_size()
    if recorder != 0:
        if takes_stacks():
            note_stack(recorder, frame_address())
        record_refused(recorder, CALLOC_CALL, HAS_NUMBER, ALL_BITS, count)
    return pointer


def answer_aligned(alignment: Word, size: Word) -> Word:
    """As aligned_alloc; `alignment` is a power of two."""
    if likely(is_serving_only()):
        return obtain_aligned(alignment, size)
    if unlikely(has_samples()):
        return sample_aligned(alignment, size)
    recorder = recorder_of_call()
    pointer = obtain_aligned(alignment, size)
    if recorder != 0:
        if takes_stacks():
            note_stack(recorder, frame_address())
        record_block(recorder, tick(), ALIGNED_CALL, HAS_NUMBER, size, alignment, pointer)
        count_given(recorder, pointer)
    return pointer


# ---- Freeing ----


def answer_free(pointer: Word, place: Word) -> None:
    """As free. `place` is where a cache has the list for the kind of the pointer's page."""
    if likely(is_serving_only()):
        dispose(pointer)
    elif takes_samples():
        sample_free(pointer)
    else:
        record_free(pointer, place >> ENTRY_SHIFT)


def recorder_of_free() -> tuple[Recorder, bool]:
    """The recorder of a free, or 0; and whether `sampled` answers, if the options were not known yet."""
    if has_samples():
        return Recorder(0), True
    return recorder_of_call(), False


def record_free(pointer: Word, kind: Word) -> None:
    """The same where it may be that each is recorded, of what is on a page of this kind."""
    if takes_stacks():
        note_free(pointer)
    recorder = known_recorder()
    if unlikely(recorder == 0 or has_order()):
        recorder, is_sampled = recorder_of_free()
        if is_sampled:
            sample_free(pointer)
            return
        if recorder == 0:
            dispose(pointer)
            return
    if likely(is_slab_kind(kind)) or not is_of_private_heap(pointer):
        count_taken(recorder, pointer, kind)
        write_free(recorder, tick(), pointer)
    if not keep_listed(pointer, kind):
        dispose(pointer)


# ---- Resizing ----


def answer_first(size: Word) -> Word:
    """As realloc of NULL."""
    if likely(is_serving_only()):
        return obtain(size)
    if unlikely(has_samples()):
        return sample_first(size)
    recorder = recorder_of_call()
    if recorder == 0:
        return obtain(size)
    pointer, time = obtain_at_once(size)
    if takes_stacks():
        note_stack(recorder, frame_address())
    record_block(recorder, time, REALLOC_CALL, HAS_OLD, size, 0, pointer)
    count_given(recorder, pointer)
    return pointer


def answer_last(pointer: Word) -> None:
    """As realloc to size 0, which frees."""
    if likely(is_serving_only()):
        dispose(pointer)
        return
    if unlikely(has_samples()):
        sample_last(pointer)
        return
    if not is_of_private_heap(pointer):
        recorder = recorder_of_call()
        if recorder != 0:
            count_taken(recorder, pointer, kind_at(pointer))
            write_row(recorder, REALLOC_CALL | REFUSED, tick(), HAS_SIZE | HAS_OLD, 0, 0, pointer, 0)
    dispose(pointer)


def answer_resize(pointer: Word, size: Word) -> Word:
    """As realloc, of a block and to a size that are not 0."""
    if likely(is_serving_only()):
        return resize(pointer, size)
    if unlikely(has_samples()):
        return sample_resize(pointer, size)
    recorder = recorder_of_call()
    if recorder == 0 or is_of_private_heap(pointer):
        return resize(pointer, size)
    ask_resize(recorder, pointer, size)
    if takes_stacks():
        note_stack(recorder, frame_address())
    before = bytes_before(pointer)
    moved = resize(pointer, size)
    if moved != 0:
        record_resize(recorder, moved)
        count_resized(recorder, before, moved)
    else:
        record_refused(recorder, REALLOC_CALL, HAS_OLD, size, 0)
    return moved


def answer_product(pointer: Word) -> Word:
    """As reallocarray to a total size that overflows."""
    recorder = recorder_of_call()
    answer = refuse_size()
    if recorder != 0:
        ask_resize(recorder, pointer if not takes_samples() or hit_of(pointer) != 0 else answer, ALL_BITS)
        if takes_stacks():
            note_stack(recorder, frame_address())
        record_refused(recorder, REALLOC_CALL, HAS_OLD, ALL_BITS, 0)
    return answer
