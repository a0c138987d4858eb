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
    store_half,
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

# Varints of up to four bytes are made at one stroke: groups of seven bits are spread to bytes.
GROUPS_BITS: Int = 28
GROUPS = (1 << 28) - 1
GROUPS_BYTES = 4
PAIRS_LOW = 0x0000_3FFF
PAIRS_HIGH = 0x0FFF_C000
BYTES_LOW = 0x007F_007F
BYTES_HIGH = 0x3F80_3F80
CONTINUED = 0x8080_8080
SIGN_SHIFT: Int = 63

ADLER_MODULO = 65521
ADLER_WORDS = 8  # so many at once: sums of lanes stay below 2**16
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


@inline
def spread(value: Word) -> Word:
    """Four groups of seven bits, each in a byte of its own."""
    pairs = value & PAIRS_LOW | (value & PAIRS_HIGH) << 2
    return pairs & BYTES_LOW | (pairs & BYTES_HIGH) << 1


@inline
def put_groups(place: Word, value: Word) -> Word:
    """Write a varint of at most four bytes. Where it ends. There is no branch to be guessed."""
    bits = spread(value)
    last = highest_bit(bits | 1)
    store_half(place, bits | CONTINUED & ((ONE << last) - 1))
    return place + 1 + (last >> 3)


def put_long(place: Word, value: Word) -> Word:
    """Write a varint of any length. Returns its end."""
    while value > GROUPS:
        store_half(place, spread(value & GROUPS) | CONTINUED)
        value >>= GROUPS_BITS
        place += GROUPS_BYTES
    return put_groups(place, value)


@inline
def put_number(place: Word, value: Word) -> Word:
    """Write a varint, and perhaps some bytes behind it. Where it ends."""
    return put_long(place, value) if unlikely(value > GROUPS) else put_groups(place, value)


# ---- Checksums ----


@inline
def weighted_sum(lanes: Word, weights: Word) -> Word:
    """The weighted sum of four lanes of 16 bits, highest weight first; below 2**16."""
    return multiply(lanes, weights) >> LANE_SHIFT


def adler(address: Word, count: Word) -> Word:
    """The Adler-32 of `count` bytes, at most 2**28: up to there each sum fits in a word.

    The bytes of eight words are added in lanes. `earlier` is the sum of what was in front of each of the words.
    """
    low = ONE
    high: Word = 0
    while count >= 8:
        words = count >> 3
        words = words if words < ADLER_WORDS else ADLER_WORDS * ONE
        end = address + words * 8
        even: Word = 0
        odd: Word = 0
        earlier: Word = 0
        while address < end:
            word = load_word(address)
            earlier += even + odd
            even += word & EVEN_BYTES
            odd += word >> 8 & EVEN_BYTES
            address += 8
        high += (low * words + weighted_sum(earlier, ADD_LANES)) * 8
        high += weighted_sum(even, EVEN_WEIGHTS) + weighted_sum(odd, ODD_WEIGHTS)
        low += weighted_sum(even + odd, ADD_LANES)
        count -= words * 8
    while count != 0:
        low += load_byte(address)
        high += low
        address += 1
        count -= 1
    return (high % ADLER_MODULO) << 16 | low % ADLER_MODULO
