/* Random calls of the malloc family under random refusals: fuzz SEED STEPS [trace]
 *
 * All goes by the seed: options of the malloc, threads, sizes, calls, private heaps that come and go, refusals, forks,
 * and how time passes. Every byte of every block that may be used has a pattern, which is compared whenever the block is
 * looked at; NULL is an answer only while something may be refused. With one thread and addresses that the kernel does
 * not choose at random, the same seed and steps are the same run; a failure names the seed, the thread and the step.
 * `trace` prints each call.
 *
 * A run consists of bouts: threads start, make their steps on slots that they share, and end; then all blocks are
 * compared, and where the malloc is snugmalloc, its invariants, its figures and its walk are looked at.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/wait.h>

#include "check.h"
#include "refusals.h"
#include "snugmalloc.h"

#pragma weak snug_check
#pragma weak snug_walk
#pragma weak snug_stats
#pragma weak snug_trim
#pragma weak snug_thread_idle
#pragma weak snug_background_step
#pragma weak snug_free_sized
#pragma weak snug_heap_create
#pragma weak snug_heap_destroy
#pragma weak snug_heap_malloc
#pragma weak snug_heap_calloc
#pragma weak snug_heap_realloc
#pragma weak snug_heap_aligned
#pragma weak snug_heap_free
#pragma weak snug_heap_stats
#pragma weak snug_heap_walk
#pragma weak snug_heap_check
#pragma weak snug_heap_trim

enum {
    MOST_SLOTS = 4096,
    MOST_WORKERS = 8,
    MOST_BOUTS = 4,
    MOST_HEAPS = 6,
    RECENT = 64,
    CHILD_STEPS = 400,
    SECONDS = 550, /* a run that takes longer hangs */
    CHILD_SECONDS = 500,
    STACK = 256 << 10
};

static const size_t MOST_LIVE = 160 << 20;
static const size_t IMPOSSIBLE = (size_t)1 << 63;

/* ---- Random numbers ---- */

typedef struct {
    uint64_t state;
} Random;

static uint64_t next(Random *random)
{
    return mixed(random->state += 0x9E3779B97F4A7C15u);
}

static size_t below(Random *random, size_t most)
{
    return (size_t)((next(random) >> 32) * most >> 32);
}

static int one_in(Random *random, size_t many)
{
    return below(random, many) == 0;
}

/* As many numbers in each doubling from `least` to `most`. */
static size_t doubling(Random *random, size_t least, size_t most)
{
    int first = 63 - __builtin_clzll(least), last = 63 - __builtin_clzll(most);
    size_t low = (size_t)1 << (first + (int)below(random, (size_t)(last - first + 1)));

    return low + below(random, low);
}

/* ---- The run ---- */

typedef enum { ALL_SIZES, SMALL_SIZES, MIDDLE_SIZES, LARGE_SIZES, PROFILES } Profile;

typedef struct {
    uint64_t seed;
    long steps;
    size_t workers, bouts, slots, page, threshold;
    Profile profile;
    int is_alone, forks, refuses, moves_break, has_limit, has_helper, traces, is_child;
    size_t heaps;
} Run;

/* A private heap. Who is inside has the lock for reading, who makes or destroys it for writing, and nobody ever waits
 * for it: a child may have been forked while others had it. */
typedef struct {
    pthread_rwlock_t lock;
    snug_heap_t *heap;
    size_t limit;
    _Atomic size_t live_bytes;
} Private;

typedef struct {
    atomic_flag is_taken;
    Private *home; /* the private heap that the block is of, or NULL */
    unsigned char *start;
    size_t asked, usable;
    uint64_t key;
    int is_aligned; /* by a call that asked for it */
} Slot;

typedef struct {
    Random random;
    int number;
    long step, steps;
    size_t repeated, repeats; /* a size that is asked for again and again */
    size_t place;             /* where slots are gone through in order */
    int in_order, filling;
} Worker;

static Run run;
static Slot slots[MOST_SLOTS];
static Private heaps[MOST_HEAPS];
static Worker workers[MOST_WORKERS];
static __thread Worker *self;
static _Atomic size_t live_bytes, private_bytes, recent[RECENT], recent_count;
static _Atomic uint64_t keys;
static _Atomic long refused, forked;

#define FAIL(...) \
    do { \
        tell_where(); \
        tell(__VA_ARGS__); \
        tell("\n"); \
        signal(SIGABRT, SIG_DFL); \
        abort(); \
    } while (0)

#define TRACE(...) \
    do { \
        if (run.traces) { \
            tell_where(); \
            tell(__VA_ARGS__); \
            tell("\n"); \
        } \
    } while (0)

