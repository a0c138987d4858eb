"""Owns what a trace says in words: which program it is of, and the names of its threads."""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    atomic_exchange,
    atomic_store,
    command_line,
    copy_bytes,
    load_byte,
    process_id,
    reserve,
    store_byte,
    store_word,
    thread_name,
)
from .chunks import ABOUT, TABLES, TEXT_DEFINITION, put_number
from .recorder import PATIENCE, ROWS_END, Recorder, append_chunk
from .tracefile import PATH_BYTES, put_digits

PROGRAM = 0x006D_6172_676F_7270  # the letters of "program",
PROGRAM_BYTES = 7  # so many
LIVE_NAME = 0x6576_696C  # and of "live"
LIVE_NAME_BYTES = 4
NAME_BYTES_MAX = 16
SPACE = 32

TEXTS_TAKEN = reserve(8)
OWN_NAME = reserve(NAME_BYTES_MAX)

text_count: Word = 0


def begin_texts() -> None:
    """A new file begins: no text has a number, and the process has the name that its threads inherit."""
    global text_count
    text_count = 0
    atomic_store(TEXTS_TAKEN, 0)
    store_word(OWN_NAME, 0)
    store_word(OWN_NAME + 8, 0)
    thread_name(process_id(), OWN_NAME)


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
