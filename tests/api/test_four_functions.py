"""os_malloc, os_calloc, os_realloc and os_free in the manners of Python."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import snugmalloc
from snugmalloc import Status, os_calloc, os_free, os_malloc, os_realloc, view

from .conftest import Outcome

WORD = 2**64
PTRDIFF_MAX = 2**63 - 1

Run = Callable[..., Outcome]


def status_of(address: int) -> Status:
    return next(block.status for block in snugmalloc.blocks() if block.address == address)


def test_an_address_is_an_aligned_int_with_room_for_the_request() -> None:
    address = os_malloc(100)
    assert isinstance(address, int)
    assert address % 8 == 0
    assert int.from_bytes(view(address - 32, 8), "little") >= 104
    os_free(address)


def test_calloc_clears_memory_that_was_used_before() -> None:
    first = os_malloc(256)
    view(first, 256)[:] = b"\xff" * 256
    os_free(first)
    again = os_calloc(16, 16)
    assert bytes(view(again, 256)) == bytes(256)
    os_free(again)


def test_realloc_keeps_the_contents_when_the_block_moves() -> None:
    small = os_malloc(16)
    fence = os_malloc(16)
    view(small, 16)[:] = bytes(range(16))
    large = os_realloc(small, 200_000)
    assert large != small
    assert bytes(view(large, 16)) == bytes(range(16))
    os_free(large)
    os_free(fence)


def test_free_marks_the_block_free() -> None:
    address = os_malloc(40)
    fence = os_malloc(8)
    assert status_of(address) is Status.LIVE
    os_free(address)
    assert status_of(address) is Status.FREE
    os_free(fence)


def test_large_blocks_are_mapped() -> None:
    address = os_malloc(131_072)
    assert status_of(address) is Status.MAPPED
    os_free(address)
    assert address not in {block.address for block in snugmalloc.blocks()}


def test_zero_bytes_are_the_null_address() -> None:
    assert os_malloc(0) == 0
    assert os_calloc(0, 8) == 0
    assert os_calloc(8, 0) == 0
    assert os_realloc(0, 0) == 0


def test_realloc_of_null_allocates_and_to_nothing_frees() -> None:
    address = os_realloc(0, 50)
    assert status_of(address) is Status.LIVE
    assert os_realloc(address, 0) == 0
    assert status_of(address) is Status.FREE


def test_realloc_of_a_free_block_gives_null() -> None:
    address = os_malloc(24)
    os_free(address)
    assert os_realloc(address, 100) == 0


def test_freeing_null_or_twice_does_nothing_and_the_second_is_counted() -> None:
    os_free(0)
    address = os_malloc(24)
    os_free(address)
    before = snugmalloc.stats().ignored_frees
    os_free(address)
    assert snugmalloc.stats().ignored_frees == before + 1
    snugmalloc.check()


@pytest.mark.parametrize("size", [PTRDIFF_MAX + 1, WORD - 1])
def test_a_refused_request_is_a_memory_error_and_the_old_block_stays(size: int) -> None:
    with pytest.raises(MemoryError, match=f"os_malloc\\({size}\\) was refused"):
        os_malloc(size)
    with pytest.raises(MemoryError, match="os_calloc"):
        os_calloc(1, size)
    address = os_malloc(8)
    view(address, 8)[:] = b"unharmed"
    with pytest.raises(MemoryError, match="os_realloc"):
        os_realloc(address, size)
    assert bytes(view(address, 8)) == b"unharmed"
    os_free(address)


def test_a_product_that_overflows_is_refused() -> None:
    with pytest.raises(MemoryError):
        os_calloc(2**33, 2**33)


def test_the_systems_refusal_is_a_memory_error(fresh: Run) -> None:
    code = """
import resource, snugmalloc
snugmalloc.os_malloc(1)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    snugmalloc.os_malloc(1 << 31)
except MemoryError as error:
    print(error)
snugmalloc.check()
print(snugmalloc.os_malloc(100) > 0)
"""
    assert fresh(code).stdout == "os_malloc(2147483648) was refused\nTrue\n"


Call = Callable[[int], object]
CALLS: dict[str, Call] = {
    "os_malloc size": os_malloc,
    "os_calloc nmemb": lambda value: os_calloc(value, 1),
    "os_calloc size": lambda value: os_calloc(1, value),
    "os_realloc address": lambda value: os_realloc(value, 1),
    "os_realloc size": lambda value: os_realloc(0, value),
    "os_free address": os_free,
    "view address": lambda value: view(value, 1),
    "view size": lambda value: view(1, value),
}
EACH_ARGUMENT = pytest.mark.parametrize(("argument", "call"), CALLS.items(), ids=CALLS.keys())


@EACH_ARGUMENT
def test_a_negative_number_is_a_value_error_that_names_the_argument(argument: str, call: Call) -> None:
    with pytest.raises(ValueError, match=f"^{argument.split()[1]} must not be negative: -1$"):
        call(-1)
    with pytest.raises(ValueError, match="must not be negative"):
        call(-WORD)


@EACH_ARGUMENT
def test_a_number_beyond_the_word_is_an_overflow_error(argument: str, call: Call) -> None:
    with pytest.raises(OverflowError, match=f"^{argument.split()[1]} does not fit in a word: {WORD}$"):
        call(WORD)


@EACH_ARGUMENT
def test_what_is_no_whole_number_is_a_type_error(argument: str, call: Call) -> None:
    for wrong in (1.0, "1", None):
        with pytest.raises(TypeError):
            call(wrong)  # type: ignore[arg-type]


def test_anything_with_an_index_is_a_size() -> None:
    class Eight:
        def __index__(self) -> int:
            return 8

    address = os_malloc(Eight())
    assert address > 0
    os_free(address)


def test_many_threads_share_the_heap_and_keep_their_own_bytes() -> None:
    wrong: list[int] = []

    def work(mark: int) -> None:
        for size in range(1, 400):
            address = os_malloc(size)
            view(address, size)[:] = bytes([mark]) * size
            address = os_realloc(address, 2 * size)
            if bytes(view(address, size)) != bytes([mark]) * size:
                wrong.append(mark)
            os_free(address)

    before = snugmalloc.stats().live_blocks
    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert snugmalloc.stats().live_blocks == before
    snugmalloc.check()


def test_a_forked_child_has_a_heap_that_works(fresh: Run) -> None:
    code = """
import os, snugmalloc
kept = snugmalloc.os_malloc(64)
snugmalloc.view(kept, 5)[:] = b"child"
child = os.fork()
if not child:
    snugmalloc.os_free(snugmalloc.os_malloc(1000))
    snugmalloc.check()
    os._exit(0 if bytes(snugmalloc.view(kept, 5)) == b"child" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert fresh(code).stdout == "0\n"


def test_the_hardened_mode_ends_the_process_at_a_double_free(fresh: Run) -> None:
    code = "from snugmalloc import *; p = os_malloc(10); os_free(p); os_free(p); print('lived on')"
    outcome = fresh(code, SNUG_HARDEN="1")
    assert outcome.returncode == -6
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