/* Allocates nothing, unlike dprintf: a signal may have come inside the malloc, with its lock held. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    char line[500];
    va_list values;

    va_start(values, format);
    int length = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (length > (int)sizeof line - 1)
        length = sizeof line - 1;
    if (write(2, line, (size_t)length) != length)
        abort();
}

static void tell_where(void)
{
    tell("fuzz %lu %ld: thread %d, step %ld: ", run.seed, run.steps, self ? self->number : -1,
         self ? self->step : -1);
}

static void die_of(int number)
{
    signal(number, SIG_DFL);
    tell_where();
    tell("signal %d\n", number);
    raise(number);
}

/* ---- Blocks ---- */

static void write_pattern(const Slot *slot)
{
    uint64_t word = slot->key;
    size_t at = 0;

    for (; at + 8 <= slot->usable; at += 8, word += 0x9E3779B97F4A7C15u)
        *(uint64_t *)(slot->start + at) = word;
    for (; at < slot->usable; at++)
        slot->start[at] = (unsigned char)(word >> at % 8 * 8);
}

/* The first `size` bytes at `start` are what was written to the slot's block. */
static void compare(const Slot *slot, const unsigned char *start, size_t size)
{
    uint64_t word = slot->key;
    size_t at = 0;

    for (; at + 8 <= size; at += 8, word += 0x9E3779B97F4A7C15u)
        if (*(const uint64_t *)(start + at) != word)
            FAIL("bytes %zu to %zu of the block of %zu (%zu usable) at %p are wrong: %lx, not %lx", at, at + 7,
                 slot->asked, slot->usable, (const void *)start, *(const uint64_t *)(start + at), word);
    for (; at < size; at++)
        if (start[at] != (unsigned char)(word >> at % 8 * 8))
            FAIL("byte %zu of the block of %zu (%zu usable) at %p is wrong", at, slot->asked, slot->usable,
                 (const void *)start);
}

static void compare_block(const Slot *slot)
{
    size_t usable = malloc_usable_size(slot->start);

    if (usable != slot->usable)
        FAIL("%p has %zu usable bytes, it had %zu", (void *)slot->start, usable, slot->usable);
    compare(slot, slot->start, usable);
}

static void check_zero(const unsigned char *start, size_t size)
{
    for (size_t at = 0; at < size; at++)
        if (start[at])
            FAIL("calloc gave %zu bytes at %p, of which byte %zu is not zero", size, (const void *)start, at);
}

/* So many bytes more are in use, in the slot's heap. */
static void count_live(const Slot *slot, size_t bytes)
{
    atomic_fetch_add(&live_bytes, bytes);
    if (slot->home) {
        atomic_fetch_add(&slot->home->live_bytes, bytes);
        atomic_fetch_add(&private_bytes, bytes);
    }
}

/* What a slot's block is from now on: a new pattern, in all of its usable bytes. */
static void keep(Slot *slot, void *start, size_t asked)
{
    slot->start = start;
    slot->asked = asked;
    slot->key = mixed(atomic_fetch_add(&keys, 1) + run.seed);
    slot->usable = malloc_usable_size(start);
    if (slot->usable < asked)
        FAIL("%p has %zu usable bytes, %zu were asked for", start, slot->usable, asked);
    if ((uintptr_t)start % 16)
        FAIL("%p is not aligned", start);
    count_live(slot, slot->usable);
    atomic_store(&recent[atomic_fetch_add(&recent_count, 1) % RECENT], slot->usable);
    write_pattern(slot);
}

static void forget(Slot *slot)
{
    count_live(slot, -slot->usable);
    slot->start = NULL;
    slot->is_aligned = 0;
}

/* ---- Sizes ---- */

/* Some bytes more or less. */
static size_t around(Random *random, size_t size, size_t reach)
{
    size_t moved = size + below(random, 2 * reach + 1);

    return moved > reach ? moved - reach : 0;
}

static size_t any_size(Worker *worker)
{
    static const unsigned kinds[PROFILES] = {
        [ALL_SIZES] = 1000, [SMALL_SIZES] = 500, [MIDDLE_SIZES] = 900, [LARGE_SIZES] = 1000};
    Random *random = &worker->random;
    size_t kind = below(random, kinds[run.profile]);

    if (run.profile == LARGE_SIZES && kind < 700)
        kind = 700 + kind % 300;
    if (kind < 250)
        return below(random, 129);
    if (kind < 400)
        return doubling(random, 1, 1 << 10);
    if (kind < 500)
        return around(random, atomic_load(&recent[below(random, RECENT)]) % (4 << 20), 17);
    if (kind < 650)
        return doubling(random, 1 << 10, 1 << 14);
    if (kind < 720)
        return around(random, (size_t)1 << (4 + below(random, 17)), 33);
    if (kind < 800)
        return around(random, (1 + below(random, 64)) * run.page, 33);
    if (kind < 900)
        return doubling(random, 1 << 14, 1 << 17);
    if (kind < 940)
        return around(random, 128 << 10, 4200);
    if (kind < 990)
        return doubling(random, 1 << 17, 1 << 21);
    return one_in(random, 2) ? around(random, run.threshold, 4200) : doubling(random, 1 << 20, 1 << 25);
}

