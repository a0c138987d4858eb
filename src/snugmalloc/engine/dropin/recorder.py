"""Owns the recording: what a process writes of its calls to a trace file, as docs/trace-format.md describes it.

Each thread has a recorder, a mapping of its own with room for some ten thousand rows. One that is full is
handed on: by one write to the end of the file. Nothing is allocated and threads share no lock. Recorders are in
a list that only grows; one whose thread has ended waits there for the next thread.

    SNUG_RECORD=FILE        every call goes to the new file FILE; %p in it is the process id
    SNUG_RECORD_FOLLOW=1    and those of forked children and of programs that are executed to files of their own

Without the second option the process that records takes both out of its environment, so that no program that
it starts records, and a forked child writes nothing. `snug record` sets _SNUG_RECORD_PROCESS to the id of the
process that is meant: that one records, and so does every program that it becomes by exec. A file that exists
is never written to: the second program of a process writes to FILE-2, or what %p stands for ends so.

A signal handler that allocates while its thread writes a row finds the recorder busy: such calls are counted
as lost. Whoever ends the process hands on all recorders, those of running threads as well: a row counts once
`done` says so, and a recorder that was taken for good is not handed on again by its thread.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Array,
    Byte,
    Record,
    Text,
    Word,
    append_record,
    array,
    atomic_add,
    atomic_exchange,
    atomic_load,
    atomic_replace,
    atomic_store,
    close_record,
    command_line,
    fork_generation,
    forks_seen,
    hide_entry,
    inline,
    likely,
    load_byte,
    load_thread_reason,
    load_thread_recorder,
    map_memory,
    multiply,
    newest_child,
    open_record,
    page_size,
    parent_id,
    process_id,
    real_time,
    reserve,
    start_ticks,
    store_byte,
    store_thread_recorder,
    store_word,
    text_after,
    thread_id,
    thread_name,
    tick,
    unlikely,
    warn,
    watch_thread_end,
)
from .chunks import (
    ABOUT,
    BEGIN_EVENT,
    CHECKED_FROM,
    CHUNK_MARK,
    END_EVENT,
    FORK_EVENT,
    FREE_CALL,
    HAS_ADDRESS,
    HAS_NUMBER,
    HAS_OLD,
    HAS_SIZE,
    HEADER_CHECKED,
    LOST_EVENT,
    MAGIC,
    MALLOC_CALL,
    NAME_EVENT,
    REALLOC_CALL,
    REFUSAL_EVENT,
    REFUSED,
    ROWS,
    SIGN_SHIFT,
    TABLES,
    TEXT_DEFINITION,
    TIMES_AND_ADDRESSES,
    VERSION,
    ChunkHead,
    TraceHeader,
    adler,
    put_number,
)
from .figures import Figures
from .layout import ALL_BITS
from .values import MALFORMED, complain, number_in

RECORD = b"SNUG_RECORD="
RECORD_FOLLOW = b"SNUG_RECORD_FOLLOW="
RECORD_PROCESS = b"_SNUG_RECORD_PROCESS="
NO_MARK = b"snugmalloc: followed programs need a name with %p, and are not recorded: "
NOT_MADE = b"snugmalloc: nothing is recorded, for there is such a file already, or none can be made: "
NOT_WRITTEN = b"snugmalloc: the recording ends here, its file cannot be written any more: "
NO_ROOM = b"snugmalloc: the recording ends here, there is no memory for it: "

PROGRAM = 0x006D_6172_676F_7270  # the letters of "program",
PROGRAM_BYTES = 7  # so many

RECORDER_BYTES = 1 << 16
ROWS_AT = 256
LARGEST_ROW = 72
SPARE_ROWS = 16  # what a call may bring along: growth, memory given back, a refusal
ONE_ROW = 1 << 32
IN_ROWS = ONE_ROW - 1

PATH_BYTES = 4096
NAME_BYTES_MAX = 16
PERCENT = 37
LETTER_P = 112
DIGIT = 48
DASH = 45
SPACE = 32
MOST_PROCESSES = 1 << 22
MOST_COPIES = 100  # programs that one process becomes by exec, each with a file of its own
PATIENCE = 1 << 22  # looks at a recorder that is being handed on, while the process ends: some milliseconds

FREE_RECORDER = 1  # values of `is_free`; 0: a thread has it
ABANDONED = 2  # a thread had it in the process that forked this one

UNDER_WAY = 1  # values of `recording`; 0: it never began
OVER = 2


class Recorder(Record, align=64):
    """What one thread writes its rows into. A row counts when `done` has it.

      0  done          bytes of rows, and above 32 bits how many rows
      8  last_time     of the last row
     16  last_pointer  the last pointer or address of the chunk
     24  is_busy       a row is being written
     32  is_late       of a thread that has ended: handed on after each row
     40  first_time    of the chunk
     48  thread        its number in the trace
     56  lost          rows that could not be written
     64  asked_old     the pointer that a realloc was given and is not written yet, or 0
     72  asked_size
     80  moment        when its blocks were both the caller's, if that is known before its end
     88  reason        why a request was refused
     96  system_thread
    104  next_recorder
    112  is_free       for the next thread; or for nobody any more
    120  is_handed_on  by somebody, who alone touches the head; or for good
    128  last_step     the ticks of the last row
    136  unused
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
    thread: Word
    lost: Word
    asked_old: Word
    asked_size: Word
    moment: Word
    reason: Word
    system_thread: Word
    next_recorder: Word
    is_free: Word
    is_handed_on: Word
    last_step: Word
    unused: Array[Word] = array(7)
    head: Array[ChunkHead] = array(1)
    rows: Array[Byte] = array(RECORDER_BYTES - ROWS_AT)


