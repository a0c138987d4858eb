"""Owns the lists of blocks: those waiting to be merged, a bin's fresh ones, the mappings (`common.links`)."""

from __future__ import annotations

from ..common.links import put_in_front
from ..machine import Word, load_word, store_word
from .block import links_at


def older(block: Word) -> Word:
    """The next older block in its list, or 0."""
    return links_at(block).older


def link(head: Word, block: Word) -> None:
    """Insert `block` at the front of the list."""
    first = put_in_front(head, block, links_at(block))
    if first != 0:
        links_at(first).newer = block


def unlink(head: Word, block: Word) -> None:
    """Remove `block` from the list."""
    behind = links_at(block).older
    before = links_at(block).newer
    if behind != 0:
        links_at(behind).newer = before
    if before != 0:
        links_at(before).older = behind
    else:
        store_word(head, behind)


def is_linked(head: Word, block: Word) -> bool:
    """Whether the links of a block in a list and of its neighbours agree."""
    behind = older(block)
    before = links_at(block).newer
    if behind != 0 and links_at(behind).newer != block:
        return False
    return (older(before) if before != 0 else load_word(head)) == block
