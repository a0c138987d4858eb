"""What a library of the engine is made of, and what a refusal is: the words that reading and writing share."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple, TypeAlias

WORD_MAX = 2**64 - 1
INT_MAX = 2**31 - 1
"""Also the largest number in a function's body: Cython takes larger ones for Python objects."""

CYTHON_WORDS = frozenset(
    {"cdef", "cpdef", "ctypedef", "cimport", "include", "sizeof", "NULL", "new", "DEF", "IF", "ELIF", "ELSE"}
)
CONSTANT_NAME = re.compile(r"_?[A-Z][A-Z0-9_]*$")


class Type(Enum):
    """What a value is in the compiled engine."""

    WORD = "Word"
    INT = "Int"
    BOOL = "bool"
    TEXT = "Text"
    NONE = "None"
    TUPLE = "a tuple"
    LITERAL = "a number"
    NEGATIVE = "a value that may be below zero"


TYPES = {
    "Word": Type.WORD,
    "Half": Type.WORD,
    "Byte": Type.WORD,
    "Int": Type.INT,
    "bool": Type.BOOL,
    "Text": Type.TEXT,
    "None": Type.NONE,
}
"""Annotations. A Half or a Byte says how wide a value is in memory; in registers both are words."""


LINE = "Line"
LINE_BYTES = 64
WIDTHS = {"Word": 8, "Half": 4, "Byte": 1, LINE: 0}
"""The bytes of a record's fields. A Line has none: it is where the next cache line begins."""

LANGUAGE_WORDS = frozenset({"Record", "Array", "array", LINE, "inline"})
"""What records are declared with, and functions; like the types these words belong to the language."""


RANGES = {
    "Word": (0, WORD_MAX),
    "Half": (0, 2**32 - 1),
    "Byte": (0, 255),
    "Int": (-INT_MAX - 1, INT_MAX),
    "bool": (0, 1),
}
"""The numbers that a constant of each type can be."""


class Refusal(NamedTuple):
    """One thing that is outside the language."""

    path: Path
    line: int
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}; {self.instead}"


class Refused(Exception):
    """Raised at the first thing in a statement that is outside the language."""

    def __init__(self, node: ast.AST, what: str, instead: str) -> None:
        super().__init__(what)
        self.line: int = getattr(node, "lineno", 1)
        self.what = what
        self.instead = instead


class NotInLanguage(Exception):
    """The library cannot be compiled: `refusals` says all that was found."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__("\n".join(map(str, refusals)))
        self.refusals = refusals


# ---- What a library is made of ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """A field of a record, at `offset`, or an array of `count` elements there.

    `element` is a key of `WIDTHS`, the record that each element of the array is, or LINE.
    """

    name: str
    offset: int
    element: str | Record
    count: int | None = None

    @property
    def width(self) -> int:
        """The bytes of one element."""
        return self.element.size if isinstance(self.element, Record) else WIDTHS[self.element]

    @property
    def end(self) -> int:
        """Where the next field can begin."""
        return self.offset + self.width * (1 if self.count is None else self.count)


@dataclass(frozen=True)
class Record:
    """A structure in memory; a value of it is its address."""

    name: str
    fields: Mapping[str, Field]
    size: int
    alignment: int
    docstring: str


class Kind(NamedTuple):
    """What an annotation says: a key of `TYPES`, and for a record, which is a Word, which one."""

    annotation: str
    record: Record | None = None

    @property
    def type(self) -> Type:
        """What it is in registers."""
        return TYPES[self.annotation]

    def __str__(self) -> str:
        return self.record.name if self.record is not None else self.annotation


class Parameter(NamedTuple):
    """A parameter and what it is."""

    name: str
    kind: Kind


class Edit(NamedTuple):
    """What the unit has in the place of some of a function's source: lines from 1, columns in bytes."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass
class Function:
    """A function of the engine or, with `layer` "machine", of the machine.

    `results` has more than one entry if it gives a tuple. `locals` are the variables whose type is that of
    their first value; annotated ones declare themselves. `edits` write its uses of records as words.
    """

    name: str
    layer: str
    parameters: list[Parameter]
    results: tuple[Kind, ...]
    node: ast.FunctionDef
    is_inline: bool = False
    locals: dict[str, Type] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)

    @property
    def result(self) -> Type:
        """The type of its only result, or TUPLE."""
        return self.results[0].type if len(self.results) == 1 else Type.TUPLE

    @property
    def body(self) -> list[ast.stmt]:
        """The statements, without the docstring."""
        return self.node.body[1:] if ast.get_docstring(self.node, clean=False) is not None else self.node.body


@dataclass(frozen=True)
class Constant:
    """A number, or a text where the type is TEXT."""

    name: str
    type: Type
    value: int | bytes