ROWS_FULL = RECORDER_BYTES - ROWS_AT - SPARE_ROWS * LARGEST_ROW
ROWS_END = RECORDER_BYTES - ROWS_AT - LARGEST_ROW

NEWEST_RECORDER = reserve(8)
THREAD_COUNT = reserve(8)
FORKS_NOTED = reserve(8)
TEXTS_TAKEN = reserve(8)
PATH = reserve(PATH_BYTES)
OWN_NAME = reserve(NAME_BYTES_MAX)

recording: Word = 0
asked_path: Word = 0  # what SNUG_RECORD says, or 0
record_entry: Word = 0  # the entries of the environment
follow_entry: Word = 0
asked_process: Word = 0  # the only process that records, or 0
follows: bool = False
has_failed: bool = False
ticks_in_second: Word = 0
recorded_process: Word = 0
recorded_generation: Word = 0
text_count: Word = 0


def is_recording() -> bool:
    """Whether calls are recorded."""
    return recording == UNDER_WAY


def has_recorded() -> bool:
    """Whether calls were recorded and are not any more."""
    return recording == OVER


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
    place = put_number(place, operation)
    place = put_number(place, recorder.last_step)
    if shape & HAS_SIZE != 0:
        place = put_number(place, size)
    if shape & HAS_NUMBER != 0:
        place = put_number(place, number)
    if shape & HAS_OLD != 0:
        place = put_pointer(recorder, place, old)
    if shape & HAS_ADDRESS != 0:
        place = put_pointer(recorder, place, address)
    end_row(recorder, place)


def write_malloc(recorder: Recorder, time: Word, size: Word, pointer: Word) -> None:
    """The same for the call that is made most often."""
    if unlikely(recorder.is_busy != 0):
        recorder.lost += 1
        return
    place = begin_row(recorder, time)
    store_byte(place, MALLOC_CALL)
    place = put_number(place + 1, recorder.last_step)
    place = put_number(place, size)
    end_row(recorder, put_pointer(recorder, place, pointer))


def write_free(recorder: Recorder, time: Word, pointer: Word) -> None:
    """And for the one that comes with it."""
    if unlikely(recorder.is_busy != 0):
        recorder.lost += 1
        return
    place = begin_row(recorder, time)
    store_byte(place, FREE_CALL)
    place = put_number(place + 1, recorder.last_step)
    end_row(recorder, put_pointer(recorder, place, pointer))


# ---- Chunks ----


def stop(why: Text) -> None:
    """The recording ends, the program goes on, and a line says so."""
    global recording, has_failed
    recording = OVER
    if not has_failed:
        has_failed = True
        warn(why, PATH)


def append(address: Word, count: Word) -> None:
    """Write to the end of the file, if this is the process that it belongs to."""
    global recording
    if process_id() != recorded_process:  # a fork that nobody told us about
        recording = OVER
    elif not append_record(address, count):
        stop(NOT_WRITTEN)


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
    """Write what a recorder holds to the file, if nobody else does. Whether it was done."""
    if atomic_exchange(recorder + Recorder.is_handed_on, ONE) != 0:
        return False
    done = atomic_load(recorder + Recorder.done)
    if done != 0:
        append_chunk(recorder, ROWS, done >> 32, done & IN_ROWS)
    if not for_good:
        empty(recorder)
        atomic_store(recorder + Recorder.is_handed_on, 0)
    return True


