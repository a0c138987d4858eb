"""Python's frames, read by the interpreted engine from structures that are laid out as an interpreter's are.

The offsets, and from 3.13 on where the interpreter tells them, are held against the headers of the interpreter
that runs the tests.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import pytest

from snugmalloc.engine import SimulatedMachine
from snugmalloc.engine.dropin.pylayout import INTERPRETERS_311, INTERPRETERS_AT
from snugmalloc.trace import SourceFrame, TraceReader

from .heaps import InterpretedHeap


class Layout(NamedTuple):
    """Where an interpreter has its fields."""

    version: int
    frame_in_state: int
    chunk_in_state: int
    frame_in_cframe: int | None
    code: int
    previous: int
    instruction: int
    owner: int
    filename: int
    qualname: int
    linetable: int
    first_line: int
    bytecode: int
    ascii_head: int = 40
    compact_head: int = 56
    tag: int = 0
    """Set in the pointer to the code."""
    offsets: Mapping[str, int] = {}
    """Where the table of offsets has them; empty where there is no such table."""


TABLE_313 = {
    "frame_in_state": 184,
    "chunk_in_state": 208,
    "frame_size": 224,
    "previous": 232,
    "code": 240,
    "instruction": 248,
    "owner": 264,
    "filename": 280,
    "qualname": 296,
    "linetable": 304,
    "first_line": 312,
    "bytecode": 344,
}
TABLE_314 = {
    "frame_in_state": 208,
    "chunk_in_state": 232,
    "frame_size": 248,
    "previous": 256,
    "code": 264,
    "instruction": 272,
    "owner": 288,
    "filename": 320,
    "qualname": 336,
    "linetable": 344,
    "first_line": 352,
    "bytecode": 384,
}
TABLE_315 = {
    "frame_in_state": 208,
    "chunk_in_state": 256,
    "frame_size": 312,
    "previous": 320,
    "code": 328,
    "instruction": 336,
    "owner": 352,
    "filename": 384,
    "qualname": 400,
    "linetable": 408,
    "first_line": 416,
    "bytecode": 448,
}
LAYOUTS = {
    "3.11": Layout(0x030B02F0, 56, 296, 8, 32, 48, 56, 69, 112, 128, 136, 72, 184, 48, 72),
    "3.12": Layout(0x030C05F0, 56, 232, 0, 0, 8, 56, 70, 112, 128, 136, 68, 192),
    "3.13": Layout(0x030D01F0, 72, 232, None, 0, 8, 56, 70, 112, 128, 136, 68, 200, offsets=TABLE_313),
    "3.14": Layout(0x030E00F0, 72, 232, None, 0, 8, 56, 74, 112, 128, 136, 68, 208, tag=1, offsets=TABLE_314),
    "3.15": Layout(0x030F00F0, 72, 256, None, 0, 8, 56, 74, 112, 128, 136, 68, 208, tag=1, offsets=TABLE_315),
}
COOKIE = int.from_bytes(b"xdebugpy", "little")
CODE_TYPE, TEXT_TYPE, BYTES_TYPE = 0x7000_0000_1000, 0x7000_0000_2000, 0x7000_0000_3000
CURRENT, OWN = 0x7000_0000_4000, 0x7000_0000_5000
INTERPRETERS_FRAME = 3
INTERPRETERS_FROM_313 = 632


@dataclass
class Interpreter:
    """An interpreter in simulated memory, with one thread."""

    machine: SimulatedMachine
    layout: Layout

    def __post_init__(self) -> None:
        machine = self.machine
        machine.environment.update({b"SNUG_RECORD": b"of.snug", b"SNUG_RECORD_STACKS": b"python"})
        self.state = machine.map_memory(4096)
        self.stack = machine.map_memory(65536)
        self.chunk = machine.map_memory(16384)
        machine.stack = (self.stack + 1024, self.stack + 65536)
        self.chunk_at = self.chunk + 24
        machine.store(self.chunk + 8, 8, 16384)
        machine.store(self.state + self.layout.chunk_in_state, 8, self.chunk)
        self.top = 0
        self.current: Callable[[], int] = lambda: self.state
        machine.functions.update({CURRENT: lambda: self.current(), OWN: lambda: self.state})
        machine.modules.append((0x7000_0000_0000, 0x7000_1000_0000, 0, 0, 0, 0))
        version = machine.map_memory(4096)
        machine.store(version, 8, self.layout.version)
        machine.symbols.update(
            {
                b"Py_Initialize": CURRENT,
                b"Py_Version": version,
                b"PyCode_Type": CODE_TYPE,
                b"PyUnicode_Type": TEXT_TYPE,
                b"PyBytes_Type": BYTES_TYPE,
                b"PyGILState_GetThisThreadState": OWN,
            }
        )
        name = b"PyThreadState_GetUnchecked" if self.layout.offsets else b"_PyThreadState_UncheckedGet"
        machine.symbols[name] = CURRENT
        self.runtime = machine.symbols[b"_PyRuntime"] = self.write_table()
        self.set_interpreters(self.state)
        self.heap = InterpretedHeap(machine)

    def write_table(self) -> int:
        table = self.machine.map_memory(4096)
        if self.layout.offsets:
            self.machine.store(table, 8, COOKIE)
            self.machine.store(table + 8, 8, self.layout.version)
            self.machine.store(table + 40, 8, INTERPRETERS_FROM_313)
        values = {**self.layout._asdict(), "frame_size": 88}
        for name, at in self.layout.offsets.items():
            self.machine.store(table + at, 8, values[name])
        return table

    def set_interpreters(self, newest: int) -> None:
        """The list of interpreters begins with this one; 0 if there is none."""
        at = INTERPRETERS_FROM_313 if self.layout.offsets else 40
        self.machine.store(self.runtime + at, 8, newest)

    def put(self, address: int, *fields: tuple[int, int, int]) -> int:
        """Fields, each as offset, width and value."""
        for offset, width, value in fields:
            self.machine.store(address + offset, width, value)
        return address

    def text(self, text: str) -> int:
        largest = max(map(ord, text))
        width = 1 if largest < 256 else 2 if largest < 65536 else 4
        is_ascii = largest < 128
        head = self.layout.ascii_head if is_ascii else self.layout.compact_head
        letters = b"".join(ord(letter).to_bytes(width, "little") for letter in text)
        place = self.heap.malloc(head + len(letters) + width)
        self.machine.write(place + head, letters)
        state = width << 2 | 1 << 5 | is_ascii << 6
        return self.put(place, (8, 8, TEXT_TYPE), (16, 8, len(text)), (32, 4, state))

    def code(self, code: CodeType, filename: str, qualname: str) -> int:
        layout, lines = self.layout, code.co_linetable
        table = self.heap.malloc(33 + len(lines))
        self.machine.write(table + 32, lines)
        self.put(table, (8, 8, BYTES_TYPE), (16, 8, len(lines)))
        place = self.heap.malloc(layout.bytecode + len(code.co_code))
        return self.put(
            place,
            (8, 8, CODE_TYPE),
            (layout.filename, 8, self.text(filename)),
            (layout.qualname, 8, self.text(qualname)),
            (layout.linetable, 8, table),
            (layout.first_line, 4, code.co_firstlineno),
        )

    def call(self, code: int, offset: int, owner: int = 0, place: int = 0) -> int:
        """A frame within the last one, at an instruction of its code."""
        layout = self.layout
        if not place:
            place = self.chunk_at
            self.chunk_at += 96
        self.top = self.put(
            place,
            (layout.code, 8, code | layout.tag),
            (layout.previous, 8, self.top),
            (layout.instruction, 8, code + layout.bytecode + offset),
            (layout.owner, 1, owner),
        )
        self.return_to(place)
        return place

    def return_to(self, place: int) -> None:
        """The innermost frame is this one; 0 for none."""
        self.top, layout = place, self.layout
        if layout.frame_in_cframe is None:
            self.machine.store(self.state + layout.frame_in_state, 8, place)
        else:
            cframe = self.stack + 2048
            self.machine.store(cframe + layout.frame_in_cframe, 8, place)
            self.machine.store(self.state + layout.frame_in_state, 8, cframe)

    def stack_of_malloc(self, folder: Path, size: int) -> tuple[object, ...]:
        """The frames of the one block of that size, once the recording has ended."""
        self.heap.engine.snug_record_end()
        path = folder / "of.snug"
        path.write_bytes(self.machine.records[b"of.snug"])
        with TraceReader(path) as reader:
            assert reader.verify() == []
            (stack,) = [event.stack for event in reader.events() if event.size == size and event.block >= 0]
            return reader.tables.frames_of(stack)


@pytest.fixture(params=LAYOUTS)
def interpreter(request: pytest.FixtureRequest) -> Interpreter:
    return Interpreter(SimulatedMachine(), LAYOUTS[request.param])


SOURCE = """
def f(a, b):
    x = [a,
         b + a]

    try:
        return (x
                .index(a))
    finally:
        with open("x") as file:
            pass


