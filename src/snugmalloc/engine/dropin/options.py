"""Owns the options: read once from the environment, without allocating.

What begins with SNUG_ and is no option, or has a value that the option does not take, is reported in one line
on stderr and ignored. A process with more rights than those who started it (set-user-id) reads nothing.
"""

from __future__ import annotations

from ..common.figures import set_figure
from ..machine import (
    Word,
    atomic_load,
    atomic_store,
    environment_entry,
    environment_is_known,
    is_secure,
    publish,
    publish_outside,
    reserve,
    text_after,
    watch_exit,
    watch_forks,
)
from .classes import LISTED_LIMIT
from .control import PROCESS_HEAP, Heap, lock_heap, process_heap, unlock_heap
from .figures import STATS_VERSION, Figures
from .layout import GIB, MIB
from .outside import OUTSIDE, tell_layout
from .publish import begin_publishing, choose_folder, stop_publishing
from .recording import begin_recording
from .sampling import read_sample_option
from .switch import decide, is_off, read_switch
from .tracefile import is_recording, read_record_option, read_recorded_process
from .values import MALFORMED, MAX_BYTES, NONE, UNKNOWN, complain, number_in

OURS = b"SNUG_"
MMAP_THRESHOLD = b"SNUG_MMAP_THRESHOLD="
PREALLOC = b"SNUG_PREALLOC="
LIMIT = b"SNUG_LIMIT="
PURGE_DELAY = b"SNUG_PURGE_DELAY="
THREAD_CACHE = b"SNUG_THREAD_CACHE="
STATS = b"SNUG_STATS="
ALIGN = b"SNUG_ALIGN="
HARDEN = b"SNUG_HARDEN="
FILL = b"SNUG_FILL="
BACKGROUND = b"SNUG_BACKGROUND="
HEAPS = b"SNUG_HEAPS="
PUBLISH = b"SNUG_PUBLISH="
DEEPBIND = b"SNUG_DEEPBIND="  # what it says is read where `dlopen` is: family.c

DEFAULT_THRESHOLD = 32 * MIB
DEFAULT_PREALLOC = 131072
DEFAULT_PURGE_DELAY = 1024  # moments, about milliseconds
DEFAULT_THREAD_CACHE = 65536

MIN_THRESHOLD = LISTED_LIMIT  # and a byte: up to there all comes from lists
MAX_THRESHOLD = GIB
MAX_DELAY = 1 << 30
MAX_THREAD_CACHE = 65536
MAX_HEAPS = 64

ARE_READ = reserve(8)  # not 0 when the options have their values: they are written before, by one thread
SERVED = 1  # and calls are served by the heap,
HANDED_OVER = 2  # or by libc
RECORDED = 3  # or by the heap, and recorded, or there is something else to do

threshold_bytes: Word = 0
prealloc_bytes: Word = 0
delay_moments: Word = 0
cache_bytes: Word = 0
hardened: bool = False
fills: bool = False
helps: bool = False
heaps: Word = 0


def have_options() -> bool:
    """Whether the environment has been read."""
    return atomic_load(ARE_READ) != 0


def is_serving() -> bool:
    """Whether the environment has been read and has left this process on the heap; else ask `hands_over`."""
    return atomic_load(ARE_READ) & SERVED != 0


def is_serving_only() -> bool:
    """The same, and nothing was ever recorded, and nobody outside asked for anything."""
    return atomic_load(ARE_READ) == SERVED


def serve_and_more() -> None:
    """From now on a call that finds nothing in its thread's lists does more than to be served."""
    atomic_store(ARE_READ, RECORDED)


def serve_only() -> None:
    """Nothing was ever recorded, and nothing else is to be done: calls are only served again."""
    atomic_store(ARE_READ, SERVED)


def mmap_threshold() -> Word:
    """Requests of so many bytes get a mapping of their own."""
    return threshold_bytes


def set_mmap_threshold(count: Word) -> None:
    """Change the threshold; it has a least value."""
    global threshold_bytes
    threshold_bytes = count if count > MIN_THRESHOLD else MIN_THRESHOLD + 1


def prealloc() -> Word:
    """How many bytes the heap begins with."""
    return prealloc_bytes


def purge_delay() -> Word:
    """For how many moments, about milliseconds, free pages are kept if they will be needed within that time."""
    return delay_moments


def thread_cache() -> Word:
    """How many bytes a thread keeps of each size class; 0 for no thread caches."""
    return cache_bytes


def is_hardened() -> bool:
    """Whether every pointer that comes back is looked at closely."""
    return hardened


def fills_memory() -> bool:
    """Whether memory is filled with a pattern when it is handed out and when it is freed."""
    return fills


def wants_helper() -> bool:
    """Whether a helper thread shall give memory back while the program sleeps."""
    return helps


def max_heaps() -> Word:
    """How many heaps malloc may have; 0: as many as there are processors that this process may use."""
    return heaps


