"""Owns the lists of a heap: the free blocks of a bin, the slabs of a class, the mappings (`common.links`).

Links and heads are offsets from the heap's control block, so that they stay valid wherever a heap is mapped.
They are at `block.links_at`, as for a free block: slabs and mappings begin with a page.
"""

from __future__ import annotations

from ..common.links import put_in_front
from ..machine import Word, inline, load_word, store_word
from .block import links_at
from .control import Heap
from .layout import ALL_BITS


def link_to(heap: Heap, block: Word) -> Word:
    """The link to a block."""
    return (block - heap) & ALL_BITS


def linked_block(heap: Heap, link: Word) -> Word:
    """The block that a link refers to, or 0."""
    return (heap + link) & ALL_BITS if link != 0 else 0


def first_of(heap: Heap, head: Word) -> Word:
    """The first block of the list, or 0."""
    return linked_block(heap, load_word(head))


def older(heap: Heap, block: Word) -> Word:
    """The next older block in its list, or 0."""
    return linked_block(heap, links_at(block).older)


def newer(heap: Heap, block: Word) -> Word:
    """The next newer block in its list, or 0."""
    return linked_block(heap, links_at(block).newer)


@inline
def enter_list(heap: Heap, head: Word, block: Word) -> bool:
    """Insert `block` at the front of the list. Returns True if it is the only one."""
    own = link_to(heap, block)
    first = put_in_front(head, own, links_at(block))
    if first != 0:
        links_at((heap + first) & ALL_BITS).newer = own
    return first == 0


@inline
def leave_list(heap: Heap, block: Word) -> tuple[Word, Word]:
    """Remove `block` from its list; the head still refers to it if it was the first.

    Returns the links to the blocks behind it and in front of it, or 0.
    """
    links = links_at(block)
    behind = links.older
    before = links.newer
    if behind != 0:
        links_at((heap + behind) & ALL_BITS).newer = before
    if before != 0:
        links_at((heap + before) & ALL_BITS).older = behind
    return behind, before


def unlink(heap: Heap, head: Word, block: Word) -> None:
    """Remove `block` from the list."""
    behind, before = leave_list(heap, block)
    if before == 0:
        store_word(head, behind)


def is_linked(heap: Heap, head: Word, block: Word) -> bool:
    """Whether the links of a block in a list and of its neighbours agree."""
    behind = older(heap, block)
    before = newer(heap, block)
    if behind != 0 and newer(heap, behind) != block:
        return False
    return (older(heap, before) if before != 0 else first_of(heap, head)) == block
