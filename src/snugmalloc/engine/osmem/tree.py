"""Owns the trees that keep free blocks in order of size and, among equals, of address.

A treap: a search tree by (size, address) that is also a heap by a random rank, which keeps it about 1.4 times
as deep as a balanced one, whatever is inserted and removed. The rank is a hash of the address, so that a node
needs only its two children. No recursion, no parents.

`root` and `cell` are addresses of words that hold a block or 0: a root, or one side of a node.
"""

from __future__ import annotations

from ..machine import Record, Word, fatal, load_word, multiply, store_word
from .block import META, links_at, size_of

MIX = 0x9E37_79B9_7F4A_7C15
LOST = b"snugmalloc: the heap is corrupt: the free block at %x is not where its size of %d belongs"


class Node(Record, size=16):
    """The fields of a block in a tree, in place of the links of a list.

     0  smaller  the child with those that precede this one, or 0
     8  larger   the child with those that follow it, or 0
    16
    """

    smaller: Word
    larger: Word


def node_of(block: Word) -> Node:
    """The block's children."""
    return Node(links_at(block))


def rank(block: Word) -> Word:
    """The block's rank in the heap order: a hash of its address; the root has the highest."""
    mixed = multiply(block, MIX)
    return multiply(mixed ^ (mixed >> 32), MIX)


def precedes(a: Word, b: Word) -> bool:
    """Whether block `a` comes before block `b`: smaller, or as large and lower."""
    size_a = size_of(a)
    size_b = size_of(b)
    return size_a < size_b or (size_a == size_b and a < b)


def side(node: Word, block: Word) -> Word:
    """The side of `node` on which `block` belongs."""
    return node_of(node) + (Node.smaller if precedes(block, node) else Node.larger)


def insert(root: Word, block: Word) -> None:
    """Insert `block` into the tree: below all of higher rank, then split the subtree there to its two sides."""
    mine = rank(block)
    cell = root
    node = load_word(cell)
    while node != 0 and rank(node) > mine:
        cell = side(node, block)
        node = load_word(cell)
    store_word(cell, block)
    smaller = node_of(block) + Node.smaller
    larger = node_of(block) + Node.larger
    while node != 0:
        if precedes(block, node):
            store_word(larger, node)
            larger = node_of(node) + Node.smaller
            node = load_word(larger)
        else:
            store_word(smaller, node)
            smaller = node_of(node) + Node.larger
            node = load_word(smaller)
    store_word(smaller, 0)
    store_word(larger, 0)


def remove_at(cell: Word) -> None:
    """Remove the block in `cell` from the tree, and join its two sides in its place."""
    block = load_word(cell)
    smaller = node_of(block).smaller
    larger = node_of(block).larger
    while smaller != 0 and larger != 0:
        if rank(smaller) > rank(larger):
            store_word(cell, smaller)
            cell = node_of(smaller) + Node.larger
            smaller = load_word(cell)
        else:
            store_word(cell, larger)
            cell = node_of(larger) + Node.smaller
            larger = load_word(cell)
    store_word(cell, smaller | larger)


def remove(root: Word, block: Word) -> None:
    """Remove `block` from the tree."""
    cell = root
    node = load_word(cell)
    while node != block:
        if node == 0:
            fatal(LOST, block - META, size_of(block))
        cell = side(node, block)
        node = load_word(cell)
    remove_at(cell)


def find_at_least(root: Word, size: Word) -> Word:
    """The cell that holds the first block of at least `size` bytes, or 0."""
    cell = root
    node = load_word(cell)
    found: Word = 0
    while node != 0:
        if size_of(node) >= size:
            found = cell
            cell = node_of(node) + Node.smaller
        else:
            cell = node_of(node) + Node.larger
        node = load_word(cell)
    return found