# ---- Recorders ----


def claim_free() -> Recorder:
    """A recorder that no thread has, or 0."""
    recorder = Recorder(atomic_load(NEWEST_RECORDER))
    while recorder != 0:
        if recorder.is_free == FREE_RECORDER and atomic_replace(recorder + Recorder.is_free, ONE, 0):
            return recorder
        recorder = Recorder(recorder.next_recorder)
    return recorder


def claim_recorder() -> Recorder:
    """An empty recorder for this thread alone; or 0, and the recording ends."""
    recorder = claim_free()
    if recorder != 0:
        return recorder
    recorder = Recorder(map_memory(RECORDER_BYTES * ONE))
    if recorder == 0:
        stop(NO_ROOM)
        return recorder
    recorder.next_recorder = atomic_load(NEWEST_RECORDER)
    while not atomic_replace(NEWEST_RECORDER, recorder.next_recorder, recorder):
        recorder.next_recorder = atomic_load(NEWEST_RECORDER)
    return recorder


def give_up(recorder: Recorder) -> None:
    """The recorder, which is empty, is for the next thread."""
    recorder.is_late = 0
    recorder.last_time = 0
    recorder.lost = 0
    recorder.asked_old = 0
    atomic_store(recorder + Recorder.is_free, FREE_RECORDER * ONE)


def is_of_ended(recorder: Word) -> bool:
    """Whether a thread's word says that the thread has ended."""
    return recorder & 1 != 0


def begin_thread() -> Recorder:
    """This thread's first row. Its recorder, or 0."""
    recorder = claim_recorder()
    if recorder == 0:
        return recorder
    recorder.thread = atomic_add(THREAD_COUNT, ONE)
    recorder.system_thread = thread_id()
    store_thread_recorder(recorder)
    write_row(recorder, BEGIN_EVENT, tick(), HAS_NUMBER, 0, recorder.system_thread, 0, 0)
    watch_thread_end()
    return recorder


def late_recorder(thread: Word) -> Recorder:
    """A recorder for one row of a thread that has ended, or 0."""
    recorder = claim_recorder()
    if recorder != 0:
        recorder.thread = thread
        recorder.is_late = 1
    return recorder


def finish_late(recorder: Recorder) -> None:
    """The row of a thread that has ended was written."""
    if hand_on(recorder, False):
        give_up(recorder)


def hand_on_full(recorder: Recorder) -> bool:
    """Hand on what a recorder of this thread holds. Whether it has room."""
    if recorder.lost != 0:
        count = recorder.lost
        recorder.lost = 0
        write_row(recorder, LOST_EVENT, tick(), HAS_NUMBER, 0, count, 0, 0)
    return recorder.is_busy == 0 and hand_on(recorder, False)


def other_recorder() -> Recorder:
    """The same as `own_recorder` where that is not simple."""
    look_at_forks()
    if recording != UNDER_WAY:
        return Recorder(0)
    word = load_thread_recorder()
    if word == 0:
        return begin_thread()
    if is_of_ended(word):
        return late_recorder(word >> 1)
    own = Recorder(word)
    if own.done & IN_ROWS > ROWS_FULL and not hand_on_full(own):
        own.lost += 1
        return Recorder(0)
    return Recorder(own if recording == UNDER_WAY else 0)


@inline
def known_recorder() -> Recorder:
    """This thread's recorder, if it has one with room for what a call may bring along; or 0."""
    word = load_thread_recorder()
    if (
        likely(word != 0 and not is_of_ended(word) and atomic_load(FORKS_NOTED) == forks_seen())
        and likely(recording == UNDER_WAY)
        and likely(Recorder(word).done & IN_ROWS <= ROWS_FULL)
    ):
        return Recorder(word)
    return Recorder(0)


def own_recorder() -> Recorder:
    """This thread's recorder, with room for what a call may bring along; 0 where nothing is recorded."""
    recorder = known_recorder()
    return Recorder(recorder if recorder != 0 else other_recorder())


# ---- Calls ----


