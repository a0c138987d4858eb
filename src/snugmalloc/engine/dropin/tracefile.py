"""Owns the trace file of this process: what it is called, its header, and whether anything is recorded.

    SNUG_RECORD=FILE        every call goes to the new file FILE; %p in it is the process id
    SNUG_RECORD_FOLLOW=1    and those of forked children and of programs that are executed to files of their own

Without the second option the process that records takes both out of its environment, so that no program that
it starts records, and a forked child writes nothing. `snug record` sets _SNUG_RECORD_PROCESS to the id of the
process that is meant: that one records, and so does every program that it becomes by exec. A file that exists
is never written to: the second program of a process writes to FILE-2, or what %p stands for ends so.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Text,
    Word,
    append_record,
    atomic_load,
    atomic_replace,
    atomic_store,
    close_record,
    copy_bytes,
    fork_generation,
    forks_seen,
    hide_entry,
    inline,
    load_byte,
    open_record,
    page_size,
    parent_id,
    process_id,
    real_time,
    reserve,
    start_ticks,
    store_byte,
    text_after,
    tick,
    warn,
)
from .chunks import HEADER_CHECKED, MAGIC, TIMES_AND_ADDRESSES, VERSION, TraceHeader, adler
from .values import MALFORMED, complain, number_in

RECORD = b"SNUG_RECORD="
RECORD_FOLLOW = b"SNUG_RECORD_FOLLOW="
RECORD_PROCESS = b"_SNUG_RECORD_PROCESS="
NO_MARK = b"snugmalloc: followed programs need a name with %p, and are not recorded: "
NOT_MADE = b"snugmalloc: nothing is recorded, for there is such a file already, or none can be made: "
NOT_WRITTEN = b"snugmalloc: the recording ends here, its file cannot be written any more: "

PATH_BYTES = 4096
PERCENT = 37
LETTER_P = 112
DIGIT = 48
DASH = 45
MOST_PROCESSES = 1 << 22
MOST_COPIES = 100  # programs that one process becomes by exec, each with a file of its own

UNDER_WAY = 1  # values of `state`; 0: nothing was ever recorded
OVER = 2

FORKS_NOTED = reserve(8)
PATH = reserve(PATH_BYTES)

state: Word = 0
asked_path: Word = 0  # what SNUG_RECORD says, or 0
record_entry: Word = 0  # the entries of the environment
follow_entry: Word = 0
asked_process: Word = 0  # the only process that records, or 0
follows: bool = False
has_failed: bool = False
ticks_in_second: Word = 0
recorded_process: Word = 0
recorded_generation: Word = 0


def is_recording() -> bool:
    """Whether calls are recorded."""
    return state == UNDER_WAY


def has_recorded() -> bool:
    """Whether calls were recorded and are not any more."""
    return state == OVER


def leave_off() -> None:
    """Nothing is recorded from now on."""
    global state
    state = OVER


# ---- Writing ----


def stop(why: Text) -> None:
    """The recording ends, the program goes on, and a line says so."""
    global has_failed
    leave_off()
    if not has_failed:
        has_failed = True
        warn(why, PATH)


def append(address: Word, count: Word) -> None:
    """Write to the end of the file, if this is the process that it belongs to.

    Where nobody told us about a fork it is not: and after vfork what the child writes is its parent's memory.
    """
    if is_own_file() and not append_record(address, count):
        stop(NOT_WRITTEN)


# ---- Options ----


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


def is_asked_for() -> bool:
    """Once the options are read: whether this process is to record. It knows its clock from then on."""
    global follows, ticks_in_second
    if asked_path == 0 or (asked_process != 0 and asked_process != process_id()):
        return False
    if follows and not names_process(asked_path):
        complain(NO_MARK, record_entry)
        follows = False
    ticks_in_second = start_ticks()
    return True


def hide_options() -> None:
    """Programs that this process starts do not record, unless they are followed."""
    if not follows and asked_process == 0:
        hide_entry(record_entry)
        hide_entry(follow_entry)


# ---- Opening ----


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


def open_named(path: Word) -> bool:
    """The file that somebody outside asked for, until `take_up` without a recording. Whether it is made."""
    global has_failed, ticks_in_second, recorded_process, recorded_generation
    copy_bytes(PATH, path, PATH_BYTES * ONE)
    has_failed = False
    recorded_process = process_id()
    recorded_generation = fork_generation()
    atomic_store(FORKS_NOTED, forks_seen())
    ticks_in_second = start_ticks() if ticks_in_second == 0 else ticks_in_second
    return open_record(PATH)


def take_up() -> None:
    """From now on calls are recorded, unless the file could not be written."""
    global state
    state = OVER if has_failed else UNDER_WAY


def open_file() -> bool:
    """A file of this process's own. Whether there is one; where there is none, nothing is recorded."""
    global state, recorded_process, recorded_generation
    recorded_process = process_id()
    recorded_generation = fork_generation()
    atomic_store(FORKS_NOTED, forks_seen())
    if not open_new():
        state = OVER if state != 0 else 0
        warn(NOT_MADE, PATH)
        return False
    state = UNDER_WAY
    return True


# ---- Forks ----


@inline
def is_noted(forks: Word) -> bool:
    """Whether the recording knows of this many forks."""
    return atomic_load(FORKS_NOTED) == forks


def note_forks(forks: Word) -> Word:
    """The process has forked so many times. How many of them this thread, and no other, is to record."""
    noted = atomic_load(FORKS_NOTED)
    is_mine = noted < forks and atomic_replace(FORKS_NOTED, noted, forks)
    return forks - noted if is_mine else 0


def is_forked() -> bool:
    """Whether this process was forked since its file was opened."""
    return fork_generation() != recorded_generation


def is_own_file() -> bool:
    """Whether this process opened the file, and not one that it is a copy of."""
    return process_id() == recorded_process


def leave_file() -> bool:
    """In a forked child: the file is the parent's. Whether the child is to have one of its own."""
    global recorded_generation
    close_record()
    recorded_generation = fork_generation()
    return follows and is_recording()