@dataclass(frozen=True)
class Table:
    """A constant array whose elements are as wide in memory as `annotation` says."""

    name: str
    annotation: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """`size` bytes of the library's own zeroed memory; in the engine the name is the address."""

    name: str
    size: int


@dataclass(frozen=True)
class State:
    """A variable of `layer` that begins at zero."""

    name: str
    type: Type
    layer: str


Definition: TypeAlias = Function | Constant | Table | Memory | State | Record


@dataclass
class Unit:
    """A library that is inside the language."""

    library: str
    machine: list[Definition]
    layers: dict[str, list[Definition]]
    sources: dict[str, Path]

    @property
    def exports(self) -> list[Function]:
        """The public functions of the last layer."""
        return [d for d in self.layers[list(self.layers)[-1]] if isinstance(d, Function) and d.name[0] != "_"]


# ---- Checks that every place needs ----

NOTHING: Mapping[str, Definition] = {}


def read_annotation(
    node: ast.AST, annotation: ast.expr | None, owner: str, scope: Mapping[str, Definition] = NOTHING
) -> Kind:
    """What `annotation` says; records are looked up in `scope`."""
    match annotation:
        case None:
            raise Refused(node, f"{owner} has no annotation", f"annotate it with one of {', '.join(TYPES)}")
        case ast.Constant(None):
            return Kind("None")
        case ast.Name(name) if name in TYPES:
            return Kind(name)
        case ast.Name(name) if isinstance(record := scope.get(name), Record):
            return Kind("Word", record)
    raise Refused(
        node, f"{owner} is annotated with {ast.unparse(annotation)}", f"use one of {', '.join(TYPES)}"
    )


def check_name(name: str, node: ast.AST) -> None:
    """Refuse what Cython would read as a word of its own."""
    if name in CYTHON_WORDS or name in TYPES or name in LANGUAGE_WORDS or name.startswith("__"):
        raise Refused(node, f"{name} is a word of Cython or of the language", "choose another name")


OUTSIDE: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.ClassDef: ("a class", "declare a record: `class Name(Record):`, and write functions over it"),
    ast.FunctionDef: ("a nested function", "define it at module level"),
    ast.AsyncFunctionDef: ("an async function", "write a plain function"),
    ast.Lambda: ("a lambda", "define a function at module level"),
    ast.Try: ("try", "answer 0 and set errno"),
    ast.Raise: ("raise", "answer 0 and set errno, or call trap() for a broken invariant"),
    ast.Assert: ("assert", "call trap() for a broken invariant"),
    ast.With: ("with", "call what begins and what ends"),
    ast.Delete: ("del", "drop it"),
    ast.Match: ("match", "use if and elif"),
    ast.Import: ("import", "write `from ..machine import ...` or `from .layer import ...`"),
    ast.ImportFrom: ("import", "import at the head of the module"),
    ast.Nonlocal: ("nonlocal", "use module state and global"),
    ast.JoinedStr: ("a string", "use a constant text: `NAME = b\"...\"` at module level"),
    ast.List: ("a list", "use a table, or memory through the machine"),
    ast.Tuple: ("a tuple", "use a table at module level, or single words"),
    ast.Dict: ("a dict", "use a table, or memory through the machine"),
    ast.Set: ("a set", "use the bits of a word"),
    ast.ListComp: ("a comprehension", "write a loop"),
    ast.SetComp: ("a comprehension", "write a loop"),
    ast.DictComp: ("a comprehension", "write a loop"),
    ast.GeneratorExp: ("a generator", "write a loop"),
    ast.Attribute: ("an attribute", "import the name itself; a field is one of a record: Name(address).field"),
    ast.Subscript: ("a subscript of something else than a table", "memory is read with load_word"),
    ast.NamedExpr: (":=", "assign on a line of its own"),
    ast.Yield: ("yield", "write a loop that calls a function"),
    ast.YieldFrom: ("yield", "write a loop that calls a function"),
    ast.Await: ("await", "call a plain function"),
    ast.Starred: ("*", "list the arguments"),
    ast.Assign: ("an assignment to something else than a name", "memory is written with store_word"),
    ast.AugAssign: ("an assignment to something else than a name", "memory is written with store_word"),
    ast.AnnAssign: ("an assignment to something else than a name", "memory is written with store_word"),
}  # fmt: skip


def not_in_language(node: ast.AST, place: str) -> Refused:
    """The refusal of a kind of node that the language does not have at all."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str | bytes):
            return Refused(node, "a string", 'use a constant text: `NAME = b"..."` at module level')
        return Refused(node, f"{node.value!r}", "use whole numbers, True and False")
    what, instead = OUTSIDE.get(type(node), (f"{type(node).__name__.lower()} {place}", "see docs/language.md"))
    return Refused(node, what, instead)
