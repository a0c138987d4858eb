"""Owns arithmetic on whole columns: by NumPy where it is installed, in plain Python elsewhere.

All numbers are unsigned and of 64 bits, and sums wrap. Each function has the same result in both ways; `array`
and NumPy's arrays are both taken. `Vector` is the one or the other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import cache, reduce
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate, compress
from operator import or_
from typing import Any

Vector = Sequence[int]

WORD = 2**64 - 1
SIGN = 1 << 63
LONGEST = 10  # bytes of a varint
WRONG_COUNT = "there are fewer numbers than expected"
LAST_BYTE = 1  # the most that the tenth byte of a varint holds


@cache
def numpy() -> Any:
    """The module NumPy, or None where it is not installed."""
    return import_module("numpy") if find_spec("numpy") else None


def zigzag(difference: int) -> int:
    """A difference of two words as a number that is small when it is near zero: 0, -1, 1, -2, ..."""
    difference &= WORD
    return (difference << 1) & WORD if difference < SIGN else ((difference ^ WORD) << 1) | 1


def unzigzag(number: int) -> int:
    """The difference that `zigzag` made the number of, from 0 to 2**64 - 1."""
    return (number >> 1) ^ (WORD if number & 1 else 0)


def encode_varints(values: Iterable[int]) -> bytes:
    """Seven bits a byte, the lowest first; 0x80 is set in all but the last byte of each number."""
    return _encode_varints_at_once(values) if numpy() else b"".join(map(varint, values))


def varint(value: int) -> bytes:
    """One number as `encode_varints` writes it."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _encode_varints_at_once(values: Iterable[int]) -> bytes:
    np = numpy()
    known = isinstance(values, array | np.ndarray)
    numbers = np.asarray(values if known else list(values), dtype=np.uint64)
    lengths = np.ones(len(numbers), dtype=np.intp)
    for step in range(1, LONGEST):
        longer = numbers >> np.uint64(7 * step) != 0
        if not longer.any():
            break
        lengths += longer
    starts = np.cumsum(lengths) - lengths
    written = np.zeros(int(lengths.sum()), dtype=np.uint8)
    for step in range(int(lengths.max(initial=0))):
        there = np.flatnonzero(lengths > step)
        bits = numbers[there] >> np.uint64(7 * step) & np.uint64(0x7F)
        written[starts[there] + step] = bits.astype(np.uint8) | ((lengths[there] > step + 1) * 0x80).astype(
            np.uint8
        )
    return bytes(written.tobytes())


def decode_varints(data: bytes, count: int | None = None) -> Vector:
    """The numbers that `data` is, `count` of them; raises ValueError if it is not that."""
    if numpy():
        return _decode_varints_at_once(data, count)
    values = array("Q")
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            continue
        if value > WORD or shift >= 7 * LONGEST:
            raise ValueError("a number is too large")
        values.append(value)
        value = shift = 0
    if shift or count not in (None, len(values)):
        raise ValueError(WRONG_COUNT)
    return values


def _decode_varints_at_once(data: bytes, count: int | None) -> Vector:
    np = numpy()
    encoded = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(encoded < 0x80)
    if count not in (None, len(ends)) or len(encoded) != (ends[-1] + 1 if len(ends) else 0):
        raise ValueError(WRONG_COUNT)
    if len(encoded) == len(ends):
        small: Vector = encoded.astype(np.uint64)
        return small
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > LONGEST or (encoded[ends[lengths == LONGEST]] > LAST_BYTE).any():
        raise ValueError("a number is too large")
    values = (encoded[starts] & 0x7F).astype(np.uint64)
    for step in range(1, longest):
        there = np.flatnonzero(lengths > step)
        bits = (encoded[starts[there] + step] & 0x7F).astype(np.uint64)
        values[there] |= bits << np.uint64(7 * step)
    decoded: Vector = values
    return decoded


def sums(steps: Vector, start: int) -> Vector:
    """`start` and the steps up to each."""
    np = numpy()
    if np:
        totals: Vector = np.cumsum(np.asarray(steps, dtype=np.uint64), dtype=np.uint64) + np.uint64(start)
        return totals
    running = accumulate(steps, lambda total, step: total + step & WORD, initial=start)
    next(running)
    return array("Q", running)


def steps_of(values: Vector, start: int) -> Vector:
    """What `sums` makes `values` of."""
    np = numpy()
    if np:
        steps_at_once: Vector = np.diff(np.asarray(values, dtype=np.uint64), prepend=np.uint64(start))
        return steps_at_once
    steps = array("Q")
    for value in values:
        steps.append((value - start) & WORD)
        start = value
    return steps


def differences(values: Vector, keys: Vector, base: int) -> Vector:
    """How far each value is from the one before that has the same key; the first of a key from `base`."""
    np = numpy()
    if np:
        return _differences_at_once(values, keys, base)
    last: dict[int, int] = {}
    found = array("Q")
    for value, key in zip(values, keys, strict=True):
        found.append((value - last.get(key, base)) & WORD)
        last[key] = value
    return found