"""


def function_in(source: str) -> CodeType:
    """The code of the one function in a source."""
    constants = compile(source, "f", "exec").co_consts
    return next(constant for constant in constants if isinstance(constant, CodeType))


def functions() -> Iterator[CodeType]:
    """Code with all kinds of entries in its table of lines."""
    yield function_in(SOURCE)
    far = "\n".join(["def far(a):", "    if a:", "        return 1", *[""] * 3000, "    return a", "", " "])
    yield function_in(far)
    yield compile("a = 1\n" * 400 + "b = " + "a +\\\n" * 90 + "a\n", "f", "exec")


@pytest.mark.parametrize("code", list(functions()), ids=lambda code: code.co_name)
def test_every_instruction_has_its_line(code: CodeType) -> None:
    interpreter = Interpreter(SimulatedMachine(), LAYOUTS["3.11"])
    place = interpreter.code(code, "f", code.co_qualname)
    engine = interpreter.heap.engine
    interpreter.heap.malloc(10)
    assert engine.find_layout() and engine.is_code(place)
    expected = {at: line for begin, end, line in code.co_lines() for at in range(begin, end, 2)}
    lines = engine.Layout(engine.LAYOUT).lines_in_code
    for at, line in [*expected.items(), *reversed(expected.items()), *sorted(expected.items(), key=str)]:
        assert engine.open_lines(interpreter.machine.load(place + lines, 8))
        found = engine.line_at(code.co_firstlineno, at // 2)
        assert found == (line if line is not None else code.co_firstlineno)
    assert len(expected) > 5


def test_frames_of_each_version(interpreter: Interpreter, tmp_path: Path) -> None:
    code = function_in(SOURCE)
    at, line = next((begin, line) for begin, _, line in code.co_lines() if line == code.co_firstlineno + 2)
    outer = interpreter.code(code, "/folder/größe.py", "outer")
    inner = interpreter.code(code, "/folder/\U0001f40d.py", "Class.inner")
    interpreter.call(outer, at)
    interpreter.call(outer, 0, INTERPRETERS_FRAME, place=interpreter.stack + 4096)
    interpreter.call(inner, at, owner=1, place=interpreter.heap.malloc(200))  # a generator
    interpreter.heap.malloc(7777)
    found = interpreter.stack_of_malloc(tmp_path, 7777)
    assert found == (
        SourceFrame("/folder/\U0001f40d.py", line, "Class.inner"),
        SourceFrame("/folder/größe.py", line, "outer"),
    )
    assert interpreter.machine.warnings == []


def test_code_that_comes_where_other_code_was(interpreter: Interpreter, tmp_path: Path) -> None:
    code = compile(SOURCE, "f", "exec")
    first = interpreter.code(code, "first.py", "first")
    interpreter.call(first, 0)
    interpreter.heap.malloc(1111)
    interpreter.return_to(0)
    interpreter.heap.free(first)
    second = interpreter.code(code, "second.py", "second")
    assert first == second
    interpreter.call(second, 0)
    interpreter.heap.malloc(2222)
    assert interpreter.stack_of_malloc(tmp_path, 1111) == (SourceFrame("first.py", 0, "first"),)
    assert interpreter.stack_of_malloc(tmp_path, 2222) == (SourceFrame("second.py", 0, "second"),)


def test_a_thread_without_the_lock_has_no_stack(interpreter: Interpreter, tmp_path: Path) -> None:
    interpreter.call(interpreter.code(compile(SOURCE, "f", "exec"), "f.py", "f"), 0)
    interpreter.current = lambda: 0
    interpreter.heap.malloc(7777)
    assert interpreter.stack_of_malloc(tmp_path, 7777) == ()


def test_without_an_interpreter_no_function_of_its_library_is_called(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    """The library is not relocated before the first interpreter begins; and the last one may have ended."""
    interpreter.call(interpreter.code(compile(SOURCE, "f", "exec"), "f.py", "f"), 0)
    told, calls = interpreter.current, 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return told()

    interpreter.current = count
    for number, list_begins in enumerate([0, interpreter.state, 0]):
        interpreter.set_interpreters(list_begins)
        interpreter.heap.malloc(7770 + number)
    assert calls == 1
    stacks = [interpreter.stack_of_malloc(tmp_path, 7770 + number) for number in range(3)]
    assert stacks == [(), (SourceFrame("f.py", 0, "f"),), ()]


def test_frames_in_memory_that_is_not_there_are_not_read(interpreter: Interpreter, tmp_path: Path) -> None:
    """The simulated machine refuses every access beyond its memory."""
    code = interpreter.code(compile(SOURCE, "f", "exec"), "f.py", "f")
    interpreter.top = 0x6666_0000_0000
    interpreter.call(code, 0)
    interpreter.heap.malloc(7777)
    assert interpreter.stack_of_malloc(tmp_path, 7777) == (SourceFrame("f.py", 0, "f"),)


def test_what_is_no_code_gives_no_stack_and_one_line(interpreter: Interpreter) -> None:
    place = interpreter.heap.malloc(400)
    interpreter.put(place, (8, 8, TEXT_TYPE))
    for offset in range(200):
        interpreter.call(place, offset % 64, place=interpreter.chunk + 24)
        interpreter.top = 0
        interpreter.heap.malloc(50)
    assert len(interpreter.machine.warnings) == 1
    assert "no Python stacks for this interpreter" in interpreter.machine.warnings[0]


def test_code_outside_of_the_heap_gives_no_stack_and_one_line(interpreter: Interpreter) -> None:
    """Python's own allocator would not tell when it goes."""
    code = interpreter.code(compile(SOURCE, "f", "exec"), "f.py", "f")
    foreign = interpreter.machine.map_memory(4096)
    interpreter.machine.write(foreign, interpreter.machine.read(code, interpreter.layout.bytecode))
    interpreter.call(foreign, 0)
    for _ in range(3):
        interpreter.heap.malloc(50)
    assert len(interpreter.machine.warnings) == 1
    assert "PYTHONMALLOC=malloc" in interpreter.machine.warnings[0]