/* Of any kind, or one that was asked for just before; little where much is live already. */
static size_t pick_size(Worker *worker)
{
    size_t size;

    if (worker->repeats) {
        worker->repeats--;
        size = worker->repeated;
    } else {
        size = any_size(worker);
        if (size < 20000 && one_in(&worker->random, 50)) {
            worker->repeated = size;
            worker->repeats = below(&worker->random, 400);
        }
    }
    return atomic_load(&live_bytes) + size > MOST_LIVE ? size % 512 : size;
}

/* ---- Calls ---- */

static int is_ours(void)
{
    return snug_check != NULL;
}

/* NULL is an answer only while something may be refused, and errno says why. */
static void *answered(void *given, const char *call, size_t size, uint64_t epoch, const Private *home)
{
    int has_limit = home ? home->limit != 0 : run.has_limit;

    TRACE("%s %zu: %p", call, size, given);
    if (!given) {
        if (errno != ENOMEM)
            FAIL("%s of %zu was refused with errno %d", call, size, errno);
        if (!has_limit && !was_refusing(epoch))
            FAIL("%s of %zu was refused while nothing is", call, size);
        atomic_fetch_add(&refused, 1);
    }
    return given;
}

static void *aligned_block(Worker *worker, size_t *size)
{
    Random *random = &worker->random;
    size_t alignment = (size_t)16 << below(random, one_in(random, 50) ? 18 : 10);
    uint64_t epoch = atomic_load(&refusal_epoch);
    void *block = NULL;

    switch (below(random, 5)) {
    case 0:
        block = answered(memalign(alignment, *size), "memalign", *size, epoch, NULL);
        break;
    case 1:
        *size = (*size + alignment - 1) / alignment * alignment;
        block = answered(aligned_alloc(alignment, *size), "aligned_alloc", *size, epoch, NULL);
        break;
    case 2:
        alignment = run.page;
        block = answered(valloc(*size), "valloc", *size, epoch, NULL);
        break;
    case 3:
        alignment = run.page;
        *size = (*size + alignment - 1) / alignment * alignment;
        block = answered(pvalloc(*size), "pvalloc", *size, epoch, NULL);
        break;
    default:
        errno = 0;
        int status = posix_memalign(&block, alignment, *size);
        if (errno != status && is_ours())
            FAIL("posix_memalign(%zu, %zu) gave %d, and errno %d", alignment, *size, status, errno);
        errno = status;
        block = answered(status ? NULL : block, "posix_memalign", *size, epoch, NULL);
    }
    if ((uintptr_t)block % alignment)
        FAIL("%p is not aligned to %zu", block, alignment);
    return block;
}

static void make(Worker *worker, Slot *slot)
{
    Random *random = &worker->random;
    size_t size = pick_size(worker), kind = below(random, 20), count = 1 + below(random, 9);
    uint64_t epoch = atomic_load(&refusal_epoch);
    void *block;

    errno = 0;
    if (kind < 10) {
        block = answered(malloc(opaque(size)), "malloc", size, epoch, NULL);
    } else if (kind < 14) {
        size = size / count * count;
        block = answered(calloc(opaque(count), size / count), "calloc", size, epoch, NULL);
        if (block)
            check_zero(block, is_ours() ? malloc_usable_size(block) : size);
    } else if (kind < 16) {
        block = answered(realloc(NULL, opaque(size)), "realloc of NULL", size, epoch, NULL);
    } else if (kind < 17) {
        size = size / count * count;
        block = answered(reallocarray(NULL, opaque(count), size / count), "reallocarray of NULL", size, epoch, NULL);
    } else {
        block = aligned_block(worker, &size);
        slot->is_aligned = 1;
    }
    slot->home = NULL;
    if (block)
        keep(slot, block, size);
}

