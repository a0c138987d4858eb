"""The engine language: reads the modules of one library and refuses what the language does not have.

A library is a folder of the engine whose ``__init__.py`` lists its floors in reading order. Floors import only
from the floors before them and from the machine. All of them are compiled as one unit, so a name is defined
once. What may be written is told in ``docs/language.md``; each refusal here says what to write instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple, TypeAlias

WORD_MAX = 2**64 - 1
INT_MAX = 2**31 - 1
"""Also the largest number in a function's body: Cython takes larger ones for Python objects."""

RESERVED_PREFIXES = ("os_", "snug_")
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


class Parameter(NamedTuple):
    """A parameter and its annotation, a key of `TYPES`."""

    name: str
    annotation: str


@dataclass
class Function:
    """A function of the engine or, with `floor` "machine", of the machine.

    `locals` are the variables whose type is that of their first value; annotated ones declare themselves.
    """

    name: str
    floor: str
    parameters: list[Parameter]
    result: str
    node: ast.FunctionDef
    locals: dict[str, Type] = field(default_factory=dict)

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
    """A variable of `floor` that begins at zero."""

    name: str
    type: Type
    floor: str


Definition: TypeAlias = Function | Constant | Table | Memory | State


@dataclass
class Unit:
    """A library that is inside the language."""

    library: str
    machine: list[Definition]
    floors: dict[str, list[Definition]]
    sources: dict[str, Path]

    @property
    def exports(self) -> list[Function]:
        """The public functions of the last floor."""
        return [d for d in self.floors[list(self.floors)[-1]] if isinstance(d, Function) and d.name[0] != "_"]


# ---- Reading ---------------------------------------------------------------------------------------------


def read_library(engine: Path, library: str, defines: Mapping[str, int]) -> Unit:
    """The library of the folder `engine`/`library`, with the constants in `defines` set to their values.

    Raises NotInLanguage.
    """
    unit = Unit(library, read_machine(engine / "machine.py"), {}, {})
    known = {definition.name: definition for definition in unit.machine}
    where = dict.fromkeys(known, "machine")
    names = {"machine": known}
    floors = read_floor_names(engine / library / "__init__.py")
    refusals: list[Refusal] = []
    for floor in floors:
        path = unit.sources[floor] = engine / library / f"{floor}.py"
        reader = FloorReader(path, floor, floor == floors[-1], names, where, floors, defines)
        unit.floors[floor] = reader.read()
        names[floor] = {definition.name: definition for definition in unit.floors[floor]}
        refusals += reader.refusals
    constants = {d.name for definitions in unit.floors.values() for d in definitions if isinstance(d, Constant)}
    for name in defines.keys() - constants:
        last = unit.sources[floors[-1]]
        refusals.append(
            Refusal(last, 1, f"--define {name}: no floor has this constant", "name one that exists")
        )
    if refusals:
        raise NotInLanguage(
            sorted(refusals, key=lambda refusal: (floors.index(refusal.path.stem), refusal.line))
        )
    return unit


def read_floor_names(path: Path) -> list[str]:
    """The tuple FLOORS in `path`, without importing it."""
    for statement in ast.parse(path.read_text()).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name("FLOORS")], value=ast.Tuple(elements))
                | ast.AnnAssign(target=ast.Name("FLOORS"), value=ast.Tuple(elements))
            ) if elements:
                return [str(ast.literal_eval(element)) for element in elements]
    raise NotInLanguage([Refusal(path, 1, "no floors", 'write FLOORS = ("block", ..., "front")')])


def read_machine(path: Path) -> list[Definition]:
    """The public functions and the int constants of the machine; `reserve` belongs to the language."""
    definitions: list[Definition] = []
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) if name[0] != "_" and name != "reserve":
                try:
                    definitions.append(read_signature(node, "machine"))
                except Refused as refused:
                    raise NotInLanguage([Refusal(path, refused.line, refused.what, refused.instead)]) from None
            case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(int(value))) if CONSTANT_NAME.match(
                name
            ):
                definitions.append(Constant(name, Type.WORD, value))
    return definitions


