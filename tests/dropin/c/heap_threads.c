/* Private heaps in threads: heap_threads CASE [SECONDS].
 *
 * `shared` several threads in one heap, which free each other's blocks; `many` 1,000 heaps at once, made and destroyed by
 * several threads in any order; `leaves` threads that make heaps all over the address space at once; `fork` a process that
 * forks while threads are inside heaps, and inside making and destroying them: each child uses all heaps that it has.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resident.h"
#include "snugmalloc.h"

enum { THREADS = 4, SLOTS = 512, STEPS = 60000, HEAPS = 1000, FORKS = 40, SHARED_HEAPS = 6, CHILD_STEPS = 2000 };

static unsigned next(unsigned *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static size_t some_size(unsigned *state)
{
    unsigned kind = next(state) % 100;

    if (kind < 70)
        return next(state) % 600;
    if (kind < 95)
        return next(state) % 20000;
    return next(state) % (kind < 99 ? 300000 : 3000000);
}

static snug_heap_t *new_heap(size_t limit)
{
    snug_heap_t *heap = snug_heap_create(limit, "of threads");

    MUST(heap);
    return heap;
}

/* A block knows its size and what it is full of. */
typedef struct {
    size_t size;
    unsigned char filling;
    unsigned char rest[];
} Block;

static Block *new_block(snug_heap_t *heap, unsigned *state)
{
    size_t size = some_size(state) + sizeof(Block);
    Block *block;

    switch (next(state) % 8) {
    case 0:
        block = snug_heap_aligned(heap, (size_t)16 << next(state) % 9, size);
        break;
    case 1:
        block = snug_heap_calloc(heap, 1, size);
        CHECK(!block || (block->size == 0 && block->rest[0] == 0));
        break;
    default:
        block = snug_heap_malloc(heap, size);
    }
    MUST(block);
    block->size = size;
    block->filling = (unsigned char)next(state);
    memset(block->rest, block->filling, size - offsetof(Block, rest));
    return block;
}

static void check_block(const Block *block)
{
    MUST(block->size >= sizeof(Block) && block->rest[0] == block->filling);
    CHECK(block->rest[block->size - offsetof(Block, rest) - 1] == block->filling);
}

static void drop(snug_heap_t *heap, Block *block, unsigned *state)
{
    check_block(block);
    if (next(state) % 2)
        snug_heap_free(heap, block);
    else
        free(block);
}

static Block *resize(snug_heap_t *heap, Block *block, unsigned *state)
{
    size_t size = some_size(state) + sizeof(Block), kept = block->size < size ? block->size : size;

    check_block(block);
    block = next(state) % 2 ? snug_heap_realloc(heap, block, size) : realloc(block, size);
    MUST(block);
    block->size = kept;
    check_block(block);
    block->size = size;
    memset(block->rest, block->filling, size - offsetof(Block, rest));
    return block;
}

static snug_heap_t *heaps[SHARED_HEAPS];
static Block *_Atomic slots[SHARED_HEAPS][SLOTS];
static _Atomic int is_over;

