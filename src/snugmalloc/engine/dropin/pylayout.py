"""Owns where CPython 3.11 to 3.15 have what a stack is read from: the offsets of fields in their structures.

From 3.13 on the interpreter tells them itself, in a table at the beginning of its state. Those of 3.11 and 3.12
are known, the same in all their releases. What was found is checked where it is used: `pyframes`.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import Record, Word, atomic_load, find_symbol, inline, load_word, reserve

PYTHON_VERSION = b"Py_Version"  # there is one from 3.11 on
ANY_PYTHON = b"Py_Initialize"
RUNTIME = b"_PyRuntime"
CURRENT_STATE = b"_PyThreadState_UncheckedGet"
CURRENT_STATE_313 = b"PyThreadState_GetUnchecked"
OWN_STATE = b"PyGILState_GetThisThreadState"
CODE_TYPE = b"PyCode_Type"
TEXT_TYPE = b"PyUnicode_Type"
BYTES_TYPE = b"PyBytes_Type"

MINOR_SHIFT = 16
PYTHON_311 = 0x030B
PYTHON_312 = 0x030C
PYTHON_313 = 0x030D
PYTHON_314 = 0x030E
PYTHON_315 = 0x030F

COOKIE = 0x7970_6775_6265_6478  # the letters of "xdebugpy", which the table begins with
VERSION_AT = 8  # in the table; then whether threads run without the interpreter's lock,
FREE_THREADED_AT = 16
INTERPRETERS_AT = 40  # in the table: where the list of interpreters begins
INTERPRETERS_311 = 40  # where it does in 3.11 and 3.12
TABLE_313 = (184, 208, 224, 280)  # the places of a thread's frame and its chunks, of the sections about frames,
TABLE_314 = (208, 232, 248, 320)  # and of those about code, at the name of its file
TABLE_315 = (208, 256, 312, 384)

# The sections themselves are the same in all: offsets from their beginning.
FRAME_SIZE = 0
FRAME_PREVIOUS = 8
FRAME_CODE = 16
FRAME_INSTRUCTION = 24
FRAME_OWNER = 40
CODE_FILE = 0
CODE_QUALNAME = 16
CODE_LINES = 24
CODE_FIRST_LINE = 32
CODE_BYTES = 64
LARGEST_OFFSET = 4096
LARGEST_FRAME = 256
LARGEST_CODE = 512  # up to its instructions

TYPE_AT = 8  # in every object
LENGTH_AT = 16  # in a text, and in bytes
BYTES_AT = 32
STATE_AT = 32  # in a text
ASCII_BYTES_311 = 48
ASCII_BYTES = 40
COMPACT_BYTES_311 = 72
COMPACT_BYTES = 56
FRAME_IN_CFRAME_311 = 8


class Layout(Record):
    """What is known of the interpreter in this process: offsets, and addresses of what it exports."""

    frame_in_state: Word
    has_cframe: Word  # 1: there it is not the frame, but a structure that has the frame
    frame_in_cframe: Word
    chunk_in_state: Word
    code_in_frame: Word
    previous_in_frame: Word
    instruction_in_frame: Word
    owner_in_frame: Word
    file_in_code: Word
    qualname_in_code: Word
    lines_in_code: Word
    first_line_in_code: Word
    bytes_in_code: Word
    ascii_bytes: Word  # in front of the letters of a text, if all are ASCII,
    compact_bytes: Word  # and if not
    code_type: Word
    text_type: Word
    bytes_type: Word
    interpreters: Word  # where the list of interpreters begins; 0 stands there while there is none
    current_state: Word  # the function that gives the state of the thread that has the interpreter's lock,
    own_state: Word  # and, where that may be another thread, the one that gives this thread's; or 0


LAYOUT = reserve(Layout.SIZE)


def set_state(frame: Word, chunk: Word) -> None:
    """Where the state of a thread has its fields."""
    layout = Layout(LAYOUT)
    layout.frame_in_state = frame
    layout.chunk_in_state = chunk
    layout.has_cframe = 0


def set_cframe(frame: Word) -> None:
    """There is another structure between the state of the thread and the frame, which has it there."""
    layout = Layout(LAYOUT)
    layout.has_cframe = 1
    layout.frame_in_cframe = frame


def set_frames(code: Word, previous: Word, instruction: Word, owner: Word) -> None:
    """Where a frame has its fields."""
    layout = Layout(LAYOUT)
    layout.code_in_frame = code
    layout.previous_in_frame = previous
    layout.instruction_in_frame = instruction
    layout.owner_in_frame = owner


def set_code(file: Word, qualname: Word, lines: Word, first_line: Word, instructions: Word) -> None:
    """Where a code object has its fields."""
    layout = Layout(LAYOUT)
    layout.file_in_code = file
    layout.qualname_in_code = qualname
    layout.lines_in_code = lines
    layout.first_line_in_code = first_line
    layout.bytes_in_code = instructions


def set_texts(ascii_bytes: Word, compact_bytes: Word) -> None:
    """How many bytes stand in front of the letters of a text."""
    layout = Layout(LAYOUT)
    layout.ascii_bytes = ascii_bytes
    layout.compact_bytes = compact_bytes


# ---- By version ----


def use_311() -> None:
    """As in 3.11."""
    set_state(56, 296)
    set_cframe(FRAME_IN_CFRAME_311 * ONE)
    set_frames(32, 48, 56, 69)
    set_code(112, 128, 136, 72, 184)
    set_texts(ASCII_BYTES_311, COMPACT_BYTES_311)


def use_312() -> None:
    """As in 3.12."""
    set_state(56, 232)
    set_cframe(0)
    set_frames(0, 8, 56, 70)
    set_code(112, 128, 136, 68, 192)
    set_texts(ASCII_BYTES, COMPACT_BYTES)


def is_offset(offset: Word) -> bool:
    """Whether this may be one."""
    return offset < LARGEST_OFFSET


def read_table(table: Word, version: Word, state: Word, chunk: Word, frames: Word, code: Word) -> bool:
    """Take the offsets from the interpreter's own table, which has them there. Whether they make sense."""
    if load_word(table) != COOKIE or load_word(table + VERSION_AT) != version:
        return False
    if load_word(table + FREE_THREADED_AT) != 0:
        return False
    set_state(load_word(table + state), load_word(table + chunk))
    set_frames(
        load_word(table + frames + FRAME_CODE),
        load_word(table + frames + FRAME_PREVIOUS),
        load_word(table + frames + FRAME_INSTRUCTION),
        load_word(table + frames + FRAME_OWNER),
    )
    set_code(
        load_word(table + code + CODE_FILE),
        load_word(table + code + CODE_QUALNAME),
        load_word(table + code + CODE_LINES),
        load_word(table + code + CODE_FIRST_LINE),
        load_word(table + code + CODE_BYTES),
    )
    set_texts(ASCII_BYTES, COMPACT_BYTES)
    frame_size = load_word(table + frames + FRAME_SIZE)
    return frame_size <= LARGEST_FRAME and have_sense(frame_size)


