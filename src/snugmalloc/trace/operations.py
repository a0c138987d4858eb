"""Owns the operations of a trace: their numbers in the file, and which figures each comes with."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Operation(IntEnum):
    """What happened. Calls come first; the numbers are those of the file and never change."""

    MALLOC = 1
    CALLOC = 2
    """`number` is how many elements were asked for, `size` the bytes of all."""
    REALLOC = 3
    ALIGNED = 4
    """aligned_alloc, posix_memalign and the like; `number` is the alignment."""
    FREE = 5
    GROWTH = 16
    """The heap grew by `size` bytes at `address`."""
    PURGE = 17
    """`size` bytes at `address` were given back to the system."""
    TRIM = 18
    """The program asked for memory to be given back, and `size` bytes were."""
    MAP = 19
    UNMAP = 20
    REFUSAL = 21
    """A request for `size` bytes was refused; `number` is the reason."""
    FORK = 22
    """The process forked; `number` is the child's process id."""
    THREAD_BEGIN = 23
    """`number` is the system's id of the thread."""
    THREAD_END = 24
    THREAD_NAME = 25
    """`number` is that of the text with the thread's name."""
    LOST = 26
    """The recording could not keep up: `number` calls of this thread are not in it."""


REFUSED = 0x80
"""Added to the number of a call that gave NULL."""

ALLOCATIONS = frozenset((Operation.MALLOC, Operation.CALLOC, Operation.REALLOC, Operation.ALIGNED))
"""Calls that give a block unless they are refused."""
CALLS = ALLOCATIONS | {Operation.FREE}
WITH_POINTER = frozenset((Operation.REALLOC, Operation.FREE))
"""Calls that are given a block."""
WITH_ADDRESS = ALLOCATIONS | {Operation.GROWTH, Operation.PURGE, Operation.MAP, Operation.UNMAP}
WITH_SIZE = WITH_ADDRESS | {Operation.TRIM, Operation.REFUSAL}
WITH_NUMBER = frozenset(
    (
        Operation.CALLOC,
        Operation.ALIGNED,
        Operation.REFUSAL,
        Operation.FORK,
        Operation.THREAD_BEGIN,
        Operation.THREAD_NAME,
        Operation.LOST,
    )
)


def table_of(members: frozenset[Operation], *, also_refused: bool = True) -> bytes:
    """1 at the number of each member, 0 elsewhere: for `bytes.translate`, and to be indexed."""
    return bytes(
        byte & ~REFUSED in members and (also_refused or byte < REFUSED) and not _is_nonsense(byte)
        for byte in range(256)
    )


def _is_nonsense(byte: int) -> bool:
    """Only calls that give a block can be refused."""
    return byte >= REFUSED and byte - REFUSED not in ALLOCATIONS


IS_ALLOCATION = table_of(ALLOCATIONS)
GIVES_BLOCK = table_of(ALLOCATIONS, also_refused=False)
IS_CALL = table_of(CALLS)
HAS_POINTER = table_of(WITH_POINTER)
HAS_ADDRESS = table_of(WITH_ADDRESS, also_refused=False)
HAS_SIZE = table_of(WITH_SIZE)
HAS_NUMBER = table_of(WITH_NUMBER)
IS_KNOWN = table_of(frozenset(Operation))
IS_REFUSED = bytes(byte >= REFUSED for byte in range(256))
WITHOUT_REFUSED = bytes(byte & ~REFUSED for byte in range(256))
