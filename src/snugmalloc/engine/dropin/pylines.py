"""Owns the source location of a place in Python's code: file, line and function, as the trace names them.

It is determined when the place is first seen, by the one thread that adds definitions. Everything is read with
a system call that fails where there is no memory, because an object that looks like code may not be code.

A line table is read from its beginning, or from the last place in it: that of a large module has many places,
which are seen in sequence.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import Record, Word, load_byte, load_half, load_word, multiply, read_memory, reserve, store_byte
from .definitions import generation, has_room, number_source, number_text
from .layout import ALL_BITS
from .pylayout import BYTES_AT, LARGEST_CODE, LAYOUT, LENGTH_AT, STATE_AT, TYPE_AT, Layout
from .sampling import takes_samples

OBJECT_BYTES = 40  # the head of a text, up to where its letters may begin
MOST_LETTERS = 4096  # of a text; the rest is left out
LARGEST_LETTER = 4
WINDOW_BYTES = 1024

CODE = reserve(LARGEST_CODE)
OBJECT = reserve(OBJECT_BYTES)
LETTERS = reserve(MOST_LETTERS * LARGEST_LETTER)
TEXT = reserve(MOST_LETTERS * LARGEST_LETTER)
WINDOW = reserve(WINDOW_BYTES)

KIND_SHIFT = 2  # in the state of a text: the bytes of a letter,
KIND_MASK = 7
COMPACT = 32  # that the letters stand behind the head,
ASCII = 64  # and that all are ASCII

TWO_BYTES = 0x80  # letters from here on take so many bytes in UTF-8
THREE_BYTES = 0x800
FOUR_BYTES = 0x1_0000
ESCAPED = 0xDC80  # to 0xDCFF: stands for a byte that was no UTF-8
ESCAPED_END = 0xDD00

HEAD = 0x80  # the first byte of an entry in the table of lines
LINE_KIND_SHIFT = 3
LINE_KIND_MASK = 15
UNITS_MASK = 7
UNIT_BYTES = 2
ONE_LINE = 10  # kinds of entries: from here to 12 the line is so many further, less 10,
NO_COLUMNS = 13  # here and in the next it says how many,
NO_LINE = 15  # and here there is none
VARINT_MORE = 64
VARINT_MASK = 63
VARINT_SHIFT = 6
MOST_SHIFT = 60

MARKS_SHIFT = 6  # bits of the number of a mark
MARKS_MIX = 0x9E37_79B9_7F4A_7C15


class Mark(Record, size=40):
    """How far a line table was read.

     0  table
     8  generation  of what is known of code: with another one the table may be, too
    16  unit        the first that the next entry is about
    24  lines       from the first of the code to the one before that entry: alike code has one table
    32  place       where it begins
    40
    """

    table: Word
    generation: Word
    unit: Word
    lines: Word
    place: Word


MARKS = reserve(Mark.SIZE << MARKS_SHIFT)

window_begin: Word = 0  # the addresses that WINDOW has the bytes of
window_end: Word = 0
table_begin: Word = 0  # of the table of lines
table_at: Word = 0  # its next byte
table_end: Word = 0


# ---- Texts ----


def put_letter(place: Word, letter: Word) -> Word:
    """Write a character as UTF-8. Returns its end."""
    if letter < TWO_BYTES:
        store_byte(place, letter)
        return place + 1
    if letter >= ESCAPED and letter < ESCAPED_END:
        store_byte(place, letter & 0xFF)
        return place + 1
    if letter < THREE_BYTES:
        store_byte(place, 0xC0 | letter >> 6)
        store_byte(place + 1, 0x80 | letter & 63)
        return place + 2
    if letter < FOUR_BYTES:
        store_byte(place, 0xE0 | letter >> 12)
        store_byte(place + 1, 0x80 | letter >> 6 & 63)
        store_byte(place + 2, 0x80 | letter & 63)
        return place + 3
    store_byte(place, 0xF0 | letter >> 18 & 7)
    store_byte(place + 1, 0x80 | letter >> 12 & 63)
    store_byte(place + 2, 0x80 | letter >> 6 & 63)
    store_byte(place + 3, 0x80 | letter & 63)
    return place + 4


def letter_at(index: Word, width: Word) -> Word:
    """One of the characters that were read."""
    if width == 1:
        return load_byte(LETTERS + index)
    if width == 2:
        return load_byte(LETTERS + index * 2) | load_byte(LETTERS + index * 2 + 1) << 8
    return load_half(LETTERS + index * 4)


def read_text(text: Word) -> Word:
    """Write a Python string as UTF-8 to TEXT. Returns the number of bytes; 0 if it cannot be read."""
    layout = Layout(LAYOUT)
    if not read_memory(text, OBJECT_BYTES * ONE, OBJECT) or load_word(OBJECT + TYPE_AT) != layout.text_type:
        return 0
    state = load_half(OBJECT + STATE_AT)
    width = state >> KIND_SHIFT & KIND_MASK
    if state & COMPACT == 0 or (width != 1 and width != 2 and width != 4):
        return 0
    count = load_word(OBJECT + LENGTH_AT)
    count = count if count < MOST_LETTERS else MOST_LETTERS * ONE
    letters = text + (layout.ascii_bytes if state & ASCII != 0 else layout.compact_bytes)
    if not read_memory(letters, count * width, LETTERS):
        return 0
    place = TEXT * ONE
    for index in range(count):
        place = put_letter(place, letter_at(index, width))
    return place - TEXT


# ---- Lines ----


def next_byte() -> Word:
    """The next byte of the line table; at its end, or where it cannot be read, the head of an entry."""
    global window_begin, window_end, table_at
    if table_at >= table_end:
        return HEAD * ONE
    if table_at < window_begin or table_at >= window_end:
        count = table_end - table_at
        count = count if count < WINDOW_BYTES else WINDOW_BYTES * ONE
        if not read_memory(table_at, count, WINDOW):
            table_at = table_end
            return HEAD * ONE
        window_begin = table_at
        window_end = table_at + count
    byte = load_byte(WINDOW + table_at - window_begin)
    table_at += 1
    return byte


def next_varint() -> Word:
    """The next number of the table, six bits per byte."""
    byte = next_byte()
    value = byte & VARINT_MASK
    shift = VARINT_SHIFT * ONE
    while byte & VARINT_MORE != 0 and shift < MOST_SHIFT:
        byte = next_byte()
        value |= (byte & VARINT_MASK) << shift
        shift += VARINT_SHIFT
    return value


def next_line(line: Word) -> Word:
    """The line of an entry that has the difference."""
    step = next_varint()
    return line - (step >> 1) & ALL_BITS if step & 1 != 0 else line + (step >> 1)


def next_head() -> Word:
    """The head of the next entry, the only byte of it that has the highest bit."""
    byte = next_byte()
    while byte & HEAD == 0:
        byte = next_byte()
    return byte


def open_lines(lines: Word) -> bool:
    """Begin to read this object as a line table. Returns True if it is one."""
    global window_begin, window_end, table_begin, table_at, table_end
    window_begin = 0
    window_end = 0
    if not read_memory(lines, BYTES_AT * ONE, OBJECT):
        return False
    if load_word(OBJECT + TYPE_AT) != Layout(LAYOUT).bytes_type:
        return False
    table_begin = lines + BYTES_AT
    table_at = table_begin
    table_end = table_at + load_word(OBJECT + LENGTH_AT)
    return True


def mark_of_table() -> Mark:
    """The mark for this table; it may be in use for another table."""
    return Mark(MARKS + (multiply(table_begin, MARKS_MIX) >> 64 - MARKS_SHIFT) * Mark.SIZE)


def find_mark(unit: Word) -> Mark:
    """The mark in the table before this unit; or 0. Without one where nobody would tell that the table goes."""
    mark = mark_of_table()
    if mark.table != table_begin or mark.generation != generation() or mark.unit > unit:
        return Mark(0)
    return Mark(0 if takes_samples() or not has_room() else mark)


def set_mark(unit: Word, lines: Word, place: Word) -> None:
    """Store that the table was read up to an entry."""
    mark = mark_of_table()
    mark.table = table_begin
    mark.generation = generation()
    mark.unit = unit
    mark.lines = lines
    mark.place = place


def line_at(first_line: Word, unit: Word) -> Word:
    """The line of an instruction by the open table; if that has none, the first line of the code."""
    global table_at
    line = first_line
    begin: Word = 0  # the first unit of an entry
    mark = find_mark(unit)
    if mark != 0:
        line = (first_line + mark.lines) & ALL_BITS
        begin = mark.unit
        table_at = mark.place
    while table_at < table_end:
        place = table_at
        before = line
        head = next_head()
        kind = head >> LINE_KIND_SHIFT & LINE_KIND_MASK
        if kind >= ONE_LINE and kind < NO_COLUMNS:
            line += kind - ONE_LINE
        elif kind >= NO_COLUMNS and kind < NO_LINE:
            line = next_line(line)
        end = begin + (head & UNITS_MASK) + 1
        if unit < end:
            set_mark(begin, (before - first_line) & ALL_BITS, place)
            return first_line if kind == NO_LINE else line
        begin = end
    return first_line


# ---- Places ----


def is_code(code: Word) -> bool:
    """Whether there is a code object at an address; its head is then in CODE."""
    layout = Layout(LAYOUT)
    if not read_memory(code, layout.bytes_in_code, CODE):
        return False
    return load_word(CODE + TYPE_AT) == layout.code_type


def frame_at(code: Word, instruction: Word) -> Word:
    """The number of the frame for an instruction of the code that `is_code` read; or 0."""
    layout = Layout(LAYOUT)
    first_line = load_half(CODE + layout.first_line_in_code)
    line = first_line * ONE
    begin = code + layout.bytes_in_code
    if instruction >= begin and open_lines(load_word(CODE + layout.lines_in_code)):
        line = line_at(first_line, (instruction - begin) // UNIT_BYTES)
    function = number_text(TEXT * ONE, read_text(load_word(CODE + layout.qualname_in_code)))
    file = number_text(TEXT * ONE, read_text(load_word(CODE + layout.file_in_code)))
    if file == 0 and function == 0:
        return 0
    return number_source(file, line, function)