def record_block(
    recorder: Recorder, time: Word, call: Word, shape: Word, size: Word, number: Word, pointer: Word
) -> None:
    """A call was answered with a block, which was the caller's alone when the time was read; or with NULL."""
    if unlikely(pointer == 0):
        record_refused(recorder, call, shape, size, number)
    else:
        write_row(recorder, call, time, shape | HAS_SIZE | HAS_ADDRESS, size, number, 0, pointer)


def record_refused(recorder: Recorder, call: Word, shape: Word, size: Word, number: Word) -> None:
    """A call was answered with NULL, and why."""
    reason = recorder.reason
    recorder.reason = 0
    old = recorder.asked_old
    recorder.asked_old = 0
    time = tick()
    was_late = recorder.is_late != 0
    write_row(recorder, call | REFUSED, time, shape | HAS_SIZE, size, number, old, 0)
    if not was_late:
        write_row(recorder, REFUSAL_EVENT, time, HAS_SIZE | HAS_NUMBER, size, reason, 0, 0)


def ask_resize(recorder: Recorder, pointer: Word, size: Word) -> None:
    """A realloc begins: its row is written when its answer is known, and the old block still the caller's."""
    recorder.asked_old = pointer
    recorder.asked_size = size
    recorder.moment = 0


def asking() -> Recorder:
    """The recorder of this thread if it is in a realloc of which no row is written yet; or 0."""
    word = load_thread_recorder()
    if recording != UNDER_WAY or word == 0 or is_of_ended(word) or Recorder(word).asked_old == 0:
        return Recorder(0)
    return Recorder(word)


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
        shape = HAS_SIZE | HAS_OLD | HAS_ADDRESS
        write_row(recorder, REALLOC_CALL, time, shape, recorder.asked_size, 0, old, pointer)


def record_move(pointer: Word) -> None:
    """A realloc has copied everything to this block, and is about to free the old one."""
    record_resize(asking(), pointer)


def note_refusal() -> None:
    """A request is given up: why is in the thread's word, for a moment."""
    word = load_thread_recorder()
    if word != 0 and not is_of_ended(word):
        reason = load_thread_reason()
        reason = reason if reason != 0 else Figures.refused_memory * ONE
        recorder = Recorder(word)
        recorder.reason = ((reason - Figures.refused_limit) >> 3) + 1


# ---- Other events ----


def record_event(operation: Word, shape: Word, size: Word, number: Word, address: Word) -> None:
    """What is no call: may be under a lock, and so is left out where this thread has no recorder with room."""
    word = load_thread_recorder()
    if word == 0 or is_of_ended(word) or atomic_load(FORKS_NOTED) != forks_seen():
        return
    recorder = Recorder(word)
    if recorder.done & IN_ROWS > ROWS_END:
        recorder.lost += 1
        return
    write_row(recorder, operation, tick(), shape, size, number, 0, address)


def record_range(operation: Word, address: Word, count: Word) -> None:
    """Something happened to these bytes of memory."""
    record_event(operation, HAS_SIZE | HAS_ADDRESS, count, 0, address)


# ---- Names ----


def is_own_name(name: Word, count: Word) -> bool:
    """Whether so many bytes are the process's own name, which its threads inherit."""
    for at in range(count):
        if load_byte(name + at) != load_byte(OWN_NAME + at):
            return False
    return count == NAME_BYTES_MAX or load_byte(OWN_NAME + count) == 0


def take_texts() -> bool:
    """Texts are numbered in the order of the file: one thread at a time. False after some patience."""
    looks = PATIENCE * ONE
    while looks != 0 and atomic_exchange(TEXTS_TAKEN, ONE) != 0:
        looks -= 1
    return looks != 0


def append_name(scratch: Recorder, count: Word) -> Word:
    """The name of a thread stands at the end of a recorder's rows: write it as a text. Its number, or 0."""
    global text_count
    name = scratch.rows + ROWS_END
    if not take_texts():
        return 0
    text_count += 1
    place = put_number(put_number(put_number(scratch.rows, text_count), ONE), ONE)
    place = put_number(put_number(place, TEXT_DEFINITION * ONE), count)
    for at in range(count):
        store_byte(place + at, load_byte(name + at))
    append_chunk(scratch, TABLES * ONE, ONE, place + count - scratch.rows)
    number = text_count
    atomic_store(TEXTS_TAKEN, 0)
    return number