/* The same from a private heap that this thread is inside. */
static void make_private(Worker *worker, Slot *slot, Private *home)
{
    Random *random = &worker->random;
    size_t size = pick_size(worker), count = 1 + below(random, 9), alignment = (size_t)16 << below(random, 14);
    uint64_t epoch = atomic_load(&refusal_epoch);
    void *block;

    errno = 0;
    switch (below(random, 6)) {
    case 0:
        size = size / count * count;
        block = answered(snug_heap_calloc(home->heap, opaque(count), size / count), "heap calloc", size, epoch, home);
        if (block)
            check_zero(block, malloc_usable_size(block));
        break;
    case 1:
        block = answered(snug_heap_aligned(home->heap, alignment, size), "heap aligned", size, epoch, home);
        if ((uintptr_t)block % alignment)
            FAIL("%p is not aligned to %zu", block, alignment);
        slot->is_aligned = 1;
        break;
    case 2:
        block = answered(snug_heap_realloc(home->heap, NULL, size), "heap realloc of NULL", size, epoch, home);
        break;
    default:
        block = answered(snug_heap_malloc(home->heap, opaque(size)), "heap malloc", size, epoch, home);
    }
    slot->home = home;
    if (block)
        keep(slot, block, size);
}

/* By either function, for both know whose a private heap's block is. */
static void *resized(Worker *worker, const Slot *slot, size_t size)
{
    if (slot->home && one_in(&worker->random, 2))
        return snug_heap_realloc(slot->home->heap, slot->start, opaque(size));
    return realloc(slot->start, opaque(size));
}


static void resize(Worker *worker, Slot *slot)
{
    size_t size = pick_size(worker), usable = slot->usable;
    uint64_t epoch = atomic_load(&refusal_epoch);

    if (one_in(&worker->random, 4))
        size = around(&worker->random, usable, 40); /* mostly in place */
    compare_block(slot);
    if (size == 0) {
        TRACE("realloc %p to 0", (void *)slot->start);
        if (resized(worker, slot, 0))
            FAIL("realloc to 0 bytes gave a block");
        forget(slot);
        return;
    }
    errno = 0;
    unsigned char *before = slot->start, *moved = resized(worker, slot, size);
    TRACE("realloc %p (%zu usable)", (void *)before, usable);
    if (!answered(moved, "realloc", size, epoch, slot->home)) {
        compare_block(slot);
        return;
    }
    if (is_ours() && size <= usable && moved != before)
        FAIL("realloc to %zu of %zu usable bytes moved %p to %p", size, usable, (void *)before, (void *)moved);
    compare(slot, moved, size < usable ? size : usable);
    forget(slot);
    keep(slot, moved, size);
}

static void drop(Worker *worker, Slot *slot)
{
    unsigned char *block = slot->start;
    int is_sized = snug_free_sized && !slot->is_aligned && one_in(&worker->random, 8), code = (int)worker->step;

    compare_block(slot);
    forget(slot);
    TRACE("free %p (%zu asked for)", (void *)block, slot->asked);
    errno = code;
    if (slot->home && one_in(&worker->random, 2))
        snug_heap_free(slot->home->heap, block);
    else if (is_sized)
        snug_free_sized(block, slot->asked);
    else
        free(block);
    if (errno != code)
        FAIL("free of %p changed errno to %d", (void *)block, errno);
}

/* What can never be had is refused with ENOMEM, and nothing changes. */
static void ask_too_much(Worker *worker)
{
    size_t size = IMPOSSIBLE + below(&worker->random, 1 << 20), half = (size_t)1 << 32;
    void *unset = worker;

    errno = 0;
    if (malloc(opaque(size)) || errno != ENOMEM)
        FAIL("malloc(%zu): errno %d", size, errno);
    errno = 0;
    if (malloc(opaque(-below(&worker->random, 5000) - 1)) || errno != ENOMEM)
        FAIL("malloc of nearly SIZE_MAX: errno %d", errno);
    errno = 0;
    if (calloc(opaque(half), half + below(&worker->random, 100)) || errno != ENOMEM)
        FAIL("calloc: errno %d", errno);
    if (posix_memalign(&unset, 16, opaque(size)) != ENOMEM || unset != worker)
        FAIL("posix_memalign of %zu", size);
    if (posix_memalign(&unset, opaque(24), 100) != EINVAL || unset != worker)
        FAIL("posix_memalign to a multiple of 24");
}

/* ---- Slots ---- */

static Slot *take_slot(Worker *worker)
{
    for (;;) {
        size_t at = worker->in_order ? worker->place++ % run.slots : below(&worker->random, run.slots);

        if (!atomic_flag_test_and_set_explicit(&slots[at].is_taken, memory_order_acquire))
            return &slots[at];
    }
}

static void leave_slot(Slot *slot)
{
    atomic_flag_clear_explicit(&slot->is_taken, memory_order_release);
}

