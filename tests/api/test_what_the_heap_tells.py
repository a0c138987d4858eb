"""blocks, walk, stats and check."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import get_annotations
from itertools import pairwise
from pathlib import Path

import pytest

import snugmalloc
from snugmalloc import Block, HeapError, Stats, Status, os_free, os_malloc
from snugmalloc.engine.osmem.figures import Figures

from .conftest import Outcome

HEADER = 32


@pytest.fixture
def three() -> Iterator[list[int]]:
    """Three blocks of 72 bytes of which the second is free, and a mapped one."""
    addresses = [os_malloc(72) for _ in range(3)]
    mapped = os_malloc(500_000)
    os_free(addresses[1])
    yield [*addresses, mapped]
    for address in (addresses[0], addresses[2], mapped):
        os_free(address)


def test_blocks_tell_address_size_and_status(three: list[int]) -> None:
    found = {block.address: block for block in snugmalloc.blocks()}
    assert [found[address].status for address in three] == [
        Status.LIVE,
        Status.FREE,
        Status.LIVE,
        Status.MAPPED,
    ]
    assert found[three[3]] == Block(three[3], 500_000, Status.MAPPED)
    assert found[three[0]].size >= 72


def test_blocks_are_a_snapshot_that_may_be_freed_while_it_is_read() -> None:
    addresses = {os_malloc(24) for _ in range(100)}
    for block in snugmalloc.blocks():
        if block.address in addresses:
            os_free(block.address)
    assert not any(block.address in addresses and block.status for block in snugmalloc.walk())


def test_heap_blocks_do_not_overlap(three: list[int]) -> None:
    heap = sorted(block for block in snugmalloc.walk() if block.status is not Status.MAPPED)
    assert all(lower.address + lower.size <= upper.address - HEADER for lower, upper in pairwise(heap))


def test_the_newest_mapping_comes_first() -> None:
    older, newer = os_malloc(200_000), os_malloc(300_000)
    mapped = [block.address for block in snugmalloc.walk() if block.status is Status.MAPPED]
    assert mapped[:2] == [newer, older]
    os_free(older)
    os_free(newer)


def test_statistics_are_the_sums_over_the_blocks(three: list[int]) -> None:
    blocks, stats = snugmalloc.walk(), snugmalloc.stats()
    for status, size, count in (
        (Status.LIVE, stats.live_bytes, stats.live_blocks),
        (Status.FREE, stats.free_bytes, stats.free_blocks),
        (Status.MAPPED, stats.mapped_bytes, stats.mapped_blocks),
    ):
        sizes = [block.size for block in blocks if block.status is status]
        assert (sum(sizes), len(sizes)) == (size, count)
    assert stats.system_bytes == stats.heap_bytes + stats.mapped_bytes + HEADER * stats.mapped_blocks


def test_the_statistics_are_those_of_the_engine_and_of_what_cython_is_told() -> None:
    assert tuple(get_annotations(Figures)) == Stats._fields
    told = (Path(snugmalloc.__file__).parent / "osmem.pxd").read_text()
    fields = told[told.index("ctypedef struct os_stats_t:") : told.index("void *os_malloc")]
    assert tuple(re.findall(r"size_t (\w+)$", fields, re.MULTILINE)) == Stats._fields


def test_statistics_count_system_calls() -> None:
    before = snugmalloc.stats()
    os_free(os_malloc(1 << 20))
    after = snugmalloc.stats()
    assert (after.mmap_calls, after.munmap_calls) == (before.mmap_calls + 1, before.munmap_calls + 1)
    assert after.brk_calls == before.brk_calls


def test_a_heap_that_was_never_used_is_empty(fresh: Callable[..., Outcome]) -> None:
    outcome = fresh("import snugmalloc as s; s.check(); print(s.walk(), set(s.stats()), s.heap_map())")
    assert outcome.stdout == "[] {0} the heap is empty\n"


def test_the_first_block_splits_the_preallocated_128_kib(fresh: Callable[..., Outcome]) -> None:
    code = "import snugmalloc as s; s.os_malloc(100); print([b[1:] for b in s.walk()], s.stats())"
    stats = Stats(104, 1, 130_904, 1, 0, 0, 131_072, 131_072, 2, 0, 0, 1, 0, 0)
    assert fresh(code).stdout == f"[(104, <Status.LIVE: 1>), (130904, <Status.FREE: 0>)] {stats}\n"


def test_check_tells_what_is_broken(fresh: Callable[..., Outcome]) -> None:
    code = """
import snugmalloc as s
address = s.os_malloc(64)
s.view(address - 32, 1)[0] = 63
try:
    s.check()
except s.HeapError as error:
    print(error.code, error)
"""
    meaning = "a block's size is no multiple of 8, too small, or leads out of its segment"
    assert fresh(code).stdout == f"1 {meaning}\n"


def test_an_error_has_a_meaning_for_every_code_of_the_header() -> None:
    header = (Path(snugmalloc.get_include()) / "osmem.h").read_text()
    codes = [int(line.split()[2]) for line in header.splitlines() if line.startswith("#define OS_CHECK_")]
    assert sorted([0, *HeapError.MEANINGS]) == sorted(codes)
