"""The engine language: reads the modules of one library and refuses what the language does not have.

A library is a folder of the engine whose ``__init__.py`` lists its layers in reading order. A layer
``common.NAME`` is a module of the folder that libraries share. Layers import only from the layers before them
and from the machine. All of them are compiled as one unit, so a name is defined once. What may be written is
described in ``docs/language.md``; each refusal here says what to write instead.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path

from .bodies import BodyReader
from .model import (
    CONSTANT_NAME,
    LANGUAGE_WORDS,
    RANGES,
    TYPES,
    WORD_MAX,
    Constant,
    Definition,
    Function,
    Kind,
    Memory,
    NotInLanguage,
    Parameter,
    Record,
    Refusal,
    Refused,
    State,
    Table,
    Type,
    Unit,
    check_name,
    not_in_language,
    read_annotation,
)
from .records import read_record

RESERVED_PREFIXES = ("os_", "snug_")
COMMON = "common."
"""What the name of a layer begins with that libraries share: the folder that it is in."""


def read_library(engine: Path, library: str, defines: Mapping[str, int]) -> Unit:
    """The library of the folder `engine`/`library`, with the constants in `defines` set to their values.

    Raises NotInLanguage.
    """
    unit = Unit(library, read_machine(engine / "machine.py"), {}, {})
    known = {definition.name: definition for definition in unit.machine}
    where = dict.fromkeys(known, "machine")
    names = {"machine": known}
    layers = read_layer_names(engine / library / "__init__.py")
    refusals: list[Refusal] = []
    for layer in layers:
        path = unit.sources[layer] = layer_path(engine, library, layer)
        reader = LayerReader(path, layer, layer == layers[-1], names, where, layers, defines)
        unit.layers[layer] = reader.read()
        names[layer] = {definition.name: definition for definition in unit.layers[layer]}
        refusals += reader.refusals
    constants = {d.name for definitions in unit.layers.values() for d in definitions if isinstance(d, Constant)}
    for name in defines.keys() - constants:
        last = unit.sources[layers[-1]]
        refusals.append(
            Refusal(last, 1, f"--define {name}: no layer has this constant", "name one that exists")
        )
    if refusals:
        order = list(unit.sources.values())
        raise NotInLanguage(sorted(refusals, key=lambda refusal: (order.index(refusal.path), refusal.line)))
    return unit


def layer_path(engine: Path, library: str, layer: str) -> Path:
    """The module of a layer: in the library's folder, or in the one that libraries share."""
    folder = engine if layer.startswith(COMMON) else engine / library
    return folder.joinpath(*layer.split(".")).with_suffix(".py")


def read_layer_names(path: Path) -> list[str]:
    """The tuple LAYERS in `path`, without importing it."""
    for statement in ast.parse(path.read_text()).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name("LAYERS")], value=ast.Tuple(elements))
                | ast.AnnAssign(target=ast.Name("LAYERS"), value=ast.Tuple(elements))
            ) if elements:
                return [str(ast.literal_eval(element)) for element in elements]
    raise NotInLanguage([Refusal(path, 1, "no layers", 'write LAYERS = ("block", ..., "front")')])


def read_machine(path: Path) -> list[Definition]:
    """The public functions and int constants of the machine; `reserve` and the like belong to the language."""
    definitions: list[Definition] = []
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) if name[0] != "_" and name not in ("reserve", *LANGUAGE_WORDS):
                try:
                    definitions.append(read_signature(node, "machine", {}))
                except Refused as refused:
                    raise NotInLanguage([Refusal(path, refused.line, refused.what, refused.instead)]) from None
            case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(int(value))) if CONSTANT_NAME.match(
                name
            ):
                definitions.append(Constant(name, Type.WORD, value))
    return definitions


def read_signature(node: ast.FunctionDef, layer: str, scope: Mapping[str, Definition]) -> Function:
    """The function of `node`, its body not read yet. `scope` has the records."""
    arguments = node.args
    if arguments.defaults or any(arguments.kw_defaults):
        raise Refused(node, f"{node.name} has a default argument", "give every argument at every call")
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
        raise Refused(node, f"{node.name} has parameters of a special kind", "list plain parameters")
    parameters = [
        Parameter(a.arg, read_annotation(a, a.annotation, f"parameter {a.arg}", scope)) for a in arguments.args
    ]
    for parameter in parameters:
        if parameter.kind.type is Type.NONE:
            raise Refused(node, f"parameter {parameter.name} is None", "drop it")
    return Function(node.name, layer, parameters, read_results(node, scope), node, read_decorators(node))


def read_decorators(node: ast.FunctionDef) -> bool:
    """Whether the function is inline, the one thing that a decorator can say."""
    match node.decorator_list:
        case []:
            return False
        case [ast.Name("inline")]:
            return True
    raise Refused(node.decorator_list[0], "a decorator", "write a plain function, or @inline")


def read_results(node: ast.FunctionDef, scope: Mapping[str, Definition]) -> tuple[Kind, ...]:
    """What the function gives: one thing, or several in a tuple."""
    match node.returns:
        case ast.Subscript(ast.Name("tuple"), ast.Tuple([_, _, *_] as elements)):
            results = tuple(
                read_annotation(node, element, f"result {number} of {node.name}", scope)
                for number, element in enumerate(elements, 1)
            )
            if any(result.type in (Type.NONE, Type.TEXT) for result in results):
                raise Refused(
                    node, f"{node.name} gives None or Text in a tuple", "give Word, Int or bool there"
                )
            return results
    return (read_annotation(node, node.returns, f"the result of {node.name}", scope),)


