"""Owns the trace file of this process: what it is called, its header, and whether anything is recorded.

    SNUG_RECORD=FILE        every call goes to the new file FILE; %p in it is the process id
    SNUG_RECORD_FOLLOW=1    and those of forked children and of programs that are executed to files of their own
    SNUG_RECORD_STACKS=python,native    with the stacks of the calls that allocate; `none` is the default

Without the second option the process that records takes all out of its environment, so that no program that
it starts records, and a forked child writes nothing. `snug record` sets _SNUG_RECORD_PROCESS to the id of the
process that is meant: that one records, and so does every program that it becomes by exec. A file that exists
is never written to: the second program of a process writes to FILE-2, or what %p stands for ends so. So does
a process that asks for a ring (see ring.py), whatever left the file that is there.
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
    file_exists,
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
    unlikely,
    warn,
)
from .chunks import HEADER_CHECKED, MAGIC, STACKS, TIMES_AND_ADDRESSES, VERSION, TraceHeader, adler
from .ring import (
    KEPT_SHIFT,
    KEPT_STACKS_SHIFT,
    RING_FLAG,
    has_ring,
    is_ring_ours,
    keep_chunk,
    leave_ring,
    make_ring,
    put_beginning,
    ring_in,
)
from .sampling import hide_sample_option, mean_gap, take_no_samples
from .values import MALFORMED, complain, number_in

RECORD = b"SNUG_RECORD="
RECORD_FOLLOW = b"SNUG_RECORD_FOLLOW="
RECORD_STACKS = b"SNUG_RECORD_STACKS="
RECORD_PROCESS = b"_SNUG_RECORD_PROCESS="
NO_SAMPLES = b"snugmalloc: a ring keeps every call, SNUG_RECORD_SAMPLE is ignored: "
NO_MARK = b"snugmalloc: followed programs need a name with %p, and are not recorded: "
NOT_MADE = b"snugmalloc: nothing is recorded, the file exists already or cannot be created: "
NO_RING = b"snugmalloc: nothing is recorded, a ring of this size cannot be created there: "
NOT_WRITTEN = b"snugmalloc: the recording ends here, its file cannot be written any more: "

PATH_BYTES = 4096
PERCENT = 37
LETTER_P = 112
DIGIT = 48
DASH = 45
MOST_PROCESSES = 1 << 22
MOST_COPIES = 100  # programs that one process becomes by exec, each with a file of its own

PYTHON_WORD = b"python"  # the words that say which stacks
NATIVE_WORD = b"native"
NONE_WORD = b"none"
BETWEEN_WORDS = 44
PYTHON_STACKS = 1  # bits of `asked_stacks`
NATIVE_STACKS = 2

UNDER_WAY = 1  # values of `state`; 0: nothing was ever recorded
OVER = 2

FORKS_NOTED = reserve(8)
PATH = reserve(PATH_BYTES)

state: Word = 0
asked_path: Word = 0  # what SNUG_RECORD says, or 0
asked_ring: Word = 0  # the bytes of a ring, or 0
record_entry: Word = 0  # the entries of the environment
follow_entry: Word = 0
stacks_entry: Word = 0
asked_stacks: Word = 0  # which are to be recorded
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


def ticks_of_second() -> Word:
    """How many ticks of the recording's clock are a second."""
    return ticks_in_second


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
    """Write to the end of the file, or into the ring, if this is the process that it belongs to.

    Where nobody told us about a fork it is not: and after vfork what the child writes is its parent's memory.
    """
    if not is_own_file():
        return
    if has_ring():
        keep_chunk(address, count)
    elif not append_record(address, count):
        stop(NOT_WRITTEN)


# ---- Options ----


def read_record_option(entry: Word) -> bool:
    """Apply an entry of the environment if it is one of those above. Returns True if it is."""
    global asked_path, asked_ring, record_entry, follow_entry, follows
    value = text_after(entry, RECORD)
    if value != 0:
        path, size = ring_in(value)
        if path == 0 or load_byte(path) == 0:
            complain(MALFORMED, entry)
        else:
            asked_path = path
            asked_ring = size
            record_entry = entry
        return True
    value = text_after(entry, RECORD_FOLLOW)
    if value != 0:
        follows = number_in(entry, value, 0, 1) == 1
        follow_entry = entry
        return True
    value = text_after(entry, RECORD_STACKS)
    if value != 0:
        read_stacks(entry, value)
        return True
    return False


def stack_bits(value: Word) -> tuple[Word, Word]:
    """Which stacks the word at `value` means, and where it ends; 0 there if it is none that is known."""
    end = text_after(value, PYTHON_WORD)
    if end != 0:
        return PYTHON_STACKS * ONE, end
    end = text_after(value, NATIVE_WORD)
    if end != 0:
        return NATIVE_STACKS * ONE, end
    return 0 * ONE, text_after(value, NONE_WORD)


