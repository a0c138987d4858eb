"""Owns the heap of blocks: its segments, growth, best fit, split, and coalescing at once.

A segment is a run of pages of ours, filled with blocks without gaps. The first grows with the break:

    | block | block | ... | block |s      s: the sentinel, a tag with size 0 in the record of the page behind

There are more segments only where the system did not let it go on: somebody else moved the break (it goes on
behind), or the break was refused (it goes on in a region reserved for that). Segments that touch are one.
Beside another malloc, in a process that only imported or linked us late, the break is left to that one from the
beginning: it takes no lock of ours, and two who look at the break and move it at the same moment take the same
memory.

A block that is free has no free neighbour. It is in a bin, unless it is the wilderness: the free block that
ends where the heap grew last. That one is split only for what fits nowhere else, and needs no bin to be found.

Pages that lie wholly inside a free block are marked in the page map, so that `purge` finds them; taking the
block clears the marks of the pages that it needs.
"""

from __future__ import annotations

from ..machine import (
    Int,
    Word,
    clear_bytes,
    commit_range,
    is_process_malloc,
    known_break,
    likely,
    load_half,
    move_break,
    multiply,
    page_size,
    reserve_range,
    store_word,
    system_break,
    unmap_memory,
)
from .bins import behind, bin_of, find, first_in, indexed_blocks, next_bin, put, take
from .block import (
    FREE_BEFORE,
    OWN,
    SIZE_SHIFT,
    USED,
    free_before,
    is_used,
    next_block,
    set_size_before,
    set_tag,
    size_of,
    tag_at,
    usable_bytes,
)
from .figures import (
    BRK_CALLS,
    HEAP_BYTES,
    MMAP_CALLS,
    MUNMAP_CALLS,
    count_in,
    count_out,
    figure,
    gave_back,
    lower_figure,
    may_take,
    raise_figure,
    took,
)
from .layout import (
    ALL_BITS,
    GIB,
    HEADER,
    IN_PAGE,
    MEDIUM_UNITS,
    MIB,
    MOST_UNITS,
    ONE,
    PAGE,
    PAGE_UNITS,
    UNIT_SHIFT,
    round_up,
)
from .options import prealloc
from .pages import (
    BLOCKS,
    DIRTY,
    DIRTY_BITS,
    EIGHT_BLOCKS,
    FOREIGN,
    FRESH,
    LONG,
    PURGED,
    SPARE_BITS,
    cover,
    eight_kinds,
    has_window,
    kind_of,
    page_address,
    page_of,
    set_eight_kinds,
    set_kind,
    set_kinds,
    set_up_window,
    use_pages,
    window_base,
    window_end,
)

GROWTH = 131072
MOST_GROWTH = 4 * MIB
GROWTH_SHIFT: Int = 4  # the heap grows by a sixteenth of itself, between these two
REGION = 32 * GIB
LEAST_REGION = 16 * MIB
BEFORE_SHIFT: Int = 32
SURE_PAGE_UNITS = 2 * PAGE_UNITS - 1  # a block of so many units has a whole page inside, wherever it begins
LOOK_AT = 4
EIGHT = 8 * ONE
ALL_BIT_COUNT = 64
SUM_OF_BYTES = 0x0101_0101_0101_0101  # a product with it has the sum of all bytes in its highest one
SUM_SHIFT: Int = 58  # and bit 2 of a byte counts for one

break_end: Word = 0
region_end: Word = 0
region_limit: Word = 0
heap_end: Word = 0
end_units: Word = 0
dirty: Word = 0
spare: Word = 0
refaults: Word = 0
run: Word = 0


# ---- Marks of pages ----


def dirty_pages() -> Word:
    """How many pages lie wholly inside free blocks and have not been given back."""
    return dirty


def spare_pages() -> Word:
    """How many pages lie wholly inside free blocks and are the system's: given back, or never touched."""
    return spare


def give_dirty(count: Word) -> None:
    """So many dirty pages were given back."""
    global dirty, spare
    dirty -= count
    spare += count


