"""Made-up programs as traces, in which blocks go from thread to thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from snugmalloc.trace import Operation, TraceWriter
from snugmalloc.trace.format import Header


class Called(NamedTuple):
    """One call as it goes into a trace."""

    operation: Operation
    thread: int
    size: int
    number: int
    address: int
    old: int


def write_trace(
    path: Path, calls: list[Called], times: Sequence[int] | None = None, header: Header | None = None
) -> Path:
    """Write the calls as a .snug file, each with its time in ticks, if there are times."""
    with TraceWriter(path, header) as writer:
        for number, call in enumerate(calls):
            writer.add(
                call.operation,
                thread=call.thread,
                time=times[number] if times is not None else 0,
                size=call.size,
                number=call.number,
                address=call.address,
                old=call.old,
            )
    return path


def program(
    seed: int, calls: int, threads: int = 1, largest: int = 3000, *, frees_all: bool = False
) -> list[Called]:
    """A valid program: any thread may free or resize what another one obtained."""
    random = Random(seed)
    made: list[Called] = []
    live: list[int] = []
    following = 1

    def add(operation: Operation, size: int = 0, number: int = 0, old: int = 0) -> None:
        nonlocal following
        address = 0
        if operation is not Operation.FREE:
            address = following << 20
            following += 1
            live.append(address)
        made.append(Called(operation, random.randrange(threads), size, number, address, old))

    for _ in range(calls):
        choice = random.random()
        size = int(largest ** random.random())
        if live and choice < 0.4:
            add(Operation.FREE, old=live.pop(random.randrange(len(live))))
        elif live and choice < 0.5:
            add(Operation.REALLOC, size, old=live.pop(random.randrange(len(live))))
        elif choice < 0.6:
            add(Operation.CALLOC, size, 1)
        elif choice < 0.65:
            add(Operation.ALIGNED, size, 1 << random.randrange(13))
        elif choice < 0.67:
            add(Operation.REALLOC, size)
        elif choice < 0.69:
            add(Operation.FREE)
        else:
            add(Operation.MALLOC, size)
    while frees_all and live:
        add(Operation.FREE, old=live.pop(random.randrange(len(live))))
    return made
