"""Owns the pin ledger: which live blocks keep pages that are otherwise free, and how much each holds back.

A block lies on the pages from its first byte to its last; one of 0 bytes takes one. A page is pinned when
blocks are on it and more than half of it is free: without them all of it could go back to the system. Its free
bytes are held back by the blocks on it, by each an equal part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from snugmalloc.trace.blocks import Blocks
from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.vectors import WORD, numpy

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


def draw_up_ledger(blocks: Blocks, live: Sequence[int], page_size: int = 0) -> Ledger:
    """The ledger of some blocks, live at the same moment."""
    page_size = page_size or USUAL_PAGE
    ledger = _draw_up_at_once(blocks, live, page_size) if numpy() and len(live) else None
    return ledger or _draw_up_one_by_one(blocks, live, page_size)


def _draw_up_one_by_one(blocks: Blocks, live: Sequence[int], page_size: int) -> Ledger:
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


def _draw_up_at_once(blocks: Blocks, live: Sequence[int], page_size: int) -> Ledger | None:
    """The same by NumPy; None where a block ends behind the last address: NumPy's numbers are too small."""
    np = numpy()
    chosen = np.asarray(live)
    begin = np.asarray(blocks.address, dtype=np.uint64)[chosen]
    size = np.maximum(np.asarray(blocks.size, dtype=np.uint64)[chosen], np.uint64(1))
    if (size - np.uint64(1) > np.uint64(WORD) - begin).any():
        return None
    page = np.uint64(page_size)
    first, last = begin // page, (begin + (size - np.uint64(1))) // page
    is_long = first != last
    on_first = np.where(is_long, page - begin % page, size)
    on_last = (begin + size - last * page)[is_long]
    pages, entries = np.unique(np.concatenate((first, last[is_long])), return_inverse=True)
    used = np.bincount(entries, np.concatenate((on_first, on_last)))
    is_pinned = used < page_size * (1 - MOSTLY_FREE)
    free = np.where(is_pinned, page_size - used, 0.0)
    share = free / np.bincount(entries)
    held = share[entries[: len(chosen)]]
    held[is_long] += share[entries[len(chosen) :]]
    holds = held > 0
    return Ledger(
        page_size,
        len(pages) + int((last - first)[is_long].sum()) - int(is_long.sum()),
        int(is_pinned.sum()),
        int(free.sum()),
        dict(zip(chosen[holds].tolist(), held[holds].tolist(), strict=True)),
    )
