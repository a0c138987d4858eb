/* Records what each thread does with the locks of the drop-in malloc: see cmake/Record.cmake and simulation.py.
 *
 * This is read before the engine's unit, whose calls of machine.h it replaces by macros: nothing of it is in
 * machine.h, or in a library that is built without it. Nothing here allocates. Where RECORD_LOCKS names a
 * folder, each process appends to the file PID.locks there, in words of the machine: again and again a
 * `RecordedHeader`, and after it as many `RecordedSection`s as that says, of one thread and in order. Times are
 * nanoseconds.
 *
 *   RECORD_LOCKS=FOLDER   where to
 *   RECORD_HEAPS=NUMBER   so many heaps there may be, whatever the number of processors; and every thread is
 *                         told that it had to wait, so that it moves to a heap of its own
 *
 * A section costs some 200 ns more, most of it between the times that are recorded; empty sections show the
 * rest. A thread that works for long without a section, or within one, may have slept, or another one may have
 * had its processor: the time that it did not work is taken off. Time in which it waited for a lock is not
 * recorded, nor are the locks that fork takes, nor anything in a forked child.
 */
#ifndef SNUGMALLOC_RECORDING_H
#define SNUGMALLOC_RECORDING_H

#include "machine.h"

#include <fcntl.h>
#include <sched.h>

enum { RECORDING_PUSH = 1, RECORDING_WAITED = 2, RECORDING_INSIDE = 4 }; /* in the bits below an address */
enum { RECORDING_ROOM = 1 << 14, RECORDING_DEPTH = 4, RECORDING_EMPTY = 1000, RECORDING_LONG_NS = 20000 };

typedef struct {
    Word lock; /* its address and flags; of a push, the lock of the heap whose stack it was */
    Word home; /* the lock of the heap that served the thread, or 0 */
    Word away; /* outside of any lock since the last section, with the price of taking a free lock */
    Word hold;
} RecordedSection;

typedef struct {
    char magic[8];
    Word thread; /* 0: so many empty sections, which show what recording costs */
    Word is_main;
    Word process_lock;
    Word count;
} RecordedHeader;

typedef struct Recording {
    struct Recording *next;
    Word last;          /* when the last section ended */
    Word clock, worked; /* the time, and the thread's processor time, when that was looked at last */
    Word depth;
    struct {
        Word lock, home, away, wanted, taken, inside;
    } frames[RECORDING_DEPTH];
    bool is_ending;
    RecordedHeader header;
    RecordedSection sections[RECORDING_ROOM];
} Recording;

MACHINE_THREAD_LOCAL Recording *recording_own;
MACHINE_THREAD_LOCAL bool recording_has_ended;
static const char *recording_folder;
static Word recording_heaps;
static pid_t recording_process;
static pthread_key_t recording_key;
static Recording *recording_first; /* of all threads; under the flag, like the file */
static atomic_bool recording_is_busy;

static inline Word recording_now(void) { return machine_clock(); }
static Word recording_work(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (Word)now.tv_sec * 1000000000 + (Word)now.tv_nsec;
}
static void recording_look_at_clocks(Recording *own) {
    own->worked = recording_work();
    own->clock = recording_now();
}

/* The part of a span of time in which the thread worked. */
__attribute__((noinline, cold)) static Word recording_worked_in(Recording *own, Word span) {
    Word clock = own->clock, worked = own->worked;
    recording_look_at_clocks(own);
    Word passed = own->clock - clock, work = own->worked - worked;
    Word idle = passed > work ? passed - work : 0;
    return idle < span ? span - idle : 0;
}
static inline Word recording_span(Recording *own, Word from, Word to) {
    Word span = to - from;
    return span < RECORDING_LONG_NS ? span : recording_worked_in(own, span);
}

#ifdef RECORDING_ONE_LOCK
static Word recording_process_lock(void) { return (Word)&machine_lock_word; }
#else
static Word recording_process_lock(void) { return (Word)machine_first_lock; }
#endif

/* ---- The file ---- */

static void recording_begin_alone(void) {
    while (atomic_exchange(&recording_is_busy, true)) sched_yield();
}
static void recording_end_alone(void) { atomic_store(&recording_is_busy, false); }

