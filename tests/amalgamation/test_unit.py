"""What is inside the language becomes the unit that is expected, and means the same when it is compiled."""

from __future__ import annotations

import ctypes
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amalgamation.lines import lead_back, read_marks

from ..builds import ROOT
from .conftest import TOY, Write

GOLDEN = Path(__file__).parent / "golden"
EXPORTS = {
    "tally_add",
    "tally_sum",
    "tally_lowest_bit_of_uses",
    "tally_halves",
    "tally_digits",
    "tally_name_length",
    "tally_put",
    "tally_shelf",
}
words = st.integers(0, 2**64 - 1)


def test_the_toy_gives_the_golden_unit(tmp_path: Path) -> None:
    """After a change that is meant: python -m amalgamation with --output tests/amalgamation/golden."""
    command = [sys.executable, "-m", "amalgamation", "--engine", str(TOY), "--library", "tally"]
    subprocess.run([*command, "--output", str(tmp_path)], check=True)
    for name in ("tally.pyx", "tally.map", "tally_records.h"):
        assert (tmp_path / name).read_text() == (GOLDEN / name).read_text()


# ---- Single declarations ----


def test_constants_are_macros_of_their_type_as_wide_as_a_word(write: Write) -> None:
    unit = write("SIZE = 3 * 4\nTOP = 2**64 - 1\nLOW: Int = -5\nEDGE = SIZE + (1 << 32)\nYES: bool = True\n")
    assert "#define engine_SIZE ((Word)12)" in unit
    assert "#define engine_TOP ((Word)0xffffffffffffffffu)" in unit
    assert "#define engine_LOW ((Int)-5)" in unit
    assert "#define engine_EDGE ((Word)0x10000000cu)" in unit
    assert "#define engine_YES ((int)1)" in unit


def test_constants_of_a_layer_below_and_of_the_machine_are_known(write: Write) -> None:
    front = "from ..machine import LIMIT\nfrom .below import UNIT\nBOTH = LIMIT + UNIT\n"
    assert "#define engine_BOTH ((Word)1016)" in write(front, "UNIT = 16\n")


def test_shared_layers_are_part_of_the_unit(write: Write) -> None:
    low = "SIZE = 3\nused: Word = 0\ndef uses() -> Word:\n    return used\n"
    high = "from .low import SIZE, uses\ndef sum() -> Word:\n    return uses() + SIZE\n"
    front = "from ..common.high import sum\nfrom .below import TWICE\n"
    front += "def f() -> Word:\n    return sum() + TWICE\n"
    unit = write(front, "from ..common.low import SIZE\nTWICE = 2 * SIZE\n", common=(low, high))
    assert "#define engine_TWICE ((Word)6)" in unit
    assert 'cdef Word used "engine_used"\n' in unit
    assert re.findall(r"^#@ (.*)", unit, re.MULTILINE) == [
        *("common/low.py 3", "common/high.py 2", "small/front.py 3")
    ]
    assert re.findall(r'cdef public Word (\w+) "', unit) == ["f"]


def test_tables_are_constant_arrays_of_their_width_that_give_words(write: Write) -> None:
    unit = write("ONE = 1\nWIDE = (ONE, 2**40)\nTHIN: tuple[Byte, ...] = (1, 2, 3)\n")
    assert "static const Word engine_WIDE[2] = {1, 0x10000000000u};" in unit
    assert "static const Byte engine_THIN[3] = {1, 2, 3};" in unit
    assert 'const Word THIN "(Word)engine_THIN" [3]' in unit


def test_texts_are_c_literals(write: Write) -> None:
    unit = write('NAME = b"a\\"b\\\\ %d\\n"\n')
    assert r'#define engine_NAME "a\\042b\\134 %d\\012"' in unit


def test_reserved_memory_is_zeroed_aligned_and_named_by_its_address(write: Write) -> None:
    unit = write("from ..machine import reserve\nCOUNT = 4\nBINS = reserve(COUNT * 8)\n")
    assert "static _Alignas(64) Byte engine_BINS_bytes[32];" in unit
    assert "#define engine_BINS ((Word)engine_BINS_bytes)" in unit


def test_state_is_a_variable_of_the_unit(write: Write) -> None:
    unit = write("top: Word = 0\nflag: bool = False\n")
    assert 'cdef Word top "engine_top"\ncdef bint flag "engine_flag"\n' in unit


