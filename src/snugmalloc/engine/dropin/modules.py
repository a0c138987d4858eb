"""Owns the modules of the process, the program and its libraries: where each lies, and its name in the trace.

The trace names a module by its build-id, or by its file where it has none. Which file has a build-id the trace
says, too, under the name "module BUILD-ID". The list is used by the one thread that adds definitions.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Record,
    Word,
    copy_bytes,
    find_module,
    list_modules,
    load_byte,
    modules_changed,
    reserve,
    store_byte,
    store_word,
)
from .chunks import ABOUT, put_number
from .definitions import append_alone, files_begun, forget_code, number_text, place_alone

MOST_MODULES = 1024
MOST_ID_BYTES = 64
MOST_PATH_BYTES = 4096
NATIVE = 1  # stands for the address of code where places are addresses in modules

MODULE = 0x0020_656C_7564_6F6D  # the letters of "module ",
MODULE_BYTES = 7  # so many
HEX_DIGIT = 48
HEX_LETTER = 97


class Module(Record, size=56):
    """A module, as the machine tells of it.

     0  begin           of all that is loaded of it
     8  end
    16  base            what is added to the addresses in its file
    24  path            the zero-terminated name of the file
    32  build_id        or 0
    40  build_id_bytes
    48  text            the number of its name in the trace; 0 where it was not needed yet
    56
    """

    begin: Word
    end: Word
    base: Word
    path: Word
    build_id: Word
    build_id_bytes: Word
    text: Word


MODULES = reserve(MOST_MODULES * Module.SIZE)
NAMED = reserve(Module.SIZE)
ID_TEXT = reserve(MOST_ID_BYTES * 2)

module_count: Word = 0
changes_seen: Word = 0  # how often modules had come and gone when the list was made, and one; 0: there is none
file_seen: Word = 0  # the trace file in which they have their names


def look_at_modules() -> bool:
    """List the modules if that is not done, or they are others by now. Whether there is a new list."""
    global module_count, changes_seen, file_seen
    changes = modules_changed() + 1
    if changes == changes_seen and file_seen == files_begun():
        return False
    module_count = list_modules(MODULES, MOST_MODULES * ONE)
    changes_seen = changes
    file_seen = files_begun()
    forget_code(NATIVE)
    return True


def listed_module(address: Word) -> Module:
    """The module that an address lies in, if it is in the list; or 0."""
    for index in range(module_count):
        module = Module(MODULES + index * Module.SIZE)
        if address >= module.begin and address < module.end:
            return module
    return Module(0)


def module_of(address: Word) -> Module:
    """The module that an address lies in, or 0."""
    look_at_modules()  # what lay here may have gone, and something else have come
    return listed_module(address)


# ---- Names ----


def text_bytes(text: Word) -> Word:
    """How long the zero-terminated name of a file is, up to what names may have."""
    count: Word = 0
    while count < MOST_PATH_BYTES and load_byte(text + count) != 0:
        count += 1
    return count


def put_digit(place: Word, digit: Word) -> None:
    """Write a hexadecimal digit."""
    store_byte(place, digit + HEX_DIGIT if digit < 10 else digit - 10 + HEX_LETTER)


def put_build_id(module: Module) -> Word:
    """Write the build-id of a module to ID_TEXT, in hexadecimal. How many letters."""
    count = module.build_id_bytes
    count = count if count < MOST_ID_BYTES else MOST_ID_BYTES * ONE
    for at in range(count):
        byte = load_byte(module.build_id + at)
        put_digit(ID_TEXT + at * 2, byte >> 4)
        put_digit(ID_TEXT + at * 2 + 1, byte & 15)
    return count * 2


def tell_path(module: Module, id_letters: Word) -> None:
    """Write to the file which one has this build-id."""
    place = put_number(place_alone(), id_letters + MODULE_BYTES)
    store_word(place, MODULE)
    copy_bytes(place + MODULE_BYTES, ID_TEXT, id_letters)
    path_bytes = text_bytes(module.path)
    place = put_number(place + MODULE_BYTES + id_letters, path_bytes)
    copy_bytes(place, module.path, path_bytes)
    append_alone(ABOUT * ONE, place + path_bytes)


def name_of_module(module: Module) -> Word:
    """The number of the text that names a module; 0 where there is no room, and if it is gone by now."""
    named = Module(NAMED)
    if module.text == 0 and find_module(module.begin, named):
        if named.build_id == 0:
            module.text = number_text(named.path, text_bytes(named.path))
        else:
            id_letters = put_build_id(named)
            module.text = number_text(ID_TEXT * ONE, id_letters)
            tell_path(named, id_letters)
    return module.text
