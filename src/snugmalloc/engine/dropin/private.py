"""Owns the requests to a private heap, each under the heap's lock.

There are no slabs and no thread caches: each object is a block, with its tag of 8 bytes. Nothing here is
counted under SNUG_STATS=1.
"""

from __future__ import annotations

from ..common.sizes import LARGEST
from ..machine import ENOMEM, Word, clear_bytes, copy_bytes, fatal, set_errno, unlikely
from .block import is_used, units_of
from .cache import allocate_block, release_block
from .control import Heap
from .figures import Figures
from .large import is_mapped_block, owner_of, unmap_spares
from .layout import PAGED, UNIT
from .options import mmap_threshold
from .pages import MAPPING, PRIVATE, kind_at
from .places import (
    CLEARED_LIMIT,
    anywhere,
    dispose_large,
    fill_freed,
    filled,
    resize_in_place,
    units_in,
    usable,
)
from .refusals import count_refusal, note_reason
from .vet import NOT_IN_USE

NOT_OF_HEAP = b"snugmalloc: %x is not a block in use of this heap: freed twice, or not from this heap"


def refuse_private(heap: Heap) -> Word:
    """Refuse a request for lack of memory: NULL, with errno."""
    count_refusal(heap)
    set_errno(ENOMEM)
    return 0


def small_block(heap: Heap, size: Word, cleared: bool) -> Word:
    """A block smaller than whole pages, cleared by writing if required; or 0."""
    block = allocate_block(heap, units_in(heap, size))
    if block != 0 and cleared:
        clear_bytes(block, usable(block))
    return block


def by_size_and_alignment(heap: Heap, size: Word, alignment: Word, cleared: bool) -> Word:
    """`size` bytes by the fastest way that works; or 0."""
    most = CLEARED_LIMIT if cleared else PAGED
    pointer: Word = 0
    if alignment == UNIT and size < most and size < mmap_threshold():
        pointer = small_block(heap, size, cleared)
    return pointer if pointer != 0 else anywhere(heap, size, alignment, cleared)


def obtain_private(heap: Heap, size: Word, alignment: Word, cleared: bool) -> Word:
    """`size` bytes of a private heap at a multiple of `alignment`, a power of two; or NULL with errno."""
    if size > LARGEST or alignment > LARGEST:
        note_reason(Figures.refused_size)
        return refuse_private(heap)
    alignment = UNIT if alignment < UNIT else alignment
    pointer = by_size_and_alignment(heap, size, alignment, cleared)
    if unlikely(pointer == 0) and unmap_spares(heap):
        pointer = by_size_and_alignment(heap, size, alignment, cleared)
    if unlikely(pointer == 0):
        return refuse_private(heap)
    return pointer if cleared else filled(pointer)


def is_of_private_heap(pointer: Word) -> bool:
    """Whether a block in use is a private heap's."""
    kind = kind_at(pointer)
    return kind == PRIVATE or (kind == MAPPING and owner_of(pointer).is_private != 0)


def check_owner(heap: Heap, pointer: Word) -> None:
    """End the process unless this is a block in use of this heap."""
    is_block = kind_at(pointer) == PRIVATE and pointer & (UNIT - 1) == 0
    if not (is_block or is_mapped_block(pointer)) or owner_of(pointer) != heap:
        fatal(NOT_OF_HEAP, pointer, 0)
    if is_block and not is_used(pointer):
        fatal(NOT_IN_USE, pointer, 0)


def dispose_private(pointer: Word) -> None:
    """Free a block of a private heap."""
    fill_freed(pointer)
    if kind_at(pointer) == PRIVATE:
        release_block(pointer, units_of(pointer))
    else:
        dispose_large(pointer)


def resize_private(heap: Heap, pointer: Word, size: Word) -> Word:
    """The block at `pointer` with room for `size` bytes, neither of them 0; or NULL with errno."""
    before = usable(pointer)
    moved = resize_in_place(pointer, size, before) if size <= LARGEST else 0
    if moved != 0:
        return moved
    target = obtain_private(heap, size, UNIT, False)
    if target != 0:
        copy_bytes(target, pointer, before if before < size else size)
        dispose_private(pointer)
    return target