def test_define_replaces_a_constant_and_what_is_computed_from_it(write: Write) -> None:
    unit = write("from .below import SIZE\nTWICE = SIZE * 2\n", "SIZE = 1\n", SIZE=50)
    assert "#define engine_SIZE ((Word)50)" in unit
    assert "#define engine_TWICE ((Word)100)" in unit


def test_a_local_has_the_type_of_its_first_value(write: Write) -> None:
    front = """\
from ..machine import Text, Word, load_half, text_length
def f(word: Word, text: Text) -> Word:
    half = load_half(word)
    length = text_length(text)
    sum = length + half
    less = length < 3 and word != 0
    for i in range(length):
        sum += i
    return sum if less else half
"""
    unit = write(front)
    for declaration in ("Word half", "Int length", "Word sum", "bint less", "Word i"):
        assert f"    cdef {declaration}\n" in unit


def test_only_public_functions_of_the_last_layer_are_exported(write: Write) -> None:
    unit = write(
        "def shown() -> None:\n    pass\ndef _own() -> None:\n    pass\n", "def low() -> None:\n    pass\n"
    )
    assert re.findall(r'cdef public void (\w+) "engine_', unit) == ["shown"]
    assert 'void engine_shown(void) __asm__("shown");' in unit


def test_an_inline_function_is_inline_in_c(write: Write) -> None:
    front = (
        "from ..machine import inline\n@inline\ndef _low() -> None:\n    pass\ndef f() -> None:\n    _low()\n"
    )
    unit = write(front)
    assert '#@ small/front.py 3\ncdef inline void _low "engine__low"() noexcept nogil:\n' in unit


def test_a_record_is_its_offsets_and_its_uses_are_words(write: Write) -> None:
    front = """\
from ..machine import Array, Byte, Half, Line, Record, Word, array
class Pair(Record):
    one: Half
    two: Half
class Block(Record, align=64):
    size: Word
    pairs: Array[Pair] = array(7)
    marks: Line
    rest: Array[Byte] = array(64)
def _block(address: Word) -> Block:
    return Block(address) if address else Block(8)
def f(word: Word) -> Word:
    block = _block(word | 1)
    block.pairs[1].two -= (
        block.rest[word]  # why
    )
    last: Block = Block(block.size)
    return last.size * Block(word + 1).size + (block.marks
        - word) + Block.marks + Pair.SIZE
"""
    unit = write(front)
    for constant, value in (("Block_SIZE", 128), ("Block_marks", 64), ("Pair_two", 4), ("Block_pairs", 8)):
        assert f"#define engine_{constant} ((Word){value})" in unit
        assert f'Word {constant} "engine_{constant}"' in unit
    assert (
        unit.partition('cdef Word _block "')[2]
        == """\
engine__block"(Word address) noexcept nogil:
    #@ small/front.py 11
    return address if address else (8)


#@ small/front.py 12
cdef public Word f "engine_f"(Word word) noexcept nogil:
    cdef Word block
    #@ small/front.py 13
    block = _block(word | 1)
    (store_half(block + Block_pairs + 1 * Pair_SIZE + Pair_two, \
load_half(block + Block_pairs + 1 * Pair_SIZE + Pair_two) - load_byte(block + Block_rest + word * Byte_SIZE))

)
    last: Block = load_word(block + Block_size)
    return load_word(last + Block_size) * load_word(word + 1 + Block_size) + ((block + Block_marks)
        - word) + Block_marks + Pair_SIZE
"""
    )


def test_a_function_that_gives_a_tuple_gives_a_struct_of_c(write: Write) -> None:
    front = """\
def _two(word: Word) -> tuple[Word, bool, Int]:
    return word, word == 0, 3
def f(word: Word) -> Word:
    half, is_zero, number = _two(word)
    return half + number if is_zero else 0
"""
    unit = write(front)
    assert 'cdef (Word, bint, Int) _two "engine__two"(Word word) noexcept nogil:' in unit
    assert "    cdef Word half\n    cdef bint is_zero\n    cdef Int number\n" in unit
    assert "    half, is_zero, number = _two(word)\n" in unit


@pytest.mark.parametrize(("number", "functions"), [(0, ["counter", "step", "largest"]), (1, ["put_first"])])
def test_the_modules_in_the_documentation_are_inside_the_language(
    write: Write, number: int, functions: list[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "language.md").read_text(), re.DOTALL)
    below, _, front = examples[number].rpartition("def put_first")
    head = "from ..machine import Array, Byte, Half, Line, Record, Word, array, reserve\n"
    front = f"from .below import SHELF, Shelf, put\n\n\ndef put_first{front}" if below else front
    unit = write(front, head + below)
    assert re.findall(r'cdef public Word (\w+) "', unit) == functions


