"""Writes a library that is inside the language as one Cython unit, and the version script for the linker.

Function bodies are copied as they stand, but for the uses of records (``records.py``). Before each one, and
before its head, a line ``#@ path line`` says where the next line comes from; ``lines.py`` reads them. In C
every name of the engine begins with ``engine_``, so that none meets one of libc; an exported function gets its
own name as the symbol's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .model import (
    LINE,
    WIDTHS,
    Constant,
    Definition,
    Function,
    Memory,
    Parameter,
    Record,
    State,
    Table,
    Type,
    Unit,
)
from .records import edited

DIRECTIVES = "language_level=3, annotation_typing=True, cdivision=True, boundscheck=False, wraparound=False"
MACHINE_TYPES = (
    "ctypedef unsigned long long Word",
    'ctypedef unsigned long long Half "Word"',
    'ctypedef unsigned long long Byte "Word"',
    "ctypedef int Int",
    "ctypedef const char *Text",
)
CYTHON_TYPES = {Type.WORD: "Word", Type.INT: "Int", Type.BOOL: "bint", Type.TEXT: "Text", Type.NONE: "void"}
C_TYPES = {Type.WORD: "Word", Type.INT: "Int", Type.BOOL: "int", Type.TEXT: "Text", Type.NONE: "void"}


def write_version_script(unit: Unit, others: Iterable[str] = ()) -> str:
    """What the library exports: its front and `others`. All else is local, and dropped if unused."""
    names = "".join(f"        {name};\n" for name in (*(function.name for function in unit.exports), *others))
    return f"{{\n    global:\n{names}    local:\n        *;\n}};\n"


def write_records(unit: Unit) -> str:
    """A header for C that is compiled into the library: the fields of every record, as macros of FIELD."""
    lines = [f"/* The records of {unit.library}, written by the amalgamation: change the engine, not this. */"]
    for definitions in unit.layers.values():
        for record in definitions:
            if isinstance(record, Record):
                fields = (f"FIELD({field.name}, {field.offset})" for field in record.fields.values())
                lines.append(f"#define ENGINE_{record.name}(FIELD) {' '.join(fields)}")
    return "\n".join(lines) + "\n"


def write_unit(unit: Unit, engine: Path) -> str:
    """The Cython unit. `engine` is the folder that the ``#@`` lines are relative to."""
    return "\n".join(_unit(unit, engine)) + "\n"


def _unit(unit: Unit, engine: Path) -> Iterator[str]:
    exports = {function.name for function in unit.exports}
    definitions = [definition for layer in unit.layers.values() for definition in layer]
    widths = [Constant(f"{name}_SIZE", Type.WORD, width) for name, width in WIDTHS.items() if name != LINE]
    yield f"# cython: {DIRECTIVES}"
    yield f"# The engine's library {unit.library}, written by the amalgamation: change the engine, not this."
    yield ""
    yield 'cdef extern from "machine.h":'
    for line in MACHINE_TYPES:
        yield f"    {line}"
    for definition in unit.machine:
        if isinstance(definition, Function):
            yield f"    {_machine_function(definition)}"
    yield ""
    yield "cdef extern from *:"
    yield '    """'
    for definition in (*unit.machine, *widths, *definitions):
        for line in _c_definition(definition, exports):
            yield f"    {line}"
    yield '    """'
    declarations = [
        line
        for definition in (*unit.machine, *widths, *definitions)
        for line in _cython_declaration(definition)
    ]
    for line in declarations or ["pass"]:
        yield f"    {line}"
    yield ""
    for definition in definitions:
        if isinstance(definition, State):
            yield f'cdef {CYTHON_TYPES[definition.type]} {definition.name} "engine_{definition.name}"'
    for layer, path in unit.sources.items():
        lines = path.read_text().splitlines()
        place = path.relative_to(engine).as_posix()
        for definition in unit.layers[layer]:
            if isinstance(definition, Function):
                yield from ("", "")
                yield from _function(definition, definition.name in exports, lines, place)


