"""Reads the declarations of records, and writes what a function does with them in words of the machine.

C sees no record: ``Header(block).status`` becomes ``load_half(block + Header_status)`` in the unit, where
``Header_status`` is a constant.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from .model import (
    LINE,
    LINE_BYTES,
    WIDTHS,
    Definition,
    Edit,
    Field,
    Function,
    Record,
    Refused,
)

SUFFIXES = {"Word": "word", "Half": "half", "Byte": "byte"}
INT_WORDS = frozenset(dir(int))


# ---- Declarations ----


def read_record(
    node: ast.ClassDef, scope: Mapping[str, Definition], number: Callable[[ast.expr, int, int], int]
) -> Record:
    """The record that `node` declares. `number` gives the value of a constant expression between two bounds."""
    match node.bases:
        case [ast.Name("Record")]:
            pass
        case _:
            raise Refused(node, f"class {node.name} is no record", f"declare one: `class {node.name}(Record):`")
    if "_" in node.name:
        raise Refused(node, f"{node.name} is no name for a record", "write words together: FreeBlock")
    if node.decorator_list:
        raise Refused(node.decorator_list[0], "a decorator", "declare the fields of the record only")
    promises = {keyword.arg: keyword.value for keyword in node.keywords}
    if promises.keys() - {"size", "align"}:
        raise Refused(node, f"{node.name} promises something else than size and align", "drop it")
    fields: dict[str, Field] = {}
    docstring = ast.get_docstring(node, clean=False) or ""
    for statement in node.body[1:] if docstring else node.body:
        field = read_field(statement, fields, scope, number)
        fields[field.name] = field
    if not fields:
        raise Refused(node, f"{node.name} has no fields", "declare them: `name: Word`")
    size = list(fields.values())[-1].end
    alignment = max(alignment_of(field) for field in fields.values())
    if "align" in promises:
        wanted = number(promises["align"], 1, 2**20)
        if wanted < alignment or wanted & (wanted - 1):
            raise Refused(
                node, f"{node.name} cannot be aligned to {wanted}", f"a power of two from {alignment} on"
            )
        alignment = wanted
    for field in fields.values():
        if field.element == LINE and alignment < LINE_BYTES:
            raise Refused(node, f"{node.name} has lines and is not aligned to one", f"write align={LINE_BYTES}")
    if size % alignment:
        raise Refused(
            node,
            f"{node.name} ends at {size}, no multiple of its alignment, {alignment}",
            f"fill it up: `unused: Array[Byte] = array({alignment - size % alignment})`",
        )
    if "size" in promises and number(promises["size"], 1, 2**32) != size:
        promised = number(promises["size"], 1, 2**32)
        raise Refused(node, f"{node.name} has {size} bytes and promises {promised}", "let the two agree")
    return Record(node.name, fields, size, alignment, docstring)


def read_field(
    node: ast.stmt,
    before: Mapping[str, Field],
    scope: Mapping[str, Definition],
    number: Callable[[ast.expr, int, int], int],
) -> Field:
    """The field that a line of a record declares, behind those `before`."""
    match node:
        case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value):
            pass
        case _:
            raise Refused(node, "something else than a field in a record", "write fields only: `name: Word`")
    if name in before:
        raise Refused(node, f"field {name} is declared twice", "choose another name")
    if name != name.lower() or name.startswith("_") or name in INT_WORDS:
        raise Refused(node, f"{name} is no name for a field", "lower_case, and not what an int has")
    start = list(before.values())[-1].end if before else 0
    field = Field(name, start, *read_element(node, name, annotation, value, scope, number))
    if field.element == LINE:
        return Field(name, -(-start // LINE_BYTES) * LINE_BYTES, LINE)
    if start % alignment_of(field):
        raise Refused(
            node,
            f"field {name} stands at {start}, no multiple of {alignment_of(field)}",
            f"fill the gap: `unused: Array[Byte] = array({alignment_of(field) - start % alignment_of(field)})`",
        )
    return field


def read_element(
    node: ast.stmt,
    name: str,
    annotation: ast.expr,
    value: ast.expr | None,
    scope: Mapping[str, Definition],
    number: Callable[[ast.expr, int, int], int],
) -> tuple[str | Record, int | None]:
    """What the field, or each element of its array, is; and how many elements the array has."""
    match annotation, value:
        case ast.Name(width), None if width in WIDTHS:
            return width, None
        case ast.Name(width), ast.expr() if width in WIDTHS:
            raise Refused(node, f"field {name} has a value", "drop it; memory holds what is stored there")
        case ast.Subscript(ast.Name("Array"), ast.Name(width)), ast.Call(ast.Name("array"), [count], []):
            element = width if width in SUFFIXES else scope.get(width)
            if isinstance(element, str | Record):
                return element, number(count, 1, 2**32)
        case ast.Subscript(ast.Name("Array"), _), _:
            raise Refused(node, f"array {name} has no length", "write `= array(COUNT)`")
    raise Refused(
        node,
        f"field {name} is annotated with {ast.unparse(annotation)}",
        f"use {', '.join(WIDTHS)} or Array[...] of words or records",
    )


def alignment_of(field: Field) -> int:
    """What the offset of the field must be a multiple of."""
    return field.element.alignment if isinstance(field.element, Record) else max(field.width, 1)


# ---- Use ----


class Views:
    """What the expressions of a function have to do with records.

    `records` are the local variables and parameters that are records.
    """

    def __init__(self, scope: Mapping[str, Definition]) -> None:
        self.scope = scope
        self.records: dict[str, Record] = {}

    def declared(self, node: ast.expr) -> Record | None:
        """The record whose name `node` is."""
        if isinstance(node, ast.Name) and node.id not in self.records:
            definition = self.scope.get(node.id)
            return definition if isinstance(definition, Record) else None
        return None

    def record_of(self, node: ast.expr) -> Record | None:
        """The record that a value is, or None if it is not one."""
        match node:
            case ast.Name(name):
                return self.records.get(name)
            case ast.Call(ast.Name(name) as callee):
                function = self.scope.get(name)
                if isinstance(function, Function):
                    return function.results[0].record if len(function.results) == 1 else None
                return self.declared(callee)
            case ast.Subscript(ast.Attribute() as array):
                field = self.field_of(array)
                return field.element if field is not None and isinstance(field.element, Record) else None
            case ast.IfExp(body=body, orelse=orelse):
                record = self.record_of(body)
                return record if record is self.record_of(orelse) else None
        return None

    def field_of(self, node: ast.Attribute) -> Field | None:
        """The field of a record that `node` names."""
        record = self.record_of(node.value)
        return record.fields.get(node.attr) if record is not None else None

    def offset_of(self, node: ast.Attribute) -> Field | None:
        """The field whose offset `node` is: ``Header.status``."""
        record = self.declared(node.value)
        return record.fields.get(node.attr) if record is not None else None


class Lowering(ast.NodeTransformer):
    """Expressions with records become expressions of words."""

    def __init__(self, views: Views) -> None:
        self.views = views

    def expression(self, node: ast.expr) -> ast.expr:
        lowered = self.visit(node)
        assert isinstance(lowered, ast.expr)
        return lowered

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if self.views.declared(node.func):
            return self.expression(node.args[0])
        return ast.Call(node.func, [self.expression(argument) for argument in node.args], [])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if record := self.views.declared(node.value):
            return ast.Name(f"{record.name}_{node.attr}")
        field = self.views.field_of(node)
        assert field is not None
        return self.load(field, self.address(node))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.value, ast.Name):
            return ast.Subscript(node.value, self.expression(node.slice))
        field = self.array(node)
        return self.load(Field(field.name, field.offset, field.element), self.address(node))

    def array(self, node: ast.Subscript) -> Field:
        """The array of which `node` is an element."""
        assert isinstance(node.value, ast.Attribute)
        field = self.views.field_of(node.value)
        assert field is not None
        return field

    def load(self, field: Field, address: ast.expr) -> ast.expr:
        """What stands at `address`; arrays, records and lines are their addresses."""
        if field.count is not None or isinstance(field.element, Record) or field.element == LINE:
            return address
        return ast.Call(ast.Name(f"load_{SUFFIXES[field.element]}"), [address], [])

    def address(self, node: ast.Attribute | ast.Subscript) -> ast.expr:
        """The address of the field or element that `node` names."""
        if isinstance(node, ast.Subscript):
            field = self.array(node)
            width = field.element.name if isinstance(field.element, Record) else field.element
            offset: ast.expr = ast.BinOp(self.expression(node.slice), ast.Mult(), ast.Name(f"{width}_SIZE"))
            return ast.BinOp(self.expression(node.value), ast.Add(), offset)
        record = self.views.record_of(node.value)
        assert record is not None
        return ast.BinOp(self.expression(node.value), ast.Add(), ast.Name(f"{record.name}_{node.attr}"))

    def store(self, target: ast.Attribute | ast.Subscript, value: ast.expr) -> ast.expr:
        """The call that stores `value`, lowered already."""
        field = self.array(target) if isinstance(target, ast.Subscript) else self.views.field_of(target)
        assert field is not None and isinstance(field.element, str)
        return ast.Call(ast.Name(f"store_{SUFFIXES[field.element]}"), [self.address(target), value], [])


def find_edits(function: Function, views: Views) -> list[Edit]:
    """What the unit must have in the place of the function's records."""
    lowering = Lowering(views)
    return [edit for statement in function.body for edit in _edits(statement, lowering)]


