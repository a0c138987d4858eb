"""Owns the bytes of a trace file, which docs/trace-format.md describes: header, heads, numbers, checksums."""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Array,
    Byte,
    Half,
    Int,
    Record,
    Word,
    array,
    highest_bit,
    inline,
    load_byte,
    load_word,
    multiply,
    store_byte,
    store_word,
    unlikely,
)

MAGIC = 0x1A0A_0D47_554E_5389
VERSION = 1
TIMES_AND_ADDRESSES = 3  # flags of the header
STACKS = 4
HEADER_CHECKED = 60  # bytes
CHUNK_MARK = 0x474E_53C5
CHECKED_FROM = 8
ROWS = 2
TABLES = 3
ABOUT = 4
TEXT_DEFINITION = 1
SOURCE_DEFINITION = 2
NATIVE_DEFINITION = 3
STACK_DEFINITION = 4

MALLOC_CALL = 1
CALLOC_CALL = 2
REALLOC_CALL = 3
ALIGNED_CALL = 4
FREE_CALL = 5
GROWTH_EVENT = 16
PURGE_EVENT = 17
TRIM_EVENT = 18
MAP_EVENT = 19
UNMAP_EVENT = 20
REFUSAL_EVENT = 21
FORK_EVENT = 22
BEGIN_EVENT = 23
END_EVENT = 24
NAME_EVENT = 25
LOST_EVENT = 26
REFUSED = 128

HAS_SIZE = 1  # the figures that a row has, in this order
HAS_NUMBER = 2
HAS_OLD = 4
HAS_ADDRESS = 8

HAS_STACK = 0x40  # in the first number of a row

# Varints of up to eight bytes are made at one stroke: groups of seven bits are spread to bytes.
LONG_VARINT = 1 << 56
HALVES_LOW = 0x0000_0000_0FFF_FFFF
HALVES_HIGH = 0x00FF_FFFF_F000_0000
QUARTERS_LOW = 0x0000_3FFF_0000_3FFF
QUARTERS_HIGH = 0x0FFF_C000_0FFF_C000
BYTES_LOW = 0x007F_007F_007F_007F
BYTES_HIGH = 0x3F80_3F80_3F80_3F80
CONTINUED = 0x8080_8080_8080_8080
SEVENTH = 37  # a 256th of so many times a number below 56 is a seventh of it
SIGN_SHIFT: Int = 63

ADLER_MODULO = 65521
ADLER_PIECE = 256  # words of a piece: the sums stay below 2**32
EVEN_BYTES = 0x00FF_00FF_00FF_00FF
ADD_LANES = 0x0001_0001_0001_0001
EVEN_WEIGHTS = 0x0008_0006_0004_0002
ODD_WEIGHTS = 0x0007_0005_0003_0001
LANE_SHIFT: Int = 48


class TraceHeader(Record, size=64):
    """The header of the file."""

    magic: Word
    version_and_bytes: Half
    flags: Half
    ticks: Word  # in a second
    start: Word
    realtime: Word
    mean_gap: Word
    process: Half
    parent: Half
    page: Half
    checksum: Half


class ChunkHead(Record, size=64):
    """The head in front of each chunk."""

    mark: Half
    checksum: Half
    kind: Byte
    form: Byte
    unused: Array[Byte] = array(2)
    stored: Half
    entries: Word
    first: Word
    last: Word
    first_time: Word
    last_time: Word
    thread: Word


# ---- Numbers ----


def put_long(place: Word, value: Word) -> Word:
    """Write a varint of any length. Returns its end."""
    while value > 127:
        store_byte(place, value & 127 | 128)
        value >>= 7
        place += 1
    store_byte(place, value)
    return place + 1


@inline
def put_number(place: Word, value: Word) -> Word:
    """Write a varint, and perhaps some bytes behind it. Where it ends. There is no branch to be guessed."""
    if unlikely(value >= LONG_VARINT):
        return put_long(place, value)
    more = highest_bit(value | 1) * SEVENTH >> 8
    bits = value & HALVES_LOW | (value & HALVES_HIGH) << 4
    bits = bits & QUARTERS_LOW | (bits & QUARTERS_HIGH) << 2
    bits = bits & BYTES_LOW | (bits & BYTES_HIGH) << 1
    store_word(place, bits | CONTINUED & ((ONE << more * 8) - 1))
    return place + more + 1


# ---- Checksums ----


def weighted_sums(word: Word) -> tuple[Word, Word]:
    """The sum of eight bytes, and their sum weighted from eight for the first to one for the last."""
    even = word & EVEN_BYTES
    odd = word >> 8 & EVEN_BYTES
    weighted = (multiply(even, EVEN_WEIGHTS) >> LANE_SHIFT) + (multiply(odd, ODD_WEIGHTS) >> LANE_SHIFT)
    return multiply(even + odd, ADD_LANES) >> LANE_SHIFT, weighted


def adler(address: Word, count: Word) -> Word:
    """The Adler-32 of `count` bytes."""
    low = ONE
    high: Word = 0
    while count >= 8:
        words = count >> 3
        words = words if words < ADLER_PIECE else ADLER_PIECE * ONE
        end = address + words * 8
        while address < end:
            plain, weighted = weighted_sums(load_word(address))
            high += low * 8 + weighted
            low += plain
            address += 8
        low %= ADLER_MODULO
        high %= ADLER_MODULO
        count -= words * 8
    while count != 0:
        low += load_byte(address)
        high += low
        address += 1
        count -= 1
    return (high % ADLER_MODULO) << 16 | low % ADLER_MODULO
