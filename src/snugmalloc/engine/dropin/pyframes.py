"""Owns Python's frames: the calls that a thread is in, each as its code and an instruction, and their stack.

The calls are read at each allocation, in the thread that makes it, while it has the interpreter's lock:
nobody else changes them. They are read where it is sure that there is memory: on the thread's own stack, in the
chunks that the interpreter keeps frames in, and in malloc's heap. Under PYTHONMALLOC=malloc all else that
frames may be in is there, generators first of all; elsewhere a stack ends.

Each thread keeps the calls that it was in when it allocated last. Mostly it is still in the same frames, and
one or two of them went on, usually the innermost. Otherwise the outer calls are often the same: as far as they
are, the number of the stack is known.

Code goes, and other code comes to the same address. Whoever frees a block asks here whether it is code that has
places in the table; they are forgotten then, and so is what threads kept. A filter says of nearly all blocks
that they are none. Where a recording has samples, frees are not seen: nothing is kept from one sample to the
next, and each is looked at anew.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Array,
    Record,
    Word,
    array,
    call_function,
    find_module,
    inline,
    likely,
    load_byte,
    load_word,
    map_memory,
    multiply,
    reserve,
    store_byte,
    unlikely,
    warn,
)
from .definitions import (
    add_place,
    forget_code,
    frame_of,
    generation,
    leave_definitions,
    note_left_out,
    stack_of,
    take_definitions,
)
from .modules import Module
from .pages import FOREIGN, kind_at
from .pylayout import LAYOUT, Layout, any_interpreter, find_layout, is_initialized
from .pylines import frame_at, is_code
from .sampling import takes_samples
from .tracefile import PATH

NOT_READABLE = b"snugmalloc: no Python stacks for this interpreter, the recording goes on without: "
NOT_IN_HEAP = b"snugmalloc: no Python stacks without PYTHONMALLOC=malloc, the recording goes on without: "

MOST_CALLS = 512
MOST_ADDRESSES = 64
COPIED_WORDS = 256
PYTHONS_OWN = 2  # frames with a larger owner are the interpreter's, and no calls
CHUNK_SIZE_AT = 8  # in a chunk of frames, behind the one before
TAG_BITS = 3  # of a pointer in a frame
HEAD_OF_BLOCK = 16  # bytes that Python's debug hooks put in front of an object

SEEKING = 0  # values of `interpreter`
FOUND = 1
UNREADABLE = 2
PATIENCE_WITH_CODE = 64  # so many things that are no code, and no code before, show that nothing can be read

FILTER_SHIFT = 18  # bits
FILTER_MIX = 0x9E37_79B9_7F4A_7C15

INTERPRETER = reserve(Module.SIZE)
FILTER = reserve((1 << FILTER_SHIFT) // 8)

interpreter: Word = 0
code_count: Word = 0
no_code_count: Word = 0


class Call(Record, size=32):
    """A call that a thread is in: the interpreter's frame, and where it is in its code."""

    frame: Word
    code: Word
    instruction: Word
    stack: Word  # the number of the stack that ends here


CALLS_BYTES = MOST_CALLS * Call.SIZE
STATE_BYTES = 4096  # more than the state of a thread has


class Chain(Record):
    """The calls of a thread, the innermost first: of its last allocation, and room for those of the next."""

    generation: Word  # how often code was gone when they were read
    depth: Word
    last: Word  # where the calls are
    following: Word  # and those of the next allocation will be
    chunk: Word  # a chunk of the interpreter's in which there are frames,
    chunk_end: Word
    low: Word  # the stack that the thread began on, as far as it is needed
    high: Word
    guard: Word  # the page below it that could not be read, or 0
    copy_begin: Word  # of a stack that the program made for itself what is copied,
    copy_end: Word
    copy: Array[Word] = array(COPIED_WORDS)  # and where to
    thread: Word  # the number of the thread, and one
    addresses: Array[Word] = array(MOST_ADDRESSES)  # what calls in machine code return to


# ---- The interpreter ----


def seek_interpreter() -> None:
    """Look whether there is an interpreter in this process, if none is known."""
    if interpreter == SEEKING and take_definitions():
        if interpreter == SEEKING and any_interpreter() != 0:
            use_interpreter()
        leave_definitions()


def use_interpreter() -> None:
    """There is an interpreter, which is not known yet."""
    global interpreter
    if find_layout():
        find_module(Layout(LAYOUT).code_type, INTERPRETER)
        interpreter = FOUND
    else:
        give_up_python(True)


def give_up_python(is_unknown: bool) -> None:
    """There are no Python stacks in this process; a line says so."""
    global interpreter
    interpreter = UNREADABLE
    if is_unknown:
        warn(NOT_READABLE, PATH)
    else:
        warn(NOT_IN_HEAP, PATH)


