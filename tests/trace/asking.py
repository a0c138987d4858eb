"""A program of the tests: allocates in calls of all kinds, and writes what the interpreter says of each stack.

``python asking.py FILE``: FILE has a line of JSON for each request: its bytes, and its calls, the innermost
first, each as file, line and function. It runs on every Python from 3.11 on.
"""

from __future__ import annotations

import asyncio
import bisect
import copy
import ctypes
import functools
import gc
import importlib
import itertools
import json
import pickle
import re
import runpy
import signal
import sys
import tempfile
import threading
import weakref
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

HEAD = 33
"""Bytes of an object of bytes beside its letters."""

sizes = itertools.count(300_001)
told: list[tuple[int, list[tuple[str, int, str]]]] = []


def ask(block: bytes, frame: FrameType | None = None) -> int:
    """Note the calls that the caller is in: it has allocated the block in this very line.

    A call that is at an instruction without a line, as 3.11 has them, is recorded at its function's first.
    """
    calls = []
    frame = frame or sys._getframe(1)
    while frame:
        code = frame.f_code
        calls.append((code.co_filename, frame.f_lineno or code.co_firstlineno, code.co_qualname))
        frame = frame.f_back
    told.append((len(block) + HEAD, calls))
    return len(block)


# ---- Functions ----


def functions() -> None:
    def outer(depth: int) -> Callable[[], int]:
        def inner() -> int:
            return ask(bytes(next(sizes))) + depth + ask(bytes(next(sizes)))

        return inner

    outer(1)()
    (lambda: ask(bytes(next(sizes))))()
    functools.partial(outer(2))()
    for _ in range(500):
        warm(False)
    warm(True)


def warm(is_asked: bool) -> int:
    """Called so often that its instructions are specialised, and perhaps compiled."""
    total = 0
    for step in range(20):
        total += step
        if is_asked:
            ask(bytes(next(sizes)))
    return total


def loop() -> None:
    """A loop that becomes hot while it allocates, with a call that may be inlined."""
    for step in range(10_000):
        if step % 1000 == 999:
            helper()
            ask(bytes(next(sizes)))
        pair(step)
    for step in range(6000):
        maker(step)


def pair(step: int) -> tuple[int, int]:
    return step, step + 1


def helper() -> None:
    ask(bytes(next(sizes)))


def maker(step: int) -> None:
    block = bytes(next(sizes)) if step > 5990 else b""
    if block:
        ask(bytes(next(sizes)))