# ---- Lines ----


def test_marks_tell_where_a_line_of_the_unit_comes_from(write: Write) -> None:
    front = '"""Doc."""\n\n\ndef f() -> None:\n    """Doc."""\n    # why\n    pass\n'
    unit = write(front)
    number = unit.splitlines().index("    pass") + 1
    assert read_marks(unit)[number] == ("small/front.py", 7)


def test_line_directives_are_led_back_to_the_engine() -> None:
    source = '#line 7 "build/small.pyx"\nx;\n#line 7 "other.c"\n#line 9 "small.pyx"\n'
    led = lead_back(source, "small.pyx", {7: ("small/front.py", 3)}, Path("/engine"))
    assert led == '#line 3 "/engine/small/front.py"\nx;\n#line 7 "other.c"\n#line 9 "small.pyx"\n'


def test_the_debug_information_names_the_engine_s_lines(toy_debug: Path) -> None:
    address = next(line.split()[0] for line in symbols(toy_debug) if line.endswith(" T tally_sum"))
    place = subprocess.run(
        ["addr2line", "-e", toy_debug, address], check=True, capture_output=True, text=True
    ).stdout
    path, _, line = place.strip().rpartition(":")
    assert path == f"{TOY}/tally/front.py"
    lines = Path(path).read_text().splitlines()
    begin = lines.index("def tally_sum() -> Word:") + 1
    assert begin <= int(line.split()[0]) <= lines.index("    return total") + 1


# ---- Compiled ----


def symbols(library: Path, *options: str) -> list[str]:
    """What ``nm`` says."""
    return subprocess.run(
        ["nm", *options, library], check=True, capture_output=True, text=True
    ).stdout.splitlines()


def test_the_library_exports_its_front_and_nothing_else(toy_release: Path) -> None:
    assert {line.split()[-1] for line in symbols(toy_release, "-D", "--defined-only")} == EXPORTS


def test_the_library_knows_nothing_of_python(toy_release: Path) -> None:
    assert not [line for line in symbols(toy_release) if "Py" in line or "pyx" in line]
    needed = subprocess.run(["readelf", "-d", toy_release], check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"NEEDED.*\[(.*)\]", needed)) <= {"libc.so.6"}
    assert re.findall(r"SONAME.*\[(.*)\]", needed) == ["libtally.so"]


@pytest.fixture
def interpreted() -> ModuleType:
    """The toy's front, freshly imported: its state begins at zero."""
    package = f"{__package__}.toy"
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        del sys.modules[name]
    return importlib.import_module(f"{package}.tally.front")


def load(library: Path) -> ctypes.CDLL:
    """The compiled toy, with the types of its functions."""
    compiled = ctypes.CDLL(str(library))
    for name in EXPORTS:
        is_int = name in ("tally_digits", "tally_name_length")
        getattr(compiled, name).restype = ctypes.c_int if is_int else ctypes.c_uint64
    for name in ("tally_add", "tally_put"):
        getattr(compiled, name).argtypes = [ctypes.c_uint64] * 2
    for name in ("tally_halves", "tally_digits", "tally_shelf"):
        getattr(compiled, name).argtypes = [ctypes.c_uint64]
    return compiled


CALLS = st.one_of(
    st.tuples(st.just("tally_add"), st.integers(0, 9) | words, st.integers(0, 2000) | words),
    st.tuples(st.sampled_from(["tally_sum", "tally_lowest_bit_of_uses", "tally_name_length"])),
    st.tuples(st.just("tally_halves"), st.integers(0, 7)),
    st.tuples(st.just("tally_digits"), words),
    st.tuples(st.just("tally_put"), st.integers(0, 9), words),
    st.tuples(st.just("tally_shelf"), st.integers(0, 1)),
)


def test_interpreted_and_compiled_agree(toy_release: Path, interpreted: ModuleType) -> None:
    compiled = load(toy_release)

    @given(CALLS)
    def agree(call: tuple[Any, ...]) -> None:
        name, *arguments = call
        assert getattr(compiled, name)(*arguments) == getattr(interpreted, name)(*arguments)

    agree()


def test_the_debug_library_has_the_constant_set(toy_release: Path, toy_debug: Path) -> None:
    assert load(toy_release).tally_digits(1234) == 4
    assert load(toy_debug).tally_digits(1234) == 5
