"""Traces on each heap: the model, the interpreted engine, the compiled one.

A line is a call, where its result is kept, the result, and the system calls that it makes. In front of a call
stands what the kernel refuses meanwhile; a refused system call ends with ``!``. ``sbrk`` is somebody else.
"""

from __future__ import annotations

import re

import pytest

from .heaps import NOTHING, Call, Heap, InterpretedHeap, ModelHeap, Refusal
from .naive import THRESHOLD
from .notation import Notation

TRACES = {
    "the worked trace of the specification": """
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
""",
    "a refused break: the heap goes on in a mapped region, and brk is tried again": """
[brk] malloc(100)           = M1+0x40   brk(0) brk(0x20000)! mmap(131072)
malloc(50)          -> a    = M1+0xc8
[brk] malloc(130900)        = M2+0x40   brk(0x1ff78)! mmap(131072)
malloc(130900)      -> b    = 0x20      brk(0x1ff78)
[brk] realloc(b,130950)     = M3+0x40   brk(0x1ffa8)! brk(0x3ff20)! mmap(131072)
malloc(130900)              = 0x20
""",
    "a region has room for the largest request": """
malloc(8)                   = 0x20      brk(0) brk(0x20000)
malloc(131000)              = 0x48
[brk] malloc(131008)        = M1+0x40   brk(0x3ffe0)! mmap(131072)
[brk] malloc(131009)        = M2+0x40   brk(0x3ffe8)! mmap(131080)
""",
    "a region that is refused is asked for once more, without spare room": """
[brk,large] malloc(100)     = M1+0x40   brk(0) brk(0x20000)! mmap(131072)! mmap(168)
malloc(8)                   = 0x20      brk(0x28)
""",
    "all is refused: NULL, and the preallocation is tried again": """
[brk,mmap] malloc(100)      = NULL      brk(0) brk(0x20000)! mmap(131072)! mmap(168)!
[mmap] malloc(131072)       = NULL      mmap(131104)!
malloc(100)                 = 0x20      brk(0x20000)
""",
    "a refused realloc leaves the block as it was": """
malloc(1000)        -> a    = 0x20      brk(0) brk(0x20000)
malloc(130000)              = 0x428
[mmap] realloc(a,131072)    = NULL      mmap(131104)!
[brk,mmap] realloc(a,2000)  = NULL      brk(0x207f0)! mmap(131072)! mmap(2064)!
realloc(a,1000)             = 0x20
""",
    "a refused munmap leaves the block mapped": """
malloc(131072)      -> a    = M1+0x20   mmap(131104)
[munmap] free(a)            = NULL      munmap(M1,131104)!
realloc(a,131072)           = M2+0x20   mmap(131104) munmap(M1,131104)
""",
    "somebody else moves the break: the heap goes on behind a wall": """
malloc(131032)      -> a    = 0x20      brk(0) brk(0x20000)
sbrk(1001)                  = NULL
malloc(100)         -> b    = 0x20430   brk(0x20498)
realloc(b,200)              = 0x20430   brk(0x204f8)
free(a)                     = NULL
malloc(131000)              = 0x20
sbrk(8)                     = NULL
realloc(b,208)              = 0x20540   brk(0x20610)
free(b)                     = NULL
malloc(150)                 = 0x20430
""",
    "somebody else moves the break before the first use": """
sbrk(4096)                  = NULL
malloc(1)                   = 0x20      brk(0) brk(0x20000)
""",
}
LINE = re.compile(
    r"(\[(?P<refused>\S+)\] )?(?P<name>\w+)\((?P<arguments>.*?)\)\s+(-> (?P<kept>\w+)\s+)?"
    r"= (?P<result>\S+)\s*(?P<calls>.*)",
)
NAMES = {"malloc": "m", "calloc": "c", "realloc": "r", "free": "f"}
REFUSALS = {
    None: NOTHING,
    "brk": Refusal(brk_from=1),
    "mmap": Refusal(mmap_from=1),
    "brk,mmap": Refusal(brk_from=1, mmap_from=1),
    "brk,large": Refusal(brk_from=1, mmap_from=THRESHOLD),
    "munmap": Refusal(munmap=True),
}


class Player:
    """Plays lines of a trace on a heap."""

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self._notation = Notation()
        self._kept: dict[str, int] = {}

    def play(self, line: re.Match[str]) -> tuple[str, list[str]]:
        """The result and the system calls of the call, as the trace would write them."""
        arguments = [int(self._kept.get(word, word)) for word in line["arguments"].split(",")]
        if line["name"] == "sbrk":
            self._heap.foreign_break(*arguments)
            return "NULL", []
        outcome = self._heap.call(Call(NAMES[line["name"]], *arguments), REFUSALS[line["refused"]])
        self._kept[line["kept"]] = outcome.result
        calls = self._notation.system_calls(outcome.system_calls)
        return self._notation.address(outcome.result), calls


def play(heap: Heap, trace: str) -> None:
    """Play a trace; each line gives what it says."""
    player = Player(heap)
    for text in trace.strip().splitlines():
        line = LINE.fullmatch(text)
        assert line is not None, text
        assert player.play(line) == (line["result"], line["calls"].split()), text


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
def test_the_model_plays_the_trace(trace: str) -> None:
    play(ModelHeap(), trace)


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
@pytest.mark.parametrize("name", ["interpreted", "compiled"])
def test_the_engine_plays_the_trace(name: str, trace: str, request: pytest.FixtureRequest) -> None:
    play(request.getfixturevalue(name), trace)


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_calloc_maps_from_the_page_size_of_the_system_on(page: int) -> None:
    model, engine = ModelHeap(page), InterpretedHeap(page)
    for size in (page - 40, page - 39, page, THRESHOLD):
        call = Call("c", 1, size)
        assert engine.call(call) == model.call(call)
    assert [call.name for call in model.machine.log] == ["brk", "brk", "mmap", "mmap", "mmap"]
