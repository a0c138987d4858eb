"""Owns the pin ledger: which live blocks keep pages that are otherwise free, and how much each holds back.

A block lies on the pages from its first byte to its last; one of 0 bytes takes one. A page is pinned when
blocks are on it and more than half of it is free: without them all of it could go back to the system. Its free
bytes are held back by the blocks on it, by each an equal part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from snugmalloc.trace.blocks import Blocks
from snugmalloc.trace.format import Flags, Header

MOSTLY_FREE = 0.5
"""A page of which a larger part than this is free is pinned by what is on it."""
USUAL_PAGE = 4096
"""The bytes of a page where the trace does not say."""


@dataclass
class Ledger:
    """What the live blocks of one moment hold back."""

    page_size: int
    pages: int
    """On which live blocks lie."""
    pinned_pages: int
    held: int
    """The free bytes of these."""
    held_by: dict[int, float]
    """How many of them each block holds back; without the blocks that hold back none."""


def why_there_is_no_ledger(header: Header) -> str | None:
    """What a trace lacks to tell who holds pages back; None if it lacks nothing."""
    if Flags.ADDRESSES not in header.flags:
        return "the trace has no addresses"
    if header.mean_gap:
        return "the trace is sampled, and does not have all blocks of a page"
    return None


def draw_up_ledger(blocks: Blocks, live: Iterable[int], page_size: int = 0) -> Ledger:
    """The ledger of some blocks, live at the same moment."""
    page_size = page_size or USUAL_PAGE
    used: Counter[int] = Counter()
    sharers: Counter[int] = Counter()
    pages_of: dict[int, tuple[int, int]] = {}
    pages_within = 0
    for block in live:
        begin = blocks.address[block]
        end = begin + (blocks.size[block] or 1)
        first, last = pages_of[block] = begin // page_size, (end - 1) // page_size
        if first == last:
            used[first] += end - begin
        else:
            used[first] += (first + 1) * page_size - begin
            used[last] += end - last * page_size
            sharers[last] += 1
            pages_within += last - first - 1
        sharers[first] += 1
    free = {page: page_size - taken for page, taken in used.items() if taken < page_size * (1 - MOSTLY_FREE)}
    share = {page: free_bytes / sharers[page] for page, free_bytes in free.items()}
    return Ledger(
        page_size,
        len(used) + pages_within,
        len(free),
        sum(free.values()),
        {
            block: held
            for block, pages in pages_of.items()
            if (held := sum(share.get(page, 0.0) for page in set(pages)))
        },
    )
