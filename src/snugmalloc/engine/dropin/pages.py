"""Owns the page map: what is known of every page of the address space, and where that is kept.

    root                 one word for each 512 MiB of addresses: how far its leaf is from that at NO_LEAF, or 0
    at NO_LEAF           behind the root: a map in which no page is ours, for all addresses without a leaf

    leaf                 mapped when a page of its 512 MiB becomes ours: see `Leaf`

Tag and links of a page are for a block that begins exactly where the page does: what the heap has to note about
it would otherwise stand in that page or at the end of the one before. So a page of a free block can be given
back whole, a slab uses its page to the last byte, and a large block can be kept out of a forked child without
the heap missing anything.

The tables grow with what the heap uses: 4 MiB of addresses for each 512 MiB, and of those only what is touched
is resident. One page map serves every heap of the process, wherever its pages lie, and a foreign pointer is
recognised by two loads.

The leaf also has the owners, for granules of 16 pages: the process's heap, which owns all pages without an
owner, begins and ends anywhere, and the memory of every other heap is whole granules.

The kind of a slab's page is the size class of its objects. A kind times 16 is the offset in a thread's cache of
the list for these objects; all other kinds have an entry without room.
"""

from __future__ import annotations

from ..common.links import Links
from ..common.sizes import ONE, round_up
from ..machine import (
    Array,
    Byte,
    Half,
    Int,
    Record,
    Word,
    array,
    atomic_replace,
    fill_bytes,
    forbid_huge_pages,
    load_byte,
    load_word,
    page_size,
    reserve,
    store_byte,
    store_word,
    unmap_memory,
)
from .classes import SLAB_CLASSES
from .control import Heap, process_heap
from .layout import ALL_BITS, IN_PAGE, PAGE, PAGE_SHIFT
from .outside import tell_root
from .refusals import map_or_note

ADDRESS_BITS: Int = 48
GRANULE_SHIFT: Int = 4
GRANULE_PAGES = 1 << 4
GRANULE = PAGE * GRANULE_PAGES  # 64 KiB: what belongs to another heap than the process's are whole ones
LEAF_PAGES_SHIFT: Int = 17
LEAF_PAGES = 1 << 17
IN_LEAF = LEAF_PAGES - 1
WORD_BYTES_SHIFT: Int = 3

ROOT_ENTRIES = 1 << 19
IN_ROOT = ROOT_ENTRIES - 1
NO_LEAF = ROOT_ENTRIES * 8  # from the root

ROOT = reserve(ROOT_ENTRIES * 8 + LEAF_PAGES)

FOREIGN = 0  # not ours, or nothing known; from 1 to SLAB_CLASSES: a slab of this class; no class has the others
MAPPING = 61  # a mapping of its own begins here: a large block in use,
SPARE = 62  # or one that was freed
UNCLEARED = 63  # in a block in use that shall read as zero and does not yet
BLOCKS = 64  # has blocks in use, or tags
PRIVATE = 65  # the same in a private heap
PRIVATE_BIT = 1
FRESH = 66  # wholly inside a free block, never touched: reads as zero
PURGED = 67  # wholly inside a free block, given back: reads as zero
DIRTY = 68  # wholly inside a free block, and still has what was in it
EIGHT_BLOCKS = 0x4040_4040_4040_4040  # no slab has this bit; of the others,
DIRTY_BITS = 0x0404_0404_0404_0404  # DIRTY has this one,
SPARE_BITS = 0x0202_0202_0202_0202  # FRESH and PURGED this one


class Tag(Record, size=8):
    """The tag of a block: see block.py. For a mapping it is one word: see large.py.

    0  size    and flags
    4  before  the size of the previous block, and whether that is free
    8
    """

    size: Half
    before: Half


