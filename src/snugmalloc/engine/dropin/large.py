"""Owns large blocks: each in a mapping of its own, and a few freed mappings that wait for the next request.

    mapping                        payload
    +----- ... ----+------+-------+---------------+
    | (alignment)  | head | ...   | payload       |
    +----- ... ----+------+-------+---------------+
                    head, the 32 bytes in front of the payload:
                    0 the newer mapping   8 the older   16 the mapping's end   24 its start, sealed

The seal is exclusive-or with the payload's address and a secret: it tells a large block from a pointer that is
none.

Freed mappings are kept as long as all memory taken stays below the highest that it ever was: keeping one never
raises the peak. The next request takes the smallest that suffices and leaves the rest, or lets the largest
grow. What nobody took within some large requests goes.
"""

from __future__ import annotations

from ..machine import (
    Word,
    divide_mapping,
    load_word,
    map_memory,
    page_size,
    random_word,
    remap_memory,
    reserve,
    store_word,
    unmap_memory,
)
from .figures import (
    KEPT_BYTES,
    MAPPED_BLOCKS,
    MAPPED_BYTES,
    MMAP_CALLS,
    MREMAP_CALLS,
    MUNMAP_CALLS,
    PEAK_SYSTEM_BYTES,
    SYSTEM_BYTES,
    count_in,
    count_out,
    figure,
    gave_back,
    lower_figure,
    may_take,
    raise_figure,
    took,
)
from .layout import IN_PAGE, LARGEST, ONE, UNIT, round_up
from .options import learn_threshold

HEAD = 32
OLDER = 8
END = 16
SEAL = 24
PLACES = 16
PLACE = 16
PATIENCE = 16  # large requests; what nobody took meanwhile goes
LEAST_KEPT = 65536  # bytes; a smaller rest stays with the block

KEPT = reserve(PLACES * PLACE)  # start and length of each, the oldest first; a length of 0: nothing

newest: Word = 0
live: Word = 0
requests: Word = 0
least_kept: Word = 0
is_new: bool = False


# ---- Heads ----


def seal_of(pointer: Word, start: Word) -> Word:
    """What the head of the large block at `pointer` says of the mapping's start."""
    return start ^ pointer ^ random_word()


def start_of(pointer: Word) -> Word:
    """Where the mapping of a large block begins."""
    return seal_of(pointer, load_word(pointer - HEAD + SEAL))


def end_of(pointer: Word) -> Word:
    """Where the mapping of a large block ends."""
    return load_word(pointer - HEAD + END)


def large_bytes(pointer: Word) -> Word:
    """The usable bytes of a large block."""
    return end_of(pointer) - pointer


def is_large(pointer: Word) -> bool:
    """Whether `pointer`, which is none of the heap's, is a large block."""
    if pointer & (UNIT - 1) != 0 or pointer < HEAD:
        return False
    start = start_of(pointer)
    return start & IN_PAGE == 0 and start < pointer and end_of(pointer) > pointer


def newest_large() -> Word:
    """The large block that was made last, or 0."""
    return newest


def live_large() -> Word:
    """The usable bytes of all large blocks."""
    return live


def older_large(pointer: Word) -> Word:
    """The large block made before this one, or 0."""
    return load_word(pointer - HEAD + OLDER)


def enlist(pointer: Word, start: Word, end: Word) -> None:
    """Write the head of a new large block."""
    global newest, live
    live += end - pointer
    head = pointer - HEAD
    store_word(head, 0)
    store_word(head + OLDER, newest)
    store_word(head + END, end)
    store_word(head + SEAL, seal_of(pointer, start))
    if newest != 0:
        store_word(newest - HEAD, pointer)
    newest = pointer


def delist(pointer: Word) -> None:
    """Take a large block out of the list."""
    global newest, live
    live -= large_bytes(pointer)
    store_word(pointer - HEAD + SEAL, 0)
    newer = load_word(pointer - HEAD)
    older = older_large(pointer)
    if older != 0:
        store_word(older - HEAD, newer)
    if newer != 0:
        store_word(newer - HEAD + OLDER, older)
    else:
        newest = older


# ---- Kept mappings ----


def kept_length(place: Word) -> Word:
    """The length of the kept mapping in this place, or 0."""
    return load_word(KEPT + place * PLACE + 8)


def remove_kept(place: Word) -> Word:
    """Take the mapping out of its place; those behind it move up. Its start."""
    start = load_word(KEPT + place * PLACE)
    lower_figure(KEPT_BYTES, kept_length(place))
    while place < PLACES - 1:
        store_word(KEPT + place * PLACE, load_word(KEPT + (place + 1) * PLACE))
        store_word(KEPT + place * PLACE + 8, kept_length(place + 1))
        place += 1
    store_word(KEPT + place * PLACE + 8, 0)
    return start


def unmap(start: Word, length: Word) -> None:
    """Give a mapping back."""
    raise_figure(MUNMAP_CALLS, 1)
    if unmap_memory(start, length):
        gave_back(length)


def drop_oldest() -> bool:
    """Give the oldest kept mapping back; whether there was one."""
    length = kept_length(0)
    if length == 0:
        return False
    unmap(remove_kept(0), length)
    return True


def drop_all() -> bool:
    """Give all kept mappings back; whether there were any."""
    any_kept = drop_oldest()
    if any_kept:
        while drop_oldest():
            pass
    return any_kept