def read_signature(node: ast.FunctionDef, floor: str) -> Function:
    """The function of `node`, its body not read yet."""
    arguments = node.args
    if node.decorator_list:
        raise Refused(node.decorator_list[0], "a decorator", "write a plain function")
    if arguments.defaults or any(arguments.kw_defaults):
        raise Refused(node, f"{node.name} has a default argument", "give every argument at every call")
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
        raise Refused(node, f"{node.name} has parameters of a special kind", "list plain parameters")
    parameters = [
        Parameter(a.arg, read_annotation(a, a.annotation, f"parameter {a.arg}")) for a in arguments.args
    ]
    for parameter in parameters:
        if parameter.annotation == "None":
            raise Refused(node, f"parameter {parameter.name} is None", "drop it")
    return Function(
        node.name, floor, parameters, read_annotation(node, node.returns, f"the result of {node.name}"), node
    )


def read_annotation(node: ast.AST, annotation: ast.expr | None, owner: str) -> str:
    """The name of the type in `annotation`."""
    match annotation:
        case None:
            raise Refused(node, f"{owner} has no annotation", f"annotate it with one of {', '.join(TYPES)}")
        case ast.Constant(None):
            return "None"
        case ast.Name(name) if name in TYPES:
            return name
    raise Refused(
        node, f"{owner} is annotated with {ast.unparse(annotation)}", f"use one of {', '.join(TYPES)}"
    )


