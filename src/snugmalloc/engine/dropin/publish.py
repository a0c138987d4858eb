"""Owns the copy of the figures in a file, for those who may not read this process's memory: SNUG_PUBLISH=DIR.

The file is DIR/PID.snugstats, mapped and shared, without a descriptor: a beginning and a slot for each heap,
which that heap fills at each of its steps, so that `malloc` and `free` have nothing to do with it.

     0  MAGIC, written last
     8  START  when the process began, as in /proc/PID/stat: another process may get its number
    64  SLOTS  the figures of the process's heap, and of each shard
        COMMAND_AT  what is asked of the process: see outside.py

A child that was forked gets a file of its own at its first step, and so does one of a bare clone, of which
nobody is told: the kernel is asked for the process at each step. Where there can be none, the first process
reports it in one line and publishes nothing.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import Word, atomic_store, copy_bytes, load_byte, map_own_file, process_id, start_time
from .control import Heap, lock_heap, process_heap, unlock_heap
from .figures import PUBLISHED
from .outside import IN_FILE, Command, look_at
from .switch import SLASH
from .values import MALFORMED, complain

NOT_PUBLISHED = b"snugmalloc: no file can be created there, the figures are not published: "
PUBLISHED_MAGIC = 0x3153_5441_5453_4E53  # SNSTATS1
START = 8
SLOTS = 64
MAX_SLOTS = 64  # there are no more heaps: options.py
COMMAND_AT = SLOTS + MAX_SLOTS * PUBLISHED
FILE_BYTES = COMMAND_AT + Command.SIZE

folder: Word = 0  # its name, or 0 where nothing is published
folder_entry: Word = 0
published: Word = 0  # where the file is mapped, or 0
published_process: Word = 0  # and in which process


def choose_folder(entry: Word, value: Word) -> None:
    """SNUG_PUBLISH names a folder, by its whole path: children may be elsewhere."""
    global folder, folder_entry
    if load_byte(value) != SLASH:
        complain(MALFORMED, entry)
        return
    folder = value
    folder_entry = entry


def is_publishing() -> bool:
    """Whether figures are published."""
    return folder != 0


def stop_publishing() -> None:
    """Nothing is published from now on."""
    global folder
    folder = 0


def make_file() -> bool:
    """Under the lock of the process's heap: give this process a file of its own, if there can be one."""
    global published, published_process
    published_process = process_id()
    published = map_own_file(folder, FILE_BYTES * ONE)
    if published == 0:
        stop_publishing()
        return False
    atomic_store(published + START, start_time())
    copy_bytes(published + SLOTS, process_heap(), PUBLISHED)
    atomic_store(published, PUBLISHED_MAGIC)
    return True


def begin_publishing() -> None:
    """Under the lock: the options are read."""
    if is_publishing() and not make_file():
        complain(NOT_PUBLISHED, folder_entry)


def publish_figures(heap: Heap, number: Word) -> None:
    """Without a lock: copy the figures of a heap into its slot, and look what is asked of the process.

    The file is changed under the lock alone.
    """
    held = lock_heap(process_heap())
    if is_publishing() and (published_process == process_id() or make_file()):
        copy_bytes(published + SLOTS + number * PUBLISHED, heap, PUBLISHED)
        look_at(published_command(), IN_FILE * ONE)
    unlock_heap(process_heap(), held)


def published_command() -> Command:
    """Under the lock: the command in this process's file; or 0 where it has none, or still its parent's."""
    is_own = is_publishing() and published_process == process_id()
    return Command(published + COMMAND_AT if is_own else 0)
