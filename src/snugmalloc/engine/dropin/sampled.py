"""Owns what becomes of a call where a recording has samples: it is answered, and recorded if its block is one.

Threads have their caches, and the fast path of free puts into their lists. That of malloc finds none: the table
by which it would is empty, and another one in use. So each request comes by here, where its bytes are counted,
and nearly all are served from their list at once. malloc has no test for that, and no clock is read.

A sampled block is one whose free comes by here, too: it is larger than what lists have, or begins with a page,
which the fast path of free leaves alone. Which byte of it was hit is noted beside the page map, where each page
has two halves: for the block that begins with the page, and for a large one that begins inside it. A free looks
there, and writes the row that goes with the block's.

A realloc is a request like any other: its new block is sampled or not, whatever its old one was. If only the
old one was, its row is that of a free; if only the new one is, that of a realloc of NULL. But a small block for
which there is room where it is must not move: it stays a sample as long as it has the byte that was hit.

A thread gets a recorder with its first sample. What the heap does meanwhile is in one that threads share.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    clear_bytes,
    copy_bytes,
    forks_seen,
    frame_address,
    inline,
    likely,
    load_half,
    store_half,
    tick,
    unlikely,
)
from .cache import take_counted
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
from .classes import MAX_LISTED_UNITS
from .layout import HEADER, IN_PAGE, PAGE, UNIT_SHIFT
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
from .sampling import find_hit, pass_by, take_back
from .stacks import note_stack
from .tracefile import is_noted, is_recording, takes_stacks

LARGEST_LISTED = (MAX_LISTED_UNITS << UNIT_SHIFT) - HEADER  # bytes: a block with room for more is in no list
MAX_NOTED = 0xFFFF_FFFF


def recorder_for(is_needed: bool) -> Recorder:
    """This thread's recorder, without a stack: had when it is needed first, or a fork is noticed; or 0."""
    if not is_recording() or not (is_needed or not is_noted(forks_seen())):
        return Recorder(0)
    recorder = own_recorder()
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


def hit_of_request(size: Word) -> Word:
    """Which byte of a request is hit, from 1; or 0."""
    hit = find_hit(size)
    return hit if is_recording() else 0


def obtain_plainly(call: Word, size: Word, number: Word) -> Word:
    """A block as if nothing were recorded, or NULL with errno."""
    if call == CALLOC_CALL:
        return obtain_cleared(size)
    return obtain_aligned(number, size) if call == ALIGNED_CALL else serve(size)


@inline
def answer_request(call: Word, shape: Word, size: Word, number: Word) -> Word:
    """A request that this thread's list does not serve, or is a sample: if there is a place for that."""
    hit = hit_of_request(size)
    recorder = recorder_for(hit != 0)
    pointer: Word = 0
    if hit != 0 and size <= LARGEST_LISTED and (call != ALIGNED_CALL or number <= PAGE):
        pointer = obtain_apart(size, call == CALLOC_CALL)
    if pointer == 0:
        pointer = obtain_plainly(call, size, number)
    if pointer == 0:
        recorder = recorder_for(True)
    if recorder != 0 and (pointer == 0 or make_sample(pointer, hit)):
        if takes_stacks():
            note_stack(recorder, frame_address())
        record_block(recorder, tick(), call, shape, size, number, pointer)
    return pointer


@inline
def take_unsampled(size: Word) -> Word:
    """From the front of this thread's list, if it has one and no byte is hit; or 0, and nothing is counted."""
    if unlikely(not pass_by(size)):
        return 0
    pointer = take_counted(size)
    if unlikely(pointer == 0):
        take_back(size)
    return pointer


def sample_malloc(size: Word) -> Word:
    """As malloc, which found nothing in this thread's list, or a byte is hit."""
    return answer_request(MALLOC_CALL, 0, size, 0)


def sample_first(size: Word) -> Word:
    """As realloc of NULL."""
    pointer = take_unsampled(size)
    return pointer if likely(pointer != 0) else answer_request(REALLOC_CALL, HAS_OLD, size, 0)


def sample_cleared(count: Word, size: Word) -> Word:
    """As calloc: `size` bytes, of `count` elements."""
    pointer = take_unsampled(size) if size <= CLEARED_LIMIT else 0
    if unlikely(pointer == 0):
        return answer_request(CALLOC_CALL, HAS_NUMBER, size, count)
    clear_bytes(pointer, usable(pointer))
    return pointer


def sample_aligned(alignment: Word, size: Word) -> Word:
    """As aligned_alloc; `alignment` is a power of two."""
    return answer_request(ALIGNED_CALL, HAS_NUMBER, size, alignment)


# ---- Freeing ----


def sample_free(pointer: Word) -> None:
    """As free."""
    if pointer == 0:
        return
    if likely(is_slab_kind(kind_at(pointer)) or hit_of(pointer) == 0):
        dispose(pointer)
        return
    end_sample(pointer)
    recorder = recorder_for(True)
    if recorder != 0:
        write_free(recorder, tick(), pointer)
    dispose_apart(pointer)


def sample_last(pointer: Word) -> None:
    """As realloc to size 0, which frees."""
    if hit_of(pointer) == 0:
        dispose(pointer)
        return
    end_sample(pointer)
    recorder = recorder_for(True)
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
    """A small block for which there is room where it is, and of which this byte was hit."""
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
    """The block of which byte `before` was hit, with room for `size` bytes; or NULL with errno."""
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
    if moved == 0:
        recorder = recorder_for(True)
    if recorder != 0 and (moved == 0 or make_sample(moved, hit)):
        record_block(recorder, tick(), REALLOC_CALL, HAS_OLD, size, 0, moved)
    return moved


def sample_resize(pointer: Word, size: Word) -> Word:
    """As realloc, of a block and to a size that are not 0."""
    if is_of_private_heap(pointer):
        return resize(pointer, size)
    before = hit_of(pointer)
    if before != 0:
        end_sample(pointer)
    is_small = size <= LARGEST_LISTED
    stays = is_small and size <= usable(pointer)
    hit = hit_of_request(size) if not stays else 0
    recorder = recorder_for(before != 0 or hit != 0)
    if recorder == 0:
        return resize_other(recorder, pointer, size, 0)
    has_row = before != 0 and before <= size if stays else hit != 0
    if takes_stacks() and has_row:
        note_stack(recorder, frame_address())
    if stays and before != 0:
        return resize_here(recorder, pointer, size, before)
    if hit != 0 and is_small:
        moved = move_apart(recorder, pointer, size, before != 0, hit)
        if moved != 0:
            return moved
        hit = 0
    if before != 0:
        return resize_sample(recorder, pointer, size, before, hit)
    return resize_other(recorder, pointer, size, hit)
