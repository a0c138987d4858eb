"""Owns the frame of a trace file: its header, the heads of its chunks, their checksums, and its end.

docs/trace-format.md describes every byte.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum, IntFlag, unique
from typing import NamedTuple

from snugmalloc.trace.errors import TraceError

MAGIC = b"\x89SNUG\r\n\x1a"
VERSION = 1
MARK = b"\xc5SNG"
END_MAGIC = b"SNUGEND\n"

HEADER = struct.Struct("<8sHHIQQQQIIII")  # 64 bytes
HEADER_CHECKED = 60  # bytes: all but the checksum
HEAD = struct.Struct("<4sIBBHIQQQQQQ")  # 64 bytes
HEAD_CHECKED_FROM = 8
END = struct.Struct("<Q8s")

LARGEST_PAYLOAD = 1 << 28  # bytes, stored or unpacked
LARGEST_COUNT = 1 << 24  # events in a chunk


class Flags(IntFlag):
    """What the events of a file have."""

    TIMES = 1
    ADDRESSES = 2
    STACKS = 4


KNOWN_FLAGS = Flags.TIMES | Flags.ADDRESSES | Flags.STACKS


class Header(NamedTuple):
    """The first 64 bytes of a file."""

    flags: Flags = Flags.TIMES | Flags.ADDRESSES | Flags.STACKS
    ticks_per_second: int = 1_000_000_000
    """What times are counted in."""
    start: int = 0
    """The clock when the recording began, in ticks."""
    start_realtime: int = 0
    """The same moment in nanoseconds since 1970; 0 if unknown."""
    mean_gap: int = 0
    """Sampled: one sample is taken every so many bytes in the mean. 0: every call was recorded."""
    pid: int = 0
    parent_pid: int = 0
    page_size: int = 0


@unique
class Kind(IntEnum):
    """What a chunk holds."""

    COLUMNS = 1
    """Events in the order in which they happened, as columns."""
    ROWS = 2
    """Events of one thread, one after the other, as the engine writes them."""
    TABLES = 3
    """Texts, frames and stacks."""
    ABOUT = 4
    """Names and values: what was recorded, and by what."""
    INDEX = 5


@unique
class Form(IntEnum):
    """How a chunk's payload is stored."""

    PLAIN = 0
    GZIP = 1


class Head(NamedTuple):
    """What stands in front of each chunk's payload."""

    kind: Kind
    form: Form
    stored: int
    """The bytes of the payload as it is in the file."""
    entries: int = 0
    """How many events, definitions or entries there are."""
    first: int = 0
    """Columns: the number of the first event. Rows: the least sequence number."""
    last: int = 0
    first_time: int = 0
    last_time: int = 0
    thread: int = 0
    """Rows: the thread whose events these are."""

    @property
    def size(self) -> int:
        """The bytes of the whole chunk."""
        return HEAD.size + self.stored


def adler(*parts: bytes) -> bytes:
    """The Adler-32 of all parts, as it stands in the file: an engine needs two sums and no table for it."""
    checksum = 1
    for part in parts:
        checksum = zlib.adler32(part, checksum)
    return struct.pack("<I", checksum)


def pack_header(header: Header) -> bytes:
    """The first bytes of a file."""
    packed = HEADER.pack(MAGIC, VERSION, HEADER.size, *header, 0)
    return packed[:HEADER_CHECKED] + adler(packed[:HEADER_CHECKED])


def unpack_header(packed: bytes) -> tuple[Header, int]:
    """The header that a file begins with, and its bytes. Raises TraceError."""
    if packed[: len(MAGIC)] != MAGIC:
        raise TraceError("not a .snug trace")
    if len(packed) < HEADER.size:
        raise TraceError("ends within its header")
    _, version, size, flags, *rest, _ = HEADER.unpack(packed[: HEADER.size])
    checksum = packed[HEADER_CHECKED : HEADER.size]
    if adler(packed[:HEADER_CHECKED]) != checksum:
        raise TraceError("the header is damaged")
    if version != VERSION:
        raise TraceError(f"is of version {version} of the format, and this snug reads version {VERSION}")
    if size < HEADER.size or flags & ~KNOWN_FLAGS:
        raise TraceError("the header is invalid")
    return Header(Flags(flags), *rest), size


def pack_chunk(head: Head, payload: bytes) -> bytes:
    """A whole chunk: the head with the checksum set, and the payload."""
    kind, form, _, *rest = head
    packed = HEAD.pack(MARK, 0, kind, form, 0, len(payload), *rest)
    checked = packed[HEAD_CHECKED_FROM:]
    return b"".join((MARK, adler(checked, payload), checked, payload))


def unpack_head(packed: bytes) -> Head:
    """The head of a chunk. Raises TraceError if it cannot be one."""
    mark, _, kind, form, unused, stored, *rest = HEAD.unpack(packed)
    if mark != MARK:
        raise TraceError("no chunk begins here")
    try:
        head = Head(Kind(kind), Form(form), stored, *rest)
    except ValueError:
        raise TraceError("the head of a chunk is invalid") from None
    is_backwards = head.first > head.last or (kind == Kind.ROWS and head.first_time > head.last_time)
    if unused or is_backwards or head.stored > LARGEST_PAYLOAD or head.entries > LARGEST_COUNT:
        raise TraceError("the head of a chunk is invalid")
    return head


def check_chunk(packed_head: bytes, payload: bytes) -> None:
    """Raises TraceError if the checksum says that a byte is not what it was."""
    if adler(packed_head[HEAD_CHECKED_FROM:], payload) != packed_head[len(MARK) : HEAD_CHECKED_FROM]:
        raise TraceError("the checksum of a chunk is wrong")


def compress(payload: bytes) -> tuple[Form, bytes]:
    """The payload as a gzip member, where that is shorter."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    packed = packer.compress(payload) + packer.flush()
    return (Form.GZIP, packed) if len(packed) < len(payload) else (Form.PLAIN, payload)


def uncompress(form: Form, stored: bytes) -> bytes:
    """The payload as it was. Raises TraceError."""
    if form is Form.PLAIN:
        return stored
    unpacker = zlib.decompressobj(31)
    try:
        payload = unpacker.decompress(stored, LARGEST_PAYLOAD)
    except zlib.error as error:
        raise TraceError(f"a chunk cannot be unpacked: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise TraceError("a chunk cannot be unpacked")
    return payload