def keep(start: Word, length: Word) -> None:
    """A mapping is not used any more: keep it for the next large request."""
    if kept_length(PLACES - 1) != 0:
        drop_oldest()
    place: Word = 0
    while kept_length(place) != 0:
        place += 1
    store_word(KEPT + place * PLACE, start)
    store_word(KEPT + place * PLACE + 8, length)
    raise_figure(KEPT_BYTES, length)


def find_kept(length: Word) -> Word:
    """The place of the smallest kept mapping of at least `length` bytes, else of the largest, or PLACES."""
    best = PLACES * ONE
    for place in range(PLACES):
        found = kept_length(place)
        if found == 0:
            return best
        if best == PLACES:
            best = place
        elif kept_length(best) < length:
            best = place if found > kept_length(best) else best
        elif found >= length and found < kept_length(best):
            best = place
    return best


def keep_below_peak() -> None:
    """The heap may have grown: mappings are not kept at the price of a higher peak."""
    while figure(SYSTEM_BYTES) == figure(PEAK_SYSTEM_BYTES) and drop_oldest():
        pass


def age() -> None:
    """A large request was made. What was kept all the time during the last few is not needed: it goes."""
    global requests, least_kept
    requests += 1
    least_kept = figure(KEPT_BYTES) if figure(KEPT_BYTES) < least_kept else least_kept
    if requests < PATIENCE:
        return
    idle = least_kept
    while idle != 0 and idle >= kept_length(0):
        idle -= kept_length(0)
        drop_oldest()
    requests = 0
    least_kept = figure(KEPT_BYTES)


def reuse(length: Word) -> Word:
    """The start of a kept mapping, cut or grown to `length` bytes, or 0."""
    place = find_kept(length)
    if place == PLACES:
        return 0
    found = kept_length(place)
    start = remove_kept(place)
    if found >= length + LEAST_KEPT:
        divide_mapping(start, length)
        keep(start + length, found - length)
    elif found != length:
        start = grow_kept(start, found, length)
    return start


def grow_kept(start: Word, found: Word, length: Word) -> Word:
    """A mapping that was kept gets `length` bytes; 0 if that is refused, and then it is gone."""
    more = length - found if length > found else 0
    make_room(more)
    moved: Word = 0
    if may_take(more):
        raise_figure(MREMAP_CALLS, 1)
        moved = remap_memory(start, found, length)
    if moved == 0:
        unmap(start, found)
    elif more != 0:
        took(more)
    else:
        gave_back(found - length)
    return moved


def make_room(length: Word) -> None:
    """Kept mappings go if with `length` more the total would be the highest ever."""
    while figure(SYSTEM_BYTES) + length > figure(PEAK_SYSTEM_BYTES) and drop_oldest():
        pass


def map_new(length: Word) -> Word:
    """A new mapping within the limit. Its start, or 0."""
    make_room(length)
    if not may_take(length):
        return 0
    raise_figure(MMAP_CALLS, 1)
    start = map_memory(length)
    if start == 0 and drop_all():
        raise_figure(MMAP_CALLS, 1)
        start = map_memory(length)
    if start != 0:
        took(length)
    return start


# ---- Blocks ----


def is_zeroed() -> bool:
    """Whether the block that `map_large` gave last reads as zero."""
    return is_new


def map_large(size: Word, alignment: Word) -> Word:
    """A block of `size` bytes at a multiple of `alignment` in a mapping of its own, or 0."""
    global is_new
    slack = alignment if alignment > UNIT else 0
    if size + slack > LARGEST:
        return 0
    length = round_up(size + HEAD + slack, page_size())
    age()
    start = reuse(length)
    is_new = start == 0
    if start == 0:
        start = map_new(length)
        if start == 0:
            return 0
    pointer = round_up(start + HEAD, alignment)
    enlist(pointer, start, start + length)
    raise_figure(MAPPED_BYTES, length)
    raise_figure(MAPPED_BLOCKS, 1)
    count_out(start + length - pointer, 1)
    return pointer


def free_large(pointer: Word) -> None:
    """Free a large block."""
    start = start_of(pointer)
    length = end_of(pointer) - start
    count_in(large_bytes(pointer), 1)
    delist(pointer)
    lower_figure(MAPPED_BYTES, length)
    lower_figure(MAPPED_BLOCKS, 1)
    keep(start, length)
    learn_threshold(length)


def resize_large(pointer: Word, size: Word) -> Word:
    """Give a large block `size` bytes, wherever it then lies. The block, or 0 and it is as it was."""
    start = start_of(pointer)
    before = end_of(pointer) - start
    length = round_up(pointer - start + size, page_size())
    if length == before:
        return pointer
    if length > before and not may_take(length - before):
        return 0
    delist(pointer)
    raise_figure(MREMAP_CALLS, 1)
    moved = remap_memory(start, before, length)
    if moved == 0 and length > before and drop_all():
        raise_figure(MREMAP_CALLS, 1)
        moved = remap_memory(start, before, length)
    if moved == 0:
        enlist(pointer, start, start + before)
        return 0
    if length > before:
        took(length - before)
        raise_figure(MAPPED_BYTES, length - before)
        count_out(length - before, 0)
    else:
        gave_back(before - length)
        lower_figure(MAPPED_BYTES, before - length)
        count_in(before - length, 0)
    pointer = moved + (pointer - start)
    enlist(pointer, moved, moved + length)
    return pointer