class Leaf(Record):
    """The part of the page map for 512 MiB of pages.

          0  kinds    128 KiB
     131072  tags     1 MiB
    1179648  links    2 MiB
    3276800  owners   64 KiB: for each granule the heap's control block, or 0 for the process's heap
    3342336  samples  1 MiB: for each page two halves, see sampled.py
    4390912
    """

    kinds: Array[Byte] = array(LEAF_PAGES)
    tags: Array[Tag] = array(LEAF_PAGES)
    links: Array[Links] = array(LEAF_PAGES)
    owners: Array[Word] = array(LEAF_PAGES // GRANULE_PAGES)
    samples: Array[Half] = array(2 * LEAF_PAGES)


# ---- Places ----


def page_of(address: Word) -> Word:
    """The number of the page of an address."""
    return address >> PAGE_SHIFT


def page_address(page: Word) -> Word:
    """Where the page begins."""
    return page << PAGE_SHIFT


def root_pages() -> Word:
    """The first whole page of the system in the root."""
    return round_up(ROOT, page_size())


def root_entry(page: Word) -> Word:
    """The address of the root's word for the page."""
    return ROOT + ((page >> LEAF_PAGES_SHIFT & IN_ROOT) << WORD_BYTES_SHIFT)


def has_leaf(page: Word) -> bool:
    """Whether the page has a leaf."""
    return load_word(root_entry(page)) != 0


def leaf_of_page(page: Word) -> Leaf:
    """The leaf with the page's kind; the one at NO_LEAF has kinds only."""
    return Leaf((ROOT + load_word(root_entry(page)) + NO_LEAF) & ALL_BITS)


def kind_place(page: Word) -> Word:
    """The address of the page's kind."""
    return leaf_of_page(page).kinds + (page & IN_LEAF)


def page_tag(address: Word) -> Tag:
    """The tag of the page at `address`, which has a leaf."""
    page = page_of(address)
    return leaf_of_page(page).tags[page & IN_LEAF]


def page_links(address: Word) -> Links:
    """The two links of the page at `address`, which has a leaf."""
    page = page_of(address)
    return leaf_of_page(page).links[page & IN_LEAF]


# ---- Owners ----


def owner_place(page: Word) -> Word:
    """The address of the word with the owner of a page, which has a leaf."""
    return leaf_of_page(page).owners + ((page & IN_LEAF) >> GRANULE_SHIFT << WORD_BYTES_SHIFT)


def owner_of_page(page: Word) -> Heap:
    """The heap that owns a page of blocks or of a slab."""
    owner = load_word(owner_place(page))
    return Heap(owner) if owner != 0 else process_heap()


def set_owner(start: Word, end: Word, owner: Word) -> None:
    """Set the owner of whole granules, which have leaves: the heap at `owner`, or 0 for none."""
    page = page_of(start)
    while page < page_of(end):
        store_word(owner_place(page), owner)
        page += GRANULE_PAGES


def next_granule(page: Word) -> Word:
    """The first page behind the granule of a page."""
    return (page | (GRANULE_PAGES - 1)) + 1


# ---- Samples ----


def sample_place(address: Word) -> Word:
    """Where a sample is noted that begins with a covered page, or inside it."""
    page = page_of(address)
    inside = ONE if address & IN_PAGE != 0 else 0
    return leaf_of_page(page).samples + ((((page & IN_LEAF) << 1) + inside) << 2)


# ---- Kinds ----


def kind_at(address: Word) -> Word:
    """The kind of the page of any address, by its low 48 bits."""
    return load_byte(kind_place(page_of(address)))


def kind_of(page: Word) -> Word:
    """The kind of a page."""
    return load_byte(kind_place(page))


def set_kind(page: Word, kind: Word) -> None:
    """Write the kind of a page, which has a leaf."""
    store_byte(kind_place(page), kind)


def set_kinds(page: Word, end: Word, kind: Word) -> None:
    """Write the kind of all pages from `page` to `end`, which have leaves."""
    while page < end:
        stop = (page | IN_LEAF) + 1
        stop = end if end < stop else stop
        fill_bytes(kind_place(page), stop - page, kind)
        page = stop


def set_few_kinds(page: Word, end: Word, kind: Word) -> None:
    """The same for a few pages of one leaf, without a call."""
    place = kind_place(page)
    stop = place + (end - page)
    while place < stop:
        store_byte(place, kind)
        place += 1


def crosses_leaf(page: Word, end: Word) -> bool:
    """Whether the pages from `page` to `end` lie in more than one leaf."""
    return (page ^ (end - 1)) >> LEAF_PAGES_SHIFT != 0


def eight_kinds(page: Word) -> Word:
    """The kinds of eight pages; at the end of a leaf, of those that are left, and other bytes."""
    return load_word(kind_place(page))


def blocks_kind(heap: Heap) -> Word:
    """The kind of pages that have blocks of this heap in use."""
    return BLOCKS + heap.is_private


def is_block_kind(kind: Word) -> bool:
    """Whether a page of this kind has blocks in use, or tags."""
    return kind & ~PRIVATE_BIT == BLOCKS


def is_slab_kind(kind: Word) -> bool:
    """Whether a page of this kind is cut into objects."""
    return kind != FOREIGN and kind <= SLAB_CLASSES


def is_heap_kind(kind: Word) -> bool:
    """Whether a page of this kind belongs to a segment of the heap."""
    return kind >= UNCLEARED or is_slab_kind(kind)


# ---- What is ours ----


def lowest_page(heap: Heap) -> Word:
    """The first page that was ever the heap's."""
    return heap.first_page


def used_pages(heap: Heap) -> Word:
    """Nor was this one, or any behind it."""
    return heap.end_page


def use_pages(heap: Heap, page: Word, end: Word) -> None:
    """Extend the range of the heap's pages by those from `page` to `end`."""
    heap.first_page = page if heap.first_page == 0 or page < heap.first_page else heap.first_page
    heap.end_page = end if end > heap.end_page else heap.end_page


def next_covered(page: Word, end: Word) -> Word:
    """The first page from `page` on that has a leaf, or `end`."""
    while page < end and not has_leaf(page):
        page = (page | IN_LEAF) + 1
    return page if page < end else end


def add_leaf(page: Word) -> bool:
    """Make the leaf of a page, unless another heap does so first. Returns True on success."""
    leaf = map_or_note(Leaf.SIZE)
    if leaf == 0:
        return False
    forbid_huge_pages(leaf, Leaf.SIZE)
    forbid_huge_pages(root_pages(), ROOT_ENTRIES * 8)
    if not atomic_replace(root_entry(page), 0, (leaf - ROOT - NO_LEAF) & ALL_BITS):
        unmap_memory(leaf, Leaf.SIZE)
    tell_root(ROOT)
    return True


def cover(start: Word, end: Word) -> bool:
    """Make leaves for all pages from the one at `start` to the one at `end`. Returns True on success."""
    if end >> ADDRESS_BITS != 0:
        return False
    page = page_of(start)
    while page <= page_of(end):
        if not has_leaf(page) and not add_leaf(page):
            return False
        page = (page | IN_LEAF) + 1
    return True