@pytest.mark.parametrize("version", [0x030A00F0, 0x031000A0])
def test_other_versions_are_recorded_without_stacks(version: int) -> None:
    interpreter = Interpreter(SimulatedMachine(), LAYOUTS["3.12"]._replace(version=version))
    interpreter.call(interpreter.code(compile(SOURCE, "f", "exec"), "f.py", "f"), 0)
    for _ in range(3):
        interpreter.heap.malloc(50)
    assert len(interpreter.machine.warnings) == 1
    assert "no Python stacks for this interpreter" in interpreter.machine.warnings[0]


@pytest.mark.parametrize("name", ["frame_size", "code", "owner", "bytecode", "qualname"])
@pytest.mark.parametrize("version", ["3.13", "3.14", "3.15"])
def test_offsets_that_make_no_sense_are_not_used(name: str, version: str) -> None:
    layout = LAYOUTS[version]
    interpreter = Interpreter(SimulatedMachine(), layout)
    table = interpreter.machine.symbols[b"_PyRuntime"]
    interpreter.machine.store(table + layout.offsets[name], 8, 0x1234_5678)
    interpreter.heap.malloc(50)
    assert len(interpreter.machine.warnings) == 1


def test_free_threaded_interpreters_have_no_stacks() -> None:
    interpreter = Interpreter(SimulatedMachine(), LAYOUTS["3.14"])
    interpreter.machine.store(interpreter.machine.symbols[b"_PyRuntime"] + 16, 8, 1)
    interpreter.heap.malloc(50)
    assert len(interpreter.machine.warnings) == 1


