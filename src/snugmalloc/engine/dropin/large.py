"""Owns the mappings: large blocks, each in one of its own, and spare ones, freed but not unmapped.

    mapping   +----------------- payload ------------------+
              ^ the block: it begins where the mapping does, with a page

Nothing of ours is in it. The kind of its first page is MAPPING, or SPARE when it was freed; its tag and links
are beside the page map:

    tag       the mapping's length in bytes; bit 0: it is clean, all of it was given back
              the second page's, while the block is in use: the heap that it belongs to
    links     its neighbours in one of two lists: of blocks in use, and of spare mappings

A spare mapping is free memory like the heap's: dirty until `purge` unmaps it, and taken before the system is
asked for more. The next request takes the smallest that suffices, and the remainder stays spare. If the system
refuses to unmap one (a process may have some 65,000 mappings, and a hole makes two of one), it is purged and
kept, and the heap serves large requests until one is unmapped again.

Slow system calls are made without the lock; their mapping is in no list meanwhile.
"""

from __future__ import annotations

from ..common.figures import figure, lower_figure, raise_figure
from ..common.sizes import ONE, round_up
from ..machine import (
    Word,
    clear_bytes,
    load_word,
    move_mapping,
    page_size,
    purge_memory,
    resize_mapping,
    store_word,
    unlikely,
    unmap_memory,
)
from .chain import enter_list, first_of, newer, older, unlink
from .chunks import MAP_EVENT, PURGE_EVENT, UNMAP_EVENT
from .control import Heap, lock_heap, unlock_heap
from .figures import Figures, count_in, count_out, gave_back, may_take, took
from .layout import IN_PAGE, PAGE, PAGE_SHIFT
from .marks import count_gone, count_new
from .pages import (
    ADDRESS_BITS,
    FOREIGN,
    MAPPING,
    SPARE,
    cover,
    is_heap_kind,
    kind_at,
    owner_of_page,
    page_of,
    page_tag,
    set_kind,
)
from .refusals import allows, map_or_note, note_reason
from .rows import note_moment, record_move, record_range
from .tracefile import is_recording

CLEAN = 1
LOOK_AT_SPARE = 32


# ---- One mapping ----


def length_of(mapping: Word) -> Word:
    """The mapping's length in bytes."""
    return load_word(page_tag(mapping)) & ~CLEAN


def is_clean(mapping: Word) -> bool:
    """Whether all of a mapping was given back, so that it reads as zero."""
    return load_word(page_tag(mapping)) & CLEAN != 0


def is_mapped_block(pointer: Word) -> bool:
    """Whether a large block in use begins here."""
    return pointer & IN_PAGE == 0 and kind_at(pointer) == MAPPING


def newest_large(heap: Heap) -> Word:
    """The large block that was made last, or 0."""
    return first_of(heap, heap + Heap.newest_used)


def newest_freed(heap: Heap) -> Word:
    """The spare mapping that was freed last, or 0."""
    return first_of(heap, heap + Heap.newest_spare)


def bytes_in_flight(heap: Heap) -> Word:
    """Bytes counted as taken from the system, in no list while a system call on them is in progress."""
    return heap.in_flight


def dirty_spare_pages(heap: Heap) -> Word:
    """How many pages of spare mappings may be resident."""
    return heap.dirty_spare >> PAGE_SHIFT


def cover_mapping(mapping: Word) -> bool:
    """Make the leaves for a mapping's tags and links. Returns True on success."""
    return cover(mapping, mapping + PAGE)


def owner_of(pointer: Word) -> Heap:
    """The heap of a block in use, or of a slab."""
    if kind_at(pointer) == MAPPING:
        return Heap(load_word(page_tag(pointer + PAGE)))
    return owner_of_page(page_of(pointer))


# ---- The two lists ----


def add_used(heap: Heap, mapping: Word, length: Word, clean: Word) -> None:
    """Add the mapping to the blocks in use; it reads as zero if it is `clean`."""
    store_word(page_tag(mapping), length | clean)
    store_word(page_tag(mapping + PAGE), heap)
    enter_list(heap, heap + Heap.newest_used, mapping)
    set_kind(page_of(mapping), MAPPING)
    raise_figure(heap, Figures.mapped_bytes, length)
    raise_figure(heap, Figures.mapped_blocks, 1)
    count_out(heap, length, 1)


