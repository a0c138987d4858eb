"""Owns whether this process is on the heap at all, and which option says that it is not.

    SNUG_DISABLE=1             off
    SNUG_DISABLE_FILE=PATH     off if there is a file at PATH
    SNUG_EXCEPT=NAME,NAME      off in programs of these names
    SNUG_CANARY=5              on in five processes of a hundred, off in the others

Decided once, when the environment is read: a forked child stays what its parent is, and a program that is
executed decides anew. A program has up to three names, of which any counts: that of the file that was executed
(of a script its own name, in full), that of the binary that runs (of a script its interpreter's), and the one
that the first argument gives.

Which processes the canary takes: host name, a zero byte, the name of the file that was executed, a zero byte
and the start time in /proc/self/stat as a decimal number are hashed by FNV-1a in 64 bits, and the process is on
if the remainder by 100 is below the share.
"""

from __future__ import annotations

from ..common.figures import figure, set_figure
from ..common.sizes import ONE
from ..machine import (
    Byte,
    Word,
    file_exists,
    has_libc_malloc,
    host_name,
    load_byte,
    multiply,
    program_name,
    start_time,
    text_after,
)
from .control import process_heap
from .figures import Figures
from .values import MALFORMED, NONE, complain, number_in

DISABLE = b"SNUG_DISABLE="
DISABLE_FILE = b"SNUG_DISABLE_FILE="
EXCEPT = b"SNUG_EXCEPT="
CANARY = b"SNUG_CANARY="

ON = 1  # values of Figures.state; 0 before it is decided
OFF_BY_DISABLE = 2
OFF_BY_FILE = 3
OFF_BY_EXCEPT = 4
OFF_BY_CANARY = 5

ALL_OF_THEM = 100
PROGRAM_NAMES = 3
BLANK = 32
COMMA = 44
SLASH = 47
DIGIT_ZERO = 48
FNV_OFFSET = 0xCBF2_9CE4_8422_2325
FNV_PRIME = 0x100_0000_01B3

is_disabled: bool = False
off_file: Word = 0  # the path, or 0
excepted: Word = 0  # the list of names, or 0
off_share: Word = 0  # of a hundred processes


def is_off() -> bool:
    """Whether libc serves the calls of this process."""
    return figure(process_heap(), Figures.state) > ON


# ---- Names of programs ----


def names_a_path(names: Word) -> bool:
    """Whether a list of names has a slash in it, which no name has."""
    letter = load_byte(names)
    while letter != 0 and letter != SLASH:
        names += 1
        letter = load_byte(names)
    return letter == SLASH


def is_listed(name: Word, names: Word) -> bool:
    """Whether the list `names`, with commas and perhaps blanks between them, has `name`, which is not empty."""
    matched: Word = 0
    is_alike = True
    while True:
        letter = load_byte(names)
        if letter == COMMA or letter == 0:
            if is_alike and matched != 0 and load_byte(name + matched) == 0:
                return True
            if letter == 0:
                return False
            matched = 0
            is_alike = True
        elif letter != BLANK or matched != 0:
            is_alike = is_alike and load_byte(name + matched) == letter
            matched += 1 if is_alike else 0
        names += 1


def is_excepted() -> bool:
    """Whether SNUG_EXCEPT has one of this program's names."""
    if excepted == 0:
        return False
    for which in range(PROGRAM_NAMES):
        name = program_name(which)
        if name != 0 and is_listed(name, excepted):
            return True
    return False


# ---- The canary ----


def hash_byte(value: Word, letter: Byte) -> Word:
    """One step of FNV-1a."""
    return multiply(value ^ letter, FNV_PRIME)


def hash_text(value: Word, text: Word) -> Word:
    """The steps for a zero-terminated text and its zero; 0 is an empty one."""
    letter = load_byte(text) if text != 0 else text
    while letter != 0:
        value = hash_byte(value, letter)
        text += 1
        letter = load_byte(text)
    return hash_byte(value, 0)


def hash_number(value: Word, number: Word) -> Word:
    """The steps for the digits of a number."""
    power: Word = ONE
    while number // power >= 10:
        power *= 10
    while power != 0:
        value = hash_byte(value, DIGIT_ZERO + number // power % 10)
        power //= 10
    return value


def is_chosen() -> bool:
    """Whether this process is among those that SNUG_CANARY puts on the heap."""
    if off_share == 0:
        return True
    value = hash_text(hash_text(FNV_OFFSET, host_name()), program_name(0))
    return hash_number(value, start_time()) % ALL_OF_THEM < ALL_OF_THEM - off_share


# ---- Deciding ----


def read_switch(entry: Word) -> bool:
    """Apply an entry of the environment if it is one of those above. Returns True if it is."""
    global is_disabled, off_file, excepted, off_share
    value = text_after(entry, DISABLE)
    if value != 0:
        is_disabled = number_in(entry, value, 0, 1) == 1
        return True
    value = text_after(entry, CANARY)
    if value != 0:
        number = number_in(entry, value, 0, ALL_OF_THEM)
        off_share = ALL_OF_THEM - number if number != NONE else off_share
        return True
    value = text_after(entry, DISABLE_FILE)
    if value != 0:
        if load_byte(value) == 0:
            complain(MALFORMED, entry)
        else:
            off_file = value
        return True
    value = text_after(entry, EXCEPT)
    if value != 0:
        if names_a_path(value):
            complain(MALFORMED, entry)
        else:
            excepted = value
        return True
    return False


def state_now() -> Word:
    """What the entries read so far say."""
    if is_disabled:
        return OFF_BY_DISABLE
    if off_file != 0 and file_exists(off_file):
        return OFF_BY_FILE
    if is_excepted():
        return OFF_BY_EXCEPT
    return ON if is_chosen() else OFF_BY_CANARY


def decide() -> None:
    """The environment is read: set the switch, for as long as this program runs."""
    set_figure(process_heap(), Figures.state, state_now() if has_libc_malloc() else ON)
