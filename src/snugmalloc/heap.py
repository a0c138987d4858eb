"""What a heap reports of itself: its blocks, its figures, and what is wrong with it. Plain data, no memory."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, NamedTuple

HEADER = 32
"""Bytes of the header in front of each block's payload."""


class Status(IntEnum):
    """What a block is, as its header says."""

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
    """What the heap holds and what it did, since the process began.

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
