"""Owns the doubly linked lists of blocks: those waiting to be merged, a bin's fresh ones, the mappings.

    head -> newest block <-> ... <-> oldest block     link 1: newer, link 2: older; 0 at the ends

`head` is the address of a word that holds the newest block.
"""

from __future__ import annotations

from ..machine import Word, load_word, store_word
from .block import LINK_1, LINK_2


def older(block: Word) -> Word:
    """The block behind this one in its list, or 0."""
    return load_word(block + LINK_2)


def push(head: Word, block: Word) -> None:
    """Make `block` the first of the list."""
    first = load_word(head)
    store_word(block + LINK_1, 0)
    store_word(block + LINK_2, first)
    if first != 0:
        store_word(first + LINK_1, block)
    store_word(head, block)


def unlink(head: Word, block: Word) -> None:
    """Take `block` out of the list."""
    before = load_word(block + LINK_1)
    behind = load_word(block + LINK_2)
    store_word(before + LINK_2 if before != 0 else head, behind)
    if behind != 0:
        store_word(behind + LINK_1, before)