def test_the_table_of_definitions_may_be_full(interpreter: Interpreter, tmp_path: Path) -> None:
    interpreter = Interpreter(SimulatedMachine(), interpreter.layout)
    code = compile("\n".join(["a = 1"] * 300), "f", "exec")
    place = interpreter.code(code, "f.py", "f")
    outer = interpreter.code(code, "f.py", "outer")
    interpreter.call(outer, 0)
    interpreter.heap.malloc(50)
    definitions = interpreter.heap.engine.layers["definitions"]
    vars(definitions)["MOST_DEFINITIONS"] = vars(definitions)["definition_count"] + 40
    for step in range(200):
        interpreter.call(place, 4 * step, place=interpreter.chunk + 24 + 96)
        interpreter.top = interpreter.chunk + 24
        interpreter.heap.malloc(50)
    interpreter.heap.malloc(7777)
    assert interpreter.stack_of_malloc(tmp_path, 7777) == (SourceFrame("f.py", 0, "outer"),)
    assert [warning for warning in interpreter.machine.warnings if "too many stacks" in warning]
    with TraceReader(tmp_path / "of.snug") as reader:
        assert int(reader.about["frames left out"]) > 100


HEADER = """
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_runtime.h>
#include <stdio.h>
int main(void) {
    printf("%zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu\\n",
           offsetof(PyThreadState, cframe), offsetof(PyThreadState, datastack_chunk),
           offsetof(_PyCFrame, current_frame), offsetof(_PyInterpreterFrame, f_code),
           offsetof(_PyInterpreterFrame, previous), offsetof(_PyInterpreterFrame, prev_instr),
           offsetof(_PyInterpreterFrame, owner), offsetof(PyCodeObject, co_filename),
           offsetof(PyCodeObject, co_qualname), offsetof(PyCodeObject, co_linetable),
           offsetof(PyCodeObject, co_firstlineno), offsetof(PyCodeObject, co_code_adaptive),
           sizeof(PyASCIIObject), sizeof(PyCompactUnicodeObject), offsetof(_PyRuntimeState, interpreters.head));
}
"""