class LayerReader:
    """Reads one layer.

    `names` are the definitions of the machine and of the layers below, by module; `where` says which module
    has defined each name so far, and this layer's are added to it.
    """

    def __init__(
        self,
        path: Path,
        layer: str,
        is_last: bool,
        names: Mapping[str, Mapping[str, Definition]],
        where: dict[str, str],
        layers: list[str],
        defines: Mapping[str, int],
    ) -> None:
        self.path = path
        self.layer = layer
        self.is_last = is_last
        self.names = names
        self.where = where
        self.layers = layers
        self.defines = defines
        self.refusals: list[Refusal] = []
        self.scope: dict[str, Definition] = {}
        self.can_reserve = False
        self.can_inline = False

    def read(self) -> list[Definition]:
        """The layer's definitions in order. What is outside the language is in `refusals`."""
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
        """Take `name` for this layer."""
        check_name(name, node)
        if not self.is_last and name.startswith(RESERVED_PREFIXES):
            raise Refused(
                node, f"{name} begins like an exported function", "keep that prefix to the last layer"
            )
        if name in self.where:
            owner = self.where[name]
            raise Refused(node, f"{name} is defined in {owner} already", "a name is defined once in a library")
        self.where[name] = self.layer

    def statement(self, node: ast.stmt) -> Definition | None:
        match node:
            case ast.Expr(ast.Constant(str())):
                return None
            case ast.ImportFrom():
                self.read_import(node)
                return None
            case ast.FunctionDef():
                function = read_signature(node, self.layer, self.scope)
                if function.is_inline and not self.can_inline:
                    raise Refused(node, "inline is not known", "import it from ..machine")
                if self.is_last and node.name[0] != "_":
                    check_exported(function)
                if node.body[0].lineno == node.lineno:
                    raise Refused(
                        node, f"the body of {node.name} stands on the line of its def", "begin a new line"
                    )
                return function
            case ast.ClassDef():
                return read_record(node, self.scope, self.number)
            case ast.Assign(targets=[ast.Name(name)], value=value):
                return self.variable(node, name, None, value)
            case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value):
                return self.variable(node, name, annotation, value)
        raise not_in_language(node, "at module level")

    def read_import(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module == "__future__":
            return
        module = self.imported_module(node)
        if module != "machine":
            self.check_below(node, module)
        for alias in node.names:
            try:
                self.import_name(module, alias)
            except Refused as refused:
                self.refuse(refused)

    def imported_module(self, node: ast.ImportFrom) -> str:
        """The machine, or the layer that is imported from."""
        folder = COMMON if self.layer.startswith(COMMON) else ""
        match node.level, node.module:
            case 2, "machine":
                return "machine"
            case 1, str(name):
                module = folder + name
            case 2, str(name) if name.startswith(COMMON):
                module = name
            case _:
                raise Refused(
                    node, "an import from outside the engine", "import from ..machine or from a layer below"
                )
        if module not in self.layers:
            raise Refused(node, f"{module} is no layer of the library", "name it in LAYERS, or another here")
        return module

    def check_below(self, node: ast.ImportFrom, module: str) -> None:
        """Refuse an import from a layer that does not come before this one."""
        if self.layers.index(module) >= self.layers.index(self.layer):
            raise Refused(
                node, f"{module} is not below {self.layer}", "layers import only from those before them"
            )

    def import_name(self, module: str, alias: ast.alias) -> None:
        name = alias.name
        if alias.asname or name == "*":
            raise Refused(alias, f"import {ast.unparse(alias)}", "import names, one by one and as they are")
        if module == "machine" and (name in TYPES or name in LANGUAGE_WORDS):
            self.can_inline |= name == "inline"
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
        type_ = read_annotation(node, annotation, name).type
        zero = False if type_ is Type.BOOL else 0
        if type_ not in (Type.WORD, Type.INT, Type.BOOL):
            raise Refused(
                node, f"{name} is state of type {type_.value}", "state is Word, Half, Byte, Int or bool"
            )
        if not (isinstance(value, ast.Constant) and type(value.value) is type(zero) and value.value == zero):
            raise Refused(
                node, f"state {name} does not begin at zero", f"write {zero} and set it up at first use"
            )
        return State(name, type_, self.layer)

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
        width = "Word" if annotation is None else read_annotation(node, annotation, name).annotation
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
            case ast.Attribute(ast.Name(name), field) if isinstance(record := self.scope.get(name), Record):
                if field == "SIZE":
                    return record.size
                if field in record.fields:
                    return record.fields[field].offset
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


def check_exported(function: Function) -> None:
    """A caller in C need not clear the upper half of a register that carries less than a word."""
    if function.is_inline:
        raise Refused(function.node, f"{function.name} is exported and inline", "drop @inline")
    if len(function.results) > 1:
        raise Refused(function.node, f"{function.name} is exported and gives a tuple", "give one value there")
    for kind in (*function.results, *(parameter.kind for parameter in function.parameters)):
        if kind.annotation in ("Half", "Byte") or kind.record is not None:
            raise Refused(
                function.node, f"{function.name} is exported and has a {kind}", "use Word or Int there"
            )