/* Whether the heap is there, and stays until `leave_heap`. */
static int enter_heap(Private *home)
{
    if (pthread_rwlock_tryrdlock(&home->lock))
        return 0;
    if (!home->heap)
        pthread_rwlock_unlock(&home->lock);
    return home->heap != NULL;
}

static void leave_heap(Private *home)
{
    pthread_rwlock_unlock(&home->lock);
}

static void make_somewhere(Worker *worker, Slot *slot)
{
    Private *home = run.heaps && one_in(&worker->random, 3) ? &heaps[below(&worker->random, run.heaps)] : NULL;

    if (home && enter_heap(home)) {
        make_private(worker, slot, home);
        leave_heap(home);
    } else {
        make(worker, slot);
    }
}

/* Whether the slot has a block that can be used now; then `leave_block` follows. */
static int enter_block(Slot *slot)
{
    return slot->start && (!slot->home || enter_heap(slot->home));
}

static void leave_block(Private *home)
{
    if (home)
        leave_heap(home);
}

static void use_a_slot(Worker *worker)
{
    Slot *slot = take_slot(worker);
    Private *home = slot->home;
    size_t dice = below(&worker->random, 16);

    if (!slot->start) {
        if ((int)dice < worker->filling)
            make_somewhere(worker, slot);
    } else if (enter_block(slot)) {
        if (dice < 4)
            resize(worker, slot);
        else if (dice < 6)
            compare_block(slot);
        else if ((int)dice >= worker->filling)
            drop(worker, slot);
        leave_block(home);
    }
    leave_slot(slot);
}

static void drop_some(Worker *worker, size_t one_of)
{
    for (size_t i = 0; i < run.slots; i++)
        if (one_in(&worker->random, one_of) && !atomic_flag_test_and_set(&slots[i].is_taken)) {
            Private *home = slots[i].home;

            if (enter_block(&slots[i])) {
                drop(worker, &slots[i]);
                leave_block(home);
            }
            leave_slot(&slots[i]);
        }
}

/* ---- Private heaps ---- */

/* All blocks of the heap, which this thread has for itself, are no more. */
static void forget_blocks(const Private *home)
{
    for (size_t i = 0; i < run.slots; i++) {
        while (atomic_flag_test_and_set_explicit(&slots[i].is_taken, memory_order_acquire))
            ; /* who has it does not wait for the heap */
        if (slots[i].start && slots[i].home == home) {
            if (i % 8 == 0)
                compare_block(&slots[i]);
            forget(&slots[i]);
        }
        leave_slot(&slots[i]);
    }
}

static void make_heap(Random *random, Private *home)
{
    uint64_t epoch = atomic_load(&refusal_epoch);

    home->limit = one_in(random, 2) ? 0 : doubling(random, 1 << 17, 1 << 25);
    errno = 0;
    home->heap = answered(snug_heap_create(home->limit, "of the fuzzer"), "heap create", home->limit, epoch, NULL);
}

static void destroy_heap(Private *home)
{
    TRACE("heap destroy %p", (void *)home->heap);
    forget_blocks(home);
    if (atomic_load(&home->live_bytes))
        FAIL("%zu bytes are left in a heap", atomic_load(&home->live_bytes));
    snug_heap_destroy(home->heap);
    home->heap = NULL;
}

static void change_heaps(Random *random)
{
    Private *home = &heaps[below(random, run.heaps)];

    if (pthread_rwlock_trywrlock(&home->lock))
        return;
    if (!home->heap)
        make_heap(random, home);
    else if (!run.is_child || run.is_alone) /* else slots are taken by threads that are not here */
        destroy_heap(home);
    leave_heap(home);
}

/* ---- What the malloc reports ---- */

typedef struct {
    Slot **table; /* by address */
    size_t found;
} Seen;

static size_t place_in_table(const void *address)
{
    return mixed((uintptr_t)address) % (2 * MOST_SLOTS);
}

static int see(void *address, size_t size, int status, void *context)
{
    Seen *seen = context;
    size_t at = place_in_table(address);

    while (seen->table[at] && seen->table[at]->start != address)
        at = (at + 1) % (2 * MOST_SLOTS);
    if (seen->table[at]) {
        if (status == SNUG_FREE || size != seen->table[at]->usable)
            FAIL("the walk reports %p status %d and %zu bytes, not %zu", address, status, size,
                 seen->table[at]->usable);
        seen->found++;
    }
    return 0;
}

