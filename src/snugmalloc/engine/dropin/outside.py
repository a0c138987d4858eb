"""Owns the interface to other processes: what they can read in this one, and the commands that they can send.

The exported word `snug_outside_at` holds the address of an `Outside`: the page map, for those who walk the heap
in /proc/PID/mem, and a `Command`. Whoever may trace the process writes a command there; its own user may write
it into the file of SNUG_PUBLISH. The number in `asked` is new for each command and is written last. The heap's
steps check for a command, and copy it to `order`, for the next call that finds nothing in its thread's lists:
that call holds no lock (`commands`). So the fast paths of malloc and free are not affected.

A command names the process that it is for: a forked child has copies of its parent's, and ignores them.
"""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Array,
    Byte,
    Record,
    Word,
    array,
    atomic_load,
    atomic_replace,
    atomic_store,
    copy_bytes,
    fork_generation,
    process_id,
    reserve,
    store_byte,
    unlikely,
)
from .control import Heap

PATH_ROOM = 4096
OUTSIDE_LAYOUT = Heap.SIZE * 256 + 1  # readers of another one do not know their way: raised when anything moves

TRIM_COMMAND = 1  # values of `kind`: give back what is free,
BEGIN_COMMAND = 2  # record to the file `path`,
END_COMMAND = 3  # record no more

DONE = 1  # values of `answer`
NOT_KNOWN = 2  # there is no such command, or its path is none
NOT_MADE_THERE = 3  # the process could not make that file
RECORDS_ALREADY = 4
RECORDS_NOTHING = 5
NOT_PERMITTED = 7  # by the file: the process may do what others of its user may not
ONLY_AS_STARTED = 6  # samples, stacks and rings are recorded from the beginning of the program

NO_ORDER = 0  # values of `progress`
COPYING = 1
WAITING = 2
OBEYING = 3

IN_MEMORY = 0  # values of `source`: the command in `Outside`,
IN_FILE = 1  # or the one in the published file


class Command(Record, size=4144):
    """What somebody outside asks for, and what became of it.

       0  asked     a number, new for each command
       8  kind
      16  process   the id of the process that it is for, in its own namespace
      24  answered  the number of the last executed command,
      32  answer    its result,
      40  given     and how many bytes it gave back
      48  path      zero-terminated
    4144
    """

    asked: Word
    kind: Word
    process: Word
    answered: Word
    answer: Word
    given: Word
    path: Array[Byte] = array(PATH_ROOM)


class Outside(Record, size=8344):
    """What others can read.

       0  layout    OUTSIDE_LAYOUT, written last
       8  root      of the page map: see pages.py
      16  forks     the process (fork generation) of `progress`
      24  progress  of the order
      32  source    where it came from
      40  seen      the numbers seen last, by source
      56  command
    4200  order     the copy that is executed
    8344
    """

    layout: Word
    root: Word
    forks: Word
    progress: Word
    source: Word
    seen: Array[Word] = array(2)
    command: Array[Command] = array(1)
    order: Array[Command] = array(1)


OUTSIDE = reserve(Outside.SIZE)


def outside() -> Outside:
    """The record that others can read."""
    return Outside(OUTSIDE)


def own_command() -> Command:
    """The command in this process's memory."""
    return outside().command[0]


def order() -> Command:
    """The command that is being executed."""
    return outside().order[0]


def tell_root(root: Word) -> None:
    """Publish the page map."""
    outside().root = root


def tell_layout() -> None:
    """The heap is there: who knows this layout may look at it."""
    atomic_store(OUTSIDE + Outside.layout, OUTSIDE_LAYOUT)


# ---- Looking ----


def has_order() -> bool:
    """Whether a command waits for somebody to obey it."""
    return atomic_load(OUTSIDE + Outside.progress) == WAITING


def look_at_child() -> None:
    """In a forked child: reset an order that the parent may have been executing."""
    if unlikely(outside().forks != fork_generation()):
        outside().forks = fork_generation()
        atomic_store(OUTSIDE + Outside.progress, NO_ORDER * ONE)


def keep_order(command: Command, source: Word, number: Word) -> None:
    """Copy a command to the order, if it is for this process, unless one is waiting or being executed."""
    look_at_child()
    own = outside()
    if not atomic_replace(own + Outside.progress, NO_ORDER * ONE, COPYING):
        return
    copy_bytes(own.order, command, Command.SIZE)
    store_byte(order().path + PATH_ROOM - 1, 0)
    own.seen[source] = number
    own.source = source
    order().asked = number
    is_whole = number != 0 and atomic_load(command + Command.asked) == number
    is_meant = is_whole and order().process == process_id()
    atomic_store(own + Outside.progress, WAITING * ONE if is_meant else 0)


def look_at(command: Command, source: Word) -> None:
    """Without a lock: copy the command there to the order if it is new."""
    number = atomic_load(command + Command.asked)
    if unlikely(number != outside().seen[source]):
        keep_order(command, source, number)


# ---- Obeying ----


def begin_order() -> bool:
    """Claim the order for this thread. Returns True on success."""
    look_at_child()
    return atomic_replace(OUTSIDE + Outside.progress, WAITING * ONE, OBEYING)


def is_own_order() -> bool:
    """Whether the order is for this process: not after an unnoticed fork."""
    return order().process == process_id()


def answer_command(command: Command, how: Word, count: Word) -> None:
    """Write the result of the order for the sender, unless that is gone: then `command` is 0."""
    if command != 0:
        command.answer = how
        command.given = count
        atomic_store(command + Command.answered, order().asked)


def end_order() -> None:
    """Allow the next command."""
    atomic_store(OUTSIDE + Outside.progress, NO_ORDER * ONE)
