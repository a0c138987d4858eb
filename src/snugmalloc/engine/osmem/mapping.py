"""Owns the blocks that have a mapping of their own: one `mmap` each.

They are kept in a list, so that they can be walked.

    page start
    +----------------------+----------------+
    | header, status 2     | payload ...    |      one mmap of exactly 32 + size bytes
    +----------------------+----------------+
"""

from __future__ import annotations

from ..common.figures import lower_figure, raise_figure
from ..machine import Word, load_word, reserve
from .block import MAPPED, META, make_block, size_of
from .chain import link, unlink
from .figures import FIGURES, Figures
from .kernel import map_pages, unmap_pages

MAPPINGS = reserve(8)


def newest_mapping() -> Word:
    """The mapped block made last, or 0; `older` leads on."""
    return load_word(MAPPINGS)


def map_block(size: Word) -> Word:
    """A live block of `size` bytes in a mapping of its own; or 0."""
    mapping = map_pages(META + size)
    if mapping == 0:
        return 0
    block = mapping + META
    make_block(block, MAPPED, size, 0, True)
    link(MAPPINGS, block)
    raise_figure(FIGURES, Figures.mapped_blocks, 1)
    raise_figure(FIGURES, Figures.mapped_bytes, size)
    return block


def unmap_block(block: Word) -> None:
    """Give a mapped block back; one that the kernel refuses to take stays as it was."""
    size = size_of(block)
    unlink(MAPPINGS, block)
    if unmap_pages(block - META, META + size):
        lower_figure(FIGURES, Figures.mapped_blocks, 1)
        lower_figure(FIGURES, Figures.mapped_bytes, size)
    else:
        link(MAPPINGS, block)