/* Nobody else is at work: every block of the heap is met once; of malloc's, if it is NULL. */
static void walk_alone(Private *home)
{
    static Slot *table[2 * MOST_SLOTS];
    size_t live = 0;

    memset(table, 0, sizeof table);
    for (size_t i = 0; i < run.slots; i++)
        if (slots[i].start && slots[i].home == home) {
            size_t at = place_in_table(slots[i].start);

            while (table[at])
                at = (at + 1) % (2 * MOST_SLOTS);
            table[at] = &slots[i];
            live++;
        }
    Seen seen = {table, 0};
    if ((home ? snug_heap_walk(home->heap, see, &seen) : snug_walk(see, &seen)) || seen.found != live)
        FAIL("the walk met %zu of %zu blocks", seen.found, live);
}

static int count_one(void *address, size_t size, int status, void *context)
{
    (void)address, (void)size, (void)status;
    ++*(size_t *)context;
    return 0;
}

static void look_at_figures(int alone)
{
    snug_stats_t stats;
    size_t live = 0, bytes = atomic_load(&live_bytes) - atomic_load(&private_bytes);

    snug_stats(&stats, sizeof stats);
    if (stats.version != SNUG_STATS_VERSION)
        FAIL("the figures have version %zu", stats.version);
    if (alone && !run.has_helper && stats.system_bytes != stats.heap_bytes + stats.mapped_bytes + stats.kept_bytes)
        FAIL("%zu bytes from the system are not %zu + %zu + %zu", stats.system_bytes, stats.heap_bytes,
             stats.mapped_bytes, stats.kept_bytes);
    if (stats.limit_bytes && stats.peak_system_bytes > stats.limit_bytes)
        FAIL("%zu bytes were taken, the limit is %zu", stats.peak_system_bytes, stats.limit_bytes);
    for (size_t i = 0; alone && i < run.slots; i++)
        live += slots[i].start && !slots[i].home;
    if (alone && (stats.live_blocks < live || stats.live_bytes < bytes))
        FAIL("the figures report %zu blocks and %zu bytes, there are %zu and %zu", stats.live_blocks,
             stats.live_bytes, live, bytes);
}

static void look_at_heap(Private *home, int alone)
{
    snug_stats_t stats;
    int broken = snug_heap_check(home->heap);

    if (broken)
        FAIL("snug_heap_check() gives %d", broken);
    snug_heap_stats(home->heap, &stats, sizeof stats);
    if (stats.limit_bytes != home->limit || (home->limit && stats.peak_system_bytes > home->limit))
        FAIL("a heap took %zu bytes, its limit is %zu", stats.peak_system_bytes, home->limit);
    if (alone && stats.live_bytes != atomic_load(&home->live_bytes))
        FAIL("a heap reports %zu bytes, there are %zu", stats.live_bytes, atomic_load(&home->live_bytes));
    if (alone)
        walk_alone(home);
}

static void look_at_heaps(int alone)
{
    for (size_t i = 0; i < run.heaps; i++)
        if (enter_heap(&heaps[i])) {
            look_at_heap(&heaps[i], alone);
            leave_heap(&heaps[i]);
        }
}

static void check_all(void)
{
    int broken = snug_check ? snug_check() : 0;

    if (broken)
        FAIL("snug_check() gives %d", broken);
    look_at_heaps(0);
}

/* ---- Forks ---- */

static void *step_in_child(void *worker);
static void steps(Worker *worker, long count);

/* The child has every block but those that other threads were at. */
static void live_as_child(Worker *worker)
{
    static Worker second;
    pthread_t thread;
    int has_second = 0;

    alarm(CHILD_SECONDS);
    run.forks = 0;
    run.moves_break = 0;
    run.is_child = 1;
    second = (Worker){.random = {next(&worker->random)}, .number = MOST_WORKERS, .filling = 8};
    if (one_in(&worker->random, 2))
        has_second = pthread_create(&thread, NULL, step_in_child, &second) == 0;
    run.is_alone = run.is_alone && !has_second;
    steps(worker, CHILD_STEPS);
    if (has_second)
        pthread_join(thread, NULL);
    drop_some(worker, 2);
    refuse(NOTHING_REFUSED, 0);
    check_all();
    _exit(0);
}

static void fork_once(Worker *worker)
{
    int status = -1;
    pid_t child = fork();

    TRACE("fork: %d", (int)child);
    if (child == 0)
        live_as_child(worker);
    atomic_fetch_add(&forked, 1);
    if (child < 0) {
        if (errno != ENOMEM && errno != EAGAIN)
            FAIL("fork gives errno %d", errno);
    } else if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status)) {
        FAIL("the child ended with status %x", (unsigned)status);
    }
}

/* ---- Steps ---- */