class Meta(type):
    """Calls while a class is made."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **_: Any) -> MutableMapping[str, object]:
        ask(bytes(next(sizes)))
        return {}

    def __call__(cls, *arguments: object) -> Any:
        ask(bytes(next(sizes)))
        return super().__call__(*arguments)


class Thing(metaclass=Meta):
    """Methods that the interpreter calls by itself."""

    ask(bytes(next(sizes)))
    numbers = [ask(bytes(next(sizes))) for _ in range(2)]  # noqa: RUF012

    def __init__(self, number: int = 0) -> None:
        self.number = number
        ask(bytes(next(sizes)))

    def __init_subclass__(cls) -> None:
        ask(bytes(next(sizes)))

    def __del__(self) -> None:
        ask(bytes(next(sizes)))

    def __getattr__(self, name: str) -> int:
        if name.startswith("__"):
            raise AttributeError(name)
        return ask(bytes(next(sizes)))

    def __lt__(self, other: Thing) -> bool:
        return ask(bytes(next(sizes))) < 0

    def __eq__(self, other: object) -> bool:
        return ask(bytes(next(sizes))) < 0

    def __hash__(self) -> int:
        return ask(bytes(next(sizes))) & 1

    def __add__(self, other: object) -> int:
        return ask(bytes(next(sizes)))

    def __format__(self, how: str) -> str:
        ask(bytes(next(sizes)))
        return "thing"

    def __contains__(self, what: object) -> bool:
        return ask(bytes(next(sizes))) > 0

    def __getitem__(self, index: int) -> int:
        if index > 2:
            raise IndexError
        return ask(bytes(next(sizes)))

    def __reduce__(self) -> tuple[type, tuple[int]]:
        ask(bytes(next(sizes)))
        return Thing, (3,)

    def __enter__(self) -> None:
        ask(bytes(next(sizes)))

    def __exit__(self, *_: object) -> bool:
        return ask(bytes(next(sizes))) > 0

    @property
    def worth(self) -> int:
        return ask(bytes(next(sizes)))

    @functools.cached_property
    def kept(self) -> int:
        return ask(bytes(next(sizes)))


def methods() -> None:
    class Child(Thing):
        pass

    thing: Any = Child(1)
    other: Any = Thing(2)
    for _ in range(30):
        _ = thing.worth, thing.missing, thing.kept, thing + 1, thing[0], 3 in thing
        _ = f"{thing} {other:>3}", thing == other, {thing: 1, other: 2}
    _ = (
        sorted([thing, other, thing]),
        list(thing),
        pickle.loads(pickle.dumps(other)),
        copy.deepcopy(other),
    )
    with thing:
        raise ValueError
    del thing, other


# ---- Called by code in C ----


def called_by_c() -> None:
    def key(value: object) -> int:
        return ask(bytes(next(sizes)))

    sorted([3, 1, 2], key=key)
    sorted([3, 1, 2], key=functools.cmp_to_key(lambda a, b: ask(bytes(next(sizes)))))
    list(map(key, [1, 2]))
    list(filter(lambda value: ask(bytes(next(sizes))) > value, [1, 2]))
    functools.reduce(lambda a, b: a + ask(bytes(next(sizes))), [1, 2, 3])
    max([1, 2, 3], key=key)
    bisect.bisect([1, 2, 3], 2, key=key)
    list(itertools.groupby([1, 1, 2], key))
    list(itertools.accumulate([1, 2, 3], lambda a, b: ask(bytes(next(sizes)))))
    re.sub("[ab]", lambda match: str(ask(bytes(next(sizes)))), "abc")
    json.loads('{"a": {"b": 1}}', object_hook=key)
    json.dumps([object()], default=lambda value: ask(bytes(next(sizes))))
    next(iter(functools.partial(key, 1), None))
    getattr(ctypes, "c_int")(key(1))  # noqa: B009
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 4)(4, 2, 3, 1)
    ctypes.CDLL(None).qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), kind(compare))
    cached(1)
    gc.callbacks.append(collected)
    gc.collect()
    gc.callbacks.remove(collected)
    target = Target()
    reference = weakref.ref(target, gone)
    del target
    assert reference() is None


class Target:
    pass


def compare(a: Any, b: Any) -> int:
    ask(bytes(next(sizes)))
    return int(a[0] - b[0])


@functools.lru_cache
def cached(value: int) -> int:
    return ask(bytes(next(sizes))) if value == 0 else cached(value - 1)


def collected(phase: str, about: dict[str, int]) -> None:
    ask(bytes(next(sizes)))


def gone(reference: object) -> None:
    ask(bytes(next(sizes)))


# ---- Generators and comprehensions ----


def count(limit: int) -> Iterator[int]:
    try:
        for step in range(limit):
            sent = yield ask(bytes(next(sizes))) + step
            if sent:
                ask(bytes(next(sizes)))
    except ValueError:
        yield ask(bytes(next(sizes)))
    finally:
        ask(bytes(next(sizes)))


def delegate(limit: int) -> Iterator[int]:
    if limit:
        yield from delegate(limit - 1)
        ask(bytes(next(sizes)))
    yield from count(2)


def generators() -> None:
    for _ in count(3):
        ask(bytes(next(sizes)))
    list(delegate(5))
    generator: Any = count(5)
    next(generator)
    generator.send(1)
    generator.throw(ValueError)
    generator.close()
    next(count(2))
    sum(ask(bytes(next(sizes))) for _ in range(3))
    list(a + b for a in count(2) for b in count(2))


def comprehensions() -> None:
    for _ in range(20):
        _ = [ask(bytes(next(sizes))) for _ in range(2)]
        _ = {step: ask(bytes(next(sizes))) for step in range(2)}
        _ = {ask(bytes(next(sizes))) for _ in range(2)}
        _ = [
            [(lambda: ask(bytes(next(sizes))))() for _ in range(1)] for _ in range(2) if ask(bytes(next(sizes)))
        ]


# ---- Async ----


class Resource:
    async def __aenter__(self) -> None:
        await asyncio.sleep(0)
        ask(bytes(next(sizes)))

    async def __aexit__(self, *_: object) -> None:
        ask(bytes(next(sizes)))
        await asyncio.sleep(0)
        ask(bytes(next(sizes)))


async def ticks() -> AsyncIterator[int]:
    for step in range(3):
        await asyncio.sleep(0)
        yield ask(bytes(next(sizes))) + step


async def work(depth: int) -> int:
    if depth:
        await work(depth - 1)
    ask(bytes(next(sizes)))
    await asyncio.sleep(0)
    return ask(bytes(next(sizes)))


async def everything() -> None:
    await asyncio.gather(work(1), work(5), work(3))
    async with asyncio.TaskGroup() as group:
        group.create_task(work(2))
        asyncio.get_running_loop().call_soon(ask_plainly)
    async for _ in ticks():
        ask(bytes(next(sizes)))
    _ = [ask(bytes(next(sizes))) + step async for step in ticks()]
    async with Resource():
        ask(bytes(next(sizes)))
    await asyncio.to_thread(ask_plainly)
    try:
        await asyncio.wait_for(asyncio.sleep(100), 0.001)
    except TimeoutError:
        ask(bytes(next(sizes)))


def ask_plainly() -> None:
    ask(bytes(next(sizes)))


def coroutines() -> None:
    asyncio.run(everything())


# ---- Threads ----


def threads() -> None:
    def run() -> None:
        for _ in range(100):
            warm(False)
            ask(bytes(next(sizes)))

    started = [threading.Thread(target=run) for _ in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda step: [ask(bytes(next(sizes))) for _ in range(step)], range(20)))


# ---- Exceptions ----


def exceptions() -> None:
    def fail(depth: int) -> None:
        try:
            if not depth:
                raise KeyError(ask(bytes(next(sizes))))
            fail(depth - 1)
        except KeyError as error:
            ask(bytes(next(sizes)))
            raise ValueError from error
        finally:
            ask(bytes(next(sizes)))

    for _ in range(3):
        try:
            fail(0)
        except ValueError as error:
            ask(bytes(next(sizes)))
            assert error.__traceback__
    try:
        raise ExceptionGroup("", [KeyError(), ValueError()])
    except* KeyError:
        ask(bytes(next(sizes)))
    except* ValueError:
        ask(bytes(next(sizes)))

    def endless() -> None:
        endless()

    try:
        endless()
    except RecursionError:
        ask(bytes(next(sizes)))


# ---- Recursion ----


def recursion() -> None:
    def down(depth: int) -> int:
        if depth == 0:
            return ask(bytes(next(sizes)))
        result = down(depth - 1)
        if depth % 40 == 0:
            ask(bytes(next(sizes)))
        return result

    def through_c(depth: int) -> int:
        return max([depth - 1], key=through_c) if depth > 0 else ask(bytes(next(sizes)))

    sys.setrecursionlimit(4000)
    for depth in (100, 400, 2000):
        down(depth)
    through_c(100)
    list(delegate(60))


# ---- Code that comes while the program runs ----


def made_code() -> None:
    source = (
        "def made(step):\n"
        + "\n" * 300
        + "    return ask(bytes(next(sizes)))\n\n\nmade(1)\nask(bytes(next(sizes)))\n"
    )
    for number in range(20):
        exec(compile(source, f"<made {number}>", "exec"), globals())
        eval("ask(bytes(next(sizes)))")
    changed = helper.__code__.replace(
        co_filename="changed.py", co_firstlineno=1000, co_name="c", co_qualname="C.c"
    )
    FunctionType(changed, globals())()
    with tempfile.TemporaryDirectory() as folder:
        module = "from __main__ import ask, sizes\n\ndef f():\n    return ask(bytes(next(sizes)))\nf()\n"
        (Path(folder) / "of_a_folder.py").write_text(module)
        with zipfile.ZipFile(Path(folder) / "packed.zip", "w") as packed:
            packed.writestr("of_a_file.py", module)
        sys.path[:0] = [folder, f"{folder}/packed.zip"]
        importlib.import_module("of_a_folder").f()
        importlib.import_module("of_a_file").f()
        (Path(folder) / "run.py").write_text("ask(bytes(next(sizes)))\n")
        runpy.run_path(f"{folder}/run.py", globals())
        del sys.path[:2]
    if sys.version_info >= (3, 14):
        exec("def annotated(a: ask(bytes(next(sizes)))): pass\nannotated.__annotations__", globals())
        exec("t'{ask(bytes(next(sizes)))}'", globals())


# ---- Code that is watched ----


def watched() -> None:
    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is warm.__code__ and event in ("call", "line", "return"):
            ask(bytes(next(sizes)))
        return trace

    sys.settrace(trace)
    warm(True)
    sys.settrace(None)
    sys.setprofile(trace)
    warm(True)
    sys.setprofile(None)
    warm(True)
    if sys.version_info >= (3, 12):
        monitoring = sys.monitoring
        monitoring.use_tool_id(2, "asking")
        for event in (monitoring.events.LINE, monitoring.events.PY_START, monitoring.events.BRANCH):
            monitoring.register_callback(2, event, lambda *_: ask(bytes(next(sizes))))
            monitoring.set_local_events(2, warm.__code__, event)
            warm(True)
        monitoring.free_tool_id(2)
        warm(True)


def signals() -> None:
    seen = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        ask(bytes(next(sizes)))

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    while seen < 5:
        warm(False)
    signal.setitimer(signal.ITIMER_REAL, 0)


def interpreters() -> None:
    """Interpreters within the process, each with a lock of its own; they say themselves what they are in."""
    if sys.version_info < (3, 14):
        return
    inner = importlib.import_module("concurrent.interpreters")
    source = """
import sys
import threading

calls = []

def ask(block):
    frame, found = sys._getframe(1), []
    while frame:
        found.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname))
        frame = frame.f_back
    calls.append((len(block) + 33, found))

def f(first):
    for size in range(first, first + 300):
        exec(compile(f"ask(bytes({size}))", f"<{size}>", "exec"))
        ask(bytes(size + 400))

"""
    results: list[Any] = []

    def run(first: int) -> None:
        interpreter = inner.create()
        queue = inner.create_queue()
        interpreter.prepare_main(queue=queue)
        interpreter.exec(source + f"\nf({first})\nqueue.put(repr(calls))\n")
        results.append(queue.get())
        interpreter.close()

    running = [threading.Thread(target=run, args=(200_000 + 1000 * step,)) for step in range(3)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for result in results:
        told.extend(eval(result))


KINDS = [
    functions,
    loop,
    methods,
    called_by_c,
    generators,
    comprehensions,
    coroutines,
    threads,
    exceptions,
    recursion,
    made_code,
    watched,
    signals,
    interpreters,
]


if __name__ == "__main__":
    for kind in KINDS:
        kind()
    Path(sys.argv[1]).write_text("".join(json.dumps(asked) + "\n" for asked in told))
