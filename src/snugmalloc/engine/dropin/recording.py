"""Owns the course of a recording: its begin, the threads that come and go, forks, and its end."""

from __future__ import annotations

from ..common.sizes import ONE
from ..machine import (
    Word,
    atomic_add,
    atomic_store,
    close_record,
    forked_child,
    forks_seen,
    inline,
    likely,
    load_thread_recorder,
    reserve,
    store_thread_recorder,
    store_thread_word,
    thread_id,
    thread_without_cache,
    tick,
    watch_thread_end,
)
from .chunks import BEGIN_EVENT, END_EVENT, FORK_EVENT, HAS_NUMBER, NAME_EVENT
from .definitions import begin_definitions, left_out, pass_definitions
from .recorder import (
    RECORDER_BYTES,
    Recorder,
    begin_session,
    claim_recorder,
    forget_parent,
    give_up,
    hand_on,
    have_common,
    is_full,
    is_of_ended,
    is_of_session,
    leave_recorder,
    newest_recorder,
    set_room,
    take_for_good,
    thread_recorder,
)
from .ring import has_ring, last_run, mark_ended, slot_bytes
from .rows import hand_on_full, record_event, write_row
from .sampling import begin_sampling, mean_gap, stir, takes_samples
from .slots import begin_rows, claim_slot, next_slot
from .texts import append_about, append_left_out, append_live, begin_texts, name_run, text_of_name
from .tracefile import (
    append_header,
    hide_options,
    is_asked_for,
    is_forked,
    is_noted,
    is_own_file,
    is_recording,
    leave_file,
    leave_off,
    note_forks,
    open_file,
    open_named,
    take_no_stacks,
    take_up,
    takes_stacks,
)

THREAD_COUNT = reserve(8)

# ---- Begin ----


def open_trace() -> None:
    """A file of this process's own, with its beginning. Where there is none, nothing is recorded."""
    atomic_store(THREAD_COUNT, 0)
    begin_texts()
    stir()
    if not open_file():
        return
    set_room(slot_bytes() if has_ring() else RECORDER_BYTES)
    if not begin_definitions(takes_stacks()):
        take_no_stacks()
    scratch = claim_recorder()
    if scratch != 0:
        append_header(scratch.rows)
        append_about(scratch)
        give_up(scratch)
    if mean_gap() != 0:
        have_common(atomic_add(THREAD_COUNT, ONE))


def begin_recording_to(path: Word, live: Word) -> bool:
    """Begin a recording to this file while the program runs. Returns True on success.

    So many bytes are live by now. The beginning of the file is there before the first thread may hand on its
    rows. Numbers of threads go on.
    """
    if is_forked():
        forget_parent()
        leave_file()
    close_record()  # of a recording that ended by itself
    set_room(RECORDER_BYTES * ONE)
    begin_session()
    begin_texts()
    begin_definitions(False)
    scratch = Recorder(claim_recorder() if open_named(path) else 0)
    if scratch != 0:
        append_header(scratch.rows)
        append_about(scratch)
        append_live(scratch, live)
        give_up(scratch)
        take_up()
    if not is_recording():
        close_record()
    return is_recording()


def begin_recording() -> None:
    """The options are read, and this process is on the heap: record if they say so."""
    if is_asked_for():
        open_trace()
        if is_recording():
            begin_sampling()
        hide_options()


# ---- Forks ----


def begin_in_child() -> None:
    """This process was forked: it has a file of its own, or records nothing."""
    forget_parent()
    if leave_file():
        open_trace()
    else:
        leave_off()


def record_forks(seen: Word) -> None:
    """This process has forked so many times: an event for each of which there is none."""
    count = note_forks(seen)
    while count != 0:
        count -= 1
        record_event(FORK_EVENT, HAS_NUMBER, 0, forked_child(seen - count), 0)


def look_at_forks() -> None:
    """Before a row: is this process a new one, or has it forked?"""
    seen = forks_seen()
    if is_noted(seen):
        return
    if is_forked():
        begin_in_child()
        note_forks(seen)
    elif thread_recorder() != 0:  # else the next call does it
        record_forks(seen)


# ---- Threads ----


def begin_thread() -> Recorder:
    """This thread's first row. Its recorder, or 0."""
    recorder = claim_slot() if has_ring() else claim_recorder()
    if recorder == 0:
        return recorder
    recorder.thread = atomic_add(THREAD_COUNT, ONE)
    recorder.system_thread = thread_id()
    if has_ring():
        begin_rows(recorder)
    store_thread_recorder(recorder)
    if not takes_samples():
        store_thread_word(thread_without_cache())  # from now on all of its calls come by
    write_row(recorder, BEGIN_EVENT, tick(), HAS_NUMBER, 0, recorder.system_thread, 0, 0)
    watch_thread_end()
    return recorder


