"""Owns the stack of a call that allocates: which kinds are asked for, and the number of the stack in the trace.

Where both kinds are, the functions in machine code that a Python function has called stand behind its line.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    find_module,
    likely,
    load_word,
    loader_base,
    own_stack_top,
    readable_from,
    reserve,
    unlikely,
)
from .definitions import leave_definitions, pass_in_time, take_definitions
from .layout import GIB, PAGE, PAGE_BASE
from .modules import Module
from .native import RETURN_AT, native_stack
from .pyframes import Chain, begin_chain, is_on_stack, make_chain, note_freed, python_stack, seek_interpreter
from .pylayout import any_interpreter
from .recorder import Recorder
from .ring import has_ring
from .tracefile import is_recording, takes_native_stacks, takes_python_stacks

LOADER = reserve(Module.SIZE)
LARGEST_STACK = GIB


def chain_of(recorder: Recorder) -> Chain:
    """What this thread was in when it allocated last; or 0."""
    if unlikely(recorder.chain == 0):
        recorder.chain = make_chain()
    chain = Chain(recorder.chain)
    if unlikely(chain != 0 and chain.thread != recorder.thread + 1):
        begin_chain(chain, recorder.thread)
        seek_interpreter()
    return chain


def look_at_stack(chain: Chain, here: Word) -> None:
    """Know the stack that this thread began on as far down as `here`, if that is on it.

    It stays as long as the thread lives. The page that guards its end cannot be read: below are stacks that the
    program makes for itself, and unmaps. The first thread's stack grows: so the guard is probed again.
    """
    if likely(is_on_stack(chain, here)):
        return
    if chain.high == 0:
        chain.high = own_stack_top()
        chain.low = chain.high
    page = here & PAGE_BASE
    if page >= chain.low or chain.low - page > LARGEST_STACK:
        return
    if chain.guard != 0 and readable_from(chain.guard, chain.guard + PAGE) != chain.guard:
        return
    chain.low = readable_from(page, chain.low)
    chain.guard = chain.low - PAGE if chain.low != page else 0 * ONE


def find_loader() -> None:
    """Know where the dynamic loader is, if there is one."""
    base = loader_base()
    if base == 0 or not find_module(base, LOADER):
        Module(LOADER).begin = ONE
        Module(LOADER).end = ONE


def is_loaders(here: Word) -> bool:
    """Whether the dynamic loader has made a call.

    It may be loading the interpreter, or making room for variables of threads, which the interpreter asks for.
    """
    loader = Module(LOADER)
    if unlikely(loader.end == 0) and take_definitions():
        find_loader()
        leave_definitions()
    if loader.begin == loader.end:
        return False
    address = load_word(here + RETURN_AT)
    return address >= loader.begin and address < loader.end


def read_stack(recorder: Recorder, here: Word) -> Word:
    """The number of the stack that this thread is in; 0 where there is none to be had."""
    chain = chain_of(recorder)
    if chain == 0:
        return 0
    look_at_stack(chain, here)
    stack: Word = 0
    if takes_python_stacks() and not is_loaders(here):
        if unlikely(recorder.done == 0):  # the interpreter may come with a library, any time
            seek_interpreter()
        stack = python_stack(chain)
    return native_stack(chain, here, stack) if takes_native_stacks() else stack


def note_stack(recorder: Recorder, here: Word) -> None:
    """The row of a call is about to be written: it gets the stack. A signal handler's call within has none.

    `here` is the frame of the function that answers the call.
    """
    if recorder.is_stacking == 0 and recorder.is_late == 0:
        recorder.is_stacking = 1
        recorder.stack = read_stack(recorder, here)
        if has_ring():
            pass_in_time()
        recorder.is_stacking = 0
    else:
        recorder.stack = 0


def note_free(block: Word) -> None:
    """A block is about to be freed."""
    if takes_python_stacks():
        note_freed(block)


def code_to_keep() -> Word:
    """An address in the module that must stay loaded, for stacks are read from it; or 0."""
    return any_interpreter() if is_recording() and takes_python_stacks() else 0 * ONE
