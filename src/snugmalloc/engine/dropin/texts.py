"""Owns what a trace says in words: which program it is of, and the names of its threads."""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    clear_bytes,
    command_line,
    copy_bytes,
    load_byte,
    process_id,
    reserve,
    store_byte,
    store_word,
    thread_name,
)
from .chunks import ABOUT, TABLES, put_number
from .definitions import (
    hand_on_definitions,
    leave_definitions,
    put_first_numbers,
    put_new_text,
    take_definitions,
)
from .recorder import ROWS_END, Recorder, append_chunk
from .ring import NAME_ROOM, Run
from .tracefile import PATH_BYTES, put_digits

PROGRAM = 0x006D_6172_676F_7270  # the letters of "program",
PROGRAM_BYTES = 7  # so many
LIVE_NAME = 0x6576_696C  # and of "live"
LIVE_NAME_BYTES = 4
LEFT_OUT_FIRST = 0x6C20_7365_6D61_7266  # of "frames left out"
LEFT_OUT_LAST = 0x0074_756F_2074_6665
LEFT_OUT_BYTES = 15
PRIVATE_FIRST = 0x2065_7461_7669_7270  # of "private heaps"
PRIVATE_LAST = 0x0000_0073_7061_6568
PRIVATE_BYTES = 13
NAME_BYTES_MAX = 16
SPACE = 32

OWN_NAME = reserve(NAME_BYTES_MAX)


def begin_texts() -> None:
    """A new file begins: the process has the name that its threads inherit."""
    store_word(OWN_NAME, 0)
    store_word(OWN_NAME + 8, 0)
    thread_name(process_id(), OWN_NAME)


def is_own_name(name: Word, count: Word) -> bool:
    """Whether so many bytes are the process's own name, which its threads inherit."""
    for at in range(count):
        if load_byte(name + at) != load_byte(OWN_NAME + at):
            return False
    return count == NAME_BYTES_MAX or load_byte(OWN_NAME + count) == 0


def append_name(scratch: Recorder, count: Word) -> Word:
    """The name of a thread stands at the end of a recorder's rows: write it as a text. Its number, or 0."""
    if not take_definitions():
        return 0
    hand_on_definitions()
    place, number = put_new_text(put_first_numbers(scratch.rows), scratch.rows + ROWS_END, count)
    append_chunk(scratch, TABLES * ONE, ONE, place - scratch.rows)
    leave_definitions()
    return number


def text_of_name(scratch: Recorder, thread: Word) -> Word:
    """The number of a text with the thread's name, if it has one of its own; or 0."""
    count = thread_name(thread, scratch.rows + ROWS_END)
    if count == 0 or is_own_name(scratch.rows + ROWS_END, count):
        return 0
    return append_name(scratch, count)


def append_count(scratch: Recorder, first: Word, last: Word, letters: Word, count: Word) -> None:
    """Write a count, under a name of more than 8 letters that are in two words."""
    place = put_number(scratch.rows, letters)
    store_word(place, first)
    store_word(place + 8, last)
    place += letters
    end = put_digits(place + 1, count)
    store_byte(place, end - place - 1)
    append_chunk(scratch, ABOUT * ONE, ONE, end - scratch.rows)


def append_left_out(scratch: Recorder, count: Word) -> None:
    """Write how many frames of stacks were left out."""
    append_count(scratch, LEFT_OUT_FIRST * ONE, LEFT_OUT_LAST * ONE, LEFT_OUT_BYTES * ONE, count)


def append_private(scratch: Recorder, count: Word) -> None:
    """Write how many private heaps the program has made: what is in them is not recorded."""
    append_count(scratch, PRIVATE_FIRST * ONE, PRIVATE_LAST * ONE, PRIVATE_BYTES * ONE, count)


def name_run(run: Run) -> None:
    """In a ring: note the name of the thread whose rows these are, if it has one of its own."""
    if run == 0:
        return
    count = thread_name(run.system_thread, run.name)
    if count == 0:
        return
    if is_own_name(run.name, count):
        clear_bytes(run.name, NAME_ROOM)
    elif count < NAME_ROOM:
        clear_bytes(run.name + count, NAME_ROOM - count)


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


def append_live(scratch: Recorder, live: Word) -> None:
    """Write how many bytes were live when the recording began: a trace that begins later does not know them."""
    digits = scratch.rows + PATH_BYTES
    count = put_digits(digits, live) - digits
    place = put_number(scratch.rows, LIVE_NAME_BYTES * ONE)
    store_word(place, LIVE_NAME)
    place = put_number(place + LIVE_NAME_BYTES, count)
    copy_bytes(place, digits, count)
    append_chunk(scratch, ABOUT * ONE, ONE, place + count - scratch.rows)
