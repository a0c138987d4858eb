"""A memory allocator written in Python and compiled to machine code.

The four functions work on one heap, the one that C code linked to ``libosmem.so`` has in this process. An
address is an int; `view` makes bytes of it.

    >>> from snugmalloc import os_free, os_malloc, view
    >>> address = os_malloc(5)
    >>> view(address, 5)[:] = b"hello"
    >>> os_free(address)

The same allocator under the interpreter, on a simulated machine, is ``snugmalloc.engine.Simulation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from snugmalloc import _osmem
from snugmalloc._osmem import check, os_calloc, os_free, os_malloc, os_realloc, stats, view, walk
from snugmalloc.heap import Block, HeapError, Stats, Status
from snugmalloc.heapmap import HeapMap

__all__ = [
    "Block",
    "HeapError",
    "HeapMap",
    "Stats",
    "Status",
    "__version__",
    "blocks",
    "check",
    "get_include",
    "get_library",
    "heap_map",
    "os_calloc",
    "os_free",
    "os_malloc",
    "os_realloc",
    "stats",
    "view",
    "walk",
]

__version__ = "0.1.0"


def blocks() -> Iterator[Block]:
    """Iterate over the heap's blocks as they stand at the call, in the order of `walk`."""
    return iter(walk())


def heap_map(
    blocks: Iterable[tuple[int, int, int]] | None = None,
    *,
    width: int | None = None,
    cell: int | None = None,
    color: bool | None = None,
) -> HeapMap:
    """A picture of the heap for `print`: one cell for each so many bytes, coloured by status.

    `blocks` are (address of the payload, its size in bytes, status); by default those of this process's heap as
    it stands now, but any will do, such as `snugmalloc.engine.Simulation.blocks()`.

    `width` is the number of cells in a row (default: 16 to 128, by the width of the terminal). `cell` is
    the number of bytes that one cell stands for (default: the power of two, from 8, at which the picture stays
    short). `color` turns colours on or off; by default they are used where standard output is a terminal, is
    not dumb, and NO_COLOR is not set. Without colours a cell is a plain character, explained in the last line.

    Raises ValueError when `width` or `cell` is below 1.
    """
    return HeapMap(walk() if blocks is None else blocks, width, cell, color)


def get_include() -> str:
    """The folder of the C headers (``osmem.h``), for a compiler's ``-I``."""
    return str(Path(__file__).parent / "include")


def get_library(name: str) -> str:
    """The path of the shared library called `name`: ``"osmem"`` is the one with the four functions.

    Raises ValueError when there is none of that name.
    """
    folder = Path(_osmem.__file__).parent / "lib"
    there = {path.stem.removeprefix("lib"): path for path in folder.glob("lib*.so")}
    if name not in there:
        raise ValueError(f"there is no library {name!r}; there is: {', '.join(sorted(there))}")
    return str(there[name])