def _differences_at_once(values: Vector, keys: Vector, base: int) -> Vector:
    np = numpy()
    numbers = np.asarray(keys, dtype=np.uint64)
    order = np.argsort(numbers, kind="stable")
    grouped, ordered = numbers[order], np.asarray(values, dtype=np.uint64)[order]
    before = np.empty_like(ordered)
    before[:1] = base
    before[1:] = np.where(grouped[1:] == grouped[:-1], ordered[:-1], np.uint64(base))
    placed = np.empty_like(ordered)
    placed[order] = ordered - before
    found: Vector = placed
    return found


def undo_differences(found: Vector, keys: Vector, base: int) -> Vector:
    """The values that `differences` was given."""
    np = numpy()
    if np:
        return _undo_differences_at_once(found, keys, base)
    last: dict[int, int] = {}
    values = array("Q")
    for difference, key in zip(found, keys, strict=True):
        value = last[key] = (last.get(key, base) + difference) & WORD
        values.append(value)
    return values


def _undo_differences_at_once(found: Vector, keys: Vector, base: int) -> Vector:
    np = numpy()
    numbers = np.asarray(keys, dtype=np.uint64)
    order = np.argsort(numbers, kind="stable")
    steps = np.asarray(found, dtype=np.uint64)[order]
    grouped = numbers[order]
    is_first = np.ones(len(steps), dtype=bool)
    is_first[1:] = grouped[1:] != grouped[:-1]
    totals = np.cumsum(steps, dtype=np.uint64)
    before = (totals - steps)[is_first]
    placed = np.empty(len(steps), dtype=np.uint64)
    placed[order] = totals - before[np.cumsum(is_first) - 1] + np.uint64(base)
    values: Vector = placed
    return values


def zeros_below(values: Vector) -> int:
    """How many low bits are zero in all values; 0 if all are zero."""
    np = numpy()
    bits = int(np.bitwise_or.reduce(np.asarray(values, dtype=np.uint64))) if np else reduce(or_, values, 0)
    return (bits & -bits).bit_length() - 1 if bits else 0


def shift_and_zigzag(found: Vector, shift: int) -> Vector:
    """Differences that end in `shift` zero bits, as numbers that are small when they are near zero."""
    np = numpy()
    if np:
        signed_at_once = np.asarray(found, dtype=np.uint64).view(np.int64) >> np.int64(shift)
        zigzagged: Vector = ((signed_at_once << np.int64(1)) ^ (signed_at_once >> np.int64(63))).view(np.uint64)
        return zigzagged
    packed = array("Q")
    for difference in found:
        signed = difference - (1 << 64) if difference >= SIGN else difference
        packed.append(zigzag(signed >> shift))
    return packed


def undo_shift_and_zigzag(packed: Vector, shift: int) -> Vector:
    """The differences, from 0 to 2**64 - 1."""
    np = numpy()
    if np:
        numbers = np.asarray(packed, dtype=np.uint64)
        signs = np.uint64(0) - (numbers & np.uint64(1))
        found: Vector = ((numbers >> np.uint64(1)) ^ signs) << np.uint64(shift)
        return found
    return array("Q", (unzigzag(number) << shift & WORD for number in packed))


def zeros(count: int) -> Vector:
    """So many zeros."""
    np = numpy()
    found: Vector = np.zeros(count, dtype=np.uint64) if np else array("Q", bytes(8 * count))
    return found


def as_vector(small: bytes) -> Vector:
    """Numbers of one byte each."""
    np = numpy()
    found: Vector = np.frombuffer(small, dtype=np.uint8) if np else array("B", small)
    return found


def listed(values: Vector) -> Sequence[int]:
    """The values as Python's own ints."""
    if isinstance(values, array):
        return values
    found: list[int] = numpy().asarray(values).tolist()
    return found


def largest(values: Vector) -> int:
    """The largest of the values, of which there is one at least."""
    np = numpy()
    return int(np.max(values)) if np else max(values)


def spread(entries: Vector, where: bytes) -> Vector:
    """As many numbers as `where` has bytes: the entries in order where it is 1, else 0."""
    np = numpy()
    if np:
        placed = np.zeros(len(where), dtype=np.uint64)
        placed[np.frombuffer(where, dtype=np.uint8) != 0] = entries
        found: Vector = placed
        return found
    following = iter(entries)
    return array("Q", (next(following) if here else 0 for here in where))


def gather(values: Vector, where: bytes) -> Vector:
    """The values where `where` is 1."""
    np = numpy()
    if np:
        found: Vector = np.asarray(values)[np.frombuffer(where, dtype=np.uint8) != 0]
        return found
    return array("Q", compress(values, where))


def twice(values: Vector) -> Vector:
    """Each value two times, one behind the other."""
    np = numpy()
    if np:
        found: Vector = np.repeat(np.asarray(values), 2)
        return found
    return array("Q", (value for value in values for _ in range(2)))


def interleave(even: bytes, odd: bytes) -> bytes:
    """One byte of each in turn."""
    woven = bytearray(2 * len(even))
    woven[::2] = even
    woven[1::2] = odd
    return bytes(woven)


def are_equal(values: Vector, value: int, where: bytes) -> bytes:
    """1 where `where` is 1 and the value is `value`, else 0."""
    np = numpy()
    if np:
        same = (np.asarray(values) == value) & (np.frombuffer(where, dtype=np.uint8) != 0)
        return bytes(same.astype(np.uint8).tobytes())
    return bytes(here and found == value for here, found in zip(where, values, strict=True))