def have_sense(frame_size: Word) -> bool:
    """Whether the offsets that were taken may be right."""
    layout = Layout(LAYOUT)
    in_frame = layout.code_in_frame < frame_size and layout.previous_in_frame < frame_size
    in_frame = in_frame and layout.instruction_in_frame < frame_size and layout.owner_in_frame < frame_size
    in_state = is_offset(layout.frame_in_state) and is_offset(layout.chunk_in_state)
    end = layout.bytes_in_code
    in_code = layout.file_in_code < end and layout.qualname_in_code < end
    in_code = in_code and layout.lines_in_code < end and layout.first_line_in_code < end
    return in_frame and in_state and in_code and end <= LARGEST_CODE


def use_version(version: Word) -> bool:
    """Know the offsets of this version, a number as in ``sys.hexversion``. Whether there are any."""
    minor = version >> MINOR_SHIFT
    runtime = find_symbol(RUNTIME)
    if minor == PYTHON_311:
        use_311()
        return True
    if minor == PYTHON_312:
        use_312()
        return True
    if minor == PYTHON_313 and runtime != 0:
        return read_table(runtime, version, TABLE_313[0], TABLE_313[1], TABLE_313[2], TABLE_313[3])
    if minor == PYTHON_314 and runtime != 0:
        return read_table(runtime, version, TABLE_314[0], TABLE_314[1], TABLE_314[2], TABLE_314[3])
    if minor == PYTHON_315 and runtime != 0:
        return read_table(runtime, version, TABLE_315[0], TABLE_315[1], TABLE_315[2], TABLE_315[3])
    return False


def find_exports(version: Word) -> bool:
    """Find out whom to ask for the state of a thread, and which objects are what. Whether all is there."""
    layout = Layout(LAYOUT)
    layout.current_state = find_symbol(CURRENT_STATE)
    if layout.current_state == 0:
        layout.current_state = find_symbol(CURRENT_STATE_313)
    is_shared = version >> MINOR_SHIFT == PYTHON_311
    layout.own_state = find_symbol(OWN_STATE) if is_shared else 0
    layout.code_type = find_symbol(CODE_TYPE)
    layout.text_type = find_symbol(TEXT_TYPE)
    layout.bytes_type = find_symbol(BYTES_TYPE)
    have_types = layout.code_type != 0 and layout.text_type != 0 and layout.bytes_type != 0
    return have_types and layout.current_state != 0 and (layout.own_state != 0 or not is_shared)


def find_interpreters(version: Word) -> bool:
    """Find where the list of interpreters begins. Returns False if that is not known."""
    runtime = find_symbol(RUNTIME)
    if runtime == 0:
        return False
    is_told = version >> MINOR_SHIFT >= PYTHON_313
    at = load_word(runtime + INTERPRETERS_AT) if is_told else INTERPRETERS_311 * ONE
    Layout(LAYOUT).interpreters = runtime + at
    return is_offset(at)


@inline
def is_initialized() -> bool:
    """Whether there is an interpreter, so that functions of the library may be called.

    The library may have been mapped by another thread and not be relocated yet; and after the last interpreter
    has ended its functions have nothing to tell.
    """
    return atomic_load(Layout(LAYOUT).interpreters) != 0


def find_layout() -> bool:
    """Of the interpreter in this process, which there is: whether its stacks can be read."""
    version_at = find_symbol(PYTHON_VERSION)
    if version_at == 0:
        return False
    version = load_word(version_at)
    return find_exports(version) and use_version(version) and find_interpreters(version)


def any_interpreter() -> Word:
    """An address in the interpreter, of any version, that this process has loaded; or 0."""
    return find_symbol(ANY_PYTHON)
