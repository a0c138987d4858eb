"""Owns what the rows of a trace name by a number: texts, frames and stacks, each once, in chunks of tables.

What has a number is in a table in mapped memory that all threads share. To find something there takes no lock;
whoever adds to it is alone, for definitions stand in the file in the order of their numbers. A signal handler
may have interrupted that one: so nobody waits for long, and what could not be numbered is left out and counted.

A definition has a key of two words, the highest bits of which say what it is:

    text          how long it is; a hash of it
    source frame  texts of file and function; the line
    native frame  text of the module; the offset
    stack         the caller's stack; the frame
    code          an address where code lies
    place         such an address; the offset in the code. Its number is that of a frame, or 0

Codes and places are not written to the file. When code goes, its places lose their numbers, and get others when
different code is seen at the same address.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Int,
    Record,
    Word,
    atomic_add,
    atomic_exchange,
    atomic_load,
    atomic_store,
    copy_bytes,
    guard_forks,
    inline,
    load_byte,
    load_word,
    map_memory,
    multiply,
    purge_memory,
    reserve,
    tick,
    unlikely,
    warn,
)
from .chunks import NATIVE_DEFINITION, SOURCE_DEFINITION, STACK_DEFINITION, TABLES, TEXT_DEFINITION, put_number
from .recorder import PATIENCE, ROWS_END, Recorder, append_chunk, claim_recorder
from .tracefile import PATH, is_own_file, ticks_of_second

NO_TABLE = b"snugmalloc: there is no memory for stacks, and none are recorded: "
TABLE_FULL = b"snugmalloc: there are too many stacks: from here on new ones are cut or left out: "

TEXT_KEY = 1 << 60
SOURCE_KEY = 2 << 60
NATIVE_KEY = 3 << 60
STACK_KEY = 4 << 60
CODE_KEY = 5 << 60
PLACE_KEY = 6 << 60
FILE_SHIFT = 28  # in the first word of a source frame, behind the function

INDEX_SLOTS = 1 << 20
IN_INDEX = INDEX_SLOTS - 1
MOST_DEFINITIONS = INDEX_SLOTS // 4 * 3
INDEX_SLOT_SHIFT = 3
PASS_SHIFT: Int = 10  # of a second: a chunk has a head of 64 bytes, a definition some five
MIX_FIRST = 0x9E37_79B9_7F4A_7C15
MIX_SECOND = 0xC2B2_AE3D_27D4_EB4F
MIX_SHIFT = 29

LARGEST_NUMBERS = (
    64  # bytes: more than any definition but a text takes, and the numbers that a chunk begins with
)


class Definition(Record, size=32):
    """What is known under a key.

     0  first      the key
     8  second
    16  number     0 of code, and of a place in code that is gone
    24  following  of code: its newest place; of a place: the one before; or 0
    32
    """

    first: Word
    second: Word
    number: Word
    following: Word


INDEX_BYTES = INDEX_SLOTS * 8
TABLE_BYTES = INDEX_BYTES + MOST_DEFINITIONS * Definition.SIZE

IS_TAKEN = reserve(8)
PENDING_COUNT = reserve(8)  # definitions that are not in the file yet: looked at without the lock, too
LEFT_OUT = reserve(8)
GENERATION = reserve(8)

table: Word = 0  # the index, with the address of a definition or 0 in each slot; then the definitions
definition_count: Word = 0
text_count: Word = 0
frame_count: Word = 0
stack_count: Word = 0
pending: Word = 0  # a recorder that holds definitions which are not in the file yet, or 0
pending_end: Word = 0  # where they end
is_table_full: bool = False
file_count: Word = 0
last_pass: Word = 0  # the clock when definitions went to a ring


# ---- One at a time ----


def take_definitions() -> bool:
    """Be the one who adds to the table, writes definitions to the file, and asks the loader for modules.

    False after some patience, and in a process that does not own the file. A fork waits for that one, too.
    """
    if not is_own_file():  # a child in its parent's memory, say by vfork: the parent's file would lack them
        return False
    looks = PATIENCE * ONE
    while looks != 0 and atomic_exchange(IS_TAKEN, ONE) != 0:
        looks -= 1
    return looks != 0


def leave_definitions() -> None:
    """Let others."""
    atomic_store(IS_TAKEN, 0)


# ---- Finding ----


@inline
def slot_of(first: Word, second: Word) -> Word:
    """Where in the index the search for a key begins; only the lowest bits count."""
    mixed = multiply(first, MIX_FIRST) ^ multiply(second, MIX_SECOND)
    mixed = multiply(mixed ^ mixed >> MIX_SHIFT, MIX_FIRST)
    return mixed >> MIX_SHIFT


def find_slot(first: Word, second: Word) -> Word:
    """The address of the slot with the definition under this key, or of the one that is free for it."""
    slot = slot_of(first, second)
    while True:
        place = table + ((slot & IN_INDEX) << INDEX_SLOT_SHIFT)
        found = Definition(atomic_load(place))
        if found == 0 or (found.first == first and found.second == second):
            return place
        slot += 1


def definition_of(first: Word, second: Word) -> Definition:
    """What is known under a key, or 0."""
    return Definition(atomic_load(find_slot(first, second)))


@inline
def number_under(first: Word, second: Word) -> Word:
    """The number of what is known under a key; 0 if nothing is."""
    found = definition_of(first, second)
    return found.number if found != 0 else 0


# ---- Adding, which only one thread does at a time ----


def note_left_out() -> None:
    """Something has no number, and will be missing."""
    atomic_store(LEFT_OUT, atomic_load(LEFT_OUT) + 1)


def has_room() -> bool:
    """Whether one more definition can be added; else a line says so, once."""
    global is_table_full
    if definition_count < MOST_DEFINITIONS:
        return True
    if not is_table_full:
        is_table_full = True
        warn(TABLE_FULL, PATH)
    return False


def add(first: Word, second: Word, number: Word) -> Definition:
    """Give a key, which is not known and for which there is room, a number."""
    global definition_count
    added = Definition(table + INDEX_BYTES + definition_count * Definition.SIZE)
    definition_count += 1
    added.first = first
    added.second = second
    added.number = number
    added.following = 0
    atomic_store(find_slot(first, second), added)
    return added


def is_any_pending() -> bool:
    """Whether there are definitions that are not in the file yet."""
    return atomic_load(PENDING_COUNT) != 0


def hand_on_definitions() -> None:
    """Write what is pending to the file."""
    if is_any_pending():
        recorder = Recorder(pending)
        append_chunk(recorder, TABLES * ONE, atomic_load(PENDING_COUNT), pending_end - recorder.rows)
        atomic_store(PENDING_COUNT, 0)


def pass_definitions() -> None:
    """Write what is pending to the file before rows that may name it."""
    if is_any_pending() and take_definitions():
        hand_on_definitions()
        leave_definitions()


def pass_in_time() -> None:
    """In a ring: the same at once, for the process may be killed; of many that come together some at a time."""
    global last_pass
    if not is_any_pending():
        return
    now = tick()
    if now - last_pass > ticks_of_second() >> PASS_SHIFT:
        last_pass = now
        pass_definitions()


def place_alone() -> Word:
    """Where a chunk of something else is to be written, when all that is pending is in the file."""
    hand_on_definitions()
    return Recorder(pending).rows


def append_alone(kind: Word, end: Word) -> None:
    """Write the chunk, which has one entry."""
    recorder = Recorder(pending)
    append_chunk(recorder, kind, ONE, end - recorder.rows)


def put_first_numbers(place: Word) -> Word:
    """Write the numbers that a chunk of tables begins with. Where they end."""
    return put_number(put_number(put_number(place, text_count + 1), frame_count + 1), stack_count + 1)


def begin_pending(count: Word) -> Word:
    """Where a definition of at most so many bytes is to be written."""
    global pending_end
    recorder = Recorder(pending)
    if is_any_pending() and pending_end + count > recorder.rows + ROWS_END:
        hand_on_definitions()
    if not is_any_pending():
        pending_end = put_first_numbers(recorder.rows)
    return pending_end


def end_pending(place: Word) -> None:
    """A definition ends here."""
    global pending_end
    atomic_store(PENDING_COUNT, atomic_load(PENDING_COUNT) + 1)
    pending_end = place


def put_new_text(place: Word, text: Word, count: Word) -> tuple[Word, Word]:
    """Write the definition of a text, the next one. Where it ends, and the number of the text."""
    global text_count
    place = put_number(put_number(place, TEXT_DEFINITION * ONE), count)
    copy_bytes(place, text, count)
    text_count += 1
    return place + count, text_count


def hash_bytes(text: Word, count: Word) -> Word:
    """A hash of so many bytes."""
    mixed = MIX_SECOND * ONE
    end = text + count
    while text + 8 <= end:
        mixed = multiply(mixed ^ load_word(text), MIX_FIRST)
        mixed ^= mixed >> MIX_SHIFT
        text += 8
    while text < end:
        mixed = multiply(mixed ^ load_byte(text), MIX_FIRST)
        mixed ^= mixed >> MIX_SHIFT
        text += 1
    return mixed


def number_text(text: Word, count: Word) -> Word:
    """The number of a text; 0 of an empty one, and where there is no room."""
    if count == 0:
        return 0
    first = TEXT_KEY | count
    second = hash_bytes(text, count)
    known = number_under(first, second)
    if known != 0 or not has_room():
        return known
    place, number = put_new_text(begin_pending(LARGEST_NUMBERS + count), text, count)
    end_pending(place)
    return add(first, second, number).number


def number_source(file: Word, line: Word, function: Word) -> Word:
    """The number of a frame in source code; 0 where there is no room."""
    global frame_count
    first = SOURCE_KEY | file << FILE_SHIFT | function
    known = number_under(first, line)
    if known != 0 or not has_room():
        return known
    place = put_number(begin_pending(LARGEST_NUMBERS * ONE), SOURCE_DEFINITION * ONE)
    frame_count += 1
    end_pending(put_number(put_number(put_number(place, file), line), function))
    return add(first, line, frame_count).number


def number_native(module: Word, offset: Word) -> Word:
    """The number of a frame in machine code; 0 where there is no room."""
    global frame_count
    first = NATIVE_KEY | module
    known = number_under(first, offset)
    if known != 0 or not has_room():
        return known
    place = put_number(begin_pending(LARGEST_NUMBERS * ONE), NATIVE_DEFINITION * ONE)
    frame_count += 1
    end_pending(put_number(put_number(place, module), offset))
    return add(first, offset, frame_count).number


def add_stack(caller: Word, frame: Word) -> Word:
    """The number of the stack of a frame and its caller; 0 where there is no room."""
    global stack_count
    first = STACK_KEY | caller
    known = number_under(first, frame)
    if known != 0 or not has_room():
        return known
    place = put_number(begin_pending(LARGEST_NUMBERS * ONE), STACK_DEFINITION * ONE)
    stack_count += 1
    end_pending(put_number(put_number(place, caller), frame))
    return add(first, frame, stack_count).number


def add_place(code: Word, offset: Word, frame: Word) -> None:
    """From now on a place in the code at this address has a frame, if there is room for it."""
    known = definition_of(PLACE_KEY | code, offset)
    if known != 0:
        atomic_store(known + Definition.number, frame)
        return
    owner = definition_of(CODE_KEY | code, 0)
    if owner == 0 and has_room():
        owner = add(CODE_KEY | code, 0, 0)
    if owner != 0 and has_room():
        added = add(PLACE_KEY | code, offset, frame)
        added.following = owner.following
        owner.following = added


# ---- Stacks ----


@inline
def frame_of(code: Word, offset: Word) -> Word:
    """The frame of a place in code; 0 if it has none yet."""
    return number_under(PLACE_KEY | code, offset)


def stack_of(caller: Word, frame: Word) -> Word:
    """The number of the stack of a frame, called from a stack: that of the caller's where there is no room."""
    known = number_under(STACK_KEY | caller, frame)
    if unlikely(known == 0):
        if take_definitions():
            known = add_stack(caller, frame)
            leave_definitions()
        if known == 0:
            note_left_out()
            return caller
    return known


