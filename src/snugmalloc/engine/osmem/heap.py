"""Owns the heap of blocks over `brk`: preallocation, best fit, split, coalescing, growth, and its segments.

The heap is one run of blocks without gaps, from the first break upwards. It has more than one such segment only
where the break was not available: somebody else moved it (the heap continues behind), or `brk` was refused (it
continues in a mapping). Later segments begin with a wall, a header that is not a block: its size is the
segment's limit, or 0 while it grows with the break, and its links make the list of walls.

    first segment     | block | block | ... | top |<- heap_end()
    later segment     | wall | block | block | ... | edge |

The last block of every segment has the edge tag; the top is the last block of the newest segment over brk, the
only one that can grow.

A block that is freed among live ones goes straight into the index. One with a free neighbour waits in a list,
unmerged, until the next search: the specification requires it, because the remaining boundaries determine how
much a realloc takes. The search merges each waiting block with its neighbours and puts the result into the
index, which costs a constant for each free, however large the heap. Of two free neighbours the one freed later
waits.
"""

from __future__ import annotations

from ..common.figures import lower_figure, raise_figure
from ..common.sizes import round_up
from ..machine import Word, load_word, reserve
from .block import (
    ALIGN,
    FREE,
    LIVE,
    META,
    MINSPLIT,
    NOWHERE,
    WAITING,
    is_edge,
    is_free_before,
    is_free_next,
    make_block,
    next_block,
    place_of,
    previous_block,
    set_edge,
    set_free_before,
    set_free_next,
    set_place,
    set_size,
    set_status,
    size_of,
    status_of,
    tell_before,
    tell_next,
)
from .chain import link, unlink
from .figures import FIGURES, Figures, OwnFigures
from .index import put, take, take_best_fit
from .kernel import extend_break, find_break, foreign_break, heap_end, is_break_contested, map_pages
from .seal import vet_free

PREALLOC = 131072

WAITING_LIST = reserve(8)
WALLS = reserve(8)

first: Word = 0
top: Word = 0


# ---- Segments ----


def first_block() -> Word:
    """The first block of the first segment, or 0 if no heap stands at the first break."""
    return first


def top_block() -> Word:
    """The last block over brk, or 0."""
    return top


def newest_wall() -> Word:
    """The wall of the newest later segment, or 0; `older` gives the next one."""
    return load_word(WALLS)


def is_in_use() -> bool:
    """Whether the heap has memory: the preallocation has been made."""
    return top != 0 or newest_wall() != 0


# ---- Free blocks ----


def retire(block: Word, free_before: bool, free_next: bool) -> None:
    """Store a free block: on the waiting list if a neighbour is free, otherwise in the index."""
    set_status(block, FREE)
    raise_figure(FIGURES, Figures.free_blocks, 1)
    if not free_before:
        tell_before(block, True)
    if not free_next:
        tell_next(block, True)
    if free_before or free_next:
        set_place(block, WAITING)
        link(WAITING_LIST, block)
    else:
        put(block)


def pick(block: Word) -> None:
    """Remove a free block from the list or tree that it is in."""
    vet_free(block)
    if place_of(block) == WAITING:
        unlink(WAITING_LIST, block)
        set_place(block, NOWHERE)
    else:
        take(block)


def has_free_next(block: Word) -> bool:
    """Whether the next block is free."""
    return not is_edge(block) and status_of(next_block(block)) == FREE


def has_free_before(block: Word) -> bool:
    """Whether the previous block is free."""
    before = previous_block(block)
    return before != 0 and status_of(before) == FREE


def absorb_next(block: Word) -> None:
    """Merge the next block, which is free, into `block`; its header stays in memory as it was."""
    global top
    absorbed = next_block(block)
    if absorbed == top:
        top = block
    set_edge(block, is_edge(absorbed))
    set_size(block, size_of(block) + META + size_of(absorbed))
    raise_figure(FIGURES, Figures.coalescings, 1)
    lower_figure(FIGURES, Figures.free_blocks, 1)


def merge(block: Word) -> Word:
    """Merge a free block, in no list, with all free neighbours. Returns the resulting block."""
    while has_free_next(block):
        pick(next_block(block))
        absorb_next(block)
    while has_free_before(block):
        block = previous_block(block)
        pick(block)
        absorb_next(block)
    return block


def merge_waiting() -> None:
    """Merge every waiting block and put the results in the index."""
    block = load_word(WAITING_LIST)
    while block != 0:
        pick(block)
        put(merge(block))
        block = load_word(WAITING_LIST)


# ---- Live blocks ----


def split(block: Word, size: Word) -> Word:
    """Cut a block down to `size` bytes if the rest makes a block. Returns that, in no list; or 0."""
    global top
    left = size_of(block) - size
    if left < MINSPLIT:
        return 0
    rest = block + size + META
    edge = is_edge(block)
    set_edge(block, False)
    make_block(rest, FREE, left - META, size, edge)
    set_size(block, size)
    if block == top:
        top = rest
    raise_figure(FIGURES, Figures.splits, 1)
    return rest


