"""Reads the body of a function: refuses what would mean something else in C, and finds the variables' types."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from .model import (
    INT_MAX,
    LINE,
    Constant,
    Definition,
    Field,
    Function,
    Kind,
    Memory,
    Record,
    Refused,
    State,
    Table,
    Type,
    check_name,
    not_in_language,
    read_annotation,
)
from .records import SUFFIXES, Views, find_edits


class BodyReader:
    """Reads the body of one function and finds the types of its variables."""

    def __init__(
        self, function: Function, scope: Mapping[str, Definition], refuse: Callable[[Refused], None]
    ) -> None:
        self.function = function
        self.scope = scope
        self.report = refuse
        self.is_refused = False
        self.types = {name: kind.type for name, kind in function.parameters}
        self.views = Views(scope)
        self.views.records |= {
            name: kind.record for name, kind in function.parameters if kind.record is not None
        }
        self.globals: set[str] = set()

    def read(self) -> None:
        for name in self.types:
            try:
                check_name(name, self.function.node)
            except Refused as refused:
                self.refuse(refused)
        self.block(self.function.body)
        if not self.is_refused:
            self.function.edits = find_edits(self.function, self.views)

    def refuse(self, refused: Refused) -> None:
        self.is_refused = True
        self.report(refused)

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
                self.assign(node, name, self.value(value), self.views.record_of(value))
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript() as target], value=value) if (
                self.is_place(target)
            ):
                self.store(node, target, self.value(value))
            case ast.Assign(targets=[ast.Tuple(targets)], value=ast.Call() as call):
                self.unpack(node, targets, call)
            case ast.Assign(targets=[_, _, *_] | [ast.Tuple() | ast.List()]):
                raise Refused(node, "more than one target", "assign one name at a time")
            case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value):
                self.declare(node, name, annotation, value)
            case ast.AugAssign(target=ast.Name(name) as target, op=op, value=value):
                if name not in self.types and name not in self.scope:
                    raise Refused(node, f"{name} has no value yet", "assign it first")
                before = self.read_name(ast.copy_location(ast.Name(name, ast.Load()), target))
                self.assign(node, name, self.binary(node, op, before, self.value(value)))
            case ast.AugAssign(target=ast.Attribute() | ast.Subscript() as target, op=op, value=value) if (
                self.is_place(target)
            ):
                if any(
                    isinstance(part, ast.Call) and not self.views.declared(part.func)
                    for part in ast.walk(target)
                ):
                    raise Refused(node, "a call in a place that is read and written", "name its result first")
                self.store(node, target, self.binary(node, op, self.value(target), self.value(value)))
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
            if not isinstance(definition, State) or definition.layer != self.function.layer:
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
        result, name = self.function.result, self.function.name
        if value is None and result is not Type.NONE:
            raise Refused(
                node,
                "a return without a value",
                f"return the {result.value.removeprefix('a ')} that is promised",
            )
        if value is not None:
            if result is Type.NONE:
                raise Refused(node, "a value from a function that promises None", "write return alone")
            if result is Type.TUPLE:
                self.give_tuple(node, value)
            else:
                self.fit_kind(node, self.function.results[0], value, f"the result of {name}")

    def give_tuple(self, node: ast.Return, value: ast.expr) -> None:
        """Read the values that are returned together."""
        results, name = self.function.results, self.function.name
        if not isinstance(value, ast.Tuple) or len(value.elts) != len(results):
            raise Refused(node, f"{name} promises {len(results)} values", "return them: `return first, second`")
        for number, (result, element) in enumerate(zip(results, value.elts, strict=True), 1):
            self.fit_kind(node, result, element, f"result {number} of {name}")

    # -- Variables --

    def unpack(self, node: ast.Assign, targets: list[ast.expr], call: ast.Call) -> None:
        """Read an assignment of all that a function gives."""
        results = self.results_of(call)
        if len(results) != len(targets) or len(targets) < 2:
            raise Refused(
                node,
                f"{len(targets)} names for {len(results)} results of {ast.unparse(call.func)}",
                "name each one",
            )
        for target, result in zip(targets, results, strict=True):
            if not isinstance(target, ast.Name):
                raise Refused(
                    node, f"{ast.unparse(target)} among more than one target", "give each result a name"
                )
            self.assign(node, target.id, result.type, result.record)

    def is_place(self, target: ast.Attribute | ast.Subscript) -> bool:
        """Whether `target` is a field of a record, or an element of one."""
        return isinstance(target, ast.Attribute) or isinstance(target.value, ast.Attribute)

    def store(self, node: ast.stmt, target: ast.Attribute | ast.Subscript, value: Type) -> None:
        """Read an assignment to memory."""
        field = self.element(target) if isinstance(target, ast.Subscript) else self.field(target)
        is_array = field.count is not None and isinstance(target, ast.Attribute)
        if is_array or isinstance(field.element, Record) or field.element == LINE:
            raise Refused(
                node, f"{ast.unparse(target)} is no single number", "assign to a field or element of it"
            )
        self.fit(node, Type.WORD, value, ast.unparse(target))

    def assign(self, node: ast.stmt, name: str, value: Type, record: Record | None = None) -> None:
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
            self.fit_record(node, self.views.records.get(name), record, name)
        elif value in (Type.LITERAL, Type.NEGATIVE):
            raise Refused(
                node, f"{name} begins as {value.value}", f"annotate it: `{name}: Word = ...` (or Int)"
            )
        else:
            check_name(name, node)
            self.types[name] = self.function.locals[name] = value
            if record is not None:
                self.views.records[name] = record

    def declare(self, node: ast.AnnAssign, name: str, annotation: ast.expr, value: ast.expr | None) -> None:
        if name in self.types:
            raise Refused(node, f"{name} is declared twice", "annotate it where it is first assigned")
        if name in self.scope:
            raise Refused(node, f"{name} is defined in the module", "use another name")
        check_name(name, node)
        kind = read_annotation(node, annotation, name, self.scope)
        if kind.type is Type.NONE:
            raise Refused(node, f"{name} is None", "drop it")
        if value is not None:
            self.fit_kind(node, kind, value, name)
        self.types[name] = kind.type
        if kind.record is not None:
            self.views.records[name] = kind.record

    def fit_kind(self, node: ast.AST, wanted: Kind, value: ast.expr, what: str) -> None:
        """Refuse a value that would be another one in C, or that is not the record which is wanted."""
        self.fit(node, wanted.type, self.value(value), what)
        self.fit_record(node, wanted.record, self.views.record_of(value), what)

    def fit_record(self, node: ast.AST, wanted: Record | None, record: Record | None, what: str) -> None:
        """Refuse what is not the record which is wanted; a record is a Word where none is."""
        if wanted is not None and record is not wanted:
            value = "a Word" if record is None else f"a {record.name}"
            raise Refused(
                node, f"{what} is a {wanted.name} and gets {value}", f"say so: {wanted.name}(address)"
            )

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
            case ast.Attribute() if self.views.declared(node.value):
                return self.offset(node)
            case ast.Attribute():
                self.field(node)
                return Type.WORD
            case ast.Subscript(ast.Attribute()):
                self.element(node)
                return Type.WORD
        raise not_in_language(node, "in an expression")

    # -- Records --

    def offset(self, node: ast.Attribute) -> Type:
        """Read the offset of a field, or the size of a record."""
        record = self.views.declared(node.value)
        if record is not None and node.attr != "SIZE":
            self.known_field(node, record)
        return Type.WORD

    def field(self, node: ast.Attribute) -> Field:
        """The field of a record that `node` names."""
        record = self.views.record_of(node.value)
        if record is None:
            what = ast.unparse(node.value)
            raise Refused(node, f"{what} is no record", f"say which it is: Name({what}).{node.attr}")
        self.value(node.value)
        return self.known_field(node, record)

    def known_field(self, node: ast.Attribute, record: Record) -> Field:
        """The field of `record` that `node` names."""
        if node.attr not in record.fields:
            raise Refused(node, f"{record.name} has no field {node.attr}", f"it has {', '.join(record.fields)}")
        return record.fields[node.attr]

    def element(self, node: ast.Subscript) -> Field:
        """The array in a record of which `node` names an element."""
        if not isinstance(node.value, ast.Attribute):
            raise not_in_language(node, "in an expression")
        field = self.field(node.value)
        if field.count is None:
            raise Refused(node, f"{ast.unparse(node.value)} is no array", "drop the subscript")
        self.fit(node.slice, Type.WORD, self.value(node.slice), "an index")
        return field

    def make_record(self, node: ast.Call, record: Record) -> None:
        """Read a record made of its address."""
        if node.keywords or len(node.args) != 1:
            raise Refused(
                node, f"{record.name} of something else than an address", f"write {record.name}(address)"
            )
        self.fit(node, Type.WORD, self.value(node.args[0]), f"the address of a {record.name}")

    def check_width(self, node: ast.Call, name: str) -> None:
        """A field is loaded and stored as wide as it was declared, by its offset too."""
        match node.args:
            case [ast.BinOp(_, ast.Add(), ast.Attribute() as offset), *_]:
                field = self.views.offset_of(offset)
            case [ast.BinOp(ast.Attribute() as offset, ast.Add(), _), *_]:
                field = self.views.offset_of(offset)
            case _:
                return
        verb, _, suffix = name.partition("_")
        if field is not None and isinstance(field.element, str) and verb in ("load", "store", "atomic"):
            wanted = SUFFIXES.get(field.element)
            if verb == "atomic" and wanted not in (None, "word"):
                what = f"{name} of {ast.unparse(offset)}, which is a {field.element}"
                raise Refused(node, what, "declare it a Word: only words are atomic")
            if suffix in SUFFIXES.values() and wanted not in (None, suffix):
                raise Refused(
                    node,
                    f"{name} of {ast.unparse(offset)}, which is a {field.element}",
                    f"write {verb}_{wanted}",
                )

    # -- Names and calls --

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
            case Record():
                raise Refused(node, f"{name} is a record", f"take a field: {name}(address).field")

    def call(self, node: ast.Call) -> Type:
        """The type of what a call gives."""
        if record := self.views.declared(node.func):
            self.make_record(node, record)
            return Type.WORD
        results = self.results_of(node)
        if len(results) > 1:
            raise Refused(
                node, f"{ast.unparse(node.func)} gives {len(results)} values", "name each: `a, b = ...`"
            )
        return results[0].type

    def results_of(self, node: ast.Call) -> tuple[Kind, ...]:
        """What a call of a function gives."""
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
            self.fit_kind(argument, parameter.kind, argument, f"argument {parameter.name}")
        self.check_width(node, name)
        return function.results

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
        for name in target.elts if isinstance(target, ast.Tuple) else [target]:
            if isinstance(name, ast.Name):
                yield name.id