def generation() -> Word:
    """How often numbers of places became invalid. Who keeps such a number keeps this, too."""
    return atomic_load(GENERATION)


def forget_code(code: Word) -> bool:
    """The code at this address goes. Whether there was any that had places."""
    owner = definition_of(CODE_KEY | code, 0)
    if owner == 0:
        return False
    place = Definition(owner.following)
    while place != 0:
        atomic_store(place + Definition.number, 0)
        place = Definition(place.following)
    atomic_add(GENERATION, ONE)
    return True


# ---- Beginning ----


def begin_definitions(takes_stacks: bool) -> bool:
    """A new file begins: nothing has a number. Whether stacks can be recorded."""
    global definition_count, text_count, frame_count, stack_count, pending, is_table_full, table
    global file_count
    file_count += 1
    text_count = 0
    frame_count = 0
    stack_count = 0
    definition_count = 0
    pending = 0
    atomic_store(PENDING_COUNT, 0)
    is_table_full = False
    atomic_store(LEFT_OUT, 0)
    atomic_add(GENERATION, ONE)
    atomic_store(IS_TAKEN, 0)
    if not takes_stacks:
        return False
    guard_forks(IS_TAKEN * ONE)
    if table != 0:
        purge_memory(table, TABLE_BYTES * ONE)
    else:
        table = map_memory(TABLE_BYTES * ONE)
    if table == 0:
        warn(NO_TABLE, PATH)
        return False
    recorder = claim_recorder()
    if recorder != 0:
        recorder.is_late = 1  # it is no thread's: it has no rows, and no name at the end
    pending = recorder
    return recorder != 0


def files_begun() -> Word:
    """How many files this program has recorded to, those of processes that it is a fork of included."""
    return file_count


def left_out() -> Word:
    """How many frames of stacks had no room."""
    return atomic_load(LEFT_OUT)