class FloorReader:
    """Reads one floor.

    `names` are the definitions of the machine and of the floors below, by module; `where` tells which module
    has defined each name so far, and this floor's are added to it.
    """

    def __init__(
        self,
        path: Path,
        floor: str,
        is_last: bool,
        names: Mapping[str, Mapping[str, Definition]],
        where: dict[str, str],
        floors: list[str],
        defines: Mapping[str, int],
    ) -> None:
        self.path = path
        self.floor = floor
        self.is_last = is_last
        self.names = names
        self.where = where
        self.floors = floors
        self.defines = defines
        self.refusals: list[Refusal] = []
        self.scope: dict[str, Definition] = {}
        self.can_reserve = False

    def read(self) -> list[Definition]:
        """The floor's definitions in order. What is outside the language is in `refusals`."""
        definitions: list[Definition] = []
        try:
            module = ast.parse(self.path.read_text())
        except SyntaxError as error:
            self.refusals.append(Refusal(self.path, error.lineno or 1, error.msg, "write valid Python"))
            return []
        for statement in module.body:
            try:
                definition = self.statement(statement)
                if definition is not None:
                    self.scope[definition.name] = definition
                    definitions.append(definition)
                    self.claim(definition.name, statement)
            except Refused as refused:
                self.refuse(refused)
        for definition in definitions:
            if isinstance(definition, Function):
                BodyReader(definition, self.scope, self.refuse).read()
        return definitions

    def refuse(self, refused: Refused) -> None:
        self.refusals.append(Refusal(self.path, refused.line, refused.what, refused.instead))

    def claim(self, name: str, node: ast.AST) -> None:
        """Take `name` for this floor."""
        check_name(name, node)
        if not self.is_last and name.startswith(RESERVED_PREFIXES):
            raise Refused(
                node, f"{name} begins like an exported function", "keep that prefix to the last floor"
            )
        if name in self.where:
            owner = self.where[name]
            raise Refused(node, f"{name} is defined in {owner} already", "a name is defined once in a library")
        self.where[name] = self.floor

    def statement(self, node: ast.stmt) -> Definition | None:
        match node:
            case ast.Expr(ast.Constant(str())):
                return None
            case ast.ImportFrom():
                self.read_import(node)
                return None
            case ast.FunctionDef():
                function = read_signature(node, self.floor)
                if self.is_last and node.name[0] != "_":
                    check_exported(function)
                if node.body[0].lineno == node.lineno:
                    raise Refused(
                        node, f"the body of {node.name} stands on the line of its def", "begin a new line"
                    )
                return function
            case ast.Assign(targets=[ast.Name(name)], value=value):
                return self.variable(node, name, None, value)
            case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value):
                return self.variable(node, name, annotation, value)
        raise not_in_language(node, "at module level")

    def read_import(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module == "__future__":
            return
        if (node.level, node.module) == (2, "machine"):
            module = "machine"
        elif node.level == 1 and node.module in self.floors:
            module = node.module
            if self.floors.index(module) >= self.floors.index(self.floor):
                raise Refused(
                    node, f"{module} is not below {self.floor}", "floors import only from those before them"
                )
        else:
            raise Refused(
                node, "an import from outside the engine", "import from ..machine or from a floor below"
            )
        for alias in node.names:
            try:
                self.import_name(module, alias)
            except Refused as refused:
                self.refuse(refused)

    def import_name(self, module: str, alias: ast.alias) -> None:
        name = alias.name
        if alias.asname or name == "*":
            raise Refused(alias, f"import {ast.unparse(alias)}", "import names, one by one and as they are")
        if module == "machine" and name in TYPES:
            return
        if module == "machine" and name == "reserve":
            self.can_reserve = True
            return
        definition = self.names[module].get(name)
        if definition is None:
            raise Refused(alias, f"{module} has no {name}", "import what it defines")
        if isinstance(definition, State):
            raise Refused(
                alias, f"{name} is state of {module}", f"let {module} offer a function (a copy would be read)"
            )
        self.scope[name] = definition

    def variable(
        self, node: ast.stmt, name: str, annotation: ast.expr | None, value: ast.expr | None
    ) -> Definition:
        if CONSTANT_NAME.match(name):
            return self.constant(node, name, annotation, value)
        if annotation is None:
            raise Refused(
                node, f"{name} has no annotation", f"write `{name}: Word = 0`, or a constant in upper case"
            )
        type_ = TYPES[read_annotation(node, annotation, name)]
        zero = False if type_ is Type.BOOL else 0
        if type_ not in (Type.WORD, Type.INT, Type.BOOL):
            raise Refused(
                node, f"{name} is state of type {type_.value}", "state is Word, Half, Byte, Int or bool"
            )
        if not (isinstance(value, ast.Constant) and type(value.value) is type(zero) and value.value == zero):
            raise Refused(
                node, f"state {name} does not begin at zero", f"write {zero} and set it up at first use"
            )
        return State(name, type_, self.floor)

    def constant(
        self, node: ast.stmt, name: str, annotation: ast.expr | None, value: ast.expr | None
    ) -> Constant | Table | Memory:
        match value:
            case None:
                raise Refused(node, f"{name} has no value", "give it one")
            case ast.Call(func=ast.Name("reserve"), args=[size], keywords=[]) if self.can_reserve:
                return Memory(name, self.number(size, 1, WORD_MAX))
            case ast.Tuple(elements):
                return self.table(node, name, annotation, elements)
            case ast.Constant(bytes(text)):
                if 0 in text:
                    raise Refused(node, f"{name} has a zero byte", "a text ends at its first zero")
                return Constant(name, Type.TEXT, text)
        width = "Word" if annotation is None else read_annotation(node, annotation, name)
        if width not in RANGES:
            raise Refused(node, f"{name} is a number annotated with {width}", f"use one of {', '.join(RANGES)}")
        number = self.number(value, *RANGES[width])
        return Constant(name, TYPES[width], self.defines.get(name, number))

    def table(self, node: ast.stmt, name: str, annotation: ast.expr | None, elements: list[ast.expr]) -> Table:
        match annotation:
            case None:
                width = "Word"
            case ast.Subscript(ast.Name("tuple"), ast.Tuple([ast.Name(width), ast.Constant(value=rest)])) if (
                rest is ... and width in RANGES
            ):
                pass
            case _:
                raise Refused(
                    node, f"table {name} is annotated with {ast.unparse(annotation)}", "use tuple[Word, ...]"
                )
        if not elements:
            raise Refused(node, f"table {name} is empty", "give it an element")
        return Table(name, width, tuple(self.number(element, *RANGES[width]) for element in elements))

    def number(self, node: ast.expr, low: int, high: int) -> int:
        """The value of a constant expression."""
        value = self.evaluate(node)
        if not low <= value <= high:
            raise Refused(
                node, f"{value} is not between {low} and {high}", "annotate the type it has, or mask it"
            )
        return value

    def evaluate(self, node: ast.expr) -> int:
        match node:
            case ast.Constant(bool(value)):
                return int(value)
            case ast.Constant(int(value)):
                return value
            case ast.Name(name) if isinstance(definition := self.scope.get(name), Constant):
                if isinstance(definition.value, int):
                    return definition.value
            case ast.Name(name) if isinstance(self.scope.get(name), State | Memory | Table):
                raise Refused(node, f"{name} is not known before the library runs", "use constants only")
            case ast.UnaryOp(op, operand) if type(op) in CONSTANT_SIGNS:
                return CONSTANT_SIGNS[type(op)](self.evaluate(operand))
            case ast.BinOp(left, op, right) if type(op) in CONSTANT_OPERATORS:
                try:
                    return CONSTANT_OPERATORS[type(op)](self.evaluate(left), self.evaluate(right))
                except (ZeroDivisionError, ValueError) as error:
                    raise Refused(node, str(error), "write an expression with a value") from None
        raise Refused(
            node, f"{ast.unparse(node)} is no constant expression", "use whole numbers, constants and operators"
        )


CONSTANT_SIGNS: Mapping[type[ast.unaryop], Callable[[int], int]] = {
    ast.USub: lambda a: -a,
    ast.Invert: lambda a: ~a,
}
CONSTANT_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: int(a**b),
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
}


