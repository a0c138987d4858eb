"""Owns the doubly linked lists of blocks: those waiting to be merged, a bin's fresh ones, the mappings.

    head -> newest block <-> ... <-> oldest block     0 at the ends

`head` is the address of a word that holds the newest block.
"""

from __future__ import annotations

from ..machine import Array, Byte, Record, Word, array, load_word, store_word
from .block import META, Header


class Linked(Record, size=META):
    """The header of a block in a list.

     0  common
    16  newer   the block that was put in behind this one, or 0
    24  older   the one that was there before, or 0
    32
    """

    common: Array[Byte] = array(Header.by_status)
    newer: Word
    older: Word


def older(block: Word) -> Word:
    """The block behind this one in its list, or 0."""
    return Linked(block).older


def link(head: Word, block: Word) -> None:
    """Make `block` the first of the list."""
    first = load_word(head)
    Linked(block).newer = 0
    Linked(block).older = first
    if first != 0:
        Linked(first).newer = block
    store_word(head, block)


def unlink(head: Word, block: Word) -> None:
    """Take `block` out of the list."""
    before = Linked(block).newer
    behind = Linked(block).older
    store_word(before + Linked.older if before != 0 else head, behind)
    if behind != 0:
        Linked(behind).newer = before