def state_of_thread() -> Word:
    """The interpreter's state of this thread if it has the interpreter's lock, else 0."""
    layout = Layout(LAYOUT)
    if unlikely(not is_initialized()):
        return 0
    state = call_function(layout.current_state)
    if layout.own_state != 0 and state != call_function(layout.own_state):
        return 0
    return state


# ---- Reading the calls ----


@inline
def is_on_stack(chain: Chain, address: Word) -> bool:
    """Whether an address is on this thread's own stack."""
    return address >= chain.low and address < chain.high


def find_chunk(chain: Chain, state: Word, frame: Word) -> bool:
    """Look for the chunk that a frame is in. Whether there is one."""
    chunk = load_word(state + Layout(LAYOUT).chunk_in_state)
    while chunk != 0:
        end = chunk + load_word(chunk + CHUNK_SIZE_AT)
        if frame >= chunk and frame < end:
            chain.chunk = chunk
            chain.chunk_end = end
            return True
        chunk = load_word(chunk)
    return False


@inline
def is_readable(chain: Chain, state: Word, frame: Word) -> bool:
    """Whether there is surely memory where a frame is said to be."""
    if likely(frame >= chain.chunk and frame < chain.chunk_end):
        return True
    return is_on_stack(chain, frame) or kind_at(frame) != FOREIGN or find_chunk(chain, state, frame)


def first_frame(chain: Chain, state: Word) -> Word:
    """The innermost frame of a thread, or 0."""
    layout = Layout(LAYOUT)
    frame = load_word(state + layout.frame_in_state)
    if layout.has_cframe == 0 or frame == 0:
        return frame
    if is_on_stack(chain, frame) or (frame >= state and frame < state + STATE_BYTES):
        return load_word(frame + layout.frame_in_cframe)
    return 0


def read_calls(chain: Chain, state: Word, frame: Word) -> Word:
    """Read the calls that this thread is in, from this frame on. How many."""
    layout = Layout(LAYOUT)
    owner_at = layout.owner_in_frame
    code_at = layout.code_in_frame
    instruction_at = layout.instruction_in_frame
    previous_at = layout.previous_in_frame
    call = Call(chain.following)
    depth: Word = 0
    while frame != 0 and is_readable(chain, state, frame):
        if load_byte(frame + owner_at) <= PYTHONS_OWN:
            if depth < MOST_CALLS:
                call.frame = frame
                call.code = load_word(frame + code_at) & ~TAG_BITS
                call.instruction = load_word(frame + instruction_at)
                call = Call(call + Call.SIZE)
            depth += 1
        frame = load_word(frame + previous_at)
    return cut_depth(depth, MOST_CALLS * ONE)


def find_changed(chain: Chain, state: Word, frame: Word) -> tuple[bool, Word]:
    """Whether the calls have the frames of last time, from this one on; and the call up to which any went on.

    Those that went on are noted where they were, without a stack, whatever is found behind them.
    """
    layout = Layout(LAYOUT)
    owner_at = layout.owner_in_frame
    code_at = layout.code_in_frame
    instruction_at = layout.instruction_in_frame
    previous_at = layout.previous_in_frame
    call = Call(chain.last)
    end = call + chain.depth * Call.SIZE
    changed: Word = call
    while frame != 0 and is_readable(chain, state, frame):
        if load_byte(frame + owner_at) <= PYTHONS_OWN:
            if call == end or call.frame != frame:
                return False, changed
            code = load_word(frame + code_at) & ~TAG_BITS
            instruction = load_word(frame + instruction_at)
            if call.instruction != instruction or call.code != code:
                call.code = code
                call.instruction = instruction
                call.stack = 0
                changed = call + Call.SIZE
            call = Call(call + Call.SIZE)
        frame = load_word(frame + previous_at)
    return call == end, changed


@inline
def cut_depth(depth: Word, most: Word) -> Word:
    """How many of so many calls, the innermost first, a stack has.

    Of many it has half as many as there may be, or more: while a recursion goes on the outermost of them is the
    same mostly, and what is known of the others stays right.
    """
    return depth if depth <= most else (most >> 1) + depth % (most >> 1)


# ---- What is known of code ----


@inline
def filter_place(code: Word) -> Word:
    """The number of the bit that stands for an address, among others."""
    return multiply(code, FILTER_MIX) >> 64 - FILTER_SHIFT


def set_filter(code: Word) -> None:
    """From now on the filter has this address."""
    bit = filter_place(code)
    store_byte(FILTER + (bit >> 3), load_byte(FILTER + (bit >> 3)) | ONE << (bit & 7))


