"""`view`: bytes over raw memory."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from snugmalloc import os_free, os_malloc, view


@pytest.fixture
def address() -> Iterator[int]:
    """The address of 64 allocated bytes."""
    allocated = os_malloc(64)
    yield allocated
    os_free(allocated)


def test_a_view_writes_through_to_memory(address: int) -> None:
    view(address, 64)[8:13] = b"snug!"
    assert ctypes.string_at(address + 8, 5) == b"snug!"


def test_a_view_sees_what_others_write(address: int) -> None:
    bytes_there = view(address, 64)
    ctypes.memset(address, 0x2A, 64)
    assert bytes(bytes_there) == b"*" * 64


def test_a_view_is_writable_bytes_of_the_asked_length(address: int) -> None:
    bytes_there = view(address, 48)
    assert (bytes_there.readonly, bytes_there.format, bytes_there.nbytes) == (False, "B", 48)


def test_a_view_can_be_cast_to_other_elements(address: int) -> None:
    view(address, 64).cast("d")[3] = 1.5
    assert ctypes.c_double.from_address(address + 24).value == 1.5


def test_an_empty_view_of_null_is_empty() -> None:
    assert view(0, 0).nbytes == 0


def test_null_has_no_bytes_to_view() -> None:
    with pytest.raises(ValueError, match="address 0 is NULL and has no 8 bytes to view"):
        view(0, 8)


def test_a_view_longer_than_memory_can_be_is_an_overflow_error(address: int) -> None:
    with pytest.raises(OverflowError, match="signed word"):
        view(address, 2**63)


def test_the_docstring_says_who_keeps_the_memory() -> None:
    assert view.__doc__ is not None
    assert "does not own the memory and does not keep it alive" in view.__doc__