def take_refaults() -> Word:
    """How many pages were needed again after they had been given back, since the last time."""
    global refaults
    count = refaults
    refaults = 0
    return count


def mark_free(block: Word, size: Word, low: Word, high: Word) -> None:
    """`size` units at `block` became part of a free block from `low` to `high`: mark its new whole pages."""
    global dirty
    page = page_of(block)
    first = page_of(low + IN_PAGE)
    end = page_of(next_block(block, size) + IN_PAGE)
    last = page_of(high)
    page = first if first > page else page
    end = last if last < end else end
    if page < end:
        dirty += end - page
        set_kinds(page, end, DIRTY)


def claim_pages(page: Word, end: Word) -> None:
    """Pages are needed: clear their marks."""
    global dirty, spare, refaults
    while page < end:
        kind = kind_of(page)
        if kind == DIRTY:
            dirty -= 1
        elif kind != BLOCKS:
            spare -= 1
            refaults += kind == PURGED
        set_kind(page, BLOCKS)
        page += 1


def claim(block: Word, size: Word) -> None:
    """The `size` units at `block` are needed: clear the marks of their pages, up to eight at once."""
    global dirty
    page = page_of(block)
    end = page_of(next_block(block, size) + IN_PAGE)
    if likely(end - page <= EIGHT):
        mask = ALL_BITS >> (ALL_BIT_COUNT - (end - page) * 8)
        kinds = eight_kinds(page)
        if likely(kinds & mask & SPARE_BITS == 0):
            dirty -= multiply(kinds & mask & DIRTY_BITS, SUM_OF_BYTES) >> SUM_SHIFT
            set_eight_kinds(page, (kinds & ~mask) | (EIGHT_BLOCKS & mask))
            return
    claim_pages(page, end)


def claim_cleared(block: Word, size: Word) -> None:
    """The same, and the payload reads as zero after it: pages that the kernel gives anew do so anyway."""
    page = page_of(block)
    stop = next_block(block, size)
    end = page_of(stop + IN_PAGE)
    stop -= HEADER
    while page < end:
        kind = kind_of(page)
        if kind != FRESH and kind != PURGED:
            low = page_address(page)
            high = low + PAGE
            low = block if low < block else low
            high = stop if high > stop else high
            if low < high:
                clear_bytes(low, high - low)
        page += 1
    claim(block, size)


def mark_long(block: Word, size: Word) -> None:
    """`size` units at `block` are in use: where that is long, the page map tells."""
    if size >= MEDIUM_UNITS:
        set_kind(page_of(block) + 1, LONG)


# ---- Coalescing ----


def wilderness() -> Word:
    """The units of the free block at the end that the heap grew at last, or 0."""
    return end_units


def free_blocks() -> Word:
    """How many blocks are free."""
    return indexed_blocks() + 1 if end_units != 0 else indexed_blocks()


def is_indexed(block: Word, size: Word) -> bool:
    """Whether a free block belongs in a bin: all do but the wilderness."""
    return next_block(block, size) != heap_end


def index(block: Word, size: Word) -> None:
    """`size` units at `block`, tagged as free, can be found from now on."""
    global end_units
    if is_indexed(block, size):
        put(block, size)
    else:
        end_units = size


def detach(block: Word, size: Word) -> None:
    """The free block of `size` units cannot be found any more."""
    global end_units
    if is_indexed(block, size):
        take(block, size)
    else:
        end_units = 0


def merge(block: Word, size: Word) -> None:
    """`size` units at `block` become free: one block with its free neighbours, where it can be found."""
    start = block
    total = size
    behind_it = next_block(block, size)
    tag = load_half(tag_at(behind_it))
    if tag & USED == 0 and total + (tag >> SIZE_SHIFT) <= MOST_UNITS:
        detach(behind_it, tag >> SIZE_SHIFT)
        total += tag >> SIZE_SHIFT
    before = free_before(block)
    if before != 0 and total + before <= MOST_UNITS:
        start = block - (before << UNIT_SHIFT)
        take(start, before)
        total += before
    set_tag(start, total, 0)
    stop = next_block(start, total)
    set_size_before(stop, total | FREE_BEFORE)
    index(start, total)
    if total >= PAGE_UNITS:
        mark_free(block, size, start, stop)


