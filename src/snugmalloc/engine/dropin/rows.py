"""Owns the rows of calls and events, as docs/trace-format.md has them: written into their thread's recorder.

A signal handler that allocates while its thread writes a row finds the recorder busy: such calls are counted
as lost.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    atomic_store,
    forks_seen,
    inline,
    likely,
    load_thread_reason,
    multiply,
    store_byte,
    tick,
    unlikely,
)
from .chunks import (
    FREE_CALL,
    HAS_ADDRESS,
    HAS_NUMBER,
    HAS_OLD,
    HAS_SIZE,
    HAS_STACK,
    LOST_EVENT,
    MALLOC_CALL,
    PURGE_EVENT,
    REALLOC_CALL,
    REFUSAL_EVENT,
    REFUSED,
    SIGN_SHIFT,
    put_number,
)
from .definitions import pass_definitions
from .figures import Figures
from .layout import ALL_BITS
from .recorder import (
    IN_ROWS,
    ONE_ROW,
    Recorder,
    give_up,
    hand_on,
    is_at_end,
    is_full,
    is_of_session,
    leave_common,
    take_common,
    thread_recorder,
)
from .ring import is_slot
from .tracefile import is_noted, is_own_file, is_recording

# ---- Rows ----


@inline
def put_pointer(recorder: Recorder, place: Word, pointer: Word) -> Word:
    """Write how far a pointer is from the last one. Where it ends."""
    step = (pointer - recorder.last_pointer) & ALL_BITS
    recorder.last_pointer = pointer
    return put_number(place, (step << 1 & ALL_BITS) ^ multiply(step >> SIGN_SHIFT, ALL_BITS))


@inline
def begin_row(recorder: Recorder, time: Word) -> Word:
    """Where a new row begins, and the ticks since the row before go by its time."""
    atomic_store(recorder + Recorder.is_busy, ONE)
    before = recorder.last_time
    now = time if likely(time > before) else before
    recorder.last_step = now - before
    if unlikely(recorder.done == 0):
        recorder.first_time = now
        recorder.last_step = 0
    recorder.last_time = now
    return recorder.rows + (recorder.done & IN_ROWS)


@inline
def put_stack(recorder: Recorder, place: Word, stack: Word) -> Word:
    """Write the number of the stack of a call, if it has one. Where that ends."""
    if likely(stack == 0):
        return place
    recorder.stack = 0
    return put_number(place, stack)


def finish_late(recorder: Recorder) -> None:
    """The row of a thread that has ended was written."""
    if hand_on(recorder, False):
        give_up(recorder)


@inline
def end_row(recorder: Recorder, place: Word) -> None:
    """The row ends here: from now on it counts."""
    before = recorder.done
    length = place - recorder.rows - (before & IN_ROWS)
    atomic_store(recorder + Recorder.done, before + ONE_ROW + length)
    atomic_store(recorder + Recorder.is_busy, 0)
    if unlikely(recorder.is_late != 0):
        finish_late(recorder)


def write_row(
    recorder: Recorder,
    operation: Word,
    time: Word,
    shape: Word,
    size: Word,
    number: Word,
    old: Word,
    address: Word,
) -> None:
    """One row, for which there is room. `shape` says which of the figures it has."""
    if unlikely(recorder.is_busy != 0):
        recorder.lost += 1
        return
    place = begin_row(recorder, time)
    stack = recorder.stack if shape & HAS_STACK != 0 else 0 * ONE
    place = put_number(place, operation | HAS_STACK if stack != 0 else operation)
    place = put_number(place, recorder.last_step)
    if shape & HAS_SIZE != 0:
        place = put_number(place, size)
    if shape & HAS_NUMBER != 0:
        place = put_number(place, number)
    if shape & HAS_OLD != 0:
        place = put_pointer(recorder, place, old)
    if shape & HAS_ADDRESS != 0:
        place = put_pointer(recorder, place, address)
    end_row(recorder, put_stack(recorder, place, stack))


def write_malloc(recorder: Recorder, time: Word, size: Word, pointer: Word) -> None:
    """The same for the call that is made most often."""
    if unlikely(recorder.is_busy != 0):
        recorder.lost += 1
        return
    place = begin_row(recorder, time)
    stack = recorder.stack
    store_byte(place, MALLOC_CALL | HAS_STACK if unlikely(stack != 0) else MALLOC_CALL)
    place = put_number(place + 1, recorder.last_step)
    place = put_number(place, size)
    place = put_pointer(recorder, place, pointer)
    end_row(recorder, put_stack(recorder, place, stack))


def write_free(recorder: Recorder, time: Word, pointer: Word) -> None:
    """And for the one that comes with it."""
    if unlikely(recorder.is_busy != 0):
        recorder.lost += 1
        return
    place = begin_row(recorder, time)
    store_byte(place, FREE_CALL)
    place = put_number(place + 1, recorder.last_step)
    end_row(recorder, put_pointer(recorder, place, pointer))


def hand_on_full(recorder: Recorder) -> bool:
    """Hand on what a recorder of this thread holds. Whether it has room.

    One that cannot be handed on, as in a child that was forked past libc, must not get one row more.
    """
    if recorder.lost != 0 and (is_slot(recorder) or is_own_file()):
        count = recorder.lost
        recorder.lost = 0
        write_row(recorder, LOST_EVENT, tick(), HAS_NUMBER, 0, count, 0, 0)
    pass_definitions()
    return recorder.is_busy == 0 and hand_on(recorder, False)


# ---- Calls ----


def record_block(
    recorder: Recorder, time: Word, call: Word, shape: Word, size: Word, number: Word, pointer: Word
) -> None:
    """A call was answered with a block, which was the caller's alone when the time was read; or with NULL."""
    if unlikely(pointer == 0):
        record_refused(recorder, call, shape, size, number)
    else:
        shape |= HAS_SIZE | HAS_ADDRESS | HAS_STACK
        write_row(recorder, call, time, shape, size, number, 0, pointer)