def check_name(name: str, node: ast.AST) -> None:
    """Refuse what Cython would read as a word of its own."""
    if name in CYTHON_WORDS or name in TYPES or name.startswith("__"):
        raise Refused(node, f"{name} is a word of Cython or of the language", "choose another name")


def check_exported(function: Function) -> None:
    """A caller in C need not clear the upper half of a register that carries less than a word."""
    for annotation in (function.result, *(parameter.annotation for parameter in function.parameters)):
        if annotation in ("Half", "Byte"):
            raise Refused(
                function.node, f"{function.name} is exported and has a {annotation}", "use Word or Int there"
            )


# ---- Bodies ----------------------------------------------------------------------------------------------


class BodyReader:
    """Reads the body of one function and finds the types of its variables."""

    def __init__(
        self, function: Function, scope: Mapping[str, Definition], refuse: Callable[[Refused], None]
    ) -> None:
        self.function = function
        self.scope = scope
        self.refuse = refuse
        self.result = TYPES[function.result]
        self.types = {name: TYPES[annotation] for name, annotation in function.parameters}
        self.globals: set[str] = set()

    def read(self) -> None:
        for name in self.types:
            try:
                check_name(name, self.function.node)
            except Refused as refused:
                self.refuse(refused)
        self.block(self.function.body)

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            try:
                self.statement(statement)
            except Refused as refused:
                self.refuse(refused)
                for name in assigned_names(statement):
                    self.types.setdefault(name, Type.WORD)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Pass() | ast.Break() | ast.Continue():
                pass
            case ast.Global(names):
                self.take_globals(node, names)
            case ast.Expr(ast.Call() as call):
                self.call(call)
            case ast.Expr(ast.Constant(str())):
                raise Refused(node, "a string", "write a comment")
            case ast.Expr(value):
                self.value(value)
                raise Refused(node, "a value that nobody uses", "drop it")
            case ast.Assign(targets=[ast.Name(name)], value=value):
                self.assign(node, name, self.value(value))
            case ast.Assign(targets=[_, _, *_] | [ast.Tuple() | ast.List()]):
                raise Refused(node, "more than one target", "assign one name at a time")
            case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value):
                self.declare(node, name, annotation, value)
            case ast.AugAssign(target=ast.Name(name) as target, op=op, value=value):
                if name not in self.types and name not in self.scope:
                    raise Refused(node, f"{name} has no value yet", "assign it first")
                before = self.read_name(ast.copy_location(ast.Name(name, ast.Load()), target))
                self.assign(node, name, self.binary(node, op, before, self.value(value)))
            case ast.If(test, body, orelse):
                self.attempt(test)
                self.block(body)
                self.block(orelse)
            case ast.While(test, body, orelse):
                self.attempt(test)
                self.block(body)
                self.no_else(orelse)
            case ast.For(target, iterable, body, orelse):
                self.loop(node, target, iterable)
                self.block(body)
                self.no_else(orelse)
            case ast.Return(value):
                self.give(node, value)
            case _:
                raise not_in_language(node, "in a function")

    def attempt(self, test: ast.expr) -> None:
        """Read a condition; the statements under it are read even if it is refused."""
        try:
            self.condition(test)
        except Refused as refused:
            self.refuse(refused)

    def no_else(self, orelse: list[ast.stmt]) -> None:
        if orelse:
            raise Refused(orelse[0], "a loop with else", "test after the loop")

    def take_globals(self, node: ast.Global, names: list[str]) -> None:
        for name in names:
            definition = self.scope.get(name)
            if not isinstance(definition, State) or definition.floor != self.function.floor:
                raise Refused(
                    node, f"global {name} is no state of this module", f"define `{name}: Word = 0` in it"
                )
            self.globals.add(name)

    def loop(self, node: ast.For, target: ast.expr, iterable: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            raise Refused(node, "a loop over more than one name", "loop over one")
        match iterable:
            case ast.Call(func=ast.Name("range"), args=[_, _, step], keywords=[]) if not self.is_positive(step):
                self.assign(node, target.id, Type.WORD)
                raise Refused(step, "a range whose step may not be above zero", "write a while loop")
            case ast.Call(func=ast.Name("range"), args=[_, *_] as limits, keywords=[]) if len(limits) <= 3:
                self.assign(node, target.id, Type.WORD)
                for limit in limits:
                    self.fit(limit, Type.WORD, self.value(limit), "a limit of range")
            case _:
                self.assign(node, target.id, Type.WORD)
                raise Refused(iterable, f"a loop over {ast.unparse(iterable)}", "loop over range(...)")

    def is_positive(self, step: ast.expr) -> bool:
        match step:
            case ast.Constant(int(value)):
                return value > 0
            case ast.Name(name) if isinstance(constant := self.scope.get(name), Constant):
                return isinstance(constant.value, int) and constant.value > 0
        return False

    def give(self, node: ast.Return, value: ast.expr | None) -> None:
        if value is None and self.result is not Type.NONE:
            raise Refused(node, "a return without a value", f"return the {self.result.value} that is promised")
        if value is not None:
            if self.result is Type.NONE:
                raise Refused(node, "a value from a function that promises None", "write return alone")
            self.fit(node, self.result, self.value(value), f"the result of {self.function.name}")

    # -- Variables --

    def assign(self, node: ast.stmt, name: str, value: Type) -> None:
        definition = self.scope.get(name)
        if isinstance(definition, State):
            if name not in self.globals:
                raise Refused(node, f"{name} is assigned without global", f"write `global {name}` first")
            self.fit(node, definition.type, value, name)
        elif definition is not None:
            raise Refused(
                node, f"{name} is a {type(definition).__name__.lower()} of the module", "use another name"
            )
        elif name in self.types:
            self.fit(node, self.types[name], value, name)
        elif value in (Type.LITERAL, Type.NEGATIVE):
            raise Refused(
                node, f"{name} begins as {value.value}", f"annotate it: `{name}: Word = ...` (or Int)"
            )
        else:
            check_name(name, node)
            self.types[name] = self.function.locals[name] = value

    def declare(self, node: ast.AnnAssign, name: str, annotation: ast.expr, value: ast.expr | None) -> None:
        if name in self.types:
            raise Refused(node, f"{name} is declared twice", "annotate it where it is first assigned")
        if name in self.scope:
            raise Refused(node, f"{name} is defined in the module", "use another name")
        check_name(name, node)
        type_ = TYPES[read_annotation(node, annotation, name)]
        if type_ is Type.NONE:
            raise Refused(node, f"{name} is None", "drop it")
        if value is not None:
            self.fit(node, type_, self.value(value), name)
        self.types[name] = type_

    def fit(self, node: ast.AST, wanted: Type, value: Type, what: str) -> None:
        """Refuse a value that would be another one in C."""
        if wanted is value or (wanted is Type.INT and value not in (Type.TEXT, Type.NONE)):
            return
        if wanted is Type.WORD and value in (Type.INT, Type.BOOL, Type.LITERAL):
            return
        if value is Type.NEGATIVE and wanted is Type.WORD:
            raise Refused(node, f"{what} may be below zero", "mask it with &, or name a constant")
        advice = "compare: `!= 0`" if wanted is Type.BOOL else f"give it a {wanted.value}"
        raise Refused(node, f"{what} is {wanted.value} and gets {value.value}", advice)

    # -- Expressions --

    def condition(self, node: ast.expr) -> None:
        """A value of which only the truth counts: words and ints are true when they are not 0."""
        match node:
            case ast.BoolOp(values=operands):
                for operand in operands:
                    self.condition(operand)
            case ast.UnaryOp(ast.Not(), operand):
                self.condition(operand)
            case _:
                if self.value(node) is Type.TEXT:
                    raise Refused(node, "a text as a condition", "pass texts to functions only")

    def value(self, node: ast.expr) -> Type:
        """The type of an expression that gives a value."""
        match node:
            case ast.Constant(bool()):
                return Type.BOOL
            case ast.Constant(int(number)):
                if number > INT_MAX:
                    raise Refused(node, f"{number} is beyond an int", "name it: a constant of the module")
                return Type.LITERAL
            case ast.Name():
                return self.read_name(node)
            case ast.BinOp(left, op, right):
                return self.binary(node, op, self.value(left), self.value(right))
            case ast.UnaryOp(op, operand):
                return self.unary(op, operand)
            case ast.BoolOp(values=operands):
                for operand in operands:
                    if self.value(operand) is not Type.BOOL:
                        raise Refused(operand, f"{ast.unparse(operand)} is no bool", "compare: `!= 0`")
                return Type.BOOL
            case ast.Compare():
                return self.compare(node)
            case ast.IfExp(test, body, orelse):
                self.condition(test)
                return self.join(node, self.value(body), self.value(orelse))
            case ast.Call():
                result = self.call(node)
                if result is Type.NONE:
                    raise Refused(
                        node, f"{ast.unparse(node.func)} gives no value", "call it on a line of its own"
                    )
                return result
            case ast.Subscript(ast.Name(name), index) if isinstance(self.scope.get(name), Table):
                self.fit(index, Type.WORD, self.value(index), "an index")
                return Type.WORD
        raise not_in_language(node, "in an expression")

    def read_name(self, node: ast.Name) -> Type:
        name = node.id
        if name in self.types:
            return self.types[name]
        match self.scope.get(name):
            case None:
                raise Refused(node, f"{name} is not known here", "define, assign or import it first")
            case Constant(type=type_) | State(type=type_):
                return type_
            case Memory():
                return Type.WORD
            case Table():
                raise Refused(node, f"{name} is a table", f"take one element: {name}[i]")
            case Function():
                raise Refused(node, f"{name} is a function", "call it")

    def call(self, node: ast.Call) -> Type:
        match node.func:
            case ast.Name("reserve"):
                raise Refused(node, "reserve in a function", "reserve at module level: `NAME = reserve(SIZE)`")
            case ast.Name(name) if isinstance(function := self.scope.get(name), Function):
                pass
            case ast.Name(name):
                raise Refused(node, f"{name} is no function of the engine", "call what is defined or imported")
            case _:
                raise not_in_language(node.func, "in a call")
        if node.keywords:
            raise Refused(node, f"a keyword argument of {name}", "give arguments by position")
        if len(node.args) != len(function.parameters):
            count = len(function.parameters)
            raise Refused(node, f"{name} takes {count} arguments and gets {len(node.args)}", f"give it {count}")
        for argument, parameter in zip(node.args, function.parameters, strict=True):
            self.fit(argument, TYPES[parameter.annotation], self.value(argument), f"argument {parameter.name}")
        return TYPES[function.result]

    def binary(self, node: ast.AST, op: ast.operator, left: Type, right: Type) -> Type:
        if isinstance(op, ast.BitAnd) and {left, right} in (
            {Type.WORD, Type.NEGATIVE},
            {Type.INT, Type.NEGATIVE},
        ):
            return Type.WORD if Type.WORD in (left, right) else Type.INT
        for operand in (left, right):
            if operand is Type.TEXT:
                raise Refused(node, "arithmetic with a text", "pass texts to functions only")
            if operand is Type.NEGATIVE:
                raise Refused(
                    node, "-x or ~x in arithmetic may be below zero", "use it under & only, or subtract"
                )
        if isinstance(op, ast.Div | ast.Pow | ast.MatMult):
            raise Refused(node, "an operator that gives no word", "use //, * or shifts")
        if isinstance(op, ast.LShift):
            if left is not Type.WORD:
                raise Refused(
                    node, f"a left shift of {left.value} is done in a C int", "shift a Word: name a constant"
                )
            return Type.WORD
        if isinstance(op, ast.RShift):
            return left if left is not Type.BOOL else Type.INT
        result = self.join(node, *(Type.INT if operand is Type.BOOL else operand for operand in (left, right)))
        if isinstance(op, ast.FloorDiv | ast.Mod) and result is Type.INT:
            raise Refused(node, "// and % of an Int round differently in C", "use a Word, or shifts and masks")
        return result

    def unary(self, op: ast.unaryop, operand: ast.expr) -> Type:
        if isinstance(op, ast.Not):
            self.condition(operand)
            return Type.BOOL
        value = self.value(operand)
        if isinstance(op, ast.UAdd) or value in (Type.TEXT, Type.BOOL):
            raise Refused(operand, "a sign without a meaning", "drop it")
        return Type.INT if value is Type.INT else Type.NEGATIVE

    def compare(self, node: ast.Compare) -> Type:
        types = {self.value(operand) for operand in (node.left, *node.comparators)}
        for op in node.ops:
            if isinstance(op, ast.In | ast.NotIn | ast.Is | ast.IsNot):
                raise Refused(node, "a comparison that words do not have", "use ==, !=, <, <=, > or >=")
        if Type.TEXT in types:
            raise Refused(node, "a comparison of texts", "pass texts to functions only")
        if Type.NEGATIVE in types and Type.WORD in types:
            raise Refused(
                node, "a Word compared with what may be below zero", "a Word never is: compare before"
            )
        return Type.BOOL

    def join(self, node: ast.AST, left: Type, right: Type) -> Type:
        """The type of what is one or the other, or both combined."""
        if left is right:
            return left
        kinds = {left, right}
        if kinds <= {Type.WORD, Type.INT, Type.LITERAL}:
            return Type.WORD if Type.WORD in kinds else Type.INT
        if kinds <= {Type.INT, Type.LITERAL, Type.NEGATIVE}:
            return Type.INT if Type.INT in kinds else Type.NEGATIVE
        raise Refused(node, f"{left.value} and {right.value} in one value", "make both the same type")


def assigned_names(statement: ast.stmt) -> Iterator[str]:
    """The names that `statement` itself assigns."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id


OUTSIDE: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.ClassDef: ("a class", "keep data in words of memory and write functions over addresses"),
    ast.FunctionDef: ("a nested function", "define it at module level"),
    ast.AsyncFunctionDef: ("an async function", "write a plain function"),
    ast.Lambda: ("a lambda", "define a function at module level"),
    ast.Try: ("try", "answer 0 and set errno"),
    ast.Raise: ("raise", "answer 0 and set errno, or call trap() for a broken invariant"),
    ast.Assert: ("assert", "call trap() for a broken invariant"),
    ast.With: ("with", "call what begins and what ends"),
    ast.Delete: ("del", "drop it"),
    ast.Match: ("match", "use if and elif"),
    ast.Import: ("import", "write `from ..machine import ...` or `from .floor import ...`"),
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
    ast.Attribute: ("an attribute", "import the name itself; memory is read with load_word"),
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
