/* Threads wait for each other, so that malloc makes more heaps; blocks go from each to each; then all ends.
 *
 *     shards THREADS ROUNDS [fork]
 *
 * With `fork` children are forked meanwhile, which use the blocks of all threads. In the end nothing is in use but
 * what was before, and the memory is gone. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include "check.h"
#include "resident.h"
#include "snugmalloc.h"

#pragma weak snug_check
#pragma weak snug_stats
#pragma weak snug_trim
#pragma weak snug_walk

enum { SLOTS = 4096, MAX_THREADS = 16, HELD = 8 << 20 };

static _Atomic(unsigned char *) slots[SLOTS];
static long rounds;
static atomic_int working;

static uint64_t draw(uint64_t *state, uint64_t below) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

static size_t draw_size(uint64_t *state) {
    static const size_t limits[] = {16, 200, 1100, 5000, 17000, 70000, 140000};
    return 4 + draw(state, limits[draw(state, draw(state, 8) ? 4 : 7)]);
}

/* Each block has its size at its start and a byte of it at its end. */
static unsigned char *make(uint64_t *state) {
    uint32_t size = (uint32_t)draw_size(state);
    unsigned char *block = draw(state, 4) ? malloc(size) : aligned_alloc(64, size);
    MUST(block);
    if (size > 4) block[size - 1] = (unsigned char)size;
    memcpy(block, &size, sizeof size);
    return block;
}

static void end(unsigned char *block) {
    uint32_t size;
    if (!block) return;
    memcpy(&size, block, sizeof size);
    MUST(size >= 4 && malloc_usable_size(block) >= size);
    MUST(size == 4 || size == 5 || size == 6 || size == 7 || block[size - 1] == (unsigned char)size);
    free(block);
}

static void *work(void *argument) {
    uint64_t state = (uintptr_t)argument;
    for (long round = 0; round < rounds; round++) end(atomic_exchange(&slots[draw(&state, SLOTS)], make(&state)));
    atomic_fetch_sub(&working, 1);
    return NULL;
}

static void fork_a_child(void) {
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        uint64_t state = 99;
        for (int slot = 0; slot < SLOTS; slot++) end(atomic_exchange(&slots[slot], make(&state)));
        for (int slot = 0; slot < SLOTS; slot++) end(atomic_exchange(&slots[slot], NULL));
        _exit(snug_check() == SNUG_CHECK_OK ? failed_checks : 77);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static size_t walked;
static int count(void *address, size_t size, int status, void *context) {
    (void)address, (void)context;
    walked += status != SNUG_FREE ? size : 0;
    return 0;
}

int main(int counts, char **words) {
    int threads = atoi(words[1]);
    pthread_t made[MAX_THREADS];
    snug_stats_t stats;
    rounds = atol(words[2]);
    for (int bout = 0; bout < 3; bout++) {
        working = threads;
        for (int thread = 0; thread < threads; thread++)
            pthread_create(&made[thread], NULL, work, (void *)(uintptr_t)(bout * 100 + thread + 1));
        while (working && counts > 3) fork_a_child();
        for (int thread = 0; thread < threads; thread++) pthread_join(made[thread], NULL);
        CHECK(snug_check() == SNUG_CHECK_OK);
        for (int slot = bout; slot < SLOTS; slot += 2) end(atomic_exchange(&slots[slot], NULL));
    }
    for (int slot = 0; slot < SLOTS; slot++) end(atomic_exchange(&slots[slot], NULL));
    snug_trim(0);
    snug_stats(&stats, sizeof stats);
    walked = 0;
    snug_walk(count, NULL);
    snug_stats(&stats, sizeof stats);
    CHECK(walked == stats.live_bytes);
    CHECK(stats.live_bytes < 1 << 20);
    CHECK(snug_check() == SNUG_CHECK_OK);
    CHECK(resident_bytes() < HELD);
    return failed_checks != 0;
}
