"""Owns the session of the four functions that `snug view --demo` shows: its calls, and their explanations.

The calls are those of docs/four-functions.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """One call."""

    title: str
    function: str
    arguments: tuple[int | str, ...]
    """A name stands for the pointer that an earlier step got."""
    says: str
    about: str
    """The function of the engine whose code is shown first."""
    name: str = ""
    """What the answer is called from now on."""
    refused: str = ""
    """The system call that the kernel refuses from now on."""

    @property
    def call(self) -> str:
        """The step as a line of a program."""
        words = f"{self.function}({', '.join(map(str, self.arguments))})"
        return f"{self.name} = {words}" if self.name else words


STEPS = (
    Step(
        "Preallocation",
        "os_malloc",
        (100,),
        "The heap does not exist until somebody needs it. The first request asks the kernel once where the "
        "break is, and moves it up by 128 KiB: one free block. The request is cut off its front. In front of "
        "each payload stands a header of 32 bytes; 100 bytes are rounded up to a multiple of 8.",
        "preallocate",
        name="a",
    ),
    Step(
        "Split",
        "os_malloc",
        (200,),
        "The free block is larger than the request, so it is split: the front becomes the payload, and the "
        "rest, behind a header of its own, stays free. No system call is needed.",
        "split",
        name="b",
    ),
    Step(
        "Small requests, too",
        "os_malloc",
        (24,),
        "Each request is cut off the same rest. A block is split only if the rest can hold a header and 8 "
        "bytes; otherwise it keeps the few bytes too many.",
        "hand_out",
        name="c",
    ),
    Step(
        "A block to be a hole",
        "os_malloc",
        (64,),
        "Every other one of these blocks will be freed, to make holes that do not touch each other.",
        "hand_out",
        name="d",
    ),
    Step(
        "One that stays",
        "os_malloc",
        (24,),
        "It keeps its neighbours apart. Its header is larger than its payload: that is the price of a header "
        "in front of every block.",
        "hand_out",
        name="e",
    ),
    Step(
        "Another to be a hole",
        "os_malloc",
        (120,),
        "120 is a multiple of 8 already: there is no padding.",
        "hand_out",
        name="f",
    ),
    Step(
        "A last one",
        "os_malloc",
        (16,),
        "It stands between the holes and the long rest, so that they will not merge with it.",
        "hand_out",
        name="last",
    ),
    Step(
        "Free",
        "os_free",
        ("b",),
        "os_free marks the block free. Nothing moves, and nothing goes back to the system. A block among live "
        "ones goes straight into the index of free blocks: into the list of its bin.",
        "retire",
    ),
    Step(
        "A second hole",
        "os_free",
        ("d",),
        "The neighbours are told that the block is free, so that freeing one of them later needs to read no "
        "header but its own.",
        "retire",
    ),
    Step(
        "A third hole",
        "os_free",
        ("f",),
        "There are holes of 200, 64 and 120 bytes now, and the long rest.",
        "retire",
    ),
    Step(
        "Best fit",
        "os_malloc",
        (50,),
        "A request takes the smallest free block that is large enough, and among equals the lowest. 50 bytes, "
        "56 rounded up, fit in all of them. They go into the hole of 64, although it is not the first. The 8 "
        "bytes left over are not enough for a block, so this one keeps them.",
        "take_best_fit",
        name="g",
    ),
    Step(
        "Free beside a free block",
        "os_free",
        ("c",),
        "Neighbours are not merged yet: that happens when the next block is looked for. A block with a free "
        "neighbour waits in a list until then. The boundaries that are still there decide how much a realloc "
        "takes.",
        "retire",
    ),
    Step(
        "Coalesce",
        "os_malloc",
        (250,),
        "Neither of the two neighbours has room for 250 bytes. Merged they have: 200 + 32 + 24, because the "
        "header between them becomes payload.",
        "merge_waiting",
        name="h",
    ),
    Step(
        "Realloc: shrink in place",
        "os_realloc",
        ("h", 40),
        "A block that shrinks stays where it is, and what is left over is split off.",
        "shrink",
    ),
    Step(
        "Realloc: grow in place",
        "os_realloc",
        ("h", 150),
        "A block that grows takes the free blocks behind it, one by one, until it has enough. What is too much "
        "is split off again.",
        "grow_into_next",
    ),
    Step(
        "Realloc: move",
        "os_realloc",
        ("g", 300),
        "There is nothing free behind the block, so it moves: a new block, a copy, and the old one is freed.",
        "move",
        name="moved",
    ),
    Step(
        "Growing the heap",
        "os_malloc",
        (131_000,),
        "Nothing free is large enough, so the break moves, by exactly what is missing. The last block is free, "
        "and what it has counts.",
        "grow_top",
        name="big",
    ),
    Step(
        "Realloc: grow at the end",
        "os_realloc",
        ("big", 131_032),
        "The last block of the heap grows in place in the same way, without looking for a hole.",
        "resize_in_place",
    ),
    Step(
        "A mapping of its own",
        "os_malloc",
        (200_000,),
        "From 128 KiB on, header included, a block gets a mapping of its own. It is not part of the heap.",
        "map_block",
        name="large",
    ),
    Step(
        "Free a mapping",
        "os_free",
        ("large",),
        "Freeing it gives it back to the system at once.",
        "unmap_block",
    ),
    Step(
        "calloc",
        "os_calloc",
        (1, 4064),
        "os_calloc has a limit of its own, the page size: a fresh mapping is zero already and need not be "
        "cleared.",
        "os_calloc",
        name="page",
    ),
    Step(
        "When the system refuses",
        "os_malloc",
        (200_000,),
        "The simulated kernel refuses every mmap from now on. The answer is NULL, errno is ENOMEM, and the "
        "heap is as it was.",
        "refuse",
        refused="mmap",
    ),
)
