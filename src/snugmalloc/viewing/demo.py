"""Owns the page of `snug view --demo`: runs the session on the interpreted engine, and traces each call.

Only the calls are prepared. The heap is what the engine's own walk shows, headers are read from the simulated
machine's memory, and the steps are traced from the engine's functions as they run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from snugmalloc.engine import Simulation
from snugmalloc.heap import HEADER, Block, Status
from snugmalloc.heapmap import counted
from snugmalloc.viewing.lesson import STEPS, Step
from snugmalloc.viewing.passages import Function, Passage, Tracer

TEMPLATE = Path(__file__).with_name("demo.html")
DATA = b"SNUG-DEMO"
"""What stands in the template where the session goes."""

DETAILS = ("common/", "osmem/block.py", "osmem/figures.py", "osmem/seal.py")
"""The layers whose functions are words of the others' sentences: the page shows their calls when asked."""
EXACT = 1 << 53
"""From here on not every number is one of JavaScript's."""


def make_demo() -> bytes:
    """The page."""
    session = json.dumps(Session().play(STEPS), separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATE.read_bytes().replace(DATA, session.encode(), 1)


class Search(NamedTuple):
    """A search for the best fit."""

    wanted: int
    candidates: list[Block]
    """The free blocks, all merged before, in order of size and address."""
    bins: list[int]
    """Those that it looked in."""
    chosen: int
    """The block, or 0 if none is large enough."""


class Happening(NamedTuple):
    """Something that a call did to the heap, to the memory between two addresses."""

    kind: str
    says: str
    begin: int
    end: int


class Session:
    """The four functions on a simulated machine, and what is known of the pointers that a program holds."""

    def __init__(self) -> None:
        self.simulation = Simulation()
        self.start = self.simulation.machine.break_address
        self.pointers: dict[str, int] = {}
        self.asked: dict[int, int] = {}
        self.functions: list[Function] = []

    def play(self, steps: Sequence[Step]) -> dict[str, Any]:
        """All steps, as the page has them."""
        played = [self.step(step) for step in steps]
        return {
            "start": self.start,
            "header": HEADER,
            "functions": [
                {**function._asdict(), "isDetail": function.layer.startswith(DETAILS)}
                for function in self.functions
            ],
            "steps": played,
        }

    def step(self, step: Step) -> dict[str, Any]:
        """Make the call of a step, and tell what it did."""
        machine = self.simulation.machine
        if step.refused:
            machine.refuse = lambda call, arguments: call == step.refused
        arguments = [self.pointers[word] if isinstance(word, str) else word for word in step.arguments]
        machine.errno = 0
        witness = Witness(self)
        with witness.tracer.listening():
            answer = getattr(self.simulation, step.function)(*arguments)
        self._note(step, answer)
        return {
            "title": step.title,
            "call": step.call,
            "says": step.says,
            "answer": answer,
            "errno": machine.errno,
            "about": self._shown_first(step.about, witness.tracer.passages),
            "systemCalls": [call._asdict() for call in self.simulation.system_calls()],
            "happened": [happening._asdict() for happening in witness.happened],
            "search": witness.search and self._search(witness.search),
            "end": self.simulation.engine.heap_end(),
            "blocks": [self._block(block) for block in self.simulation.blocks()],
            "passages": [self._passage(passage) for passage in witness.tracer.passages],
        }

    def where(self, address: int) -> str:
        """A place, as the page and the document have it: from the beginning of the heap."""
        if self.start <= address <= self.simulation.engine.heap_end():
            return f"+{address - self.start:#x}"
        return f"{address:#x}"

    def _note(self, step: Step, answer: int | None) -> None:
        """Which pointers the program holds after this call, and what it asked for."""
        sizes = [word for word in step.arguments if isinstance(word, int)]
        names = [word for word in step.arguments if isinstance(word, str)]
        if names and (step.function == "os_free" or answer):
            name = names[0]
            self.asked.pop(self.pointers.pop(name), None)
            if answer:
                self.pointers[step.name or name] = answer
        elif step.name and answer:
            self.pointers[step.name] = answer
        if answer:
            self.asked[answer] = sizes[0] if len(sizes) == 1 else sizes[0] * sizes[1]

    def _shown_first(self, name: str, passages: Sequence[Passage]) -> int:
        return next(number for number, passage in enumerate(passages) if passage.function.name == name)

    def _passage(self, passage: Passage) -> dict[str, Any]:
        if passage.function not in self.functions:
            self.functions.append(passage.function)
        return {
            "function": self.functions.index(passage.function),
            "depth": passage.depth,
            "arguments": [[name, _number(value)] for name, value in passage.arguments.items()],
            "result": _number(passage.result),
            "lines": sorted(passage.lines),
        }

    def _search(self, search: Search) -> dict[str, Any]:
        return {
            **search._asdict(),
            "bin": self.simulation.engine.bin_of(search.wanted),
            "candidates": [self._candidate(block) for block in search.candidates],
        }

    def _candidate(self, block: Block) -> dict[str, int]:
        return {"at": block.address, "size": block.size, "bin": self.simulation.engine.bin_of(block.size)}

    def _block(self, block: Block) -> dict[str, Any]:
        engine = self.simulation.engine
        names = {pointer: name for name, pointer in self.pointers.items()}
        is_free = block.status is Status.FREE
        return {
            "at": block.address,
            "size": block.size,
            "status": block.status.name.lower(),
            "kept": self._kept(block.address) if is_free else "",
            "bin": engine.bin_of(block.size) if is_free else None,
            "isTop": block.address == engine.top_block(),
            "name": names.get(block.address, ""),
            "asked": self.asked.get(block.address),
            "fields": list(self._fields(block)),
        }

    def _kept(self, block: int) -> str:
        """Where a free block is kept."""
        engine = self.simulation.engine
        places = {engine.WAITING: "waiting", engine.FRESH: "list", engine.SORTED: "tree"}
        return places[engine.place_of(block)]

    def _fields(self, block: Block) -> Iterator[dict[str, Any]]:
        """The fields of a block's header, in order."""
        engine, address = self.simulation.engine, block.address
        header = vars(engine.Header)
        yield self._field(block, "size", header["size"], f"{counted(block.size, 'byte')} of payload")
        status = f"{block.status.value}: {_STATUS[block.status]}"
        yield self._field(block, "status", header["status"], status)
        yield self._field(block, "tags", header["tags"], self._tags(address))
        if block.status is Status.LIVE:
            live = vars(engine.LiveHeader)
            yield self._field(block, "seal", live["seal"], "0, or a hash in hardened mode")
            for name, side in (("free_before", "before"), ("free_next", "behind")):
                free = "free" if getattr(engine.live_header_of(address), name) else "not free"
                yield self._field(block, name, live[name], f"the block {side} is {free}")
            yield self._field(block, "unused", live["unused"], "")
            return
        is_sorted = engine.place_of(address) == engine.SORTED
        record = engine.Node if is_sorted else engine.Links
        role = "child" if is_sorted else "block of its list"
        for name in ("smaller", "larger") if is_sorted else ("older", "newer"):
            linked = getattr(record(address - record.SIZE), name)
            says = f"its {name} {role}: {self.where(linked)}" if linked else f"no {name} {role}"
            yield self._field(block, name, vars(record)[name], says, HEADER - record.SIZE)

    def _field(self, block: Block, name: str, field: Any, says: str, at: int = 0) -> dict[str, Any]:
        """One field; `at` is where its record begins in the header."""
        offset = at + field.offset
        width = field.width if hasattr(field, "width") else field.count
        raw = self.simulation.machine.read(block.address - HEADER + offset, width)
        value = hex(int.from_bytes(raw, "little"))
        return {"name": name, "offset": offset, "width": width, "value": value, "says": says}

    def _tags(self, block: int) -> str:
        engine = self.simulation.engine
        before = engine.size_before(block)
        parts = [f"the block before has {counted(before, 'byte')}" if before else "no block before"]
        if engine.is_edge(block):
            parts.append("it is the last one")
        if engine.status_of(block) == engine.FREE:
            parts.append(_KEPT[self._kept(block)])
        return ", ".join(parts)


_STATUS = {Status.FREE: "free", Status.LIVE: "live", Status.MAPPED: "live, in a mapping of its own"}
_KEPT = {"waiting": "it waits to be merged", "list": "in its bin's list", "tree": "in its bin's tree"}


class Witness:
    """What happens within one call, told by the engine's functions as they begin and end."""

    def __init__(self, session: Session) -> None:
        self.tracer = Tracer(self._began, self._ended)
        self.happened: list[Happening] = []
        self.search: Search | None = None
        self._session = session
        self._engine = session.simulation.engine
        self._end_before = 0

    def _began(self, passage: Passage) -> None:
        arguments = passage.arguments
        match passage.function.name:
            case "take_best_fit":
                self.search = Search(arguments["size"], self._free_blocks(), [], 0)
            case "take_from_bin" if self.search:
                self.search.bins.append(arguments["number"])
            case "extend_break":
                self._end_before = self._engine.heap_end()
            case "absorb_next":
                self._merged(arguments["block"])

    def _ended(self, passage: Passage) -> None:
        arguments, result = passage.arguments, passage.result
        match passage.function.name:
            case "take_best_fit" if self.search:
                self.search = self.search._replace(chosen=result)
                self._chosen(self.search)
            case "split" if result:
                self._split(arguments["block"], result)
            case "extend_break" if result:
                self._grown(arguments["target"])
            case "map_block" if result:
                self._add("mapped", f"mmap gives a mapping of {self._extent(result)}.", result)
            case "unmap_block":
                says = "munmap gives the mapping back to the system."
                self.happened.append(Happening("unmapped", says, 0, 0))
            case "release":
                self._freed(arguments["block"])
            case "move" if result:
                self._moved(**arguments, target=result)
            case "refuse":
                self.happened.append(Happening("refused", "The answer is NULL, and errno is ENOMEM.", 0, 0))

    def _free_blocks(self) -> list[Block]:
        found = [Block(*shown) for shown in self._walk() if shown[2] is Status.FREE]
        return sorted(found, key=lambda block: (block.size, block.address))

    def _walk(self) -> Iterator[tuple[int, int, Status]]:
        """Every block of the heap, which has one segment, within a call: `os_walk` is a call itself."""
        engine = self._engine
        block = engine.first_block()
        while block:
            yield block, engine.size_of(block), Status(engine.status_of(block))
            block = engine.following(block)

    def _add(self, kind: str, says: str, block: int) -> None:
        """Something happened to a block's payload."""
        self.happened.append(Happening(kind, says, block, block + self._engine.size_of(block)))

    def _extent(self, block: int) -> str:
        size = self._engine.size_of(block)
        return f"{HEADER + size:,} bytes, header and payload"

    def _chosen(self, search: Search) -> None:
        large = [block for block in search.candidates if block.size >= search.wanted]
        if not search.chosen:
            says = f"No free block has room for {counted(search.wanted, 'byte')}."
            self.happened.append(Happening("searched", says, 0, 0))
            return
        have = "free block has" if len(large) == 1 else "free blocks have"
        says = (
            f"{len(large)} {have} room for {counted(search.wanted, 'byte')}; the smallest, of "
            f"{counted(large[0].size, 'byte')} at {self._session.where(search.chosen)}, is taken."
        )
        self._add("chosen", says, search.chosen)

    def _split(self, block: int, rest: int) -> None:
        engine, where = self._engine, self._session.where
        says = (
            f"The block at {where(block)} is split: it keeps {counted(engine.size_of(block), 'byte')}, and "
            f"{counted(engine.size_of(rest), 'byte')} are a free block of their own at {where(rest)}."
        )
        self.happened.append(Happening("split", says, rest - HEADER, rest))

    def _merged(self, block: int) -> None:
        engine = self._engine
        absorbed = engine.next_block(block)
        before, more = engine.size_of(block), engine.size_of(absorbed)
        kind = "free" if engine.status_of(block) == engine.FREE else "live"
        says = (
            f"The {kind} block at {self._session.where(block)} takes in the free one behind it: "
            f"{before:,} + {HEADER} + {more:,} = {counted(before + HEADER + more, 'byte')}."
        )
        self.happened.append(Happening("merged", says, absorbed - HEADER, absorbed))

    def _grown(self, target: int) -> None:
        before, where = self._end_before, self._session.where
        says = f"brk moves the break up by {counted(target - before, 'byte')}, to {where(target)}."
        self.happened.append(Happening("grown", says, before, target))

    def _freed(self, block: int) -> None:
        waits = self._engine.place_of(block) == self._engine.WAITING
        says = (
            "a neighbour is free: it waits to be merged"
            if waits
            else f"it goes into the list of bin {self._engine.bin_of(self._engine.size_of(block))}"
        )
        self._add("freed", f"The block at {self._session.where(block)} is marked free; {says}.", block)

    def _moved(self, pointer: int, size: int, kept: int, target: int) -> None:
        where = self._session.where
        says = f"{counted(min(size, kept), 'byte')} are copied from {where(pointer)} to {where(target)}."
        freed = self.happened.pop()
        self._add("moved", says, target)
        self.happened.append(freed)  # the last step of a move


def _number(value: Any) -> Any:
    """A value for JavaScript: as text if it has no number for it."""
    if value is None or isinstance(value, bool):
        return value
    return int(value) if int(value) < EXACT else hex(value)