# ---- Segments ----


def move_end(end: Word) -> None:
    """The heap ends at `end` now, or nowhere if that is 0: what was the wilderness is a block like others."""
    global heap_end, end_units
    size = end_units
    block = heap_end - (size << UNIT_SHIFT)
    heap_end = end
    end_units = 0
    if size != 0:
        put(block, size)


def add_memory(start: Word, end: Word) -> bool:
    """Pages that the system gave join the heap, and the segments that they touch. Whether that went."""
    global dirty, spare
    if not has_window() and not set_up_window(start - PAGE):
        return False
    if start <= window_base() or end >= window_end() or not cover(start, end):
        return False
    size = (end - start) >> UNIT_SHIFT
    if kind_of(page_of(start) - 1) == FOREIGN:
        set_size_before(start, 0)
    set_tag(start, size, USED)
    if kind_of(page_of(end)) == FOREIGN:
        set_tag(end, 0, USED)
        move_end(end)
    else:
        move_end(0)
    set_size_before(end, size)
    use_pages(page_of(end))
    raise_figure(HEAP_BYTES, end - start)
    took(end - start)
    merge(start, size)
    set_kinds(page_of(start), page_of(end), FRESH)
    dirty -= page_of(end) - page_of(start)
    spare += page_of(end) - page_of(start)
    return True


def grow_break(count: Word) -> bool:
    """Move the break up by `count` bytes, behind what somebody else may have put there. Whether that went."""
    global break_end
    now = system_break() if break_end == 0 else known_break()
    if now < break_end:
        return False
    start = now if now == break_end else round_up(now, page_size())
    raise_figure(BRK_CALLS, 1)
    if not move_break(start + count):
        return False
    if not add_memory(start, start + count):
        move_break(now)
        return False
    break_end = start + count
    return True


def reserve_region() -> bool:
    """Reserve addresses for the heap to go on in without the break. Whether that went."""
    global region_end, region_limit
    hint: Word = 0
    length = REGION * ONE
    if has_window():
        length = (window_end() - window_base()) >> 1
        hint = window_base() + (length >> 1)
    while length >= LEAST_REGION:
        start = reserve_range(hint, length)
        raise_figure(MMAP_CALLS, 1)
        if start != 0:
            if not has_window() or (start > window_base() and start + length < window_end()):
                region_end = start
                region_limit = start + length
                return True
            unmap_memory(start, length)
            raise_figure(MUNMAP_CALLS, 1)
        length >>= 1
    return False


def grow_region(count: Word) -> bool:
    """Take `count` bytes more of the region; a new one that gives nothing is dropped. Whether that went."""
    global region_end
    is_new = region_end == 0
    if is_new and not reserve_region():
        return False
    room = region_limit - region_end
    if count <= room and commit_range(region_end, count) and add_memory(region_end, region_end + count):
        region_end += count
        return True
    if is_new:
        unmap_memory(region_end, room)
        raise_figure(MUNMAP_CALLS, 1)
        region_end = 0
    return False


def extend(count: Word) -> bool:
    """Get `count` bytes more for the heap. Whether that went."""
    if not may_take(count):
        return False
    has_break = is_process_malloc()
    if region_end == 0 and has_break and grow_break(count):
        return True
    if grow_region(count):
        return True
    return region_end != 0 and has_break and grow_break(count)


def grow(size: Word) -> bool:
    """Make the heap larger, so that a block of `size` units can be had. Whether that went."""
    need = size << UNIT_SHIFT
    at_end = end_units << UNIT_SHIFT
    need = round_up(need - at_end if need > at_end else need, page_size())
    step = figure(HEAP_BYTES) >> GROWTH_SHIFT
    step = GROWTH if step < GROWTH else step
    step = MOST_GROWTH if step > MOST_GROWTH else step
    step = round_up(prealloc() if figure(HEAP_BYTES) == 0 else step, page_size())
    if step > need and extend(step):
        return True
    return extend(need)


