"""A heap's reports: its blocks, statistics, and errors. Plain data, no memory."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, NamedTuple

HEADER = 32
"""Bytes of the header in front of each block's payload."""


class Status(IntEnum):
    """The status of a block, as in its header."""

    FREE = 0
    """A free block of the heap."""
    LIVE = 1
    """A block of the heap, in use."""
    MAPPED = 2
    """A block in a mapping of its own, in use."""


class Block(NamedTuple):
    """One block: the `address` of its payload, the payload's `size` in bytes, and its `status`."""

    address: int
    size: int
    status: Status


class Stats(NamedTuple):
    """The statistics of the heap of the four functions: ``os_stats_t`` of osmem.h.

    Sizes are payload bytes, headers not counted, unless said otherwise.
    """

    live_bytes: int
    """In use on the heap."""
    live_blocks: int
    free_bytes: int
    """Free on the heap."""
    free_blocks: int
    """As they stand: free neighbours that are not merged yet count singly."""
    mapped_bytes: int
    """In use in mappings of their own."""
    mapped_blocks: int
    heap_bytes: int
    """Taken from the system for the heap, headers included."""
    system_bytes: int
    """Taken from the system in all: `heap_bytes`, and the mappings with their headers."""
    brk_calls: int
    """System calls made, refused ones included; the same for the next two."""
    mmap_calls: int
    munmap_calls: int
    splits: int
    """Blocks split in two."""
    coalescings: int
    """Free blocks absorbed by a neighbour."""
    ignored_frees: int
    """Frees of blocks that were free already."""


class ProcessStats(NamedTuple):
    """The statistics of the drop-in malloc: ``snug_stats_t`` of snugmalloc.h. Sizes are bytes."""

    version: int
    """Which of these figures the library has: SNUG_STATS_VERSION."""
    live_bytes: int
    """In use, in the heap and in mappings: usable bytes, so a little more than was asked for."""
    live_blocks: int
    peak_live_bytes: int
    """The highest so far: exact if `counting`, else with what thread caches held."""
    cached_bytes: int
    """Freed, kept in thread caches for the next request."""
    cached_blocks: int
    free_bytes: int
    """All else in the heap: free blocks and slab objects, headers, pages given back."""
    free_blocks: int
    """Free blocks of the heap; free objects of slabs are not counted."""
    purged_bytes: int
    """Of `free_bytes`: whole pages that the system has back, or that were never touched."""
    heap_bytes: int
    """Address range of the heap."""
    mapped_bytes: int
    """Mappings of large blocks in use."""
    mapped_blocks: int
    kept_bytes: int
    """Mappings of freed large blocks, kept for the next."""
    system_bytes: int
    """`heap_bytes`, `mapped_bytes` and `kept_bytes`."""
    peak_system_bytes: int
    limit_bytes: int
    """The limit of SNUG_LIMIT, or 0."""
    returned_bytes: int
    """Given back so far, in all: purged, trimmed, unmapped."""
    brk_calls: int
    """System calls made, refused ones included; the same for the next four."""
    mmap_calls: int
    munmap_calls: int
    mremap_calls: int
    madvise_calls: int
    refused_requests: int
    """Answered with NULL."""
    thread_caches: int
    """That exist, in use or waiting for the next thread."""
    counting: int
    """1 under SNUG_STATS=1: the next three are counted; else they are 0."""
    malloc_calls: int
    """Of malloc, calloc, the aligned ones, operator new."""
    realloc_calls: int
    """Answered in place; where the block moved, one malloc and one free are counted."""
    free_calls: int
    background_steps: int
    """Of the helper thread under SNUG_BACKGROUND=1."""
    state: int
    """1 in a process that is on the heap (SNUG_STATE_ON). More in one that an option has switched off: there
    libc's malloc serves all calls, those of `snugmalloc.dropin` too."""
    refused_limit: int
    """Of `refused_requests`: SNUG_LIMIT forbade more."""
    refused_size: int
    """More than PTRDIFF_MAX bytes."""
    refused_addresses: int
    """No addresses for so many: RLIMIT_AS, or no gap so large."""
    refused_mappings: int
    """As many mappings as vm.max_map_count."""
    refused_locked: int
    """All memory is locked, up to RLIMIT_MEMLOCK."""
    refused_memory: int
    """The system has no memory: RLIMIT_DATA, strict overcommit."""


class HeapError(Exception):
    """An invariant of the heap is broken: something wrote where it should not. `code` is one of OS_CHECK_*."""

    MEANINGS: ClassVar = {
        1: "a block's size is no multiple of 8, too small, or leads out of its segment",
        2: "a block's status is none of the three",
        3: "a block does not know the size of the block before it",
        4: "a free block is not where the index has it, or the index's order is broken",
        5: "two free neighbours stand side by side, neither waiting to be merged",
        6: "the last block is not at the end of the heap",
        7: "the list of mapped blocks is broken",
        8: "the blocks do not add up to what the statistics report",
        9: "the seal of a live block is broken",
    }

    def __init__(self, code: int) -> None:
        super().__init__(self.MEANINGS.get(code, f"check {code} failed"))
        self.code = code
