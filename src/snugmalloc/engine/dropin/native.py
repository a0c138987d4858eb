"""Owns frames in machine code, found by frame pointers: the addresses that calls return to, and their modules.

A function that keeps a frame pointer has its caller's where its own leads to, and behind that the address that
it returns to. Whoever is compiled without uses the register for anything. So a frame counts only if it lies on
the thread's own stack, above the one before, and what it returns to lies in a module; else the stack ends.

The innermost frame is of a function of this library. What that returns to is the program's, for the functions
of malloc's family jump there and leave the frame pointer as it was. Some, as the C++ operators, call instead:
then the program's address stands a few words further up, the first that is behind an instruction that calls.
How many words these are is kept for each such call in this library.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import Word, find_module, inline, is_behind_call, likely, load_word, reserve, unlikely
from .definitions import (
    add_place,
    frame_of,
    leave_definitions,
    note_left_out,
    number_native,
    stack_of,
    take_definitions,
)
from .layout import ALL_BITS
from .modules import NATIVE, Module, module_of, name_of_module
from .pyframes import MOST_ADDRESSES, Chain, cut_depth, is_in_interpreter, is_on_stack

WORD_MASK = 7
FRAME_BYTES = 16
RETURN_AT = 8
OWN_MODULE = reserve(Module.SIZE)
OWN_CALLS = 2  # stands for the address of code where places are calls within this library
MOST_WORDS = 32
MOST_FRAMES = 1 << 16  # that are counted
NO_FRAME = ALL_BITS  # what lies in no module
NOT_FOUND = MOST_WORDS + 1
WITHIN_CALL = 1  # the address that a call returns to, less so much, is in the line of the call


@inline
def is_frame(chain: Chain, frame: Word, before: Word) -> bool:
    """Whether there may be a frame, of the caller of the one before."""
    return frame > before and frame & WORD_MASK == 0 and is_on_stack(chain, frame + FRAME_BYTES - 1)


def is_called_from(address: Word) -> bool:
    """Whether an address is one that a call in another module returns to."""
    return not is_in_library(address) and module_of(address) != 0 and is_behind_call(address)


def seek_caller(chain: Chain, frame: Word, own: Word) -> Word:
    """How many words above a frame that returns to `own` the program's address is, and one; or NOT_FOUND."""
    if not take_definitions():
        return NOT_FOUND
    found: Word = 0
    words: Word = 0
    while words < MOST_WORDS and found == 0 and is_on_stack(chain, frame + FRAME_BYTES + words * 8 + 7):
        if is_called_from(load_word(frame + FRAME_BYTES + words * 8)):
            found = words + 1
        words += 1
    found = found if found != 0 else NOT_FOUND * ONE
    if chain.high != 0:  # else nothing could be looked at
        add_place(OWN_CALLS, own, found)
    leave_definitions()
    return found


def called_from(chain: Chain, frame: Word) -> Word:
    """What the program called this library from; 0 if that is not known."""
    address = load_word(frame + RETURN_AT)
    if likely(not is_in_library(address)):
        return address
    words = frame_of(OWN_CALLS, address)
    if unlikely(words == 0):
        words = seek_caller(chain, frame, address)
    return load_word(frame + FRAME_BYTES + (words - 1) * 8) if words != NOT_FOUND else 0 * ONE


def read_addresses(chain: Chain, frame: Word) -> Word:
    """Read what the calls return to that this thread is in, the innermost first. How many."""
    count: Word = 0
    address = called_from(chain, frame)
    while address != 0 and count < MOST_FRAMES:
        if count < MOST_ADDRESSES:
            chain.addresses[count] = address
        count += 1
        following = load_word(frame)
        address = load_word(following + RETURN_AT) if is_frame(chain, following, frame) else 0 * ONE
        frame = following
    return cut_depth(count, MOST_ADDRESSES * ONE)


def define_native(address: Word) -> Word:
    """The number of the frame that returns to an address, which has none yet; 0 if it is in no module."""
    if not take_definitions():
        note_left_out()
        return 0
    frame: Word = 0
    module = module_of(address)
    if module != 0:
        text = name_of_module(module)
        if text != 0:
            frame = number_native(text, address - WITHIN_CALL - module.base)
            add_place(NATIVE, address, frame)
    else:
        add_place(NATIVE, address, NO_FRAME)
    leave_definitions()
    return frame


def is_in_library(address: Word) -> bool:
    """Whether an address is in this library."""
    own = Module(OWN_MODULE)
    if unlikely(own.end == 0) and take_definitions():
        find_module(OWN_MODULE, OWN_MODULE)
        leave_definitions()
    return address >= own.begin and address < own.end


def native_frame(address: Word) -> Word:
    """The number of the frame that returns to an address; 0 if it is in no module."""
    frame = frame_of(NATIVE, address)
    if unlikely(frame == 0):
        return define_native(address)
    return frame if likely(frame != NO_FRAME) else 0 * ONE


def native_stack(chain: Chain, here: Word, caller: Word) -> Word:
    """The number of the stack of the calls from `caller`, the stack of Python's, to the function at `here`.

    With a caller it is those that are not the interpreter's own.
    """
    count = read_addresses(chain, here)
    known: Word = 0
    while known < count:
        address = chain.addresses[known]
        if caller != 0 and is_in_interpreter(address):
            break
        frame = native_frame(address)
        if frame == 0:
            break
        chain.addresses[known] = frame
        known += 1
    stack = caller
    while known != 0:
        known -= 1
        stack = stack_of(stack, chain.addresses[known])
    return stack