HEADER_WITH_TABLE = """
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_runtime.h>
#include <stdio.h>
#define TABLE(FIELD) printf("%zu ", offsetof(struct _Py_DebugOffsets, FIELD));
#define IN(TYPE, FIELD) printf("%zu ", offsetof(TYPE, FIELD));
int main(void) {
    TABLE(thread_state.current_frame) TABLE(thread_state.datastack_chunk)
    TABLE(interpreter_frame.size) TABLE(interpreter_frame.previous) TABLE(interpreter_frame.executable)
    TABLE(interpreter_frame.instr_ptr) TABLE(interpreter_frame.owner)
    TABLE(code_object.filename) TABLE(code_object.qualname) TABLE(code_object.linetable)
    TABLE(code_object.firstlineno) TABLE(code_object.co_code_adaptive)
    IN(PyThreadState, current_frame) IN(PyThreadState, datastack_chunk) IN(_PyInterpreterFrame, f_executable)
    IN(_PyInterpreterFrame, previous) IN(_PyInterpreterFrame, instr_ptr) IN(_PyInterpreterFrame, owner)
    IN(PyCodeObject, co_filename) IN(PyCodeObject, co_qualname) IN(PyCodeObject, co_linetable)
    IN(PyCodeObject, co_firstlineno) IN(PyCodeObject, co_code_adaptive)
    printf("%zu %zu ", sizeof(PyASCIIObject), sizeof(PyCompactUnicodeObject));
    TABLE(runtime_state.interpreters_head)
}
"""


def test_the_layout_is_that_of_the_headers(tmp_path: Path) -> None:
    known = LAYOUTS[f"3.{sys.version_info.minor}"]
    source = tmp_path / "layout.c"
    source.write_text(HEADER_WITH_TABLE if known.offsets else HEADER)
    include = sysconfig.get_path("include")
    if not (Path(include) / "internal" / "pycore_frame.h").is_file():
        pytest.skip("the headers of this interpreter are not installed")
    folders = [f"-I{include}", f"-I{include}/internal"]
    subprocess.run(["gcc", *folders, str(source), "-o", str(tmp_path / "layout")], check=True)
    told = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True).stdout
    in_cframe = [] if known.frame_in_cframe is None else [known.frame_in_cframe]
    interpreters = INTERPRETERS_AT if known.offsets else INTERPRETERS_311
    expected = [*known.offsets.values(), *known[1:3], *in_cframe, *known[4:15], interpreters]
    assert list(map(int, told.split())) == expected