static void change_refusals(Worker *worker)
{
    Random *random = &worker->random;
    size_t amount = one_in(random, 3) ? 0 : doubling(random, 4096, 4 << 20);

    TRACE("refusals change");
    switch (below(random, 6)) {
    case 0:
        refuse(CALLS_REFUSED, one_in(random, 2) ? 256 : 1 + below(random, 128));
        break;
    case 1:
        refuse(ADDRESSES_LIMITED, amount);
        break;
    case 2:
        refuse(DATA_LIMITED, amount);
        break;
    default:
        refuse(NOTHING_REFUSED, 0);
    }
}

/* Another user of the break, as the heap meets it. */
static void move_break(Worker *worker)
{
    size_t bytes = (1 + below(&worker->random, 8)) * run.page;

    TRACE("somebody moves the break by %zu", bytes);
    sbrk((intptr_t)bytes);
}

static void change_habits(Worker *worker)
{
    worker->filling = 4 + (int)below(&worker->random, 12);
    worker->in_order = (int)below(&worker->random, 2);
    worker->place = below(&worker->random, run.slots);
}

static void let_time_pass(Random *random)
{
    uint64_t passed = one_in(random, 1000) ? 3000000000u : doubling(random, 128, 1 << 20);

    atomic_fetch_add(&clock_ns, below(random, passed) + 1);
}

static void do_something_rare(Worker *worker, size_t what)
{
    Random *random = &worker->random;
    size_t count = 0;

    if (what < 10) {
        change_habits(worker);
    } else if (what < 30 && run.refuses) {
        change_refusals(worker);
    } else if (what < 33) {
        ask_too_much(worker);
    } else if (what < 36) {
        TRACE("trim");
        malloc_trim(one_in(random, 2) ? 0 : below(random, 1 << 20));
    } else if (what < 38) {
        drop_some(worker, 1 + below(random, 4));
    } else if (what < 40 && snug_thread_idle) {
        TRACE("thread idle");
        snug_thread_idle();
    } else if (what < 44 && snug_background_step) {
        TRACE("background step");
        snug_background_step();
    } else if (what < 50 && snug_stats) {
        look_at_figures(run.is_alone);
    } else if (what < 52 && snug_walk) {
        TRACE("walk");
        if (run.is_alone)
            walk_alone(NULL);
        else if (snug_walk(count_one, &count) || !count)
            FAIL("a walk ended early");
    } else if (what < 54 && run.is_alone) {
        TRACE("check");
        check_all();
    } else if (what < 55 && run.forks) {
        fork_once(worker);
    } else if (what < 56 && run.moves_break) {
        move_break(worker);
    } else if (what < 62 && run.heaps) {
        change_heaps(random);
    } else if (what < 63 && run.heaps) {
        look_at_heaps(run.is_alone);
    }
}

static void steps(Worker *worker, long count)
{
    self = worker;
    for (long end = worker->step + count; worker->step < end; worker->step++) {
        size_t what = below(&worker->random, 4000);

        let_time_pass(&worker->random);
        if (what < 63)
            do_something_rare(worker, what);
        else
            use_a_slot(worker);
    }
}

static void *step_in_child(void *worker)
{
    steps(worker, CHILD_STEPS);
    return NULL;
}

static void *work(void *worker)
{
    steps(worker, ((Worker *)worker)->steps);
    return NULL;
}

static void bout(void)
{
    pthread_t threads[MOST_WORKERS];

    if (run.workers == 1) {
        work(&workers[0]);
    } else {
        for (size_t i = 0; i < run.workers; i++)
            while (pthread_create(&threads[i], NULL, work, &workers[i]))
                refuse(NOTHING_REFUSED, 0); /* the first thread has set a limit already */
        for (size_t i = 0; i < run.workers; i++)
            pthread_join(threads[i], NULL);
    }
    self = &workers[0];
    refuse(NOTHING_REFUSED, 0);
    for (size_t i = 0; i < run.slots; i++)
        if (slots[i].start)
            compare_block(&slots[i]);
    if (snug_check) {
        check_all();
        look_at_figures(1);
        walk_alone(NULL);
        look_at_heaps(1);
    }
}

/* ---- The start ---- */

/* One of the texts, which the option is set to; it is left as it is where that is empty. */
static const char *choose_option(Random *random, const char *name, const char *const *texts, size_t count)
{
    const char *text = texts[below(random, count)];

    if (*text) {
        setenv(name, text, 1);
        dprintf(1, " %s=%s", name, text);
    }
    return text;
}

