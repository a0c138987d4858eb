"""Arithmetic on columns: what is undone is as it was, and NumPy and plain Python agree."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import strategies as st

from snugmalloc.trace import vectors

from .sample import WAYS, WORD, arithmetic, for_all, words

columns = st.lists(words, max_size=50)


@pytest.mark.parametrize("way", WAYS)
@for_all(values=columns)
def test_varints_are_read_as_they_were_written(way: str, values: list[int]) -> None:
    with arithmetic(way):
        encoded = vectors.encode_varints(values)
        assert list(vectors.listed(vectors.decode_varints(encoded, len(values)))) == values
        assert list(vectors.listed(vectors.decode_varints(encoded))) == values


@for_all(values=columns)
def test_both_ways_write_the_same_varints(values: list[int]) -> None:
    written = []
    for way in WAYS:
        with arithmetic(way):
            written.append(vectors.encode_varints(values))
    assert written[0] == written[1]


@for_all(data=st.binary(max_size=30), count=st.integers(0, 30))
def test_both_ways_refuse_the_same_bytes(data: bytes, count: int) -> None:
    outcomes: list[list[int] | None] = []
    for way in WAYS:
        with arithmetic(way):
            try:
                outcomes.append(list(vectors.listed(vectors.decode_varints(data, count))))
            except ValueError:
                outcomes.append(None)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", [b"\x80", b"\x01\x80", b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00"])
def test_what_is_no_number_of_64_bits_is_refused(way: str, data: bytes) -> None:
    with arithmetic(way), pytest.raises(ValueError):
        vectors.decode_varints(data)


@for_all(value=words)
def test_small_differences_become_small_numbers(value: int) -> None:
    assert vectors.unzigzag(vectors.zigzag(value)) == value
    assert [vectors.zigzag(difference) for difference in (0, -1, 1, -2)] == [0, 1, 2, 3]


@pytest.mark.parametrize("way", WAYS)
@for_all(values=columns, start=words)
def test_sums_undo_steps(way: str, values: list[int], start: int) -> None:
    with arithmetic(way):
        steps = vectors.steps_of(values, start)
        assert list(vectors.listed(vectors.sums(steps, start))) == values


@pytest.mark.parametrize("way", WAYS)
@for_all(
    entries=st.lists(st.tuples(words, st.integers(0, 3)), max_size=50), base=words, shift=st.integers(0, 8)
)
def test_differences_by_key_are_undone(way: str, entries: list[tuple[int, int]], base: int, shift: int) -> None:
    values = [base + (value >> 16 << shift) & WORD for value, _ in entries]
    keys = [key for _, key in entries]
    with arithmetic(way):
        found = vectors.differences(values, keys, base)
        assert vectors.zeros_below(found) >= shift or not any(found)
        packed = vectors.shift_and_zigzag(found, shift)
        unpacked = vectors.undo_shift_and_zigzag(packed, shift)
        assert list(vectors.listed(unpacked)) == list(found)
        assert list(vectors.listed(vectors.undo_differences(unpacked, array("Q", keys), base))) == values