def remove_used(heap: Heap, mapping: Word) -> None:
    """Remove the mapping from the blocks in use."""
    length = length_of(mapping)
    unlink(heap, heap + Heap.newest_used, mapping)
    set_kind(page_of(mapping), FOREIGN)
    lower_figure(heap, Figures.mapped_bytes, length)
    lower_figure(heap, Figures.mapped_blocks, 1)
    count_in(heap, length, 1)


def add_spare(heap: Heap, mapping: Word, length: Word, clean: Word) -> None:
    """Add the mapping to the spare ones."""
    store_word(page_tag(mapping), length | clean)
    enter_list(heap, heap + Heap.newest_spare, mapping)
    heap.first_spare = mapping if heap.first_spare == 0 else heap.first_spare
    set_kind(page_of(mapping), SPARE)
    raise_figure(heap, Figures.kept_bytes, length)
    heap.dirty_spare += 0 if clean != 0 else length


def remove_spare(heap: Heap, mapping: Word) -> None:
    """Remove the mapping from the spare ones."""
    length = length_of(mapping)
    heap.first_spare = newer(heap, mapping) if heap.first_spare == mapping else heap.first_spare
    unlink(heap, heap + Heap.newest_spare, mapping)
    set_kind(page_of(mapping), FOREIGN)
    lower_figure(heap, Figures.kept_bytes, length)
    heap.dirty_spare -= 0 if is_clean(mapping) else length


def record_mapping(heap: Heap, event: Word, start: Word, count: Word) -> None:
    """While calls are recorded: record an event about this memory of a mapping."""
    if unlikely(is_recording()) and heap.is_private == 0:
        record_range(event, start, count)


# ---- Spare mappings ----


def find_spare(heap: Heap, length: Word, alignment: Word) -> Word:
    """The smallest aligned spare mapping of at least `length` bytes, of those freed last; or 0."""
    best: Word = 0
    mapping = newest_freed(heap)
    looked_at: Word = 0
    while mapping != 0 and looked_at < LOOK_AT_SPARE:
        looked_at += 1
        found = length_of(mapping)
        if found >= length and mapping & (alignment - 1) == 0 and (best == 0 or found < length_of(best)):
            best = mapping
        mapping = older(heap, mapping)
    return best


def take_spare(heap: Heap, length: Word, alignment: Word) -> Word:
    """A large block of `length` bytes from a spare mapping, or 0. The remainder stays spare."""
    mapping = find_spare(heap, length, alignment)
    if mapping == 0:
        return 0
    clean = load_word(page_tag(mapping)) & CLEAN
    found = length_of(mapping)
    if found != length and not cover_mapping(mapping + length):
        return 0
    remove_spare(heap, mapping)
    if found != length:
        add_spare(heap, mapping + length, found - length, clean)
    add_used(heap, mapping, length, clean)
    return mapping


def oldest_spare(heap: Heap, dirty: bool) -> Word:
    """The spare mapping that was freed first; with `dirty` the first of those that may be resident; or 0."""
    mapping = heap.first_spare
    looked_at: Word = 0
    while mapping != 0 and dirty and is_clean(mapping) and looked_at < LOOK_AT_SPARE:
        mapping = newer(heap, mapping)
        looked_at += 1
    return mapping


def unmap_spare(heap: Heap, dirty: bool) -> bool:
    """Unmap the oldest spare mapping, with `dirty` of those that may be resident. Returns True on success."""
    held = lock_heap(heap)
    mapping = oldest_spare(heap, dirty)
    length: Word = 0
    if mapping != 0:
        length = length_of(mapping)
        remove_spare(heap, mapping)
        heap.in_flight += length
        raise_figure(heap, Figures.munmap_calls, 1)
    unlock_heap(heap, held)
    if mapping == 0:
        return False
    unmapped = unmap_memory(mapping, length)
    emptied = unmapped or purge_memory(mapping, length)
    held = lock_heap(heap)
    heap.in_flight -= length
    heap.is_refused = 1 if not unmapped else 0
    if unmapped:
        gave_back(heap, length)
        count_gone(heap, length >> PAGE_SHIFT)
    else:
        add_spare(heap, mapping, length, CLEAN if emptied else 0)
    unlock_heap(heap, held)
    if emptied:
        record_mapping(heap, UNMAP_EVENT if unmapped else PURGE_EVENT * ONE, mapping, length)
    return unmapped


