"""The worked trace of the specification on each heap: the model, the interpreted engine, the compiled one."""

from __future__ import annotations

import re

import pytest

from .heaps import Call, Heap, InterpretedHeap, ModelHeap
from .naive import THRESHOLD
from .notation import Notation

TRACE = """
malloc(0)                     = NULL
malloc(200001)      -> first  = M1+0x20   mmap(200040)
malloc(1)           -> a      = 0x20      brk(0) brk(0x20000)
malloc(100)         -> b      = 0x48
calloc(3,7)         -> c      = 0xd0
malloc(131000)      -> d      = 0x108     brk(0x200c0)
calloc(1,4056)      -> e      = 0x200e0   brk(0x210b8)
calloc(1,4057)      -> f      = M2+0x20   mmap(4096)
free(f)                       = NULL      munmap(M2,4096)
free(b)                       = NULL
malloc(72)          -> b      = 0x48
free(b)                       = NULL
malloc(64)          -> b      = 0x48
realloc(c,8)                  = 0xd0
realloc(e,5000)               = 0x200e0   brk(0x21468)
realloc(e,4000)               = 0x200e0
realloc(e,4500)               = 0x200e0
realloc(e,9000)     -> e      = 0x21488   brk(0x237b0)
realloc(b,200)      -> b      = 0x200e0
realloc(a,140000)   -> a      = M3+0x20   mmap(140032)
realloc(a,139000)   -> a      = M4+0x20   mmap(139032) munmap(M3,140032)
realloc(a,50)       -> a      = 0x20      munmap(M4,139032)
realloc(a,0)                  = NULL
realloc(a,10)                 = NULL
realloc(first,0)              = NULL      munmap(M1,200040)
free(c)                       = NULL
free(d)                       = NULL
free(e)                       = NULL
free(b)                       = NULL
malloc(1000)                  = 0x20
"""
LINE = re.compile(
    r"(?P<name>\w+)\((?P<arguments>.*?)\)\s+(-> (?P<kept>\w+)\s+)?= (?P<result>\S+)\s*(?P<calls>.*)",
)
NAMES = {"malloc": "m", "calloc": "c", "realloc": "r", "free": "f"}


class Player:
    """Plays lines of a trace on a heap."""

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self._notation = Notation()
        self._kept: dict[str, int] = {}

    def play(self, line: re.Match[str]) -> tuple[str, list[str]]:
        """The result and the system calls of the call, as the trace would write them."""
        arguments = [int(self._kept.get(word, word)) for word in line["arguments"].split(",")]
        outcome = self._heap.call(Call(NAMES[line["name"]], *arguments))
        self._kept[line["kept"]] = outcome.result
        calls = self._notation.system_calls(outcome.system_calls)
        return self._notation.address(outcome.result), calls


def plays_the_trace(heap: Heap) -> None:
    player = Player(heap)
    for text in TRACE.strip().splitlines():
        line = LINE.fullmatch(text)
        assert line is not None
        assert player.play(line) == (line["result"], line["calls"].split()), text


def test_the_model_plays_the_worked_trace() -> None:
    plays_the_trace(ModelHeap())


@pytest.mark.parametrize("name", ["interpreted", "compiled"])
def test_the_engine_plays_the_worked_trace(name: str, request: pytest.FixtureRequest) -> None:
    plays_the_trace(request.getfixturevalue(name))


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_calloc_maps_from_the_page_size_of_the_system_on(page: int) -> None:
    model, engine = ModelHeap(page), InterpretedHeap(page)
    for size in (page - 40, page - 39, page, THRESHOLD):
        call = Call("c", 1, size)
        assert engine.call(call) == model.call(call)
    assert [call.name for call in model.machine.log] == ["brk", "brk", "mmap", "mmap", "mmap"]
