"""Owns the chance of a request to be sampled, where a recording is to have samples only.

    SNUG_RECORD_SAMPLE=BYTES    beside SNUG_RECORD: a sample every BYTES bytes that are asked for, in the mean

The bytes that a thread asks for are a row, and each of them is hit with the same small probability, whatever
happens to the others. A block is sampled if one of its bytes is hit: one of S bytes with the probability
1 - exp(-S / R), where R is the mean gap. So only the next byte that is hit need be known: a gap is drawn, of an
exponential distribution, and counted down.

The gap is a thread's fifth word: the number of the byte that is hit next, from 1; 0 if none was drawn.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    atomic_add,
    atomic_store,
    hide_entry,
    inline,
    load_thread_gap,
    multiply,
    process_id,
    random_word,
    reserve,
    store_thread_gap,
    text_after,
    tick,
    unlikely,
)
from .layout import GIB
from .values import NONE, number_in

RECORD_SAMPLE = b"SNUG_RECORD_SAMPLE="
MAX_GAP = GIB

RANDOM_STEP = 0x9E37_79B9_7F4A_7C15
RANDOM_FACTOR = 0xBF58_476D_1CE4_E5B9
OTHER_FACTOR = 0x94D0_49BB_1331_11EB

RANDOM_STATE = reserve(8)

asked_gap: Word = 0
sample_entry: Word = 0  # the entry of the environment
samples: bool = False


# ---- The option ----


def read_sample_option(entry: Word) -> bool:
    """Obey an entry of the environment if it is the one above. Whether it is."""
    global asked_gap, sample_entry
    value = text_after(entry, RECORD_SAMPLE)
    if value == 0:
        return False
    number = number_in(entry, value, 0, MAX_GAP)
    asked_gap = number if number != NONE else 0
    sample_entry = entry
    return True


def hide_sample_option() -> None:
    """Programs that this process starts do not find the option."""
    hide_entry(sample_entry)


def mean_gap() -> Word:
    """The mean gap between samples in bytes; 0 where every call is recorded."""
    return asked_gap


def take_no_samples() -> None:
    """Every call is recorded, whatever the option says."""
    global asked_gap
    asked_gap = 0


def begin_sampling() -> None:
    """A recording has begun: of samples, if the option says so. That never changes again."""
    global samples
    samples = asked_gap != 0


def takes_samples() -> bool:
    """Whether this process was to be recorded by samples: even when it is not recorded any more."""
    return samples


# ---- Chance ----


def stir() -> None:
    """Begin with other random numbers than any other process, a forked child too."""
    atomic_store(RANDOM_STATE, random_word() ^ multiply(process_id(), RANDOM_FACTOR) ^ tick())


def random_bits() -> Word:
    """64 random bits (splitmix64)."""
    bits = atomic_add(RANDOM_STATE, RANDOM_STEP)
    bits = multiply(bits ^ bits >> 30, RANDOM_FACTOR)
    bits = multiply(bits ^ bits >> 27, OTHER_FACTOR)
    return bits ^ bits >> 31


def draw_gap() -> Word:
    """A gap, of an exponential distribution: von Neumann's way, which does nothing but compare.

    A random number, and others as long as each is less than the one before: if there are an odd number, the
    first is what is behind the point, else all begins again with a whole mean gap more.
    """
    gap: Word = ONE
    while True:
        first = random_bits()
        least = first
        other = random_bits()
        is_odd = True
        while other < least:
            least = other
            other = random_bits()
            is_odd = not is_odd
        if is_odd:
            return gap + (asked_gap * (first >> 32) >> 32)
        gap += asked_gap


@inline
def pass_by(count: Word) -> bool:
    """Whether none of this thread's next `count` bytes is hit; they are counted then.

    Before anything else: a signal handler that allocates finds a gap that is larger than 0.
    """
    gap = load_thread_gap()
    if unlikely(gap <= count):
        return False
    store_thread_gap(gap - count)
    return True


def take_back(count: Word) -> None:
    """So many bytes were counted, and will be again."""
    store_thread_gap(load_thread_gap() + count)


def find_hit(count: Word) -> Word:
    """Which of this thread's next `count` bytes is the first that is hit, from 1; or 0."""
    gap = load_thread_gap()
    gap = gap if gap != 0 else draw_gap()
    if gap > count:
        store_thread_gap(gap - count)
        return 0
    store_thread_gap(draw_gap())
    return gap