def trim(pad: Word) -> Word:
    """Move the break down, so that `pad` bytes and at least a page stay free below it. The bytes given back."""
    global break_end, heap_end, dirty, spare
    before = free_before(break_end) if break_end != 0 else 0
    if before == 0 or known_break() != break_end:
        return 0
    block = break_end - (before << UNIT_SHIFT)
    end = round_up(block + pad + PAGE, page_size())
    if end >= break_end:
        return 0
    raise_figure(BRK_CALLS, 1)
    if not move_break(end):
        return 0
    for page in range(page_of(end), page_of(break_end)):
        kind = kind_of(page)
        if kind == DIRTY:
            dirty -= 1
        else:
            spare -= 1
        set_kind(page, FOREIGN)
    count = break_end - end
    size = (end - block) >> UNIT_SHIFT
    detach(block, before)
    heap_end = end if heap_end == break_end else heap_end
    set_tag(block, size, 0)
    index(block, size)
    set_tag(end, 0, USED)
    set_size_before(end, size | FREE_BEFORE)
    break_end = end
    lower_figure(HEAP_BYTES, count)
    gave_back(count)
    return count


# ---- Taking blocks ----


def grow_for(size: Word) -> Word:
    """The wilderness, once it has at least `size` units; or a block that came of growing elsewhere. Or 0."""
    block: Word = 0
    while block == 0 and end_units < size:
        if not grow(size):
            return 0
        block = find(size)
    return block if block != 0 else heap_end - (end_units << UNIT_SHIFT)


def at_the_end(size: Word) -> Word:
    """The same where no bin has one: at the end of the heap, which grows if it must."""
    return heap_end - (end_units << UNIT_SHIFT) if likely(end_units >= size) else grow_for(size)


def find_or_grow(size: Word) -> Word:
    """A free block of at least `size` units, or 0. It can be found until it is taken out."""
    block = find(size)
    return block if block != 0 else at_the_end(size)


def split(block: Word, found: Word, size: Word) -> None:
    """Of a block of `found` units that cannot be found use `size`; the rest can be."""
    rest = found - size
    stop = next_block(block, found)
    if rest != 0:
        remainder = next_block(block, size)
        store_word(tag_at(remainder), size << BEFORE_SHIFT | rest << SIZE_SHIFT)
        set_size_before(stop, rest | FREE_BEFORE)
        index(remainder, rest)
    else:
        set_size_before(stop, size)
    set_tag(block, size, USED)


def hand_out(block: Word, size: Word) -> Word:
    """Use `size` units of a free block that was found, or 0 if none was."""
    if block == 0:
        return 0
    found = size_of(block)
    detach(block, found)
    split(block, found, size)
    if found >= PAGE_UNITS:
        claim(block, size)
        mark_long(block, size)
    count_out(usable_bytes(size), 1)
    return block


def allocate(size: Word) -> Word:
    """A block of `size` units, or 0."""
    return hand_out(find_or_grow(size), size)


def allocate_cleared(size: Word) -> Word:
    """A block of `size` units whose payload reads as zero, or 0."""
    block = find_or_grow(size)
    if block == 0:
        return 0
    found = size_of(block)
    detach(block, found)
    split(block, found, size)
    claim_cleared(block, size)
    mark_long(block, size)
    count_out(usable_bytes(size), 1)
    return block


def run_length() -> Word:
    """How many blocks `allocate_run` gave last."""
    return run


def allocate_run(size: Word, most: Word) -> Word:
    """Up to `most` blocks of `size` units side by side, linked through their first words. Or 0."""
    global run
    block = find_or_grow(size)
    if block == 0:
        return 0
    found = size_of(block)
    count = found // size
    count = most if count > most else count
    run = count
    detach(block, found)
    split(block, found, count * size)
    if found >= PAGE_UNITS:
        claim(block, count * size)
    count_out(usable_bytes(size) * count, count)
    if count == 1:
        store_word(block, 0)
        return block
    set_tag(block, size, USED)
    last = next_block(block, (count - 1) * size)
    part = block
    while part != last:
        following = next_block(part, size)
        store_word(part, following)
        store_word(tag_at(following), size << BEFORE_SHIFT | size << SIZE_SHIFT | USED)
        part = following
    store_word(last, 0)
    set_size_before(next_block(last, size), size)
    return block


