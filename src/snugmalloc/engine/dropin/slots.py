"""Owns the recorders that are slots of a ring: how a thread gets one, and the next when it is full.

A new thread continues in the slot of one that has ended, if there is room, so that short-lived threads do not
overwrite earlier rows. If every slot has a thread already, the calls of further threads are counted as lost. A
thread that has a slot always finds another, or empties its own.
"""

from __future__ import annotations

from ..machine import load_thread_recorder, store_thread_recorder
from .recorder import Recorder, empty, give_up, join_session, thread_recorder
from .ring import (
    begin_run,
    clear_note,
    count_lost,
    hold,
    last_run,
    move_horizon,
    take_again,
    take_oldest,
    take_open,
)


def make_empty(recorder: Recorder) -> None:
    """Drop the rows of a slot."""
    if recorder.done != 0:
        move_horizon(recorder.last_time)
    empty(recorder)
    clear_note(recorder)
    recorder.last_time = 0
    recorder.is_busy = 0
    recorder.is_late = 0
    recorder.lost = 0
    recorder.asked_old = 0
    recorder.reason = 0
    recorder.asks_end = 0
    recorder.stack = 0
    recorder.is_stacking = 0


def claim_empty() -> Recorder:
    """Claim an empty slot for this thread, or 0."""
    recorder = Recorder(take_oldest())
    if recorder != 0:
        make_empty(recorder)
        hold(recorder)
    return recorder


def claim_slot() -> Recorder:
    """Claim a slot for this thread, which may have rows of others; or 0, and a call is lost."""
    recorder = Recorder(take_open())
    if recorder == 0:
        recorder = claim_empty()
    if recorder == 0:
        count_lost()
    return recorder


def begin_rows(recorder: Recorder) -> None:
    """Begin the rows of a slot's thread."""
    join_session(recorder)
    before = last_run(recorder)
    if before != 0 and before.thread == recorder.thread + 1:
        return
    recorder.last_pointer = 0
    begin_run(recorder, recorder.done, recorder.last_time, recorder.thread, recorder.system_thread)


def follow(recorder: Recorder, own: Recorder) -> None:
    """Continue the rows of a thread in an empty slot."""
    recorder.thread = own.thread
    recorder.system_thread = own.system_thread
    recorder.last_time = own.last_time
    chain = recorder.chain
    recorder.chain = own.chain
    own.chain = chain
    begin_rows(recorder)
    before = last_run(own)
    run = last_run(recorder)
    run.name[0] = before.name[0]
    run.name[1] = before.name[1]


def empty_own(own: Recorder) -> None:
    """Drop the rows in this thread's slot and reuse it, because there is no other."""
    time = own.last_time
    run = last_run(own)
    first = run.name[0]
    second = run.name[1]
    take_again(own)
    make_empty(own)
    hold(own)
    own.last_time = time
    begin_rows(own)
    run = last_run(own)
    run.name[0] = first
    run.name[1] = second


def next_slot(own: Recorder) -> Recorder:
    """The next slot of a thread whose slot is full: another one, or its own emptied.

    A signal handler may have interrupted this, and have found the thread another one.
    """
    recorder = claim_empty()
    if load_thread_recorder() != own:
        if recorder != 0:
            give_up(recorder)
        return thread_recorder()
    if recorder == 0:
        empty_own(own)
        return own
    follow(recorder, own)
    store_thread_recorder(recorder)
    give_up(own)
    return recorder
