"""Owns the statistics of a process over time, in its ring: live, taken from the system, resident.

At each step of a heap the newest figures are updated, and once a second they become an entry of the series,
with live bytes by size. The last entries are kept, and also every 16th and every 256th: two minutes in seconds,
half an hour, nine hours.
"""

from __future__ import annotations

from ..common.figures import figure
from ..common.sizes import ONE
from ..machine import (
    Word,
    atomic_exchange,
    atomic_load,
    atomic_store,
    copy_bytes,
    resident_bytes,
    tick,
)
from .definitions import pass_definitions
from .figures import Figures
from .layout import ALL_BITS
from .ring import (
    BIN_ROOM,
    HELD,
    STATE_BITS,
    TIER_SHIFT,
    TIERS,
    Entry,
    RingHeader,
    is_ring_ours,
    last_run,
    note_of,
    ring_header,
    series_entry,
    slot_number,
    slots_there,
    state_cell,
)
from .shards import heap_count, heap_number
from .texts import name_run
from .tracefile import is_recording, ticks_of_second

NAMES_AT_ONCE = 32  # threads whose names are looked up in a second


def total(offset: Word) -> Word:
    """A figure of all heaps of malloc's, added up without their locks."""
    sum_of_all: Word = 0
    for number in range(heap_count()):
        sum_of_all += figure(heap_number(number), offset)
    return sum_of_all


def put_figures(entry: Entry) -> None:
    """Write the figures as they are now."""
    entry.time = tick()
    entry.out_bytes = total(Figures.live_bytes)
    entry.out_blocks = total(Figures.live_blocks)
    entry.system_bytes = total(Figures.system_bytes)
    entry.mapped_bytes = total(Figures.mapped_bytes)
    entry.purged_bytes = total(Figures.purged_bytes)
    entry.kept_bytes = total(Figures.kept_bytes)
    entry.returned = total(Figures.returned_bytes)
    entry.refused = total(Figures.refused_requests)


def put_bins(entry: Entry) -> None:
    """Write live bytes by size: the header's sums plus the changes of all slots."""
    copy_bytes(entry.bins, ring_header().base, 8 * BIN_ROOM)
    for index in range(slots_there()):
        note = note_of(slot_number(index))
        for number in range(BIN_ROOM):
            entry.bins[number] = (entry.bins[number] + note.bins[number]) & ALL_BITS


def name_threads(header: RingHeader) -> None:
    """Store the names of some threads that have slots: they may have been named since."""
    index = header.next_name
    named: Word = 0
    for _ in range(slots_there()):
        index += 1
        if index >= slots_there():
            index = 0
        slot = slot_number(index)
        if atomic_load(state_cell(slot)) & STATE_BITS == HELD:
            name_run(last_run(slot))
            named += 1
            if named == NAMES_AT_ONCE:
                break
    header.next_name = index


def add_entry(header: RingHeader) -> None:
    """Once a second: add the newest figures as an entry."""
    newest = Entry(header.newest)
    newest.resident = resident_bytes()
    count = header.counts[0]
    entry = Entry(series_entry(0, count))
    copy_bytes(entry, newest, Entry.bins)
    put_bins(entry)
    header.counts[0] = count + 1
    for tier in range(1, TIERS):
        if count & ((ONE << TIER_SHIFT * tier) - 1) == 0:
            place = header.counts[tier]
            copy_bytes(series_entry(tier, place), entry, Entry.SIZE)
            header.counts[tier] = place + 1
    name_threads(header)
    pass_definitions()


def follow_figures() -> None:
    """At a step of a heap, without a lock: update the figures in the ring."""
    if not is_recording() or not is_ring_ours():
        return
    header = ring_header()
    if atomic_exchange(header + RingHeader.is_writing, ONE) != 0:
        return
    newest = Entry(header.newest)
    put_figures(newest)
    if newest.time >= header.next_entry:
        header.next_entry = newest.time + ticks_of_second()
        add_entry(header)
    atomic_store(header + RingHeader.is_writing, 0)
