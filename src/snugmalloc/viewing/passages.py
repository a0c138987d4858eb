"""Owns which functions of the interpreted engine a call goes through, and which of their lines run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from snugmalloc import engine

ENGINE = Path(engine.__file__).parent
FOLDERS = frozenset(str(ENGINE / library) for library in ("common", "osmem"))


class Function(NamedTuple):
    """A function of the engine."""

    layer: str
    """Its file, within the engine."""
    name: str
    line: int
    """Where in the file its source begins."""
    source: str


@dataclass
class Passage:
    """One call of a function of the engine."""

    function: Function
    depth: int
    """How many calls it is within."""
    arguments: dict[str, int]
    lines: set[int] = field(default_factory=set)
    """The lines of the file that ran."""
    result: Any = None


Heard = Callable[[Passage], None]


class Tracer:
    """Writes down all passages while it listens; `began` and `ended` are told of each as it happens."""

    def __init__(self, began: Heard, ended: Heard) -> None:
        self.passages: list[Passage] = []
        self._began = began
        self._ended = ended
        self._open: list[Passage] = []
        self._functions: dict[CodeType, Function] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Follow what this thread does."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if event != "call" or code.co_filename.rpartition("/")[0] not in FOLDERS:
            return None
        names = code.co_varnames[: code.co_argcount]
        arguments = {name: int(frame.f_locals[name]) for name in names}
        passage = Passage(self._function(code), len(self._open), arguments)
        self.passages.append(passage)
        self._open.append(passage)
        self._began(passage)
        return self._within

    def _within(self, frame: FrameType, event: str, argument: Any) -> Any:
        passage = self._open[-1]
        if event == "line":
            passage.lines.add(frame.f_lineno)
        elif event == "return":
            passage.result = argument
            self._ended(self._open.pop())
        return self._within

    def _function(self, code: CodeType) -> Function:
        if code not in self._functions:
            lines, first = inspect.getsourcelines(code)
            layer = Path(code.co_filename).relative_to(ENGINE).as_posix()
            self._functions[code] = Function(layer, code.co_name, first, "".join(lines))
        return self._functions[code]