# ---- Reading ----


def read_option(entry: Word) -> None:
    """Obey one entry of the environment that begins with SNUG_."""
    global prealloc_bytes, delay_moments, cache_bytes, hardened, fills, helps, heaps
    value = text_after(entry, MMAP_THRESHOLD)
    if value != 0:
        number = number_in(entry, value, MIN_THRESHOLD, MAX_THRESHOLD)
        if number != NONE:
            set_mmap_threshold(number)
        return
    value = text_after(entry, PREALLOC)
    if value != 0:
        number = number_in(entry, value, 0, GIB)
        prealloc_bytes = number if number != NONE else prealloc_bytes
        return
    value = text_after(entry, LIMIT)
    if value != 0:
        number = number_in(entry, value, 0, MAX_BYTES)
        if number != NONE:
            set_figure(process_heap(), Figures.limit_bytes, number)
        return
    value = text_after(entry, PURGE_DELAY)
    if value != 0:
        number = number_in(entry, value, 0, MAX_DELAY)
        delay_moments = number if number != NONE else delay_moments
        return
    value = text_after(entry, THREAD_CACHE)
    if value != 0:
        number = number_in(entry, value, 0, MAX_THREAD_CACHE)
        cache_bytes = number if number != NONE else cache_bytes
        return
    value = text_after(entry, STATS)
    if value != 0:
        if number_in(entry, value, 0, 1) == 1:
            set_figure(process_heap(), Figures.counting, 1)
        return
    value = text_after(entry, HARDEN)
    if value != 0:
        hardened = number_in(entry, value, 0, 1) == 1
        return
    value = text_after(entry, FILL)
    if value != 0:
        fills = number_in(entry, value, 0, 1) == 1
        return
    value = text_after(entry, BACKGROUND)
    if value != 0:
        helps = number_in(entry, value, 0, 1) == 1
        return
    value = text_after(entry, HEAPS)
    if value != 0:
        number = number_in(entry, value, 0, MAX_HEAPS)
        heaps = number if number != NONE else heaps
        return
    value = text_after(entry, ALIGN)
    if value != 0:
        number = number_in(entry, value, 8, 16)
        if number != NONE and number & 7 != 0:
            complain(MALFORMED, entry)
        return
    value = text_after(entry, PUBLISH)
    if value != 0:
        choose_folder(entry, value)
        return
    value = text_after(entry, DEEPBIND)
    if value != 0:
        number_in(entry, value, 0, 1)
        return
    if not read_switch(entry) and not read_record_option(entry) and not read_sample_option(entry):
        complain(UNKNOWN, entry)


def read_environment() -> None:
    """Take the defaults, then what the environment says. Under the lock."""
    global threshold_bytes, prealloc_bytes, delay_moments, cache_bytes
    set_figure(process_heap(), Figures.version, STATS_VERSION)
    threshold_bytes = DEFAULT_THRESHOLD
    prealloc_bytes = DEFAULT_PREALLOC
    delay_moments = DEFAULT_PURGE_DELAY
    cache_bytes = DEFAULT_THREAD_CACHE
    index: Word = 0
    entry = environment_entry(0) if environment_is_known() and not is_secure() else index
    while entry != 0:
        if text_after(entry, OURS) != 0:
            read_option(entry)
        else:
            read_recorded_process(entry)
        index += 1
        entry = environment_entry(index)
    if hardened:
        cache_bytes = 0


def turn_off() -> None:
    """Calls go to libc: what is left to the heap, blocks from before this was known, is served plainly."""
    global cache_bytes, hardened, fills, helps
    cache_bytes = 0
    hardened = False
    fills = False
    helps = False
    set_figure(process_heap(), Figures.counting, 0)
    stop_publishing()


def settle() -> None:
    """The environment has been read: the switch is set, and whoever looks from outside finds the figures."""
    decide()
    if is_off():
        turn_off()
    else:
        begin_recording()
    publish(PROCESS_HEAP)
    tell_layout()
    publish_outside(OUTSIDE)
    begin_publishing()
    if is_off():
        atomic_store(ARE_READ, HANDED_OVER)
    else:
        atomic_store(ARE_READ, RECORDED if is_recording() else SERVED)


def read_options() -> bool:
    """Set the defaults and, as soon as it is known, read the environment. Returns True if it has been read."""
    if have_options():
        return True
    is_known = environment_is_known()
    held = lock_heap(process_heap())
    is_first = not have_options()
    if is_first:
        read_environment()
        if is_known:
            settle()
    unlock_heap(process_heap(), held)
    if is_first and is_known:
        # not when the library is loaded: /bin/true, which never comes here, is 68 KiB smaller
        watch_forks(PROCESS_HEAP + Heap.owner)
        if is_recording():
            watch_exit()
    return is_known


def hands_over() -> bool:
    """Whether libc serves the calls of this process, as far as the environment is known."""
    read_options()
    return is_off()
