"""Owns what becomes of a call where a recording has samples: it is answered, and recorded if its block is one.

Threads have their caches, and the fast paths find their lists. What a thread's lists have for malloc ends before
the request that is to be sampled (`lists`), so that it comes by here, as do all that no list serves. A sampled
block is one whose free comes by here, too: it is larger than what lists have, or begins with a page, which the
fast path of free leaves alone. Which byte of it was hit is noted beside the page map, where each page has two
halves: for the block that begins with the page, and for a large one that begins inside it. A free looks there,
and writes the row that goes with the block's.

A realloc is a request like any other: its new block is sampled or not, whatever its old one was. If only the old
one was, its row is that of a free; if only the new one is, that of a realloc of NULL. But a small block for which
there is room where it is must not move: it stays a sample as long as it has the byte that was hit.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    clear_bytes,
    copy_bytes,
    frame_address,
    inline,
    likely,
    load_half,
    load_thread_state,
    store_half,
    tick,
    unlikely,
)
from .cache import ENDED, take_ready
from .chunks import (
    ALIGNED_CALL,
    CALLOC_CALL,
    HAS_ADDRESS,
    HAS_NUMBER,
    HAS_OLD,
    HAS_SIZE,
    HAS_STACK,
    MALLOC_CALL,
    REALLOC_CALL,
    REFUSED,
)
from .classes import LISTED_LIMIT, MAX_LISTED_UNITS, class_of
from .layout import HEADER, IN_PAGE, PAGE, UNIT_SHIFT
from .lists import ThreadCache, take_hit
from .pages import is_slab_kind, kind_at, sample_place
from .places import CLEARED_LIMIT, usable
from .private import is_of_private_heap
from .recorder import Recorder
from .recording import own_recorder
from .requests import (
    comes_back,
    dispose,
    dispose_apart,
    look_closely,
    obtain_aligned,
    obtain_apart,
    obtain_cleared,
    resize,
    serve,
)
from .rows import ask_end, ask_resize, record_block, record_refused, record_resize, write_free, write_row
from .sampling import find_hit
from .stacks import note_stack
from .tracefile import is_recording, takes_stacks

LARGEST_LISTED = (MAX_LISTED_UNITS << UNIT_SHIFT) - HEADER  # bytes: a block with room for more is in no list
MAX_NOTED = 0xFFFF_FFFF


def recorder_of_sample() -> Recorder:
    """Where a sample is to be recorded; 0 if it is not. It has no stack yet."""
    recorder = Recorder(own_recorder() if is_recording() else 0)
    if recorder != 0:
        recorder.stack = 0
    return recorder


# ---- Notes ----


def hit_of(pointer: Word) -> Word:
    """Which byte of a block in use was hit, from 1; 0 if it is no sample."""
    return load_half(sample_place(pointer)) if comes_back(pointer) else 0


def make_sample(pointer: Word, hit: Word) -> bool:
    """This byte of a block in use is hit: it is a sample, if its free will come by here. Whether it is."""
    is_made = hit != 0 and comes_back(pointer)
    if is_made:
        store_half(sample_place(pointer), hit if hit < MAX_NOTED else MAX_NOTED * ONE)
    return is_made


def end_sample(pointer: Word) -> None:
    """A block that is a sample is none any more."""
    store_half(sample_place(pointer), 0)


# ---- Allocating ----


def hit_at_once(size: Word) -> Word:
    """Which byte of a request is hit, from 1, or 0: of one that no list serves."""
    return find_hit(size) if is_recording() else 0


@inline
def hit_behind_list(size: Word) -> Word:
    """The same of one that found its list empty: that may have ended just before it."""
    state = load_thread_state()
    if likely(size <= LISTED_LIMIT and state > ENDED):
        hit = take_hit(ThreadCache(state), class_of(size))
        if unlikely(hit != 0):
            return hit if hit <= size and is_recording() else 0
    return hit_at_once(size)


def obtain_plainly(call: Word, size: Word, number: Word) -> Word:
    """A block as if nothing were recorded, or NULL with errno."""
    if call == CALLOC_CALL:
        return obtain_cleared(size)
    return obtain_aligned(number, size) if call == ALIGNED_CALL else serve(size)


@inline
def answer_request(call: Word, shape: Word, size: Word, number: Word, hit: Word) -> Word:
    """A request that goes past this thread's lists; if a byte is hit a sample, where there is a place for that."""
    recorder = recorder_of_sample()
    pointer: Word = 0
    if hit != 0 and size <= LARGEST_LISTED and (call != ALIGNED_CALL or number <= PAGE):
        pointer = obtain_apart(size, call == CALLOC_CALL)
    if pointer == 0:
        pointer = obtain_plainly(call, size, number)
    if recorder != 0 and (pointer == 0 or make_sample(pointer, hit)):
        if takes_stacks():
            note_stack(recorder, frame_address())
        record_block(recorder, tick(), call, shape, size, number, pointer)
    return pointer


@inline
def answer_listed(call: Word, shape: Word, size: Word, number: Word) -> Word:
    """A request that found its list empty."""
    hit = hit_behind_list(size)
    if likely(size <= LISTED_LIMIT and hit == 0):
        pointer = take_ready(class_of(size))
        if likely(pointer != 0):
            if call == CALLOC_CALL:
                clear_bytes(pointer, usable(pointer))
            return pointer
    return answer_request(call, shape, size, number, hit)