def text_of_name(scratch: Recorder, thread: Word) -> Word:
    """The number of a text with the thread's name, if it has one of its own; or 0."""
    count = thread_name(thread, scratch.rows + ROWS_END)
    if count == 0 or is_own_name(scratch.rows + ROWS_END, count):
        return 0
    return append_name(scratch, count)


# ---- Beginning ----


def read_record_option(entry: Word) -> bool:
    """Obey an entry of the environment if it is one of those above. Whether it is."""
    global asked_path, record_entry, follow_entry, follows
    value = text_after(entry, RECORD)
    if value != 0:
        if load_byte(value) == 0:
            complain(MALFORMED, entry)
        else:
            asked_path = value
            record_entry = entry
        return True
    value = text_after(entry, RECORD_FOLLOW)
    if value != 0:
        follows = number_in(entry, value, 0, 1) == 1
        follow_entry = entry
        return True
    return False


def read_recorded_process(entry: Word) -> None:
    """Obey an entry that says which process records, if it is that one."""
    global asked_process
    value = text_after(entry, RECORD_PROCESS)
    if value != 0:
        asked_process = number_in(entry, value, 1, MOST_PROCESSES)


def names_process(path: Word) -> bool:
    """Whether a path has %p in it."""
    letter = load_byte(path)
    while letter != 0:
        if letter == PERCENT and load_byte(path + 1) == LETTER_P:
            return True
        path += 1
        letter = load_byte(path)
    return False


