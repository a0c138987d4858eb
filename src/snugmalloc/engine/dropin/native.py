"""Owns frames in machine code, found by frame pointers: the addresses that calls return to, and their modules.

A function that keeps a frame pointer has its caller's where its own leads to, and behind that the address that
it returns to. Whoever is compiled without uses the register for anything. So a frame counts only if it lies
above the one before, and what it returns to lies in a module; else the stack ends.

On the stack that a thread began on, which is there as long as the thread is, frames are read as they are, and
no others count. A thread may have switched to a stack that the program made, of which nobody knows where it
ends, and what lies beyond may be unmapped any time: there they are copied by the kernel, which says where
nothing can be read.

The innermost frame is of a function of this library. What that returns to is the program's, for the functions
of malloc's family jump there and leave the frame pointer as it was. Some, as the C++ operators, call instead:
then the program's address stands a few words further up, the first that is behind an instruction that calls.
How many words these are is kept for each such call in this library.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    find_module,
    inline,
    is_behind_call,
    likely,
    load_word,
    read_memory,
    reserve,
    unlikely,
)
from .definitions import (
    add_place,
    frame_of,
    leave_definitions,
    note_left_out,
    number_native,
    stack_of,
    take_definitions,
)
from .layout import ALL_BITS, IN_PAGE, PAGE
from .modules import NATIVE, Module, module_of, name_of_module
from .pyframes import COPIED_WORDS, MOST_ADDRESSES, Chain, cut_depth, is_in_interpreter, is_on_stack

WORD_MASK = 7
FRAME_BYTES = 16
RETURN_AT = 8
COPIED_BYTES = COPIED_WORDS * 8
OWN_MODULE = reserve(Module.SIZE)
OWN_CALLS = 2  # stands for the address of code where places are calls within this library
MOST_WORDS = 32
MOST_FRAMES = 1 << 16  # that are counted
NO_FRAME = ALL_BITS  # what lies in no module
NOT_FOUND = MOST_WORDS + 1
WITHIN_CALL = 1  # the address that a call returns to, less so much, is in the line of the call


def copy_stack(chain: Chain, address: Word) -> bool:
    """Copy what stands at an address of a stack that the program made, and behind it. Whether it is there."""
    left = PAGE - (address & IN_PAGE)
    count = left if left < COPIED_BYTES else COPIED_BYTES * ONE
    if not read_memory(address, count, chain.copy):
        return False
    chain.copy_begin = address
    chain.copy_end = address + count
    return True


def word_on_stack(chain: Chain, address: Word) -> Word:
    """The word that stands at an address of a stack; 0 if there is none."""
    if likely(is_on_stack(chain, address)):
        return load_word(address)
    is_copied = address >= chain.copy_begin and address < chain.copy_end
    if not is_copied and not copy_stack(chain, address):
        return 0
    return load_word(chain.copy + address - chain.copy_begin)


@inline
def is_frame(frame: Word, before: Word, end: Word) -> bool:
    """Whether there may be a frame, of the caller of the one before, on a stack with this end."""
    return frame > before and frame & WORD_MASK == 0 and frame < end


def end_of_stack(chain: Chain, here: Word) -> Word:
    """Up to where there may be frames on the stack that this thread is on now."""
    return (chain.high if likely(is_on_stack(chain, here)) else ALL_BITS) - FRAME_BYTES + 1


def is_called_from(address: Word) -> bool:
    """Whether an address is one that a call in another module returns to."""
    return not is_in_library(address) and module_of(address) != 0 and is_behind_call(address)


def seek_caller(chain: Chain, frame: Word, own: Word) -> Word:
    """How many words above a frame that returns to `own` the program's address is, and one; or NOT_FOUND."""
    if not take_definitions():
        return NOT_FOUND
    end = end_of_stack(chain, frame)
    place = frame + FRAME_BYTES
    found: Word = 0
    words: Word = 0
    while words < MOST_WORDS and found == 0 and place < end:
        if is_called_from(word_on_stack(chain, place)):
            found = words + 1
        place += 8
        words += 1
    found = found if found != 0 else NOT_FOUND * ONE
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
    chain.copy_begin = 0
    chain.copy_end = 0
    count: Word = 0
    end = end_of_stack(chain, frame)
    most = MOST_FRAMES if end < chain.high else MOST_ADDRESSES  # each may take a system call
    address = called_from(chain, frame)
    while address != 0 and count < most:
        if count < MOST_ADDRESSES:
            chain.addresses[count] = address
        count += 1
        following = word_on_stack(chain, frame)
        address = word_on_stack(chain, following + RETURN_AT) if is_frame(following, frame, end) else 0 * ONE
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