def read_stacks(entry: Word, value: Word) -> None:
    """Obey the entry that says which stacks are recorded, in words with commas between them."""
    global asked_stacks, stacks_entry
    stacks_entry = entry
    asked: Word = 0
    more = True
    while more:
        bits, value = stack_bits(value)
        if value == 0 or (load_byte(value) != 0 and load_byte(value) != BETWEEN_WORDS):
            complain(MALFORMED, entry)
            return
        asked |= bits
        more = load_byte(value) == BETWEEN_WORDS
        value += 1
    asked_stacks = asked


def takes_python_stacks() -> bool:
    """Whether the stacks of Python calls are recorded."""
    return asked_stacks & PYTHON_STACKS != 0


def takes_native_stacks() -> bool:
    """Whether those of calls in machine code are."""
    return asked_stacks & NATIVE_STACKS != 0


@inline
def takes_stacks() -> bool:
    """Whether stacks are recorded."""
    return unlikely(asked_stacks != 0)


def take_no_stacks() -> None:
    """Stacks cannot be recorded."""
    global asked_stacks
    asked_stacks = 0


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
    if asked_ring != 0 and mean_gap() != 0:
        complain(NO_SAMPLES, record_entry)
        take_no_samples()
    ticks_in_second = start_ticks()
    return True


def hide_options() -> None:
    """Programs that this process starts do not record, unless they are followed."""
    if not follows and asked_process == 0:
        hide_entry(record_entry)
        hide_entry(follow_entry)
        hide_sample_option()
        hide_entry(stacks_entry)


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


def may_be_there() -> bool:
    """Whether a file of that name may be there already, and the next name will do.

    By exec a process that is followed may have made one before; a ring is what a killed process left.
    """
    return follows or asked_process != 0 or asked_ring != 0


def open_at_path() -> bool:
    """Make the file at the expanded path. Returns True on success."""
    if asked_ring == 0:
        return open_record(PATH)
    return make_ring(PATH, asked_ring, asked_ring >> (KEPT_STACKS_SHIFT if takes_stacks() else KEPT_SHIFT))


def open_new() -> bool:
    """Make the file. Returns True on success."""
    copies = MOST_COPIES if may_be_there() else ONE
    for copy in range(1, copies + 1):
        expand_path(copy)
        if open_at_path():
            return True
        if not file_exists(PATH):
            break
    expand_path(ONE)
    return False


def append_header(place: Word) -> None:
    """Write what the file begins with."""
    header = TraceHeader(place)
    header.magic = MAGIC
    header.version_and_bytes = VERSION | TraceHeader.SIZE << 16
    header.flags = TIMES_AND_ADDRESSES | (STACKS if takes_stacks() else 0) | (RING_FLAG if has_ring() else 0)
    header.ticks = ticks_in_second
    header.start = tick()
    header.realtime = real_time()
    header.mean_gap = mean_gap()
    header.process = process_id()
    header.parent = parent_id()
    header.page = page_size()
    header.checksum = adler(header, HEADER_CHECKED * ONE)
    if has_ring():
        put_beginning(header, TraceHeader.SIZE)
    else:
        append(header, TraceHeader.SIZE * ONE)


def open_named(path: Word) -> bool:
    """Make the file of a command from outside, unused until `take_up`. Returns True on success."""
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
    """Make this process's own file. Returns True on success; otherwise nothing is recorded."""
    global state, recorded_process, recorded_generation
    recorded_process = process_id()
    recorded_generation = fork_generation()
    atomic_store(FORKS_NOTED, forks_seen())
    if not open_new():
        state = OVER if state != 0 else 0
        warn(NOT_MADE if asked_ring == 0 else NO_RING, PATH)
        return False
    state = UNDER_WAY
    return True


# ---- Forks ----


@inline
def is_noted(forks: Word) -> bool:
    """Whether the recording knows of this many forks."""
    return atomic_load(FORKS_NOTED) == forks and is_ring_ours()


def note_forks(forks: Word) -> Word:
    """Claim the forks so far that no thread has recorded. Returns how many this thread must record."""
    noted = atomic_load(FORKS_NOTED)
    is_mine = noted < forks and atomic_replace(FORKS_NOTED, noted, forks)
    return forks - noted if is_mine else 0


def is_forked() -> bool:
    """Whether this process was forked since its file was opened."""
    return fork_generation() != recorded_generation or not is_ring_ours()


def is_own_file() -> bool:
    """Whether this process opened the file, and not one that it is a copy of."""
    return process_id() == recorded_process


def leave_file() -> bool:
    """In a forked child: stop using the parent's file. Returns True if the child needs one of its own."""
    global recorded_generation
    close_record()
    leave_ring()
    recorded_generation = fork_generation()
    return follows and is_recording()