#define CHOOSE(random, name, ...) \
    choose_option(random, name, (const char *const[]){__VA_ARGS__}, \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* Options are read when the process starts, and the place of its memory is chosen then: so it starts once more. */
static void start_again(char **words, Random *random)
{
    dprintf(1, "fuzz %s %s", words[1], words[2]);
    CHOOSE(random, "SNUG_LIMIT", "", "", "", "", "", "3M", "20M", "64M");
    CHOOSE(random, "SNUG_MMAP_THRESHOLD", "", "", "", "16K", "128K", "1M", "4M");
    CHOOSE(random, "SNUG_PREALLOC", "", "", "", "0", "1M");
    CHOOSE(random, "SNUG_PURGE_DELAY", "", "", "", "0", "1", "30", "1G");
    CHOOSE(random, "SNUG_THREAD_CACHE", "", "", "", "", "0", "64", "1K", "64K");
    CHOOSE(random, "SNUG_ALIGN", "", "", "8");
    CHOOSE(random, "SNUG_HARDEN", "", "", "", "", "", "", "1");
    CHOOSE(random, "SNUG_FILL", "", "", "", "", "1");
    CHOOSE(random, "SNUG_STATS", "", "", "1");
    CHOOSE(random, "SNUG_BACKGROUND", "", "", "", "", "", "", "", "1");
    setenv("FUZZ_STARTED", "1", 1);
    personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE); /* not everywhere permitted */
    execv("/proc/self/exe", words);
    _exit(127);
}

static size_t threshold_set(void)
{
    const char *text = getenv("SNUG_MMAP_THRESHOLD");
    char *unit;
    size_t number = text ? strtoul(text, &unit, 10) : 0;

    return number ? number << (*unit == 'M' ? 20 : 10) : (size_t)32 << 20;
}

static void prepare(char **words, Random *random)
{
    size_t one_or_more[] = {1, 1, 1, 2, 3, 4, 8};

    run.page = (size_t)sysconf(_SC_PAGESIZE);
    run.workers = one_or_more[below(random, 7)];
    run.is_alone = run.workers == 1;
    run.bouts = 1 + below(random, MOST_BOUTS);
    run.slots = doubling(random, 64, MOST_SLOTS / 2);
    run.profile = (Profile)below(random, PROFILES);
    run.refuses = (int)below(random, 2);
    run.forks = (int)below(random, 2);
    run.moves_break = run.workers == 1 && one_in(random, 4);
    run.heaps = snug_heap_create ? below(random, MOST_HEAPS + 1) : 0;
    for (size_t i = 0; i < run.heaps; i++)
        pthread_rwlock_init(&heaps[i].lock, NULL);
    run.threshold = threshold_set();
    run.has_limit = getenv("SNUG_LIMIT") != NULL;
    run.has_helper = getenv("SNUG_BACKGROUND") != NULL; /* which may be at work on a mapping at any time */
    run.traces = words[3] != NULL;
    refusal_seed = next(random);
    for (size_t i = 0; i < run.workers; i++) {
        workers[i] = (Worker){.random = {next(random)}, .number = (int)i, .filling = 12};
        workers[i].steps = run.steps / (long)(run.workers * run.bouts);
    }
    for (size_t i = 0; i < RECENT; i++)
        recent[i] = 16 * i;
    clock_ns = 1000000000;
    dprintf(1, ": %zu threads, %zu bouts, %zu slots, %zu heaps, sizes %d%s%s%s\n", run.workers, run.bouts, run.slots, run.heaps,
            (int)run.profile, run.refuses ? ", refusals" : "", run.forks ? ", forks" : "",
            run.moves_break ? ", others move the break" : "");
}

/* No page of it is missing once the address space is limited. */
static void touch_stack(void)
{
    char stack[STACK];

    memset(stack, 1, STACK);
    __asm__ volatile("" : : "r"(stack) : "memory");
}

int main(int count, char **words)
{
    static const int deaths[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
    Random random;

    MUST(count == 3 || count == 4);
    run.seed = strtoull(words[1], NULL, 10);
    run.steps = atol(words[2]);
    random.state = mixed(run.seed);
    if (!getenv("FUZZ_STARTED"))
        start_again(words, &random);
    random.state = mixed(run.seed + 1) + 1;
    touch_stack();
    prepare(words, &random);
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
        signal(deaths[i], die_of);
    alarm(SECONDS);
    for (size_t i = 0; i < run.bouts; i++)
        bout();
    for (size_t i = 0; i < run.heaps; i++)
        if (heaps[i].heap)
            destroy_heap(&heaps[i]);
    drop_some(&workers[0], 1);
    if (atomic_load(&live_bytes))
        FAIL("%zu bytes are left", atomic_load(&live_bytes));
    check_all();
    dprintf(1, "refused %ld, forked %ld\n", atomic_load(&refused), atomic_load(&forked));
    return failed_checks != 0;
}