def late_recorder(thread: Word) -> Recorder:
    """A recorder for one row of a thread that has ended, or 0."""
    recorder = claim_slot() if has_ring() else claim_recorder()
    if recorder != 0:
        recorder.thread = thread
        recorder.system_thread = thread_id()
        recorder.is_late = 1
        if has_ring():
            begin_rows(recorder)
    return recorder


def other_recorder() -> Recorder:
    """The same as `own_recorder` where that is not simple."""
    look_at_forks()
    if not is_recording():
        return Recorder(0)
    word = load_thread_recorder()
    if word == 0:
        return begin_thread()
    if is_of_ended(word):
        return late_recorder(word >> 1)
    own = Recorder(word)
    if not is_of_session(own):
        leave_recorder(own)
        return begin_thread()
    if is_full(own):
        if not hand_on_full(own):
            own.lost += 1
            return Recorder(0)
        own = next_slot(own) if has_ring() else own
    return Recorder(own if is_recording() else 0)


@inline
def known_recorder() -> Recorder:
    """This thread's recorder, if it has one with room for what a call may bring along; or 0."""
    recorder = thread_recorder()
    if (
        likely(recorder != 0 and is_noted(forks_seen()))
        and likely(is_recording())
        and likely(not is_full(recorder) and is_of_session(recorder))
    ):
        return recorder
    return Recorder(0)


def own_recorder() -> Recorder:
    """This thread's recorder, with room for what a call may bring along; 0 where nothing is recorded."""
    recorder = known_recorder()
    return Recorder(recorder if recorder != 0 else other_recorder())


def have_recorder() -> None:
    """In the middle of a call: this thread gets a recorder if it has none, and goes on."""
    if load_thread_recorder() == 0:
        own_recorder()


def renew_recorder() -> None:
    """Before events that are no calls: this thread's recorder has room for some, if the thread goes on."""
    if is_of_ended(load_thread_recorder()):
        look_at_forks()
    else:
        own_recorder()


def name_thread(recorder: Recorder) -> None:
    """This thread ends: record its name, if it has one of its own."""
    if has_ring():
        name_run(last_run(recorder))
        return
    scratch = claim_recorder()
    if scratch != 0:
        number = text_of_name(scratch, recorder.system_thread)
        give_up(scratch)
        if number != 0:
            write_row(recorder, NAME_EVENT, tick(), HAS_NUMBER, 0, number, 0, 0)


def end_thread() -> None:
    """This thread ends. Calls that it makes still are handed on one by one."""
    recorder = thread_recorder()
    if recorder == 0:
        return
    if not is_recording():
        if recorder.is_handed_on != 0:
            leave_recorder(recorder)
        return
    recorder = own_recorder()
    if recorder == 0:
        return
    name_thread(recorder)
    write_row(recorder, END_EVENT, tick(), 0, 0, 0, 0, 0)
    if hand_on_full(recorder):
        store_thread_recorder(recorder.thread << 1 | 1)
        give_up(recorder)


# ---- End ----


def name_last(scratch: Recorder, recorder: Recorder) -> None:
    """The process ends: record the name of a thread, all rows of which were handed on."""
    number = text_of_name(scratch, recorder.system_thread)
    if number != 0:
        scratch.thread = recorder.thread
        write_row(scratch, NAME_EVENT, tick(), HAS_NUMBER, 0, number, 0, 0)
        hand_on(scratch, False)


def end_recording() -> None:
    """This process ends, becomes another program, or is to record no more: all that it has goes to the file."""
    if not is_recording() or not is_own_file():
        return
    scratch = claim_recorder()
    leave_off()
    if has_ring():
        mark_ended(tick())
    recorder = newest_recorder()
    while recorder != 0:
        if recorder != scratch and recorder.is_free == 0 and is_of_session(recorder):
            take_for_good(recorder)
            if scratch != 0 and recorder.is_late == 0:
                name_last(scratch, recorder)
        recorder = Recorder(recorder.next_recorder)
    pass_definitions()
    if scratch != 0 and left_out() != 0:
        append_left_out(scratch, left_out())
    if scratch != 0:
        give_up(scratch)


def end_recording_now() -> bool:
    """End the recording while the program runs. Returns False if there was none."""
    was_recording = is_recording() and is_own_file()
    end_recording()
    if is_own_file():
        close_record()
    return was_recording