def record_refused(recorder: Recorder, call: Word, shape: Word, size: Word, number: Word) -> None:
    """A call was answered with NULL, and why."""
    reason = recorder.reason
    recorder.reason = 0
    old = recorder.asked_old
    recorder.asked_old = 0
    time = tick()
    was_late = recorder.is_late != 0
    write_row(recorder, call | REFUSED, time, shape | HAS_SIZE | HAS_STACK, size, number, old, 0)
    if not was_late:
        write_row(recorder, REFUSAL_EVENT, time, HAS_SIZE | HAS_NUMBER, size, reason, 0, 0)


def ask_resize(recorder: Recorder, pointer: Word, size: Word) -> None:
    """A realloc begins: its row is written when its answer is known, and the old block still the caller's."""
    recorder.asked_old = pointer
    recorder.asked_size = size
    recorder.asks_end = 0
    recorder.moment = 0


def ask_end(recorder: Recorder, pointer: Word, size: Word) -> None:
    """The same of a realloc after which the block is not recorded any more: its row is that of a free."""
    ask_resize(recorder, pointer, size)
    recorder.asks_end = 1


def asking() -> Recorder:
    """The recorder of this thread if it is in a realloc of which no row is written yet; or 0."""
    recorder = thread_recorder()
    if not is_recording() or recorder == 0 or recorder.asked_old == 0:
        return Recorder(0)
    return recorder


def note_moment() -> None:
    """A realloc has its new block, and soon the old one will not be the caller's any more."""
    recorder = asking()
    if recorder != 0:
        recorder.moment = tick()


def record_resize(recorder: Recorder, pointer: Word) -> None:
    """A realloc is answered with this block, in place or elsewhere, unless its row was written before."""
    if recorder != 0 and recorder.asked_old != 0:
        old = recorder.asked_old
        time = recorder.moment if recorder.moment != 0 else tick()
        recorder.asked_old = 0
        if unlikely(recorder.asks_end != 0):
            write_free(recorder, time, old)
            return
        shape = HAS_SIZE | HAS_OLD | HAS_ADDRESS | HAS_STACK
        write_row(recorder, REALLOC_CALL, time, shape, recorder.asked_size, 0, old, pointer)


def record_move(pointer: Word) -> None:
    """A realloc has copied everything to this block, and is about to free the old one."""
    record_resize(asking(), pointer)


def note_refusal() -> None:
    """A request is given up: why is in the thread's word, for a moment."""
    recorder = thread_recorder()
    if recorder != 0:
        reason = load_thread_reason()
        reason = reason if reason != 0 else Figures.refused_memory * ONE
        recorder.reason = ((reason - Figures.refused_limit) >> 3) + 1


# ---- Other events ----


def record_shared(operation: Word, shape: Word, size: Word, number: Word, address: Word) -> None:
    """An event of a thread that has no recorder: goes to the one that threads share, if there is one."""
    common = take_common()
    if common == 0:
        return
    if not is_at_end(common) or hand_on_full(common):
        write_row(common, operation, tick(), shape, size, number, 0, address)
    leave_common()


def record_event(operation: Word, shape: Word, size: Word, number: Word, address: Word) -> None:
    """What is no call: may be under a lock, and so is left out where this thread's recorder has no room."""
    recorder = thread_recorder()
    if not is_noted(forks_seen()):
        return
    if recorder == 0 or not is_of_session(recorder):
        record_shared(operation, shape, size, number, address)
        return
    if is_at_end(recorder):
        recorder.lost += 1
        return
    write_row(recorder, operation, tick(), shape, size, number, 0, address)


def record_range(operation: Word, address: Word, count: Word) -> None:
    """Something happened to these bytes of memory."""
    record_event(operation, HAS_SIZE | HAS_ADDRESS, count, 0, address)


def record_given_back(address: Word, count: Word) -> None:
    """The system has these bytes back. Without a lock, for one call may give back any number of ranges.

    A slot of a ring is not emptied in the middle of a call: what it has no room for is in the figures alone.
    """
    recorder = thread_recorder()
    if recorder != 0 and is_noted(forks_seen()) and is_full(recorder):
        if is_slot(recorder):
            return
        hand_on_full(recorder)
    record_range(PURGE_EVENT, address, count)