def carve(block: Word, start: Word, size: Word) -> None:
    """Take `size` units at `start` out of the free block that begins at `block`; what is left stays free."""
    found = size_of(block)
    detach(block, found)
    lead = (start - block) >> UNIT_SHIFT
    if lead != 0:
        set_tag(block, lead, 0)
        put(block, lead)  # something stands behind it: it is not the wilderness
        store_word(tag_at(start), (lead | FREE_BEFORE) << BEFORE_SHIFT)
    split(start, found - lead, size)
    claim(start, size)


def allocate_aligned(size: Word, alignment: Word) -> Word:
    """A block of `size` units at a multiple of `alignment`, a power of two and at least 32. Or 0."""
    block = find_or_grow(size + (alignment >> UNIT_SHIFT) - 1)
    if block == 0:
        return 0
    start = round_up(block, alignment)
    carve(block, start, size)
    mark_long(start, size)
    count_out(usable_bytes(size), 1)
    return start


def page_within(block: Word) -> bool:
    """Whether a whole page lies inside the free block."""
    return round_up(block, PAGE) + PAGE <= next_block(block, size_of(block))


def find_page() -> Word:
    """A free block with a whole page inside, the smallest that is easily found, or 0."""
    number = next_bin(bin_of(PAGE_UNITS))
    while number < bin_of(SURE_PAGE_UNITS):
        block = first_in(number)
        for _ in range(LOOK_AT):
            if block != 0:
                if page_within(block):
                    return block
                block = behind(block)
        number = next_bin(number + 1)
    return find_or_grow(SURE_PAGE_UNITS)


def allocate_page() -> Word:
    """A page for a slab: a block that is just that page, or 0."""
    block = find_page()
    if block == 0:
        return 0
    page = round_up(block, PAGE)
    carve(block, page, PAGE_UNITS)
    return page


# ---- Giving blocks back, and changing them ----


def free_page(page: Word) -> None:
    """A slab's page is a page of the heap again."""
    set_kind(page_of(page), BLOCKS)
    merge(page, PAGE_UNITS)


def free_block(block: Word, size: Word) -> None:
    """Free a block of `size` units."""
    count_in(usable_bytes(size), 1)
    merge(block, size)


def shrink_block(block: Word, before: Word, size: Word) -> None:
    """Cut a block of `before` units down to `size`, which is less."""
    rest = before - size
    set_tag(block, size, USED)
    if before >= MEDIUM_UNITS and size < MEDIUM_UNITS:
        set_kind(page_of(block) + 1, BLOCKS)
    remainder = next_block(block, size)
    store_word(tag_at(remainder), size << BEFORE_SHIFT | rest << SIZE_SHIFT | USED)
    count_in(rest << UNIT_SHIFT, 0)
    merge(remainder, rest)


def grow_block(block: Word, before: Word, size: Word) -> bool:
    """Let a block of `before` units have `size` by taking from a free block behind it. Whether that went."""
    neighbour = next_block(block, before)
    if is_used(neighbour):
        return False
    more = size_of(neighbour)
    if before + more < size:
        return False
    detach(neighbour, more)
    split(block, before + more, size)
    if more >= PAGE_UNITS:
        claim(neighbour, size - before)
    mark_long(block, size)
    count_out((size - before) << UNIT_SHIFT, 0)
    return True


def set_aside(size: Word) -> Word:
    """A block of `size` units for the heap's own use, for ever. Or 0."""
    block = allocate(size)
    if block != 0:
        set_tag(block, size, USED | OWN)
        count_in(usable_bytes(size), 1)
    return block