def _edits(node: ast.AST, lowering: Lowering) -> Iterator[Edit]:
    match node:
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() as target], value=value):
            yield _edit(node, lowering.store(target, lowering.expression(value)))
        case ast.AugAssign(target=ast.Attribute() | ast.Subscript() as target, op=op, value=value):
            before = lowering.expression(target)
            yield _edit(node, lowering.store(target, ast.BinOp(before, op, lowering.expression(value))))
        case ast.Attribute():
            yield _edit(node, lowering.expression(node))
        case ast.Subscript(ast.Attribute()):
            yield _edit(node, lowering.expression(node))
        case ast.Call(callee) if lowering.views.declared(callee):
            yield _edit(node, lowering.expression(node))
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _edits(child, lowering)


def _edit(node: ast.expr | ast.stmt, lowered: ast.expr) -> Edit:
    """`lowered` in the place of `node`, on as many lines."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    lines_more = "\n" * (node.end_lineno - node.lineno)
    text = ast.unparse(lowered)
    if lines_more or not isinstance(lowered, ast.Name | ast.Call):
        text = f"({text}{lines_more})"
    return Edit(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text)


def edited(lines: list[str], edits: list[Edit]) -> list[str]:
    """The lines of a module with the edits made."""
    changed = [line.encode() for line in lines]
    for edit in sorted(edits, reverse=True):
        first, last = edit.line - 1, edit.end_line - 1
        text = changed[first][: edit.column] + edit.text.encode() + changed[last][edit.end_column :]
        changed[first : last + 1] = text.split(b"\n")
    return [line.decode() for line in changed]