def _machine_function(function: Function) -> str:
    """A result narrower than a word is widened where it arises: arithmetic on it is then done in words."""
    widened = "(Word)" if function.results[0].annotation in ("Half", "Byte") else ""
    return (
        f'{CYTHON_TYPES[function.result]} {function.name} "{widened}machine_{function.name}"'
        f"({_parameters(function.parameters)}) noexcept nogil"
    )


def _parameters(parameters: list[Parameter]) -> str:
    return ", ".join(f"{CYTHON_TYPES[parameter.kind.type]} {parameter.name}" for parameter in parameters)


def _result(function: Function) -> str:
    """The result in Cython; C has a struct for several."""
    if function.result is Type.TUPLE:
        return f"({', '.join(CYTHON_TYPES[result.type] for result in function.results)})"
    return CYTHON_TYPES[function.result]


def _offsets(record: Record) -> Iterator[tuple[str, int]]:
    """The constants of a record, as its lowered functions name them."""
    yield f"{record.name}_SIZE", record.size
    for field in record.fields.values():
        yield f"{record.name}_{field.name}", field.offset


def _c_definition(definition: Definition, exports: set[str]) -> Iterator[str]:
    name = f"engine_{definition.name}"
    match definition:
        case Constant(value=bytes(text)):
            yield f"#define {name} {_c_string(text)}"
        case Constant(type=type_, value=int(number)):
            yield f"#define {name} (({C_TYPES[type_]}){_c_number(number)})"
        case Table(annotation=annotation, values=values):
            yield f"static const {annotation} {name}[{len(values)}] = {{{', '.join(map(_c_number, values))}}};"
        case Memory(size=size):
            yield f"static _Alignas(64) Byte {name}_bytes[{_c_number(size)}];"
            yield f"#define {name} ((Word){name}_bytes)"
        case Function(name=symbol) if symbol in exports:
            types = ", ".join(C_TYPES[parameter.kind.type] for parameter in definition.parameters)
            yield f'{C_TYPES[definition.result]} {name}({types or "void"}) __asm__("{symbol}");'
        case Record():
            for constant, value in _offsets(definition):
                yield f"#define engine_{constant} ((Word){_c_number(value)})"


def _c_number(number: int) -> str:
    return f"{number:#x}u" if number > 2**31 - 1 else str(number)


def _c_string(text: bytes) -> str:
    """A C literal inside a Cython docstring, so each backslash is doubled. An octal escape has three digits."""
    plain = "".join(chr(c) if 32 <= c < 127 and c not in b'"\\?' else f"\\\\{c:03o}" for c in text)
    return f'"{plain}"'


def _cython_declaration(definition: Definition) -> Iterator[str]:
    name = f'{definition.name} "engine_{definition.name}"'
    match definition:
        case Constant(type=type_):
            yield f"{CYTHON_TYPES[type_]} {name}"
        case Memory():
            yield f"Word {name}"
        case Table(values=values):
            yield f'const Word {definition.name} "(Word)engine_{definition.name}" [{len(values)}]'
        case Record():
            yield f'ctypedef unsigned long long {definition.name} "Word"'
            for constant, _ in _offsets(definition):
                yield f'Word {constant} "engine_{constant}"'


def _function(function: Function, exported: bool, lines: list[str], place: str) -> Iterator[str]:
    linkage = "public " if exported else "inline " if function.is_inline else ""
    yield f"#@ {place} {function.node.lineno}"
    yield (
        f"cdef {linkage}{_result(function)} {function.name} "
        f'"engine_{function.name}"({_parameters(function.parameters)}) noexcept nogil:'
    )
    for name, type_ in function.locals.items():
        yield f"    cdef {CYTHON_TYPES[type_]} {name}"
    if not function.body:
        yield "    pass"
        return
    first = function.body[0].lineno
    last = function.node.end_lineno
    yield f"    #@ {place} {first}"
    yield from edited(lines, function.edits)[first - 1 : last]