/* A block is taken out of its slot, so that nobody else has it. */
static void step(unsigned *state)
{
    unsigned which = next(state) % SHARED_HEAPS;
    Block *_Atomic *slot = &slots[which][next(state) % SLOTS];
    Block *block = __atomic_exchange_n((Block **)slot, NULL, __ATOMIC_ACQ_REL), *none = NULL;

    if (block && next(state) % 3 == 0)
        block = resize(heaps[which], block, state);
    else if (block && next(state) % 2)
        drop(heaps[which], block, state), block = NULL;
    else if (!block)
        block = new_block(heaps[which], state);
    if (block && !__atomic_compare_exchange_n((Block **)slot, &none, block, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        drop(heaps[which], block, state);
}

static void *take_steps(void *number)
{
    unsigned state = (unsigned)(uintptr_t)number;

    for (int i = 0; i < STEPS && !is_over; i++) {
        step(&state);
        if (i % 500 == 0)
            CHECK(snug_heap_check(heaps[next(&state) % SHARED_HEAPS]) == 0);
        if (i % 700 == 0)
            snug_heap_trim(heaps[next(&state) % SHARED_HEAPS]);
    }
    return NULL;
}

static void *keep_stepping(void *number)
{
    while (!is_over)
        take_steps(number);
    return NULL;
}

static void run(int count, void *(*work)(void *), pthread_t *threads)
{
    for (int i = 0; i < count; i++)
        MUST(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(i + 1)) == 0);
}

static void join(int count, pthread_t *threads)
{
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void make_shared(void)
{
    for (int i = 0; i < SHARED_HEAPS; i++)
        heaps[i] = new_heap(0);
}

static void destroy_shared(void)
{
    unsigned state = 3;

    for (int i = 0; i < SHARED_HEAPS; i++) {
        size_t live = 0;
        snug_stats_t stats;

        for (int j = 0; j < SLOTS; j++)
            if (slots[i][j]) {
                check_block(slots[i][j]);
                live++;
            }
        snug_heap_stats(heaps[i], &stats, sizeof stats);
        CHECK(stats.live_blocks == live && snug_heap_check(heaps[i]) == 0);
        for (int j = 0; j < SLOTS; j += 2)
            if (slots[i][j])
                drop(heaps[i], slots[i][j], &state);
        CHECK(snug_heap_check(heaps[i]) == 0);
        snug_heap_destroy(heaps[i]);
    }
}

static void shared(void)
{
    pthread_t threads[THREADS];

    make_shared();
    run(THREADS, take_steps, threads);
    join(THREADS, threads);
    destroy_shared();
}

/* ---- Very many ---- */

static snug_heap_t *many_heaps[HEAPS];
static Block *many_blocks[HEAPS][3];

static void *make_and_destroy(void *number)
{
    unsigned state = (unsigned)(uintptr_t)number;
    int first = ((int)(uintptr_t)number - 1) * (HEAPS / THREADS), count = HEAPS / THREADS;

    for (int i = 0; i < 4 * count; i++) {
        int at = first + (int)(next(&state) % (unsigned)count);

        if (!many_heaps[at] || i < count) {
            at = i < count ? first + i : at;
            many_heaps[at] = new_heap(next(&state) % 2 ? 0 : 8 * MIB);
            for (int j = 0; j < 3; j++)
                many_blocks[at][j] = new_block(many_heaps[at], &state);
        } else if (i % 2) {
            for (int j = 0; j < 3; j++)
                check_block(many_blocks[at][j]);
            CHECK(snug_heap_check(many_heaps[at]) == 0);
            snug_heap_destroy(many_heaps[at]);
            many_heaps[at] = NULL;
        }
        free(malloc(some_size(&state)));
    }
    return NULL;
}

static void many(void)
{
    pthread_t threads[THREADS];
    unsigned state = 5;
    int left = 0, status;

    run(THREADS, make_and_destroy, threads);
    join(THREADS, threads);
    MUST(snug_check() == 0);
    pid_t child = fork(); /* it holds all their locks meanwhile */
    for (int i = 0; i < HEAPS; i++) {
        int at = (i * 7 + 3) % HEAPS;

        if (many_heaps[at]) {
            left++;
            drop(many_heaps[at], many_blocks[at][0], &state);
            check_block(many_blocks[at][1]);
            snug_heap_destroy(many_heaps[at]);
        }
    }
    CHECK(left > HEAPS / 4);
    if (child == 0)
        _exit(failed_checks != 0);
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    char *last = malloc(50 * MIB);
    MUST(last && snug_check() == 0);
}

/* ---- The page map, grown by several heaps at once ---- */

static pthread_barrier_t barrier;

static void *make_at_once(void *number)
{
    enum { TURNS = 100 };
    snug_heap_t *made[TURNS];

    for (int i = 0; i < TURNS; i++) {
        pthread_barrier_wait(&barrier);
        if (number == (void *)1 && i) /* addresses that have no leaf yet come next */
            mmap(NULL, 600 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        pthread_barrier_wait(&barrier);
        made[i] = new_heap(0);
        char *block = snug_heap_malloc(made[i], 50000);
        MUST(block);
        memset(block, 1, 50000);
        CHECK(malloc_usable_size(block) >= 50000);
    }
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TURNS; i++) {
        CHECK(snug_heap_check(made[i]) == 0);
        snug_heap_destroy(made[i]);
    }
    return NULL;
}

static void leaves(void)
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&barrier, NULL, THREADS);
    run(THREADS, make_at_once, threads);
    join(THREADS, threads);
    CHECK(snug_check() == 0);
}

/* ---- Forks ---- */

static void *come_and_go(void *number)
{
    unsigned state = (unsigned)(uintptr_t)number;

    while (!is_over) {
        snug_heap_t *heap = new_heap(next(&state) % 2 ? 0 : 16 * MIB);
        Block *block = new_block(heap, &state);

        for (int i = 0; i < 20; i++)
            drop(heap, new_block(heap, &state), &state);
        check_block(block);
        snug_heap_destroy(heap);
    }
    return NULL;
}

static void live_as_child(unsigned state)
{
    pthread_t threads[2];

    alarm(300);
    is_over = 0;
    for (int i = 0; i < SHARED_HEAPS; i++) {
        snug_stats_t stats;

        snug_heap_stats(heaps[i], &stats, sizeof stats);
        CHECK(snug_heap_check(heaps[i]) == 0);
    }
    for (int i = 0; i < CHILD_STEPS; i++)
        step(&state);
    run(1, take_steps, threads);
    run(1, come_and_go, threads + 1);
    for (int i = 0; i < CHILD_STEPS; i++)
        step(&state);
    is_over = 1;
    join(2, threads);
    for (int i = 0; i < SHARED_HEAPS; i++) {
        CHECK(snug_heap_check(heaps[i]) == 0);
        snug_heap_destroy(heaps[i]);
    }
    CHECK(snug_check() == 0);
    _exit(failed_checks != 0);
}

static void forking(void)
{
    pthread_t threads[THREADS];

    make_shared();
    run(2, keep_stepping, threads);
    run(2, come_and_go, threads + 2);
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        pid_t child = fork();

        MUST(child >= 0);
        if (child == 0)
            live_as_child((unsigned)i);
        MUST(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    is_over = 1;
    join(THREADS, threads);
    destroy_shared();
}

int main(int count, char **words)
{
    MUST(count > 1);
    alarm(550);
    if (strcmp(words[1], "shared") == 0)
        shared();
    else if (strcmp(words[1], "many") == 0)
        many();
    else if (strcmp(words[1], "leaves") == 0)
        leaves();
    else if (strcmp(words[1], "fork") == 0)
        forking();
    else
        return 2;
    return failed_checks != 0;
}
