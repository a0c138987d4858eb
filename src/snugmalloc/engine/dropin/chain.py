"""Owns the lists of blocks: the free ones of a bin, the slabs of a class, the mappings (`common.links`).

The links of each are where those of a free block are (`block.links_at`): slabs and mappings begin with a page.
"""

from __future__ import annotations

from ..common.links import put_in_front
from ..machine import Word, inline, load_word, store_word
from .block import links_at


def older(block: Word) -> Word:
    """The block behind this one in its list, or 0: it was put in before this one."""
    return links_at(block).older


def newer(block: Word) -> Word:
    """The block in front of this one in its list, or 0."""
    return links_at(block).newer


@inline
def link(head: Word, block: Word) -> Word:
    """Make `block` the first of the list. What was the first before, or 0."""
    first = put_in_front(head, block, links_at(block))
    if first != 0:
        links_at(first).newer = block
    return first


@inline
def leave_list(block: Word) -> tuple[Word, Word]:
    """Take `block` out of its list, whose head still names it if it was the first.

    Returns the blocks behind it and in front of it, or 0.
    """
    links = links_at(block)
    behind = links.older
    before = links.newer
    if behind != 0:
        links_at(behind).newer = before
    if before != 0:
        links_at(before).older = behind
    return behind, before


def unlink(head: Word, block: Word) -> None:
    """Take `block` out of the list."""
    behind, before = leave_list(block)
    if before == 0:
        store_word(head, behind)


def is_linked(head: Word, block: Word) -> bool:
    """Whether the links around a block in a list agree."""
    behind = older(block)
    before = newer(block)
    if behind != 0 and newer(behind) != block:
        return False
    return (older(before) if before != 0 else load_word(head)) == block
