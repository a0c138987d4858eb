"""Owns the buffers that rows are written into, one for each thread, and how they get into the trace file.

A recorder is a mapping of its own with room for some ten thousand rows. One that is full is handed on: by one
write to the end of the file. Nothing is allocated and threads share no lock. Recorders are in a list that only
grows; one whose thread has ended waits there for the next thread. In a ring recorders are its slots, of which
nothing is handed on: see ring.py and slots.py.

Whoever ends the recording hands on all recorders, those of running threads as well: a row counts once `done`
says so, and a recorder that was taken for good is not handed on again by its thread. If another recording
begins, its thread finds it full, sees that it is of an earlier one, and gets a new one.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Array,
    Byte,
    Record,
    Word,
    array,
    atomic_add,
    atomic_exchange,
    atomic_load,
    atomic_replace,
    atomic_store,
    inline,
    load_thread_recorder,
    map_memory,
    reserve,
    store_thread_recorder,
)
from .chunks import CHECKED_FROM, CHUNK_MARK, ROWS, ChunkHead, adler
from .ring import ROWS_IN_SLOT, give_back, is_slot
from .tracefile import append, is_own_file, stop

NO_ROOM = b"snugmalloc: the recording ends here, there is no memory for it: "

RECORDER_BYTES = 1 << 16
ROWS_AT = ROWS_IN_SLOT
LARGEST_ROW = 72
SPARE_ROWS = 16  # what a call may bring along: growth, memory given back, a refusal
ONE_ROW = 1 << 32
IN_ROWS = ONE_ROW - 1
PATIENCE = 1 << 22  # looks at a recorder that is being handed on, while the process ends: some milliseconds

FREE_RECORDER = 1  # values of `is_free`; 0: a thread has it
ABANDONED = 2  # a thread had it in the process that forked this one


class Recorder(Record, align=64):
    """What one thread writes its rows into. A row counts when `done` has it.

    What each row needs is in the first line of the processor's cache.

      0  done          bytes of rows, and above 32 bits how many rows
      8  last_time     of the last row
     16  last_pointer  the last pointer or address of the chunk
     24  is_busy       a row is being written
     32  is_late       of a thread that has ended: handed on after each row
     40  first_time    of the chunk
     48  stack         of the next row of a call, or 0
     56  session       the number of the recording that it is of
     64  thread        its number in the trace
     72  lost          rows that could not be written
     80  asked_old     the pointer that a realloc was given and is not written yet, or 0
     88  asked_size
     96  asks_end      of the old block alone: the new one is not to be recorded
    104  moment        when its blocks were both the caller's, if that is known before its end
    112  reason        why a request was refused
    120  is_stacking   the stack of a call is being read
    128  chain         what its thread was in, if stacks are recorded
    136  system_thread
    144  next_recorder
    152  is_free       for the next thread; or for nobody any more
    160  is_handed_on  by somebody, who alone touches the head; or for good
    168  unused
    192  head
    256  rows
    65536
    """

    done: Word
    last_time: Word
    last_pointer: Word
    is_busy: Word
    is_late: Word
    first_time: Word
    stack: Word
    session: Word
    thread: Word
    lost: Word
    asked_old: Word
    asked_size: Word
    asks_end: Word
    moment: Word
    reason: Word
    is_stacking: Word
    chain: Word
    system_thread: Word
    next_recorder: Word
    is_free: Word
    is_handed_on: Word
    unused: Array[Word] = array(3)
    head: Array[ChunkHead] = array(1)
    rows: Array[Byte] = array(RECORDER_BYTES - ROWS_AT)


ROWS_END = RECORDER_BYTES - ROWS_AT - LARGEST_ROW

NEWEST_RECORDER = reserve(8)
COMMON_RECORDER = reserve(8)
COMMON_TAKEN = reserve(8)
SESSION = reserve(8)  # the number of the recording: each that begins while the program runs has a new one

rows_end: Word = 0  # in a recorder, the last place where a row may begin
calls_end: Word = 0  # and a call, with what it may bring along


def set_room(count: Word) -> None:
    """Recorders have so many bytes, head and rows."""
    global rows_end, calls_end
    rows_end = count - ROWS_AT - LARGEST_ROW
    calls_end = rows_end - (SPARE_ROWS - 1) * LARGEST_ROW


@inline
def is_full(recorder: Recorder) -> bool:
    """Whether a recorder has no room any more for what a call may bring along."""
    return recorder.done & IN_ROWS > calls_end


@inline
def is_at_end(recorder: Recorder) -> bool:
    """Whether a recorder has no room any more for a row."""
    return recorder.done & IN_ROWS > rows_end


def newest_recorder() -> Recorder:
    """The recorder that was made last, which leads to all others; or 0."""
    return Recorder(atomic_load(NEWEST_RECORDER))


# ---- Handing on ----


def append_chunk(recorder: Recorder, kind: Word, entries: Word, stored: Word) -> None:
    """Write a chunk: the head, and so many bytes behind it."""
    head = ChunkHead(recorder.head)
    is_rows = kind == ROWS
    head.mark = CHUNK_MARK
    head.kind = kind
    head.stored = stored
    head.entries = entries
    head.first_time = recorder.first_time if is_rows else 0
    head.last_time = recorder.last_time if is_rows else 0
    head.thread = recorder.thread if is_rows else 0
    head.checksum = adler(head + CHECKED_FROM, ChunkHead.SIZE - CHECKED_FROM + stored)
    append(head, ChunkHead.SIZE + stored)


def empty(recorder: Recorder) -> None:
    """A new chunk begins."""
    recorder.last_pointer = 0
    atomic_store(recorder + Recorder.done, 0)


def hand_on(recorder: Recorder, for_good: bool) -> bool:
    """Write what a recorder holds to this process's file, if nobody else does. Whether it was done."""
    if is_slot(recorder):
        return True
    if not is_own_file() or atomic_exchange(recorder + Recorder.is_handed_on, ONE) != 0:
        return False
    done = atomic_load(recorder + Recorder.done)
    if done != 0:
        append_chunk(recorder, ROWS, done >> 32, done & IN_ROWS)
    if not for_good:
        empty(recorder)
        atomic_store(recorder + Recorder.is_handed_on, 0)
    return True