def is_short_of_mappings(heap: Heap) -> bool:
    """Whether the system refused to unmap part of a mapping: it refuses new ones, too, but not the break."""
    return heap.is_refused != 0


def unmap_spares(heap: Heap) -> bool:
    """Unmap all spare mappings, or until the system refuses. Returns True if one was unmapped."""
    any_unmapped = False
    while unmap_spare(heap, False):
        any_unmapped = True
    return any_unmapped


# ---- Taking and freeing: called without the lock ----


def mapping_length(size: Word) -> Word:
    """The length of a mapping for `size` bytes, at least two pages, or 0 if it exceeds the address space."""
    return round_up(size if size > PAGE else PAGE + ONE, page_size()) if size >> ADDRESS_BITS == 0 else 0


def take_room(heap: Heap, length: Word) -> bool:
    """Under the lock: count `length` bytes as taken from the system. Returns False if the limit forbids it."""
    if not allows(heap, length):
        return False
    raise_figure(heap, Figures.system_bytes, length)
    heap.in_flight += length
    return True


def give_fresh(heap: Heap, start: Word, length: Word) -> None:
    """Unmap new pages that are not needed; those that the system refuses to unmap become a spare mapping.

    If a limit forbids that, they are left as they are: none of them is resident.
    """
    if length == 0 or unmap_memory(start, length):
        return
    if is_heap_kind(kind_at(start - 1)):  # see map_pages: the first page is left over
        start += page_size()
        length -= page_size()
    held = lock_heap(heap)
    heap.is_refused = 1
    if length != 0 and may_take(heap, length) and cover_mapping(start):
        took(heap, length)
        add_spare(heap, start, length, CLEAN)
    unlock_heap(heap, held)


def map_apart(heap: Heap, length: Word, alignment: Word, slack: Word) -> Word:
    """A new mapping of `length` bytes at a multiple of `alignment`, cut out of one with `slack` more; or 0."""
    found = map_or_note(length + slack)
    if found == 0 or slack == 0:
        return found
    start = round_up(found, alignment)
    if slack > alignment and is_heap_kind(kind_at(start - 1)):
        start += alignment
    give_fresh(heap, found, start - found)
    give_fresh(heap, start + length, found + slack - start)
    return start


def map_pages(heap: Heap, length: Word, alignment: Word) -> Word:
    """A new mapping of `length` bytes at a multiple of `alignment`, at least a page. Its start, or 0.

    It does not begin where a segment of the heap ends: the tag of the page there is the segment's sentinel.
    """
    start = map_apart(heap, length, alignment, alignment - page_size())
    if start != 0 and is_heap_kind(kind_at(start - 1)):
        give_fresh(heap, start, length)
        start = map_apart(heap, length, alignment, alignment + alignment)
    return start


def make_room_for(heap: Heap, length: Word) -> None:
    """Unmap spare mappings if `length` more bytes would make a new peak."""
    while (
        dirty_spare_pages(heap) != 0
        and figure(heap, Figures.system_bytes) + length > figure(heap, Figures.peak_system_bytes)
        and unmap_spare(heap, True)
    ):
        pass


def map_new(heap: Heap, length: Word, alignment: Word) -> Word:
    """A large block in a new mapping, or 0."""
    make_room_for(heap, length)
    held = lock_heap(heap)
    allowed = take_room(heap, length)
    if allowed:
        raise_figure(heap, Figures.mmap_calls, 1)
    unlock_heap(heap, held)
    if not allowed:
        return 0
    mapping = map_pages(heap, length, alignment)
    held = lock_heap(heap)
    covered = mapping != 0 and cover_mapping(mapping)
    heap.in_flight -= length
    if covered:
        took(heap, 0)
        count_new(heap, length >> PAGE_SHIFT, True)
        add_used(heap, mapping, length, CLEAN)
    else:
        lower_figure(heap, Figures.system_bytes, length)
    unlock_heap(heap, held)
    if mapping != 0 and not covered:
        give_fresh(heap, mapping, length)
    if covered:
        record_mapping(heap, MAP_EVENT * ONE, mapping, length)
    return mapping if covered else 0


