"""How type checkers see the API: right uses have these types, wrong ones these errors. Checked, never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

import snugmalloc
from snugmalloc import Block, HeapMap, Stats, Status

assert_type(snugmalloc.os_malloc(8), int)
assert_type(snugmalloc.os_calloc(8, 1), int)
assert_type(snugmalloc.os_realloc(0, 8), int)
assert_type(snugmalloc.view(1, 0), memoryview)
assert_type(snugmalloc.walk(), list[Block])
assert_type(snugmalloc.blocks(), Iterator[Block])
assert_type(snugmalloc.walk()[0].status, Status)
assert_type(snugmalloc.stats(), Stats)
assert_type(snugmalloc.stats().live_bytes, int)
assert_type(snugmalloc.heap_map([(32, 8, 1)], width=64, cell=8, color=False), HeapMap)
assert_type(snugmalloc.get_library("osmem"), str)
assert_type(snugmalloc.__version__, str)

snugmalloc.os_malloc("8")  # type: ignore[arg-type]
snugmalloc.os_malloc(8.0)  # type: ignore[arg-type]
snugmalloc.os_malloc(size=8)  # type: ignore[call-arg]
snugmalloc.os_calloc(8)  # type: ignore[call-arg]
snugmalloc.os_free(None)  # type: ignore[arg-type]
snugmalloc.view(0)  # type: ignore[call-arg]
snugmalloc.blocks()[0]  # type: ignore[index]
snugmalloc.heap_map(4096)  # type: ignore[arg-type]
snugmalloc.heap_map([], 64)  # type: ignore[call-arg]
snugmalloc.stats().live_bytes = 0  # type: ignore[misc]
snugmalloc.mmap(8)  # type: ignore[attr-defined]