@inline
def is_in_filter(code: Word) -> bool:
    """Whether the filter has this address; perhaps it has one that looks the same."""
    bit = filter_place(code)
    return load_byte(FILTER + (bit >> 3)) >> (bit & 7) & 1 != 0


def note_freed(block: Word) -> None:
    """A block will be freed: if it is code, what is known of it goes first."""
    if unlikely(is_in_filter(block)) and not forget_code(block):
        forget_code(block + HEAD_OF_BLOCK)


@inline
def is_in_interpreter(address: Word) -> bool:
    """Whether an address is in the file of the interpreter, which has code of its own."""
    return address >= Module(INTERPRETER).begin and address < Module(INTERPRETER).end


def judge_code(is_any: bool) -> None:
    """Something that should be code is, or is not: where nothing ever is, nothing can be read."""
    global code_count, no_code_count
    if is_any:
        code_count += 1
    elif code_count == 0:
        no_code_count += 1
        if no_code_count == PATIENCE_WITH_CODE:
            give_up_python(True)


def define_frame(code: Word, instruction: Word) -> Word:
    """The number of the frame of a place that has none yet; or 0."""
    if not take_definitions():
        return 0
    is_any = is_code(code)
    judge_code(is_any)
    frame: Word = 0
    if is_any and kind_at(code) == FOREIGN and not is_in_interpreter(code):
        give_up_python(False)  # nobody would tell when it goes
    elif is_any:
        frame = frame_at(code, instruction)
        if frame != 0 and not takes_samples():
            set_filter(code)
            set_filter(code - HEAD_OF_BLOCK)
            add_place(code, instruction - code, frame)
    leave_definitions()
    return frame


def stack_of_call(call: Call, caller: Word) -> Word:
    """The number of the stack that ends with a call: the caller's if nothing is known of it."""
    offset = call.instruction - call.code
    frame = frame_of(call.code, offset) if not takes_samples() else 0 * ONE
    if unlikely(frame == 0):
        frame = define_frame(call.code, call.instruction)
        if frame == 0:
            note_left_out()
            return caller
    return stack_of(caller, frame)


# ---- Stacks ----


def make_chain() -> Chain:
    """The calls of a thread that has not allocated yet; or 0."""
    chain = Chain(map_memory(Chain.SIZE + 2 * CALLS_BYTES))
    if chain != 0:
        chain.last = chain + Chain.SIZE
        chain.following = chain.last + CALLS_BYTES
    return chain


def begin_chain(chain: Chain, thread: Word) -> None:
    """A thread begins to allocate: nothing is known of what it was in."""
    chain.thread = thread + 1
    chain.depth = 0
    chain.low = 0
    chain.high = 0
    chain.guard = 0


def stack_of_changed(chain: Chain, changed: Word) -> Word:
    """The number of the stack of calls that have the frames that they had; up to this one some went on."""
    call = Call(changed)
    stack = call.stack if call != chain.last + chain.depth * Call.SIZE else 0 * ONE
    while call != chain.last:
        call = Call(call - Call.SIZE)
        stack = stack_of_call(call, stack)
        call.stack = stack
    return stack


def stack_of_calls(chain: Chain, depth: Word) -> Word:
    """The number of the stack of the calls that were read."""
    now = generation()
    known = chain.depth if chain.generation == now and not takes_samples() else 0 * ONE
    call = Call(chain.following + depth * Call.SIZE)
    before = Call(chain.last + known * Call.SIZE)
    stack: Word = 0
    is_same = True
    while call != chain.following:
        call = Call(call - Call.SIZE)
        if is_same and before != chain.last:
            before = Call(before - Call.SIZE)
            is_same = call.frame == before.frame and call.code == before.code
            is_same = is_same and call.instruction == before.instruction and before.stack != 0
        else:
            is_same = False
        stack = before.stack if is_same else stack_of_call(call, stack)
        call.stack = stack
    following = chain.last
    chain.last = chain.following
    chain.following = following
    chain.depth = depth
    chain.generation = now
    return stack


def python_stack(chain: Chain) -> Word:
    """The number of the stack of Python calls that this thread is in; 0 if it is in none."""
    if interpreter != FOUND:
        return 0
    state = state_of_thread()
    if state == 0:
        return 0
    chain.chunk = 0
    chain.chunk_end = 0
    frame = first_frame(chain, state)
    if likely(chain.generation == generation() and not takes_samples()):
        has_frames, changed = find_changed(chain, state, frame)
        if has_frames:
            return stack_of_changed(chain, changed)
    return stack_of_calls(chain, read_calls(chain, state, frame))