def sample_malloc(size: Word) -> Word:
    """As malloc."""
    return answer_listed(MALLOC_CALL, 0, size, 0)


def sample_first(size: Word) -> Word:
    """As realloc of NULL."""
    return answer_listed(REALLOC_CALL, HAS_OLD, size, 0)


def sample_cleared(count: Word, size: Word) -> Word:
    """As calloc: `size` bytes, of `count` elements."""
    if size <= CLEARED_LIMIT:
        return answer_listed(CALLOC_CALL, HAS_NUMBER, size, count)
    return answer_request(CALLOC_CALL, HAS_NUMBER, size, count, hit_at_once(size))


def sample_aligned(alignment: Word, size: Word) -> Word:
    """As aligned_alloc; `alignment` is a power of two."""
    return answer_request(ALIGNED_CALL, HAS_NUMBER, size, alignment, hit_at_once(size))


# ---- Freeing ----


def sample_free(pointer: Word) -> None:
    """As free."""
    if pointer == 0:
        return
    recorder = recorder_of_sample()
    if likely(is_slab_kind(kind_at(pointer)) or hit_of(pointer) == 0):
        dispose(pointer)
        return
    end_sample(pointer)
    if recorder != 0:
        write_free(recorder, tick(), pointer)
    dispose_apart(pointer)


def sample_last(pointer: Word) -> None:
    """As realloc to size 0, which frees."""
    if hit_of(pointer) == 0:
        dispose(pointer)
        return
    end_sample(pointer)
    recorder = recorder_of_sample()
    if recorder != 0:
        write_row(recorder, REALLOC_CALL | REFUSED, tick(), HAS_SIZE | HAS_OLD, 0, 0, pointer, 0)
    dispose_apart(pointer)


# ---- Resizing ----


def ask(recorder: Recorder, pointer: Word, size: Word, hit: Word) -> None:
    """The realloc of a sample begins: its row has a new block, if a byte of that is hit."""
    if hit != 0:
        ask_resize(recorder, pointer, size)
    else:
        ask_end(recorder, pointer, size)


def resize_here(recorder: Recorder, pointer: Word, size: Word, hit: Word) -> Word:
    """A small block for which there is room where it is; a sample, if `hit` is not 0."""
    if hit == 0:
        return resize(pointer, size)
    kept = hit if hit <= size else 0
    ask(recorder, pointer, size, kept)
    is_inside = pointer & IN_PAGE != 0  # and stays one that is in no list
    moved = resize(pointer, LARGEST_LISTED + 1 if kept != 0 and is_inside else size)
    record_resize(recorder, moved)
    make_sample(moved, kept)
    return moved


def move_apart(recorder: Recorder, pointer: Word, size: Word, was_sample: bool, hit: Word) -> Word:
    """A small block that is a sample, with what another one held; or 0, and that is as it was."""
    look_closely(pointer)
    target = obtain_apart(size, False)
    if target == 0:
        return 0
    make_sample(target, hit)
    before = usable(pointer)
    copy_bytes(target, pointer, before if before < size else size)
    shape = HAS_SIZE | HAS_OLD | HAS_ADDRESS | HAS_STACK
    old: Word = 0
    if was_sample:
        old = pointer
    write_row(recorder, REALLOC_CALL, tick(), shape, size, 0, old, target)
    if was_sample:
        dispose_apart(pointer)
    else:
        dispose(pointer)
    return target


def resize_sample(recorder: Recorder, pointer: Word, size: Word, before: Word, hit: Word) -> Word:
    """The block at `pointer`, of which byte `before` was hit, with room for `size` bytes; or NULL with errno."""
    ask(recorder, pointer, size, hit)
    moved = resize(pointer, size)
    if moved == 0:
        record_refused(recorder, REALLOC_CALL, HAS_OLD, size, 0)
        make_sample(pointer, before)
        return 0
    record_resize(recorder, moved)
    make_sample(moved, hit)
    return moved


def resize_other(recorder: Recorder, pointer: Word, size: Word, hit: Word) -> Word:
    """The block at `pointer`, which was no sample, with room for `size` bytes; or NULL with errno."""
    moved = resize(pointer, size)
    if moved == 0 or make_sample(moved, hit):
        record_block(recorder, tick(), REALLOC_CALL, HAS_OLD, size, 0, moved)
    return moved


def sample_resize(pointer: Word, size: Word) -> Word:
    """As realloc, of a block and to a size that are not 0."""
    if is_of_private_heap(pointer):
        return resize(pointer, size)
    before = hit_of(pointer)
    if before != 0:
        end_sample(pointer)
    recorder = recorder_of_sample()
    if recorder == 0:
        return resize(pointer, size)
    if size <= LARGEST_LISTED and size <= usable(pointer):
        if before != 0 and before <= size and takes_stacks():
            note_stack(recorder, frame_address())
        return resize_here(recorder, pointer, size, before)
    hit = hit_at_once(size)
    if hit != 0 and takes_stacks():
        note_stack(recorder, frame_address())
    if hit != 0 and size <= LARGEST_LISTED:
        moved = move_apart(recorder, pointer, size, before != 0, hit)
        if moved != 0:
            return moved
        hit = 0
    if before != 0:
        return resize_sample(recorder, pointer, size, before, hit)
    return resize_other(recorder, pointer, size, hit)
