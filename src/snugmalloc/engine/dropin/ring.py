"""Owns the ring: a file of fixed size in which the last rows of a process outlive it, however it ends.

    SNUG_RECORD=ring:8M         keeps the newest calls in /dev/shm/snug-%p.ring, %p is the process id
    SNUG_RECORD=ring:8M:FILE    or in FILE

The file is a shared mapping, so that its contents survive when the process is killed. All its memory is
allocated at the beginning, so that a full file system is detected then, and never later.

    header, series      facts about the process, and its statistics over time
    states, notes       for each slot its owner and since when; whose rows it holds, and how live bytes changed
    kept                chunks other than rows, in sequence
    slots               each with the rows of a thread: recorders, see recorder.py

A thread takes the slot that was released first. docs/trace-format.md describes every byte.

A forked child must not write here. It detects the fork by a page of memory that the kernel zeroes in the child;
after libc's fork the child has other memory in place of the ring.
"""

from __future__ import annotations

from ..common.sizes import ONE, round_up
from ..machine import (
    Array,
    Half,
    Int,
    Record,
    Word,
    array,
    atomic_add,
    atomic_load,
    atomic_replace,
    atomic_store,
    clear_bytes,
    copy_bytes,
    inline,
    load_byte,
    load_word,
    map_ring,
    map_until_fork,
    reserve,
    start_time,
    store_word,
    text_after,
    unlikely,
)
from .layout import ALL_BITS, GIB, MIB
from .values import NONE, number_before

RING = b"ring:"
COLON = 58
RING_LAYOUT = 1
RING_FLAG = 8  # of the file's header
RING_AT = 64  # behind that

LEAST_RING = MIB
MOST_RING = GIB
LARGE_RING = 64 * MIB
SLOT_SHIFT: Int = 14  # slots of 16 KiB hold some three thousand rows,
LARGE_SLOT_SHIFT: Int = 16  # those of large rings four times as many
ROWS_IN_SLOT = 256
KEPT_SHIFT: Int = 5  # a 32nd of the ring is for chunks that are no rows,
KEPT_STACKS_SHIFT: Int = 2  # a quarter where these are the definitions of stacks
RING_PAGE = 4096

BIN_ROOM = 80  # sizes: one for each size class, and then one for each doubling
LAST_BIN = BIN_ROOM - 1
RUNS = 8  # threads whose rows one slot may hold
NAME_ROOM = 16

TIERS = 3  # of the series: an entry each second, every 16 seconds, every 256
TIER_SHIFT: Int = 4
ENTRIES = 128

# The state of a slot: what it is, and above eight bits when it became so, counted.
NEVER_TAKEN = 0
TAKING = 1  # a thread is about to have it
HELD = 2
OPEN = 3  # nobody has it, and there is room for the rows of another thread
FULL = 4
STATE_BITS = 255
STAMP_SHIFT: Int = 8

DEV_SHM = 0x6D68_732F_7665_642F  # the letters of "/dev/shm",
SNUG_PROCESS = 0x7025_2D67_756E_732F  # "/snug-%p"
DOT_RING = 0x67_6E69_722E  # and ".ring"
DEFAULT_PATH = reserve(24)


class Entry(Record, size=768):
    """The statistics of one moment, in bytes if not stated otherwise.

      0  time          in ticks
      8  resident      of the whole process
     16  out_bytes     handed out by the heaps to the program and thread caches,
     24  out_blocks    and the number of blocks
     32  system_bytes  taken from the system, freed mappings included
     40  mapped_bytes  of that in mappings
     48  purged_bytes  of the heaps, given back or never touched
     56  kept_bytes    spare mappings
     64  returned      given back so far
     72  refused       requests so far
     80  unused
    128  bins          live bytes, by size
    768
    """

    time: Word
    resident: Word
    out_bytes: Word
    out_blocks: Word
    system_bytes: Word
    mapped_bytes: Word
    purged_bytes: Word
    kept_bytes: Word
    returned: Word
    refused: Word
    unused: Array[Word] = array(6)
    bins: Array[Word] = array(BIN_ROOM)


