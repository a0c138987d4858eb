"""Owns the execution of commands from outside (`outside`), by a call that holds no lock."""

from __future__ import annotations

from ..common.figures import figure
from ..common.sizes import ONE
from ..machine import Word, is_traceable, load_byte
from .cache import reclaim
from .chunks import HAS_SIZE, TRIM_EVENT
from .control import lock_heap, process_heap, unlock_heap
from .figures import Figures
from .options import serve_only
from .outside import (
    BEGIN_COMMAND,
    DONE,
    END_COMMAND,
    IN_MEMORY,
    NOT_KNOWN,
    NOT_MADE_THERE,
    NOT_PERMITTED,
    ONLY_AS_STARTED,
    RECORDS_ALREADY,
    RECORDS_NOTHING,
    TRIM_COMMAND,
    answer_command,
    begin_order,
    end_order,
    is_own_order,
    order,
    outside,
    own_command,
)
from .publish import published_command
from .purge import give_all_back
from .recording import begin_recording_to, end_recording_now, look_at_forks
from .ring import has_ring
from .rows import record_event
from .sampling import mean_gap
from .shards import heap_count, heap_number
from .switch import SLASH
from .tracefile import has_recorded, is_recording, takes_stacks

# ---- Giving back ----


def sum_of(which: Word) -> Word:
    """A figure of all heaps that malloc has."""
    total: Word = 0
    for number in range(heap_count()):
        total += figure(heap_number(number), which)
    return total


def give_all_now(pad: Word) -> tuple[bool, Word]:
    """Give back all free memory except `pad` bytes below the break. Returns whether any was, and how much."""
    before = sum_of(Figures.returned_bytes)
    reclaim()
    any_given = False
    for number in range(heap_count()):
        any_given = give_all_back(heap_number(number), pad) or any_given
    count = sum_of(Figures.returned_bytes) - before
    if is_recording():
        record_event(TRIM_EVENT, HAS_SIZE, count, 0, 0)
    return any_given, count


# ---- Obeying ----


def begin_to(path: Word) -> Word:
    """Begin to record to this file. Returns the answer."""
    if load_byte(path) != SLASH:
        return NOT_KNOWN * ONE
    if has_ring() or mean_gap() != 0 or takes_stacks():
        return ONLY_AS_STARTED * ONE
    if is_recording():
        look_at_forks()  # a child may have the recording of its parent still
    if is_recording():
        return RECORDS_ALREADY * ONE
    return ONE * (DONE if begin_recording_to(path, sum_of(Figures.live_bytes)) else NOT_MADE_THERE)


def end_now() -> Word:
    """End the recording. Returns the answer."""
    if is_recording():
        look_at_forks()
    if has_ring():
        return ONLY_AS_STARTED * ONE
    return ONE * (DONE if end_recording_now() else RECORDS_NOTHING)


def is_permitted() -> bool:
    """Whether the sender of the order may make this process write files.

    Whoever writes to memory may do anything. A file of SNUG_PUBLISH is writable for all processes of the user,
    also those with fewer privileges than this one.
    """
    return outside().source == IN_MEMORY or is_traceable()


def carry_out() -> tuple[Word, Word]:
    """Execute the order. Returns the answer, and the number of bytes given back."""
    kind = order().kind
    count: Word = 0
    how: Word = NOT_KNOWN
    if kind == TRIM_COMMAND:
        how = DONE
        _any_given, count = give_all_now(0)
    elif not is_permitted():
        how = NOT_PERMITTED
    elif kind == BEGIN_COMMAND:
        how = begin_to(order().path)
    elif kind == END_COMMAND:
        how = end_now()
    return how, count


def tell(how: Word, count: Word) -> None:
    """Write the answer where the command came from."""
    if outside().source == IN_MEMORY:
        answer_command(own_command(), how, count)
        return
    held = lock_heap(process_heap())
    answer_command(published_command(), how, count)
    unlock_heap(process_heap(), held)


def obey() -> None:
    """Without a lock, at the beginning of a call: execute the waiting order, unless another thread does."""
    if not begin_order():
        return
    if is_own_order():
        how, count = carry_out()
        tell(how, count)
    if not is_recording() and not has_recorded():
        serve_only()
    end_order()
