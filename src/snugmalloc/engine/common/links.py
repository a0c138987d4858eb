"""Owns the links of doubly linked lists: of free blocks, slabs, mappings.

    head -> newest <-> ... <-> oldest     0 at the ends

`head` is the address of a word that holds the newest. Each library defines where the links of a block are
(`links_at` of its `block`), and its `chain` updates the neighbours.
"""

from __future__ import annotations

from ..machine import Record, Word, inline, load_word, store_word


class Links(Record, size=16):
    """The neighbours of a block in its list.

     0  older  the one that was inserted before it, or 0
     8  newer  the one that was inserted after it, or 0
    16
    """

    older: Word
    newer: Word


@inline
def put_in_front(head: Word, block: Word, links: Links) -> Word:
    """Make `block`, whose links these are, the first of the list.

    Returns the previous first block, whose links the caller must update, or 0.
    """
    first = load_word(head)
    links.older = first
    links.newer = 0
    store_word(head, block)
    return first