static void recording_append_all(long file, const void *bytes, size_t length) {
    for (long count = 0; length && count >= 0; length -= (size_t)count, bytes = (const char *)bytes + count)
        count = syscall(SYS_write, file, bytes, length);
}
static void recording_write(Recording *own) {
    char path[MACHINE_CHUNK];
    size_t length = strlen(recording_folder);
    if (!own->header.count || getpid() != recording_process || length > sizeof path - 32) return;
    memcpy(path, recording_folder, length);
    path[length++] = '/';
    char *end = machine_write_number(path + length, (Word)recording_process, 10);
    memcpy(end, ".locks", sizeof ".locks");
    long file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) machine_fatal("snugmalloc: no file can be written in the folder of RECORD_LOCKS", 0, 0);
    recording_append_all(file, &own->header, sizeof own->header);
    recording_append_all(file, own->sections, own->header.count * sizeof *own->sections);
    syscall(SYS_close, file);
    own->header.count = 0;
}
__attribute__((noinline, cold)) static void recording_flush(Recording *own) {
    int kept = errno;
    recording_begin_alone();
    own->header.process_lock = recording_process_lock();
    recording_write(own);
    recording_end_alone();
    recording_look_at_clocks(own);
    errno = kept;
}

/* ---- What threads do ---- */

static inline void recording_append(Recording *own, Word lock, Word home, Word away, Word hold) {
    own->sections[own->header.count++] = (RecordedSection){lock, home, away, hold};
    if (own->header.count == RECORDING_ROOM) recording_flush(own);
}

static inline void recording_enter(Recording *own, Word lock, Word home, Word wanted, bool has_waited) {
    if (own->depth == RECORDING_DEPTH) machine_trap();
    Word inside = own->depth ? RECORDING_INSIDE : 0, at = own->depth++;
    Word away = inside ? 0 : recording_span(own, own->last, wanted), taken = recording_now();
    if (has_waited) recording_look_at_clocks(own);
    else away += taken - wanted;
    Word flags = inside | (has_waited ? RECORDING_WAITED : 0);
    own->frames[at].lock = lock | flags;
    own->frames[at].home = home;
    own->frames[at].away = away;
    own->frames[at].wanted = wanted;
    own->frames[at].inside = 0;
    own->frames[at].taken = recording_now();
}
static inline void recording_leave(Recording *own) {
    Word hold = recording_span(own, own->frames[--own->depth].taken, recording_now()), at = own->depth;
    Word inside = own->frames[at].inside;
    recording_append(own, own->frames[at].lock, own->frames[at].home, own->frames[at].away,
                     hold > inside ? hold - inside : 0);
    own->last = recording_now();
    if (at) own->frames[at - 1].inside += own->last - own->frames[at].wanted;
}
static inline void recording_push(Recording *own, Word lock, Word home) {
    Word inside = own->depth ? RECORDING_INSIDE : 0;
    Word away = inside ? 0 : recording_span(own, own->last, recording_now());
    recording_append(own, lock | RECORDING_PUSH | inside, home, away, 0);
    if (!inside) own->last = recording_now();
}

/* The same work without a lock. */
static void recording_measure_cost(Recording *own) {
    for (int left = RECORDING_EMPTY; left; left--) {
        Word wanted = recording_now();
        recording_enter(own, 0, 0, wanted, false);
        recording_leave(own);
    }
    Word thread = own->header.thread;
    own->header.thread = 0;
    recording_flush(own);
    own->header.thread = thread;
}