def put_digits(place: Word, number: Word) -> Word:
    """Write a number in decimal. Where it ends."""
    power = ONE
    while number // power >= 10:
        power *= 10
    while power != 0:
        store_byte(place, DIGIT + number // power % 10)
        place += 1
        power //= 10
    return place


def put_copy(place: Word, copy: Word) -> Word:
    """Write which program of its process this is, if it is not the first. Where that ends."""
    if copy == 1:
        return place
    store_byte(place, DASH)
    return put_digits(place + 1, copy)


def expand_path(copy: Word) -> None:
    """Write the file's name, with the process id for %p; behind that the number of the process's program."""
    source = asked_path
    place = PATH
    is_marked = False
    letter = load_byte(source)
    while letter != 0 and place < PATH + PATH_BYTES - 64:
        if letter == PERCENT and load_byte(source + 1) == LETTER_P:
            place = put_copy(put_digits(place, process_id()), copy)
            is_marked = True
            source += 1
        else:
            store_byte(place, letter)
            place += 1
        source += 1
        letter = load_byte(source)
    if not is_marked:
        place = put_copy(place, copy)
    store_byte(place, 0)


def open_new() -> bool:
    """Make the file; by exec a process that is followed may have made one before. Whether there is one."""
    copies = MOST_COPIES if follows or asked_process != 0 else ONE
    for copy in range(1, copies + 1):
        expand_path(copy)
        if open_record(PATH):
            return True
    expand_path(ONE)
    return False


def append_header(place: Word) -> None:
    """Write what the file begins with."""
    header = TraceHeader(place)
    header.magic = MAGIC
    header.version_and_bytes = VERSION | TraceHeader.SIZE << 16
    header.flags = TIMES_AND_ADDRESSES
    header.ticks = ticks_in_second
    header.start = tick()
    header.realtime = real_time()
    header.mean_gap = 0
    header.process = process_id()
    header.parent = parent_id()
    header.page = page_size()
    header.checksum = adler(header, HEADER_CHECKED * ONE)
    append(header, TraceHeader.SIZE * ONE)


def append_about(scratch: Recorder) -> None:
    """Write which program this is: its command line, with blanks between the words."""
    text = scratch.rows + PATH_BYTES
    count = command_line(text, PATH_BYTES * ONE)
    count -= 1 if count != 0 and load_byte(text + count - 1) == 0 else 0
    place = put_number(scratch.rows, PROGRAM_BYTES * ONE)
    store_word(place, PROGRAM)
    place = put_number(place + PROGRAM_BYTES, count)
    for at in range(count):
        letter = load_byte(text + at)
        store_byte(place + at, letter if letter != 0 else SPACE)
    append_chunk(scratch, ABOUT * ONE, ONE, place + count - scratch.rows)


def open_trace() -> None:
    """A file of this process's own, with its beginning. Where there is none, nothing is recorded."""
    global recording, recorded_process, recorded_generation, text_count
    recorded_process = process_id()
    recorded_generation = fork_generation()
    atomic_store(FORKS_NOTED, forks_seen())
    atomic_store(THREAD_COUNT, 0)
    atomic_store(TEXTS_TAKEN, 0)
    text_count = 0
    if not open_new():
        recording = OVER if recording != 0 else 0
        warn(NOT_MADE, PATH)
        return
    recording = UNDER_WAY
    scratch = claim_recorder()
    if scratch != 0:
        append_header(scratch.rows)
        append_about(scratch)
        store_word(OWN_NAME, 0)
        store_word(OWN_NAME + 8, 0)
        thread_name(process_id(), OWN_NAME)
        give_up(scratch)


def begin_recording() -> None:
    """The options are read, and this process is on the heap: record if they say so."""
    global follows, ticks_in_second
    if asked_path == 0 or (asked_process != 0 and asked_process != process_id()):
        return
    if follows and not names_process(asked_path):
        complain(NO_MARK, record_entry)
        follows = False
    ticks_in_second = start_ticks()
    open_trace()
    if not follows and asked_process == 0:
        hide_entry(record_entry)
        hide_entry(follow_entry)


# ---- Forks and ends ----


def forget_parent() -> None:
    """In a forked child: what the parent's threads had not handed on is the parent's to write.

    The recorder of this thread is left: a signal handler that forks may have interrupted it.
    """
    own = load_thread_recorder()
    recorder = Recorder(atomic_load(NEWEST_RECORDER))
    while recorder != 0:
        if recorder == own:
            recorder.is_free = ABANDONED
        elif recorder.is_free != ABANDONED:
            empty(recorder)
            recorder.is_busy = 0
            recorder.is_handed_on = 0
            give_up(recorder)
        recorder = Recorder(recorder.next_recorder)
    store_thread_recorder(0)


def begin_in_child() -> None:
    """This process was forked: it has a file of its own, or records nothing."""
    global recording, recorded_generation
    close_record()
    forget_parent()
    recorded_generation = fork_generation()
    if follows and recording == UNDER_WAY:
        open_trace()
    else:
        recording = OVER


def look_at_forks() -> None:
    """Before a row: is this process a new one, or has it forked?"""
    seen = forks_seen()
    noted = atomic_load(FORKS_NOTED)
    if noted == seen or recording == 0:
        return
    if fork_generation() != recorded_generation:
        begin_in_child()
        atomic_store(FORKS_NOTED, seen)
    elif atomic_replace(FORKS_NOTED, noted, seen):
        record_event(FORK_EVENT, HAS_NUMBER, 0, newest_child(), 0)


def end_thread() -> None:
    """This thread ends. Calls that it makes still are handed on one by one."""
    word = load_thread_recorder()
    if word == 0 or is_of_ended(word) or recording != UNDER_WAY:
        return
    recorder = own_recorder()
    if recorder == 0:
        return
    scratch = claim_recorder()
    if scratch != 0:
        number = text_of_name(scratch, recorder.system_thread)
        give_up(scratch)
        if number != 0:
            write_row(recorder, NAME_EVENT, tick(), HAS_NUMBER, 0, number, 0, 0)
    write_row(recorder, END_EVENT, tick(), 0, 0, 0, 0, 0)
    if hand_on_full(recorder):
        store_thread_recorder(recorder.thread << 1 | 1)
        give_up(recorder)


def take_for_good(recorder: Recorder) -> None:
    """The process ends: hand on what a recorder holds, unless its thread is at it, which is given some time."""
    for _ in range(PATIENCE):
        if hand_on(recorder, True):
            return


def name_last(scratch: Recorder, recorder: Recorder) -> None:
    """The process ends: record the name of a thread, all rows of which were handed on."""
    number = text_of_name(scratch, recorder.system_thread)
    if number != 0:
        scratch.thread = recorder.thread
        write_row(scratch, NAME_EVENT, tick(), HAS_NUMBER, 0, number, 0, 0)
        hand_on(scratch, False)


def end_recording() -> None:
    """This process ends, or becomes another program: all that was recorded goes to the file."""
    global recording
    if recording != UNDER_WAY or process_id() != recorded_process:
        return
    scratch = claim_recorder()
    recording = OVER
    recorder = Recorder(atomic_load(NEWEST_RECORDER))
    while recorder != 0:
        if recorder != scratch and recorder.is_free == 0:
            take_for_good(recorder)
            if scratch != 0 and recorder.is_late == 0:
                name_last(scratch, recorder)
        recorder = Recorder(recorder.next_recorder)
