"""Owns the text that glibc's mtrace writes to the file that MALLOC_TRACE names.

    @ <object>:(<function>+<offset>)[<address>] + <block> <size>
    @ ... - <block>        @ ... < <old block>, on the next line @ ... > <new block> <size>
    @ ... ! <block> <size>, a realloc that failed

There are no threads and no times in it. calloc and aligned requests are + like malloc.
"""

from __future__ import annotations

import re

from snugmalloc.trace.format import Flags, Header
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.tables import NativeFrame
from snugmalloc.trace.writer import TraceWriter

LOOKS_LIKE_IT = re.compile(rb"= Start|@ .*\] [-+<>!] ")
LINE = re.compile(
    rb"(?:@ (?:(?P<object>.*):)?(?:\(.*\))?\[(?P<address>0x[0-9a-f]+)\] )?"
    rb"(?P<sign>[-+<>!]) (?P<block>0x[0-9a-f]+|\(nil\)|0)(?: (?P<size>0x[0-9a-f]+|0))?\s*"
)
NULL = b"(nil)"


class MtraceImporter:
    """Writes the calls to a trace."""

    header = Header(Flags.ADDRESSES | Flags.STACKS, ticks_per_second=0)

    def __init__(self) -> None:
        self.old = 0
        self.stack_of: dict[tuple[bytes, bytes], int] = {}

    def line(self, line: bytes, writer: TraceWriter) -> None:
        """One more line; raises ValueError if it is no call."""
        if line.startswith(b"= ") or not line.strip():
            return
        found = LINE.fullmatch(line)
        if found is None or (found["size"] is None) != (found["sign"] in b"-<"):
            raise ValueError
        block = 0 if found["block"] == NULL else int(found["block"], 0)
        size = int(found["size"] or b"0", 0)
        stack = self.stack(found["object"] or b"", found["address"] or b"", writer)
        sign = found["sign"]
        if sign == b"+":
            writer.add(Operation.MALLOC, size=size, address=block, stack=stack)
        elif sign == b"-":
            writer.add(Operation.FREE, old=block)
        elif sign == b"<":
            self.old = block
        elif sign == b">":
            writer.add(Operation.REALLOC, size=size, address=block, old=self.old, stack=stack)
        else:
            writer.add(Operation.REALLOC, size=size, old=block, stack=stack, refused=True)

    def stack(self, name: bytes, address: bytes, writer: TraceWriter) -> int:
        """The number of the stack that has this one frame, as far as mtrace knows it."""
        if not address:
            return 0
        known = self.stack_of.get((name, address))
        if known is None:
            frame = NativeFrame(name.decode(errors="surrogateescape"), int(address, 0))
            known = self.stack_of[name, address] = writer.stack([frame])
        return known