def map_large(heap: Heap, size: Word, alignment: Word) -> Word:
    """A large block of `size` bytes at a multiple of `alignment`, or 0."""
    length = mapping_length(size)
    if length == 0 or mapping_length(size + alignment) == 0:
        note_reason(Figures.refused_addresses)
        return 0
    alignment = page_size() if alignment < page_size() else alignment
    held = lock_heap(heap)
    mapping = take_spare(heap, length, alignment)
    unlock_heap(heap, held)
    return mapping if mapping != 0 else map_new(heap, length, alignment)


def clear_large(mapping: Word) -> None:
    """Make a new large block read as zero, by fresh pages of the system instead of writing where possible."""
    if not is_clean(mapping) and not purge_memory(mapping, length_of(mapping)):
        clear_bytes(mapping, length_of(mapping))


def free_large(heap: Heap, mapping: Word) -> bool:
    """Under the lock: free the large block that begins here. Returns False if there is none."""
    if not is_mapped_block(mapping):
        return False
    length = length_of(mapping)
    remove_used(heap, mapping)
    add_spare(heap, mapping, length, 0)
    return True


# ---- Resizing ----


def shrink_large(heap: Heap, mapping: Word, length: Word) -> bool:
    """Under the lock: shrink a large block to `length` bytes; the rest is spare. Returns True on success."""
    before = length_of(mapping)
    if not cover_mapping(mapping + length):
        return False
    remove_used(heap, mapping)
    add_used(heap, mapping, length, 0)
    add_spare(heap, mapping + length, before - length, 0)
    return True


def grow_mapping(heap: Heap, mapping: Word, before: Word, length: Word) -> Word:
    """Resize a mapping that is in no list to `length` bytes, here or elsewhere. Returns its address, or 0."""
    if resize_mapping(mapping, before, length):
        return mapping
    target = map_pages(heap, length, page_size())
    if target == 0:
        return 0
    held = lock_heap(heap)
    covered = cover_mapping(target)
    unlock_heap(heap, held)
    if unlikely(is_recording()):
        note_moment()
    if covered and move_mapping(mapping, before, target, length):
        return target
    give_fresh(heap, target, length)
    return 0


def grow_large(heap: Heap, mapping: Word, before: Word, length: Word) -> Word:
    """Resize a large block to `length` bytes, perhaps moving it. Returns its address; 0 if it is unchanged."""
    make_room_for(heap, length - before)
    held = lock_heap(heap)
    allowed = take_room(heap, length - before)
    if allowed:
        remove_used(heap, mapping)
        heap.in_flight += before
        raise_figure(heap, Figures.mremap_calls, 1)
    unlock_heap(heap, held)
    if not allowed:
        return 0
    moved = grow_mapping(heap, mapping, before, length)
    held = lock_heap(heap)
    heap.in_flight -= length
    if moved != 0:
        took(heap, 0)
        add_used(heap, moved, length, 0)
    else:
        lower_figure(heap, Figures.system_bytes, length - before)
        add_used(heap, mapping, before, 0)
    unlock_heap(heap, held)
    if unlikely(is_recording()) and moved != 0:
        record_move(moved)
        record_mapping(heap, UNMAP_EVENT * ONE, mapping, before)
        record_mapping(heap, MAP_EVENT * ONE, moved, length)
    return moved


def resize_large(heap: Heap, mapping: Word, size: Word) -> Word:
    """Resize a large block to `size` bytes, perhaps moving it. Returns its address; 0 if it is unchanged."""
    length = mapping_length(size)
    before = length_of(mapping)
    if length > before:
        return grow_large(heap, mapping, before, length)
    done = length == before
    if length != 0 and not done:
        held = lock_heap(heap)
        done = shrink_large(heap, mapping, length)
        unlock_heap(heap, held)
    return mapping if done else 0