def take_for_good(recorder: Recorder) -> None:
    """The process ends: hand on what a recorder holds, unless its thread is at it, which is given some time."""
    for _ in range(PATIENCE):
        if hand_on(recorder, True):
            return


# ---- Whose they are ----


def claim_free() -> Recorder:
    """A recorder that no thread has, or 0."""
    recorder = newest_recorder()
    while recorder != 0:
        if recorder.is_free == FREE_RECORDER and atomic_replace(recorder + Recorder.is_free, ONE, 0):
            return recorder
        recorder = Recorder(recorder.next_recorder)
    return recorder


def claim_recorder() -> Recorder:
    """An empty recorder for this thread alone; or 0, and the recording ends."""
    recorder = claim_free()
    if recorder != 0:
        join_session(recorder)
        return recorder
    recorder = Recorder(map_memory(RECORDER_BYTES * ONE))
    if recorder == 0:
        stop(NO_ROOM)
        return recorder
    join_session(recorder)
    recorder.next_recorder = atomic_load(NEWEST_RECORDER)
    while not atomic_replace(NEWEST_RECORDER, recorder.next_recorder, recorder):
        recorder.next_recorder = atomic_load(NEWEST_RECORDER)
    return recorder


def give_up(recorder: Recorder) -> None:
    """The recorder, which is empty or a slot, is for the next thread."""
    recorder.is_late = 0
    recorder.lost = 0
    recorder.asked_old = 0
    recorder.stack = 0
    recorder.is_stacking = 0
    if is_slot(recorder):
        give_back(recorder, not is_full(recorder))
        return
    recorder.last_time = 0
    atomic_store(recorder + Recorder.is_free, FREE_RECORDER * ONE)


def is_of_ended(recorder: Word) -> bool:
    """Whether a thread's word says that the thread has ended."""
    return recorder & 1 != 0


@inline
def thread_recorder() -> Recorder:
    """This thread's recorder; 0 if it has none, or the thread has ended."""
    word = load_thread_recorder()
    return Recorder(0 if is_of_ended(word) else word)


# ---- One that threads share ----


def have_common(thread: Word) -> None:
    """From now on there is a recorder for events of threads that have none; its rows are of this thread."""
    common = claim_recorder()
    if common != 0:
        common.thread = thread
        common.system_thread = 0
    atomic_store(COMMON_TAKEN, 0)
    atomic_store(COMMON_RECORDER, common)


def take_common() -> Recorder:
    """The recorder that threads share, for this one until `leave_common`; 0 if it cannot be had."""
    looks = PATIENCE * ONE if atomic_load(COMMON_RECORDER) != 0 else 0
    while looks != 0 and atomic_exchange(COMMON_TAKEN, ONE) != 0:
        looks -= 1
    return Recorder(atomic_load(COMMON_RECORDER) if looks != 0 else 0)


def leave_common() -> None:
    """It is for the next thread."""
    atomic_store(COMMON_TAKEN, 0)


# ---- Forks ----


def forget_parent() -> None:
    """In a forked child: what the parent's threads had not handed on is the parent's to write.

    No recorder that a thread had is given to another one. The thread that forked has one in its word still, and
    finds that it is of an earlier session; a signal handler that forks may have interrupted it.
    """
    begin_session()
    atomic_store(COMMON_RECORDER, 0)
    recorder = newest_recorder()
    while recorder != 0:
        if recorder.is_free == 0:
            recorder.is_free = ABANDONED
        recorder = Recorder(recorder.next_recorder)
    store_thread_recorder(0)


# ---- One recording after another ----


@inline
def is_of_session(recorder: Recorder) -> bool:
    """Whether a recorder is of the recording that is under way, and not of an earlier one."""
    return recorder.session == atomic_load(SESSION)


def join_session(recorder: Recorder) -> None:
    """A recorder is of the recording that is under way."""
    recorder.session = atomic_load(SESSION)


def begin_session() -> None:
    """Another recording is about to begin: what threads have of an earlier one is not for it."""
    atomic_add(SESSION, ONE)


def leave_recorder(recorder: Recorder) -> None:
    """This thread needs its recorder no more, what it held was taken for good: it is for the next thread."""
    store_thread_recorder(0)
    if recorder.is_busy != 0:  # a signal handler interrupted the thread while it wrote a row
        recorder.is_free = ABANDONED
        return
    empty(recorder)
    recorder.is_handed_on = 0
    give_up(recorder)
