"""What is outside the language is refused where it stands, with what to write instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TOY, Read, Refuse

HEAD = """\
from ..machine import Array, Byte, Half, Int, Line, Record, Text, Word
from ..machine import array, atomic_load, inline, likely, load_half, load_word, reserve, store_byte, text_length
SIZE = 8
NAME = b"name"
TABLE = (1, 2, 3)
top: Word = 0
def helper(word: Word) -> Word:
    return word
def act() -> None:
    pass
class Dot(Record):
    at: Word
    colour: Half
    flags: Array[Byte] = array(4)
class Shape(Record, align=64):
    dots: Array[Dot] = array(4)
    rim: Line
def _dot_at(word: Word) -> Dot:
    return Dot(word)
def _two(word: Word) -> tuple[Word, Dot]:
    return word, Dot(word)
"""
HEAD_LINES = HEAD.count("\n")

AT_MODULE_LEVEL = {
    "class Block: pass": "class Block is no record; declare one: `class Block(Record):`",
    "import os": "import; write `from ..machine import",
    "from os import getpid": "from outside the engine; import from ..machine",
    "from ..machine import *": "import *; import names",
    "from ..machine import load_word as load": "import load_word as load; import names",
    "from ..machine import strcpy": "machine has no strcpy; import what it defines",
    "from .below import nothing": "below has no nothing; import what it defines",
    "from .front import helper": "front is not below front; layers import only from those before",
    "async def wait() -> None: pass": "an async function; write a plain function",
    "@staticmethod\ndef f() -> None:\n    pass": "a decorator; write a plain function, or @inline",
    "@inline\n@inline\ndef _f() -> None:\n    pass": "a decorator; write a plain function, or @inline",
    "@inline\ndef f() -> None:\n    pass": "f is exported and inline; drop @inline",
    "def f(a: Word = 1) -> Word:\n    return a": "f has a default argument; give every argument",
    "def f(*a: Word) -> None:\n    pass": "parameters of a special kind; list plain parameters",
    "def f(*, a: Word) -> None:\n    pass": "parameters of a special kind; list plain parameters",
    "def f(a) -> None:\n    pass": "parameter a has no annotation; annotate it with one of Word",
    "def f(a: int) -> None:\n    pass": "parameter a is annotated with int; use one of Word",
    "def f(a: None) -> None:\n    pass": "parameter a is None; drop it",
    "def f(a: Word):\n    pass": "the result of f has no annotation; annotate it",
    "def f() -> list[int]:\n    pass": "the result of f is annotated with list[int]; use one of Word",
    "def f() -> None: pass": "the body of f stands on the line of its def; begin a new line",
    "def f(a: Half) -> None:\n    pass": "f is exported and has a Half; use Word or Int",
    "def f() -> Byte:\n    return load_half(8)": "f is exported and has a Byte; use Word or Int",
    "def cdef() -> None:\n    pass": "cdef is a word of Cython or of the language; choose another name",
    "def helper() -> None:\n    pass": "helper is defined in front already; a name is defined once",
    "def load_word() -> None:\n    pass": "load_word is defined in machine already; a name is defined once",
    "SIZE = 9": "SIZE is defined in front already; a name is defined once",
    "bottom = 0": "bottom has no annotation; write `bottom: Word = 0`",
    "bottom: Word = 1": "state bottom does not begin at zero; write 0 and set it up at first use",
    "bottom: Word": "state bottom does not begin at zero; write 0",
    "bottom: bool = 0": "state bottom does not begin at zero; write False",
    "bottom: Text = b''": "state of type Text; state is Word",
    "bottom: float = 0.0": "bottom is annotated with float; use one of Word",
    "HALF = 0.5": "0.5 is no constant expression; use whole numbers",
    "WHERE = helper(1)": "helper(1) is no constant expression; use whole numbers",
    "WHERE = top + 1": "top is not known before the library runs; use constants only",
    "LOW = -1": "-1 is not between 0 and 18446744073709551615; annotate the type it has",
    "HIGH = 2**64": "18446744073709551616 is not between 0 and",
    "HIGH: Int = 2**31": "2147483648 is not between -2147483648 and 2147483647",
    "HIGH: Half = 2**32": "4294967296 is not between 0 and 4294967295",
    "HIGH: Text = 5": "HIGH is a number annotated with Text; use one of Word, Half, Byte, Int, bool",
    "HIGH = 1 // 0": "division or modulo by zero; write an expression with a value",
    "HIGH: Word": "HIGH has no value; give it one",
    "NAMES = 'abc'": "'abc' is no constant expression; use whole numbers",
    "ENDED = b'a\\0b'": "ENDED has a zero byte; a text ends at its first zero",
    "ODD: tuple[Byte, ...] = (1, 256)": "256 is not between 0 and 255",
    "ODD: list[Word] = (1, 2)": "table ODD is annotated with list[Word]; use tuple[Word, ...]",
    "ODD = ()": "table ODD is empty; give it an element",
    "ODD = [1, 2]": "[1, 2] is no constant expression",
    "SPACE = reserve(0)": "0 is not between 1 and",
    "if SIZE:\n    OTHER = 1": "if at module level; see docs/language.md",
    "helper(1)": "expr at module level; see docs/language.md",
    "first, second = 1, 2": "an assignment to something else than a name; memory is written",
    "x = = 1": "invalid syntax; write valid Python",
}

RECORDS = {
    "class Block(Half):\n    a: Word": "class Block is no record; declare one: `class Block(Record):`",
    "class Block(Record, Dot):\n    a: Word": "class Block is no record; declare one: `class Block(Record):`",
    "@final\nclass Block(Record):\n    a: Word": "a decorator; declare the fields of the record only",
    "class Block(Record, total=8):\n    a: Word": "Block promises something else than size and align; drop it",
    "class Free_Block(Record):\n    a: Word": "Free_Block is no name for a record; write words together",
    "class Block(Record):\n    pass": "something else than a field in a record; write fields only",
    "class Block(Record):\n    'Doc.'": "Block has no fields; declare them: `name: Word`",
    "class Block(Record):\n    def f(self) -> None:\n        pass": "something else than a field in a record",
    "class Block(Record):\n    a = 1": "something else than a field in a record; write fields only",
    "class Block(Record):\n    a: Word\n    a: Word": "field a is declared twice; choose another name",
    "class Block(Record):\n    A: Word": "A is no name for a field; lower_case, and not what an int has",
    "class Block(Record):\n    _a: Word": "_a is no name for a field; lower_case",
    "class Block(Record):\n    real: Word": "real is no name for a field; lower_case, and not what an int has",
    "class Block(Record):\n    a: Int": "field a is annotated with Int; use Word, Half, Byte, Line or Array",
    "class Block(Record):\n    a: Dot": "field a is annotated with Dot; use Word, Half, Byte, Line or Array",
    "class Block(Record):\n    a: Array[Int] = array(2)": "field a is annotated with Array[Int]",
    "class Block(Record):\n    a: Word = 0": "field a has a value; drop it; memory holds what is stored there",
    "class Block(Record):\n    a: Array[Word]": "array a has no length; write `= array(COUNT)`",
    "class Block(Record):\n    a: Array[Word] = array(top)": "top is not known before the library runs",
    "class Block(Record):\n    a: Array[Word] = array(0)": "0 is not between 1 and",
    "class Block(Record):\n    a: Half\n    b: Word": (
        "field b stands at 4, no multiple of 8; fill the gap: `unused: Array[Byte] = array(4)`"
    ),
    "class Block(Record):\n    a: Half\n    b: Array[Dot] = array(2)": "field b stands at 4, no multiple of 8",
    "class Block(Record):\n    a: Word\n    b: Byte": (
        "Block ends at 9, no multiple of its alignment, 8; fill it up: `unused: Array[Byte] = array(7)`"
    ),
    "class Block(Record, align=64):\n    a: Word": "Block ends at 8, no multiple of its alignment, 64",
    "class Block(Record, size=SIZE):\n    a: Array[Word] = array(2)": "Block has 16 bytes and promises 8",
    "class Block(Record, align=4):\n    a: Word": "Block cannot be aligned to 4; a power of two from 8 on",
    "class Block(Record, align=24):\n    a: Array[Word] = array(3)": "Block cannot be aligned to 24",
    "class Block(Record):\n    a: Word\n    rim: Line": "Block has lines and is not aligned to one",
    "class SIZE(Record):\n    a: Word": "SIZE is defined in front already; a name is defined once",
    "OFFSET = Dot.nothing": "Dot.nothing is no constant expression",
    "def f(dot: Dot) -> None:\n    pass": "f is exported and has a Dot; use Word or Int there",
    "def f() -> Dot:\n    return Dot(top)": "f is exported and has a Dot; use Word or Int there",
    "def f() -> tuple[Word, Word]:\n    return top, top": "f is exported and gives a tuple",
    "def _f() -> tuple[Word, None]:\n    return top, top": "_f gives None or Text in a tuple; give Word",
    "def _f() -> tuple[Word, ...]:\n    return top, top": "result 2 of _f is annotated with ...",
    "def _f() -> tuple[Word, Word]:\n    return top": "_f promises 2 values",
    "def _f() -> tuple[Word, Dot]:\n    return _two(top)": "_f promises 2 values; return them",
    "def _f() -> tuple[Word, Word]:\n    return": "a return without a value; return the tuple that is promised",
    "def _f() -> tuple[Word, bool]:\n    return top, top": "result 2 of _f is bool and gets Word; compare",
    "def _f() -> tuple[Word, Dot]:\n    return top, top": "result 2 of _f is a Dot and gets a Word",
    "def _f() -> Dot:\n    return top": "the result of _f is a Dot and gets a Word; say so: Dot(address)",
    "def _f(dot: Dot) -> None:\n    _f(top)": "argument dot is a Dot and gets a Word; say so: Dot(address)",
    "def _f(dot: Dot) -> None:\n    _f(Shape(dot))": "argument dot is a Dot and gets a Shape",
}

IN_A_FUNCTION = {
    "def inner() -> None:\n        pass": "a nested function; define it at module level",
    "class Block:\n        pass": "a class; declare a record: `class Name(Record):`",
    "import os": "import; write `from ..machine import",
    "from ..machine import store_half": "import; import at the head of the module",
    "try:\n        act()\n    finally:\n        act()": "try; answer 0 and set errno",
    "raise MemoryError": "raise; answer 0 and set errno, or call trap()",
    "assert word": "assert; call trap()",
    "with act():\n        pass": "with; call what begins and what ends",
    "del word": "del; drop it",
    "match word:\n        case 1:\n            act()": "match; use if and elif",
    "while word:\n        act()\n    else:\n        act()": "a loop with else; test after the loop",
    "for i in range(3):\n        act()\n    else:\n        act()": "a loop with else; test after the loop",
    "for i in TABLE:\n        act()": "a loop over TABLE; loop over range(...)",
    "for i in range(9, 0, -1):\n        act()": "a range whose step may not be above zero; write a while loop",
    "for i in range(0, 9, word):\n        act()": "a range whose step may not be above zero",
    "for i, j in range(3):\n        act()": "a loop over more than one name; loop over one",
    "act()\n    'text'": "a string; write a comment",
    "word + 1": "a value that nobody uses; drop it",
    "a = b = word": "more than one target; assign one name at a time",
    "a, b = word, word": "more than one target; assign one name at a time",
    "TABLE[0] = word": "an assignment to something else than a name; memory is written with store_word",
    "word.size = 1": "word is no record; say which it is: Name(word).size",
    "a = 0": "a begins as a number; annotate it: `a: Word = ...`",
    "a = -1": "a begins as a value that may be below zero; annotate it",
    "a: int = 0": "a is annotated with int; use one of Word",
    "a: None = act()": "a is None; drop it",
    "a: Word = 0\n    a: Word = 1": "a is declared twice; annotate it where it is first assigned",
    "top: Word = 1": "top is defined in the module; use another name",
    "top = word": "top is assigned without global; write `global top` first",
    "top += word": "top is assigned without global; write `global top` first",
    "SIZE = word": "SIZE is a constant of the module; use another name",
    "global helper": "global helper is no state of this module; define `helper: Word = 0`",
    "global nothing": "global nothing is no state of this module",
    "a += 1": "a has no value yet; assign it first",
    "a = Dot": "Dot is a record; take a field: Dot(address).field",
    "a = Dot()": "Dot of something else than an address; write Dot(address)",
    "a = Dot(at=word)": "Dot of something else than an address; write Dot(address)",
    "a = Dot(NAME)": "the address of a Dot is Word and gets Text; give it a Word",
    "a = Dot(word).size": "Dot has no field size; it has at, colour, flags",
    "a = Dot.size": "Dot has no field size; it has at, colour, flags",
    "a = _dot_at(word).size": "Dot has no field size; it has at, colour, flags",
    "a = helper(word).at": "helper(word) is no record; say which it is: Name(helper(word)).at",
    "a = Dot(word).at[0]": "Dot(word).at is no array; drop the subscript",
    "a = Dot(word).flags[NAME]": "an index is Word and gets Text; give it a Word",
    "a = Shape(word).dots[1].size": "Dot has no field size; it has at, colour, flags",
    "Dot(word).at = NAME": "Dot(word).at is Word and gets Text; give it a Word",
    "Dot(word).at = -1": "Dot(word).at may be below zero; mask it",
    "Dot(word).flags = 1": "Dot(word).flags is no single number; assign to a field or element of it",
    "Shape(word).rim = 1": "Shape(word).rim is no single number; assign to a field or element of it",
    "Shape(word).dots[0] = word": "Shape(word).dots[0] is no single number; assign to a field",
    "Dot.at = 1": "Dot is no record; say which it is",
    "_dot_at(word).at += 1": "a call in a place that is read and written; name its result first",
    "a = Dot(word)\n    a = word": "a is a Dot and gets a Word; say so: Dot(address)",
    "a: Dot = word": "a is a Dot and gets a Word; say so: Dot(address)",
    "a = load_word(word + Dot.colour)": "load_word of Dot.colour, which is a Half; write load_half",
    "a = load_half(Dot.at + word)": "load_half of Dot.at, which is a Word; write load_word",
    "a = atomic_load(word + Dot.colour)": "atomic_load of Dot.colour, which is a Half; declare it a Word",
    "store_byte(word + Dot.colour, 1)": "store_byte of Dot.colour, which is a Half; write store_half",
    "a = _two(word)": "_two gives 2 values; name each: `a, b = ...`",
    "helper(_two(word))": "_two gives 2 values; name each: `a, b = ...`",
    "a, b, c = _two(word)": "3 names for 2 results of _two; name each one",
    "a, b = helper(word)": "2 names for 1 results of helper; name each one",
    "a, word.at = _two(word)": "word.at among more than one target; give each result a name",
    "top, b = _two(word)": "top is assigned without global; write `global top` first",
    "new = word": "new is a word of Cython or of the language; choose another name",
    "a = unknown": "unknown is not known here; define, assign or import it",
    "a = unknown(1)": "unknown is no function of the engine; call what is defined",
    "a = len(TABLE)": "len is no function of the engine; call what is defined",
    "a = top(1)": "top is no function of the engine; call what is defined",
    "a = helper": "helper is a function; call it",
    "a = TABLE": "TABLE is a table; take one element: TABLE[i]",
    "a = helper()": "helper takes 1 arguments and gets 0; give it 1",
    "a = helper(1, 2)": "helper takes 1 arguments and gets 2; give it 1",
    "a = helper(word=1)": "a keyword argument of helper; give arguments by position",
    "a = helper(*TABLE)": "*; list the arguments",
    "a = act()": "act gives no value; call it on a line of its own",
    "a = reserve(8)": "reserve in a function; reserve at module level",
    "a = machine.load_word(word)": "an attribute; import the name itself",
    "a = word.size": "word is no record; say which it is: Name(word).size",
    "a = word[0]": "a subscript of something else than a table; memory is read with load_word",
    "a = TABLE[0:2]": "slice in an expression",
    "a = [1, 2]": "a list; use a table",
    "a = (1, 2)": "a tuple; use a table",
    "a = {1: 2}": "a dict; use a table",
    "a = {1, 2}": "a set; use the bits of a word",
    "a = [i for i in range(3)]": "a comprehension; write a loop",
    "a = helper(i for i in range(3))": "a generator; write a loop",
    "a = lambda: 1": "a lambda; define a function at module level",
    "a = (b := word)": ":=; assign on a line of its own",
    "a = 'text'": "a string; use a constant text",
    "a = b'text'": "a string; use a constant text",
    "a = f'{word}'": "a string; use a constant text",
    "a = 1.5": "1.5; use whole numbers, True and False",
    "a = 2j": "2j; use whole numbers, True and False",
    "a = None": "None; use whole numbers, True and False",
    "a = word + 0x8000_0000": "2147483648 is beyond an int; name it: a constant of the module",
    "a = word / 2": "an operator that gives no word; use //, * or shifts",
    "a = word ** 2": "an operator that gives no word; use //, * or shifts",
    "a = word @ word": "an operator that gives no word; use //, * or shifts",
    "a = 1 << word": "a left shift of a number is done in a C int; shift a Word",
    "a = text_length(NAME) << word": "a left shift of Int is done in a C int; shift a Word",
    "a = text_length(NAME) // 2": "// and % of an Int round differently in C; use a Word",
    "a = -word": "a begins as a value that may be below zero; annotate it",
    "a: Word = -word": "a may be below zero; mask it with &",
    "a: Word = ~word": "a may be below zero; mask it with &",
    "a = word + ~word": "-x or ~x in arithmetic may be below zero; use it under & only",
    "a = word == -1": "a Word compared with what may be below zero",
    "a = helper(-1)": "argument word may be below zero; mask it",
    "a = helper(NAME)": "argument word is Word and gets Text; give it a Word",
    "a = text_length(word)": "argument text is Text and gets Word; give it a Text",
    "a = likely(word)": "argument condition is bool and gets Word; compare: `!= 0`",
    "a = NAME == NAME": "a comparison of texts; pass texts to functions only",
    "a = NAME + NAME": "arithmetic with a text; pass texts to functions only",
    "if NAME:\n        act()": "a text as a condition; pass texts to functions only",
    "a = word and word == 1": "word is no bool; compare: `!= 0`",
    "a = word is None": "None; use whole numbers",
    "a = word is word": "a comparison that words do not have; use ==",
    "a = word in TABLE": "TABLE is a table; take one element",
    "a = word if word else word == 1": "Word and bool in one value; make both the same type",
    "a = True\n    a = word": "a is bool and gets Word; compare: `!= 0`",
    "a = +word": "a sign without a meaning; drop it",
    "return": "a return without a value; return the Word that is promised",
    "return NAME": "the result of f is Word and gets Text; give it a Word",
    "yield word": "yield; write a loop",
}


@pytest.mark.parametrize("source", AT_MODULE_LEVEL)
def test_refuses_at_module_level(refusals: Refuse, source: str) -> None:
    assert_refused(refusals(HEAD + source), source, AT_MODULE_LEVEL[source], HEAD_LINES + 1)


@pytest.mark.parametrize("source", RECORDS)
def test_refuses_records_and_results(refusals: Refuse, source: str) -> None:
    assert_refused(refusals(HEAD + source), source, RECORDS[source], HEAD_LINES + 1)


@pytest.mark.parametrize("source", IN_A_FUNCTION)
def test_refuses_in_a_function(refusals: Refuse, source: str) -> None:
    body = f"def f(word: Word) -> Word:\n    {source}\n    return word\n"
    assert_refused(refusals(HEAD + body), source, IN_A_FUNCTION[source], HEAD_LINES + 2)


def assert_refused(found: list[str], source: str, message: str, first: int) -> None:
    """One refusal, in a line of `source`, whose first line is number `first`."""
    (text,) = found
    place, line, rest = text.split(":", 2)
    assert place == "front.py"
    assert first <= int(line) < first + source.count("\n") + 1
    assert message in rest


def test_a_value_from_a_function_that_promises_none_is_refused(refusals: Refuse) -> None:
    assert refusals("def f() -> None:\n    return 1\n") == [
        "front.py:2: a value from a function that promises None; write return alone"
    ]


def test_the_state_of_another_module_is_neither_imported_nor_assigned(refusals: Refuse) -> None:
    below = "top: Word = 0\n"
    (imported,) = refusals("from .below import top\n", below)
    assert imported == "front.py:1: top is state of below; let below offer a function (a copy would be read)"
    (assigned,) = refusals("def f() -> None:\n    global top\n", below)
    assert assigned.startswith("front.py:2: global top is no state of this module")


def test_a_layer_does_not_import_from_a_later_one(refusals: Refuse) -> None:
    (refusal,) = refusals("def f() -> None:\n    pass\n", below="from .front import f\n")
    assert refusal == "below.py:1: front is not below below; layers import only from those before them"


def test_a_name_is_defined_once_in_all_layers(refusals: Refuse) -> None:
    (refusal,) = refusals("def f() -> None:\n    pass\n", below="def f() -> None:\n    pass\n")
    assert refusal == "front.py:1: f is defined in below already; a name is defined once in a library"


NOTHING = "def nothing() -> None:\n    pass\n"


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("from .high import nothing\n", "common.high is not below common.low; layers import only from those"),
        ("from ..common.high import nothing\n", "common.high is not below common.low; layers import only from"),
        ("from .below import nothing\n", "common.below is no layer of the library; name it in LAYERS"),
        ("from ..small.below import nothing\n", "an import from outside the engine; import from ..machine"),
    ],
)
def test_a_shared_layer_imports_from_shared_layers_below(refusals: Refuse, text: str, refusal: str) -> None:
    (told,) = refusals("", common=(text, NOTHING))
    assert told.startswith(f"common/low.py:1: {refusal}")


def test_what_a_shared_layer_has_is_defined_once(refusals: Refuse) -> None:
    (refusal,) = refusals(NOTHING, common=("", NOTHING))
    assert refusal.startswith("front.py:1: nothing is defined in common.high already")


def test_a_shared_layer_that_the_library_does_not_name_is_not_its_own(refusals: Refuse) -> None:
    (refusal,) = refusals("from ..common.other import nothing\n", common=("", ""))
    assert refusal.startswith("front.py:1: common.other is no layer of the library; name it in LAYERS")


def test_what_is_wrong_in_shared_layers_is_told_first(refusals: Refuse) -> None:
    told = refusals("x = 1\n", "x = 1\n", common=("x = 1\n", "import os\n"))
    assert [text.partition(": ")[0] for text in told] == [
        *("common/low.py:1", "common/high.py:1", "below.py:1", "front.py:1")
    ]


@pytest.mark.parametrize("name", ["os_malloc", "snug_stats"])
def test_only_the_last_layer_uses_the_prefix_of_exported_functions(
    refusals: Refuse, read: Read, name: str
) -> None:
    function = f"def {name}() -> None:\n    pass\n"
    (refusal,) = refusals("", below=function)
    assert refusal == f"below.py:1: {name} begins like an exported function; keep that prefix to the last layer"
    assert [export.name for export in read(function).exports] == [name]


def test_a_name_that_was_not_imported_is_not_known(refusals: Refuse) -> None:
    (refusal,) = refusals("def f() -> None:\n    act()\n", below="def act() -> None:\n    pass\n")
    assert refusal.startswith("front.py:2: act is no function of the engine")


def test_inline_is_imported_like_all_else(refusals: Refuse) -> None:
    (refusal,) = refusals("", below="@inline\ndef act() -> None:\n    pass\n")
    assert refusal == "below.py:2: inline is not known; import it from ..machine"


def test_a_constant_that_nobody_has_is_not_defined(refusals: Refuse) -> None:
    (refusal,) = refusals("SIZE = 1\n", SIZES=2)
    assert "--define SIZES: no layer has this constant" in refusal


def test_all_that_is_wrong_is_told_at_once_in_order(refusals: Refuse) -> None:
    front = "def f(word: Word) -> Word:\n    a = word / 2\n    if a ** 2:\n        b = 0\n    return a + b\n"
    assert [text.partition(": ")[0] for text in refusals(front, below="x = 1\nclass A: pass\n")] == [
        *("below.py:1", "below.py:2", "front.py:2", "front.py:3", "front.py:4")
    ]


def test_the_command_prints_refusals_and_fails(tmp_path: Path) -> None:
    (tmp_path / "machine.py").write_text((TOY / "machine.py").read_text())
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "__init__.py").write_text('LAYERS = ("front",)\n')
    (tmp_path / "small" / "front.py").write_text("class A: pass\n")
    command = [sys.executable, "-m", "amalgamation", "--engine", str(tmp_path), "--library", "small"]
    outcome = subprocess.run([*command, "--output", str(tmp_path / "out")], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"{tmp_path}/small/front.py:1: class A is no record; declare one: ")
    assert not (tmp_path / "out").exists()


def test_a_library_without_layers_is_refused(read: Read, tmp_path: Path) -> None:
    read("")
    (tmp_path / "small" / "__init__.py").write_text("LAYERS = ()\n")
    command = [sys.executable, "-m", "amalgamation", "--engine", str(tmp_path), "--library", "small"]
    outcome = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True)
    assert outcome.returncode == 1
    assert "no layers; write LAYERS" in outcome.stderr


def test_a_layer_without_its_module_is_told(read: Read, tmp_path: Path) -> None:
    read("")
    (tmp_path / "small" / "front.py").unlink()
    command = [sys.executable, "-m", "amalgamation", "--engine", str(tmp_path), "--library", "small"]
    outcome = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True)
    assert outcome.returncode == 1
    assert outcome.stderr.count("\n") == 1
    assert "small/front.py" in outcome.stderr