__attribute__((noinline, cold)) static Recording *recording_begin(void) {
    int kept = errno;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    void *found = mmap(NULL, sizeof(Recording), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (found == MAP_FAILED) machine_fatal("snugmalloc: no memory to record locks", 0, 0);
    Recording *own = found;
    pid_t thread = (pid_t)syscall(SYS_gettid);
    own->header = (RecordedHeader){.magic = "SNUGLOCK", .thread = (Word)thread, .is_main = thread == getpid()};
    recording_own = own;
    pthread_setspecific(recording_key, own);
    recording_look_at_clocks(own);
    own->last = recording_now();
    if (own->header.is_main) recording_measure_cost(own);
    recording_begin_alone();
    own->next = recording_first;
    recording_first = own;
    recording_end_alone();
    recording_look_at_clocks(own);
    own->last = recording_now();
    errno = kept;
    return own;
}
static inline Recording *recording_of_thread(void) {
    if (machine_likely(recording_own != NULL)) return recording_own;
    return recording_folder && !recording_has_ended ? recording_begin() : NULL;
}

/* The library's own function for threads that end comes before this one, the first or the second time. */
static void recording_thread_ends(void *found) {
    Recording *own = found;
    if (!own->is_ending) {
        own->is_ending = true;
        pthread_setspecific(recording_key, own);
        return;
    }
    recording_flush(own);
    recording_own = NULL;
    recording_has_ended = true;
    recording_begin_alone();
    Recording **link = &recording_first;
    while (*link && *link != own) link = &(*link)->next;
    if (*link) *link = own->next;
    recording_end_alone();
    munmap(own, sizeof *own);
}
__attribute__((constructor)) static void recording_starts(void) {
    const char *heaps = getenv("RECORD_HEAPS");
    recording_heaps = heaps ? strtoul(heaps, NULL, 10) : 0;
    recording_process = getpid();
    if (pthread_key_create(&recording_key, recording_thread_ends)) return;
    recording_folder = getenv("RECORD_LOCKS");
}
__attribute__((destructor)) static void recording_process_ends(void) {
    if (!recording_folder) return;
    recording_begin_alone(); /* for good: whoever still works has nothing to add */
    for (Recording *each = recording_first; each; each = each->next) {
        each->header.process_lock = recording_process_lock();
        recording_write(each);
    }
    recording_own = NULL;
    recording_has_ended = true;
}

/* ---- What the engine calls instead ---- */

#ifdef RECORDING_ONE_LOCK /* a library from before there were several heaps */
#define RECORDING_TAKE_FREE(lock) machine_take_free_lock()
#define RECORDING_TAKE(lock) machine_lock()
#define RECORDING_RELEASE(lock, held) ((void)(lock), machine_unlock(held))
#define RECORDING_TELL_WAIT(lock) (void)(lock)
#else
#define RECORDING_TAKE_FREE(lock) machine_take_free_lock((MachineLock *)(lock))
#define RECORDING_TAKE(lock) machine_lock(lock)
#define RECORDING_RELEASE(lock, held) machine_unlock(lock, held)
#define RECORDING_TELL_WAIT(lock) ((MachineLock *)(lock))->waits++
#endif

static inline bool recorded_lock(Word lock, Word home) {
    Recording *own = recording_of_thread();
    Word wanted = own ? recording_now() : 0;
    bool at_once = machine_has_threads() && RECORDING_TAKE_FREE(lock);
    bool held = at_once || RECORDING_TAKE(lock);
    if (held && own) recording_enter(own, lock, home, wanted, !at_once);
    if (held && recording_heaps) RECORDING_TELL_WAIT(lock);
    return held;
}
static inline void recorded_unlock(Word lock, bool held) {
    RECORDING_RELEASE(lock, held);
    if (held && recording_own) recording_leave(recording_own);
}

#ifdef RECORDING_ONE_LOCK
#define machine_lock() recorded_lock(recording_process_lock(), recording_process_lock())
#define machine_unlock(held) recorded_unlock(recording_process_lock(), held)
#else
static inline Word recording_home(Word home_field, Word lock_field) {
    Word state = machine_load_thread_state();
    return state > 1 ? machine_load_word(state + home_field) + lock_field : 0;
}
/* The engine replaces other words, too: those of the page map. */
static bool recording_is_lock(Word lock) {
    const MachineLock *listed = machine_first_lock;
    while (listed && (Word)listed != lock) listed = listed->next;
    return listed != NULL;
}
static inline bool recorded_replace(Word address, Word expected, Word value, Word lock, Word home) {
    bool done = machine_atomic_replace(address, expected, value);
    Recording *own = done && recording_is_lock(lock) ? recording_of_thread() : NULL;
    if (own) recording_push(own, lock, home);
    return done;
}
static inline Word recorded_processors(void) {
    return recording_heaps ? recording_heaps : machine_processors();
}

#define RECORDING_HOME recording_home(engine_ThreadCache_home, engine_Heap_owner)
#define machine_lock(address) recorded_lock(address, RECORDING_HOME)
#define machine_unlock(address, held) recorded_unlock(address, held)
#define machine_processors() recorded_processors()
#define RECORDING_LOCK_BESIDE(stack) ((stack) - engine_Heap_returned + engine_Heap_owner)
#define machine_atomic_replace(address, expected, value) \
    recorded_replace(address, expected, value, RECORDING_LOCK_BESIDE(address), RECORDING_HOME)
#endif

#endif