def hand_out(block: Word, size: Word) -> Word:
    """Make a free block, in no list and without free neighbours, live with at least `size` bytes."""
    rest = split(block, size)
    set_status(block, LIVE)
    set_free_before(block, False)
    set_free_next(block, rest != 0)
    tell_before(block, False)
    if rest != 0:
        raise_figure(FIGURES, Figures.free_blocks, 1)
        put(rest)
    else:
        tell_next(block, False)
    raise_figure(FIGURES, Figures.live_blocks, 1)
    raise_figure(FIGURES, Figures.live_bytes, size_of(block))
    return block


def release(block: Word) -> None:
    """Free a live block. Nothing is merged, and nothing written but headers."""
    lower_figure(FIGURES, Figures.live_blocks, 1)
    lower_figure(FIGURES, Figures.live_bytes, size_of(block))
    retire(block, is_free_before(block), is_free_next(block))


def shrink(block: Word, size: Word) -> None:
    """Cut a live block down to `size` bytes, if that leaves enough for a block."""
    before = size_of(block)
    rest = split(block, size)
    if rest != 0:
        retire(rest, False, is_free_next(block))
        set_free_next(block, True)
    lower_figure(FIGURES, Figures.live_bytes, before - size_of(block))


def grow_into_next(block: Word, size: Word) -> bool:
    """Merge free next blocks, one at a time, until the live block has `size` bytes. Returns True on success."""
    before = size_of(block)
    while size_of(block) < size and has_free_next(block):
        pick(next_block(block))
        absorb_next(block)
    if is_free_next(block) and not has_free_next(block):
        set_free_next(block, False)
        tell_next(block, False)
    raise_figure(FIGURES, Figures.live_bytes, size_of(block) - before)
    return size_of(block) >= size


# ---- Growth ----


def can_grow(block: Word) -> bool:
    """Whether `block` is the top, the break is still right behind it, and we may move it."""
    return block != 0 and block == top and foreign_break() == 0 and not is_break_contested()


def grow_top(size: Word) -> bool:
    """Move the break so that the top has `size` bytes; a free one leaves the index. Returns True on success."""
    more = size - size_of(top)
    if not extend_break(heap_end() + more):
        return False
    if status_of(top) == FREE:
        pick(top)
        lower_figure(FIGURES, Figures.free_blocks, 1)
    else:
        raise_figure(FIGURES, Figures.live_bytes, more)
    set_size(top, size)
    raise_figure(FIGURES, Figures.heap_bytes, more)
    return True


def build_wall(wall: Word, limit: Word) -> None:
    """Begin a later segment that ends at `limit`; 0: it grows with the break."""
    make_block(wall, LIVE, limit, 0, True)
    link(WALLS, wall)
    raise_figure(FIGURES, OwnFigures.wall_blocks, 1)
    raise_figure(FIGURES, Figures.heap_bytes, META)


def new_top(size: Word) -> Word:
    """A block of `size` bytes at the end of the heap, behind memory of others that may be there; or 0."""
    global first, top
    foreign = round_up(foreign_break(), ALIGN)
    if is_break_contested():
        return 0
    place = foreign + META if foreign != 0 else round_up(heap_end(), ALIGN)
    block = place + META
    if not extend_break(block + size):
        return 0
    before: Word = 0
    if foreign != 0:
        build_wall(place, 0)
    elif top == 0:
        first = block
    else:
        before = size_of(top)
        set_edge(top, False)
    make_block(block, FREE, size, before, True)
    top = block
    raise_figure(FIGURES, Figures.heap_bytes, META + size)
    return block


def new_region(size: Word) -> Word:
    """A block of at least `size` bytes in a mapped segment, because the break cannot move; or 0."""
    minimum = META + META + size
    length = minimum if minimum > PREALLOC else PREALLOC
    region = map_pages(length)
    if region == 0 and length > minimum:
        length = minimum
        region = map_pages(length)
    if region == 0:
        return 0
    wall = region + META
    build_wall(wall, region + length)
    make_block(wall + META, FREE, length - META - META, 0, True)
    raise_figure(FIGURES, Figures.heap_bytes, length - META)
    return wall + META


def preallocate(size: Word) -> Word:
    """The first block of all, of PREALLOC bytes with its header; or 0."""
    if heap_end() == 0:
        find_break()
    block = new_top(PREALLOC - META)
    if block == 0:
        block = new_region(size)
    return block


def grow(size: Word) -> Word:
    """A block of `size` bytes from the system: the free top, extended, or a new one; or 0."""
    if can_grow(top) and status_of(top) == FREE:
        if grow_top(size):
            return top
    else:
        block = new_top(size)
        if block != 0:
            return block
    return new_region(size)


def find(size: Word) -> Word:
    """The best fit among the free blocks, all merged before; or 0."""
    merge_waiting()
    block = take_best_fit(size)
    if block != 0:
        lower_figure(FIGURES, Figures.free_blocks, 1)
    return block


def allocate(size: Word) -> Word:
    """A live block of at least `size` bytes, a multiple of 8. Or 0 if the system has no more memory."""
    block: Word = 0
    if is_in_use():
        block = find(size)
        if block == 0:
            block = grow(size)
    else:
        block = preallocate(size)
    if block == 0:
        return 0
    return hand_out(block, size)
