"""Owns reading numbers and texts from a payload in sequence."""

from __future__ import annotations

from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.vectors import LONGEST, WORD


class Cursor:
    """A place in a payload. Every method raises TraceError where the payload ends too early."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.position = 0

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.payload)

    def byte(self) -> int:
        """The next byte."""
        if self.at_end:
            raise TraceError("a chunk ends too early")
        self.position += 1
        return self.payload[self.position - 1]

    def number(self) -> int:
        """The next varint."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= 7 * LONGEST:
                raise TraceError("a number is too large")
        if value > WORD:
            raise TraceError("a number is too large")
        return value

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self.payload) - self.position:
            raise TraceError("a chunk ends too early")
        self.position += count
        return self.payload[self.position - count : self.position]

    def text(self) -> str:
        """The next text: its length in bytes, then UTF-8."""
        return self.take(self.number()).decode(errors="surrogateescape")
