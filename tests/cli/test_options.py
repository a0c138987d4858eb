"""The table of options is what the library takes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc.options import OPTIONS, NumberOption, TextOption, short_number

ENGINE = Path(snugmalloc.__file__).parent / "engine" / "dropin"
NUMBERS = {name: option for name, option in OPTIONS.items() if isinstance(option, NumberOption)}
TEXTS = {
    # what it takes, and what it does not
    "disable_file": (["/nonexistent", "relative name", "/" * 3000], [""]),
    "publish": (["/dev/shm"], ["", "folder", "./folder"]),
    "except": (["", "java", "chromium, java", "a-name-of-more-than-15-characters,"], ["/usr/bin/java", "a,/"]),
    "record_stacks": (["python", "native,python", "none"], ["", "lines", "python,", "native;python"]),
    # what it takes makes a file: tests/trace/test_record.py, tests/ring/test_ring.py
    "record": ([], ["", "ring:", "ring:8", "ring:8X", "ring:2G", "ring:8M:"]),
}


def test_each_complaint_is_one_line() -> None:
    for option in OPTIONS.values():
        value = "/dev/null" if option.name == "publish" else "/"
        assert complaint(option.variable, value).count("\n") == (0 if option.name == "disable_file" else 1)


def complaint(variable: str, value: str) -> str:
    """What the library says of a variable."""
    environment = {**os.environ, "LD_PRELOAD": snugmalloc.get_library("snugmalloc"), variable: value}
    return subprocess.run(
        ["ls", "/dev/null"], env=environment, capture_output=True, text=True, check=True
    ).stderr


def test_the_table_has_the_engines_options() -> None:
    source = "".join(path.read_text() for path in ENGINE.glob("*.py"))
    names = re.findall(r'= b"SNUG_(\w+)="', source)
    assert sorted(name.lower() for name in names) == sorted(OPTIONS)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_library_takes_the_default_and_both_ends_of_the_range(name: str) -> None:
    option = NUMBERS[name]
    for value in {option.default, option.least, option.most}:
        assert option.value_of(str(value)) == value
        assert complaint(option.variable, short_number(value)) == ""


@pytest.mark.parametrize("name", NUMBERS)
def test_the_library_tells_what_the_table_refuses(name: str) -> None:
    option = NUMBERS[name]
    for text in (str(option.most + 1), "-1", "x", "", "1KB", "1 M", str(option.least - 1)):
        with pytest.raises(ValueError, match=re.escape(f"{name}={text}: ")):
            option.value_of(text)
        assert f"{option.variable}={text}" in complaint(option.variable, text)


def test_every_option_is_of_a_kind_that_is_tested() -> None:
    assert {name for name, option in OPTIONS.items() if isinstance(option, TextOption)} == set(TEXTS)
    assert NUMBERS.keys() | TEXTS.keys() == OPTIONS.keys()


@pytest.mark.parametrize("name", TEXTS)
def test_library_and_table_agree_about_texts(name: str) -> None:
    option = OPTIONS[name]
    taken, refused = TEXTS[name]
    for text in taken:
        option.check(text)
        assert complaint(option.variable, text) == ""
    for text in refused:
        with pytest.raises(ValueError, match=re.escape(f"{name}={text}: ")):
            option.check(text)
        assert f"{option.variable}={text}" in complaint(option.variable, text)


def test_a_name_that_is_not_in_the_table_is_told() -> None:
    assert "SNUG_NOSUCH=1" in complaint("SNUG_NOSUCH", "1")


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (1023, "1023"), (131072, "128K"), (3 << 30, "3G")])
def test_numbers_are_short(number: int, text: str) -> None:
    assert short_number(number) == text