class RingHeader(Record):
    """The ring's own header, behind that of the file. Offsets are bytes from the beginning of the file.

       0  layout          the version of this layout
       4  tiers
       8  file_bytes
      16  slots           their number
      24  slot_bytes
      32  rows_at         in a slot
      40  states_at
      48  notes_at
      56  kept_at
      64  kept_bytes      room for chunks
      72  series_at
      80  slots_at
      88  process_start   as in /proc/PID/stat
      96  stamp           counts slot transitions
     104  kept            bytes of chunks; if more than kept_bytes, some were left out
     112  lost            calls of threads that found no slot
     120  horizon         the clock: all later rows are in the ring
     128  ended           the clock when the process exited, or 0
     136  next_entry      the clock
     144  is_writing      an entry
     152  next_name       the slot at which the search for threads' names continues
     160  counts          entries so far, by tier
     184  unused
     192  base            live bytes by size, without those of the notes
     832  newest          the latest statistics, without bins
    1600
    """

    layout: Half
    tiers: Half
    file_bytes: Word
    slots: Word
    slot_bytes: Word
    rows_at: Word
    states_at: Word
    notes_at: Word
    kept_at: Word
    kept_bytes: Word
    series_at: Word
    slots_at: Word
    process_start: Word
    stamp: Word
    kept: Word
    lost: Word
    horizon: Word
    ended: Word
    next_entry: Word
    is_writing: Word
    next_name: Word
    counts: Array[Word] = array(TIERS)
    unused: Word
    base: Array[Word] = array(BIN_ROOM)
    newest: Array[Entry] = array(1)


class Run(Record, size=48):
    """Rows of one thread in a slot: from `start` on.

     0  start          `done` of the recorder when the run began
     8  time           of the previous row; for a slot's first run that of the first row counts
    16  thread         its number in the trace plus 1; 0: there is no such run
    24  system_thread
    32  name           of the thread, if it has one of its own; ends with a zero if there is room
    48
    """

    start: Word
    time: Word
    thread: Word
    system_thread: Word
    name: Array[Word] = array(NAME_ROOM // 8)


class Note(Record, size=1024):
    """The note of a slot.

       0  bins  by how much the calls of this slot changed live bytes, by size, modulo 2**64
     640  runs
    1024
    """

    bins: Array[Word] = array(BIN_ROOM)
    runs: Array[Run] = array(RUNS)


SERIES_AT = RING_PAGE
SERIES_BYTES = TIERS * ENTRIES * Entry.SIZE
STATES_AT = SERIES_AT + SERIES_BYTES

ring: Word = 0  # where it is mapped, or 0
ring_guard: Word = 0  # a word that is zero in a forked child
slot_count: Word = 0
slot_shift: Int = 0
first_slot: Word = 0
end_of_slots: Word = 0


@inline
def has_ring() -> bool:
    """Whether rows go to a ring."""
    return ring != 0


@inline
def is_ring_ours() -> bool:
    """Whether the ring, if there is one, was made by this process and not by its parent."""
    return ring_guard == 0 or load_word(ring_guard) != 0


def ring_header() -> RingHeader:
    """The ring's own header."""
    return RingHeader(ring + RING_AT)


def leave_ring() -> None:
    """In a forked child: stop using the ring, which is the parent's. Its mapping stays: see machine.h."""
    global ring, ring_guard, first_slot, end_of_slots
    ring = 0
    ring_guard = 0
    first_slot = 0
    end_of_slots = 0


# ---- The option ----


def default_path() -> Word:
    """Where a ring is if nobody says it."""
    store_word(DEFAULT_PATH, DEV_SHM)
    store_word(DEFAULT_PATH + 8, SNUG_PROCESS)
    store_word(DEFAULT_PATH + 16, DOT_RING)
    return DEFAULT_PATH


def ring_in(value: Word) -> tuple[Word, Word]:
    """The path in SNUG_RECORD, 0 if invalid; and the bytes of a ring or 0."""
    none: Word = 0
    size = text_after(value, RING)
    if size == 0:
        return value, none
    count, end = number_before(size, COLON)
    if count < LEAST_RING or count > MOST_RING:
        return none, none
    if load_byte(end) == 0:
        return default_path(), count
    return end + 1 if load_byte(end + 1) != 0 else none, count


# ---- The file ----


def slots_in(room: Word, slot_bytes: Word) -> Word:
    """How many slots fit in `size` bytes, including their states and notes."""
    return (room - 2 * RING_PAGE) // (slot_bytes + Note.SIZE + 8)


def make_ring(path: Word, size: Word, kept: Word) -> bool:
    """Make a ring of at most `size` bytes at `path`, `kept` of them for chunks. Returns True on success."""
    global ring, ring_guard, slot_count, slot_shift, first_slot, end_of_slots
    shift = SLOT_SHIFT if size < LARGE_RING else LARGE_SLOT_SHIFT
    kept_bytes = round_up(kept, RING_PAGE * ONE)
    slots = slots_in(size - STATES_AT - kept_bytes, ONE << shift)
    notes_at = STATES_AT + round_up(slots * 8, RING_PAGE * ONE)
    kept_at = notes_at + slots * Note.SIZE
    slots_at = round_up(kept_at + kept_bytes, RING_PAGE * ONE)
    length = slots_at + (slots << shift)
    if ring_guard == 0:
        ring_guard = map_until_fork()
    made = map_ring(path, length) if ring_guard != 0 else ring_guard
    if made == 0:
        return False
    ring = made
    slot_count = slots
    slot_shift = shift
    first_slot = ring + slots_at
    end_of_slots = ring + length
    header = ring_header()
    header.layout = RING_LAYOUT
    header.tiers = TIERS
    header.file_bytes = length
    header.slots = slots
    header.slot_bytes = ONE << shift
    header.rows_at = ROWS_IN_SLOT
    header.states_at = STATES_AT
    header.notes_at = notes_at
    header.kept_at = kept_at
    header.kept_bytes = kept_bytes
    header.series_at = SERIES_AT
    header.slots_at = slots_at
    header.process_start = start_time()
    return True


def put_beginning(header: Word, count: Word) -> None:
    """Write the first bytes of the file."""
    copy_bytes(ring, header, count)


def keep_chunk(chunk: Word, count: Word) -> None:
    """Put a chunk behind the others, if there is room for it."""
    header = ring_header()
    place = atomic_add(header + RingHeader.kept, count)
    if place + count <= header.kept_bytes:
        copy_bytes(ring + header.kept_at + place, chunk, count)


def slot_bytes() -> Word:
    """The bytes of a slot."""
    return ONE << slot_shift


def mark_ended(time: Word) -> None:
    """Store the time at which the process exits."""
    ring_header().ended = time


def count_lost() -> None:
    """Count a call that was left out because its thread found no slot."""
    atomic_add(ring_header() + RingHeader.lost, ONE)


# ---- Slots ----


@inline
def is_slot(address: Word) -> bool:
    """Whether the ring has this slot."""
    return address >= first_slot and address < end_of_slots


@inline
def note_of(slot: Word) -> Note:
    """The note of a slot."""
    return Note(ring + ring_header().notes_at + (slot - first_slot >> slot_shift) * Note.SIZE)


def run_number(slot: Word, number: Word) -> Run:
    """A run of a slot."""
    return Run(note_of(slot) + Note.runs + number * Run.SIZE)


def slots_there() -> Word:
    """How many slots the ring has."""
    return slot_count


def series_entry(tier: Word, number: Word) -> Word:
    """The address of an entry of the series, by its number from the beginning."""
    return ring + SERIES_AT + (tier * ENTRIES + number % ENTRIES) * Entry.SIZE


def slot_number(index: Word) -> Word:
    """The slot with this number."""
    return first_slot + (index << slot_shift)


def state_cell(slot: Word) -> Word:
    """The address of a slot's state."""
    return ring + STATES_AT + (slot - first_slot >> slot_shift) * 8


def is_held(state: Word) -> bool:
    """Whether this is the state of a slot that a thread owns or is claiming."""
    return state & STATE_BITS == TAKING or state & STATE_BITS == HELD


def stamped(what: Word) -> Word:
    """A new state word for a slot: the state and the stamp."""
    return atomic_add(ring_header() + RingHeader.stamp, ONE) + 1 << STAMP_SHIFT | what


def oldest_free() -> tuple[Word, Word]:
    """The free slot that was released first, and its state; or 0."""
    best: Word = 0
    best_state = NONE
    for index in range(slot_count):
        state = atomic_load(state_cell(slot_number(index)))
        if not is_held(state) and state < best_state:
            best = slot_number(index)
            best_state = state
    return best, best_state


def newest_open() -> tuple[Word, Word]:
    """The free slot with room that was released last, and its state; or 0."""
    best: Word = 0
    best_state: Word = 0
    for index in range(slot_count):
        state = atomic_load(state_cell(slot_number(index)))
        if state & STATE_BITS == OPEN and state > best_state:
            best = slot_number(index)
            best_state = state
    return best, best_state


def take_oldest() -> Word:
    """Claim a slot for this thread, to overwrite it; or 0 if there is none. It is TAKING until `hold`."""
    slot, state = oldest_free()
    while slot != 0 and not atomic_replace(state_cell(slot), state, stamped(TAKING)):
        slot, state = oldest_free()
    return slot


def take_open() -> Word:
    """Claim a slot for this thread with room behind its rows; or 0."""
    slot, state = newest_open()
    while slot != 0 and not atomic_replace(state_cell(slot), state, stamped(HELD)):
        slot, state = newest_open()
    return slot


def take_again(slot: Word) -> None:
    """Claim a slot of this thread's again, to empty it. It is TAKING until `hold`."""
    atomic_store(state_cell(slot), stamped(TAKING))


def hold(slot: Word) -> None:
    """Begin using a slot that was claimed and emptied."""
    atomic_store(state_cell(slot), stamped(HELD))


def give_back(slot: Word, has_room: bool) -> None:
    """Release a slot of this thread's."""
    may_go_on = has_room and run_number(slot, RUNS - 1).thread == 0
    atomic_store(state_cell(slot), stamped(OPEN if may_go_on else FULL))


def move_horizon(time: Word) -> None:
    """Move the horizon: rows up to this time are dropped."""
    cell = ring_header() + RingHeader.horizon
    before = atomic_load(cell)
    while before < time and not atomic_replace(cell, before, time):
        before = atomic_load(cell)


def clear_note(slot: Word) -> None:
    """Drop the rows of a slot: add its changes of live bytes to the header's sums."""
    note = note_of(slot)
    for number in range(BIN_ROOM):
        change = note.bins[number]
        if change != 0:
            atomic_add(ring_header() + RingHeader.base + number * 8, change)
            note.bins[number] = 0
    clear_bytes(note.runs, RUNS * Run.SIZE)


def last_run(slot: Word) -> Run:
    """The newest run; or 0."""
    number = RUNS * ONE
    while number != 0:
        number -= 1
        run = run_number(slot, number)
        if run.thread != 0:
            return run
    return Run(0)


def begin_run(slot: Word, start: Word, time: Word, thread: Word, system_thread: Word) -> None:
    """Begin a run: the following rows of a slot are those of a thread. There is room for one more run."""
    before = last_run(slot)
    run = Run(before + Run.SIZE if before != 0 else note_of(slot) + Note.runs)
    run.start = start
    run.time = time
    run.system_thread = system_thread
    atomic_store(run + Run.thread, thread + 1)


@inline
def count_bytes(slot: Word, number: Word, change: Word) -> None:
    """Add a change of live bytes of a size to the slot's note, modulo 2**64."""
    if unlikely(not is_slot(slot)):
        return
    cell = note_of(slot) + number * 8
    store_word(cell, (load_word(cell) + change) & ALL_BITS)
