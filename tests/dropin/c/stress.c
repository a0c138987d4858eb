/* Threads allocate, resize and free each other's blocks, and compare every byte: stress THREADS ROUNDS SEED [MODE]...
 *
 *     fork      the first thread forks meanwhile; each child takes over all blocks, compares them, and works on
 *     refuse    the address space is limited and set free again meanwhile: requests may be refused
 *     tolerant  requests may be refused from the start (the caller has set a limit)
 *
 * A block has its own size and seed at its start, so that whoever gets it from the table can compare it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

int snug_check(void) __attribute__((weak));

typedef struct {
    size_t size;
    uint64_t seed;
    unsigned char bytes[];
} Block;

enum { SLOTS = 2048, MOST_THREADS = 16, CHILD_ROUNDS = 3000, LEAST_ADDRESS_SPACE = 1 << 20 };

static _Atomic(Block *) slots[SLOTS];
static atomic_int may_refuse;
static atomic_int running;
static atomic_long refused;
static long rounds;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Mostly small, some of some pages, few large. */
static size_t pick_size(uint64_t *state)
{
    uint64_t dice = next(state) % 1000, amount = next(state);

    if (dice < 700)
        return sizeof(Block) + amount % 240;
    if (dice < 950)
        return sizeof(Block) + amount % 4000;
    if (dice < 990)
        return sizeof(Block) + amount % 60000;
    return sizeof(Block) + amount % 600000;
}

static unsigned char pattern(uint64_t seed, size_t index)
{
    return (unsigned char)((seed >> (index % 7)) + index);
}

static void write_from(Block *block, size_t from)
{
    for (size_t i = from; i < block->size - sizeof(Block); i++)
        block->bytes[i] = pattern(block->seed, i);
}

static void compare(const Block *block, size_t size)
{
    for (size_t i = 0; i < size - sizeof(Block); i++)
        if (block->bytes[i] != pattern(block->seed, i)) {
            dprintf(2, "byte %zu of a block of %zu at %p is wrong\n", i, block->size, (const void *)block);
            abort();
        }
}

/* NULL is an answer only while requests may be refused, and errno says why. */
static void *answered(void *given)
{
    if (!given) {
        if (!atomic_load(&may_refuse) || errno != ENOMEM) {
            dprintf(2, "refused with errno %d\n", errno);
            abort();
        }
        atomic_fetch_add(&refused, 1);
    }
    return given;
}

static Block *make(uint64_t *state)
{
    size_t size = pick_size(state);
    uint64_t kind = next(state) % 16;
    Block *block;

    if (kind == 0) {
        block = answered(memalign((size_t)16 << next(state) % 9, size));
    } else if (kind < 4) {
        block = answered(calloc(1, size));
        for (size_t i = 0; block && i < size; i++)
            if (((unsigned char *)block)[i]) {
                dprintf(2, "calloc gave a byte that is not zero\n");
                abort();
            }
    } else {
        block = answered(malloc(size));
    }
    if (block) {
        block->size = size;
        block->seed = next(state);
        write_from(block, 0);
    }
    return block;
}

static Block *resize(Block *block, uint64_t *state)
{
    size_t before = block->size, after = pick_size(state);
    Block *moved = answered(realloc(block, after));

    if (!moved) {
        compare(block, before);
        return block;
    }
    compare(moved, before < after ? before : after);
    moved->size = after;
    if (after > before)
        write_from(moved, before - sizeof(Block));
    return moved;
}

static void drop(Block *block)
{
    if (block) {
        compare(block, block->size);
        free(block);
    }
}

static void work(uint64_t seed, long count)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15 + 1;

    for (long i = 0; i < count; i++) {
        _Atomic(Block *) *slot = &slots[next(&state) % SLOTS];
        Block *block = atomic_exchange(slot, NULL);

        if (!block)
            block = make(&state);
        else if (next(&state) % 3 == 0)
            block = resize(block, &state);
        else {
            drop(block);
            block = NULL;
        }
        if (block)
            drop(atomic_exchange(slot, block));
    }
}

static void *run_thread(void *seed)
{
    work((uintptr_t)seed, rounds);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void drop_all(void)
{
    for (int i = 0; i < SLOTS; i++)
        drop(atomic_exchange(&slots[i], NULL));
}

static void *work_in_child(void *seed)
{
    work((uintptr_t)seed, CHILD_ROUNDS);
    return NULL;
}

static void fork_once(uint64_t seed)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        pthread_t thread;

        alarm(300);
        work(seed, CHILD_ROUNDS);
        MUST(pthread_create(&thread, NULL, work_in_child, (void *)(seed + 1)) == 0);
        work(seed + 2, CHILD_ROUNDS);
        pthread_join(thread, NULL);
        drop_all();
        _exit(snug_check ? snug_check() : 0);
    }
    if (child < 0)
        MUST(atomic_load(&may_refuse));
    else
        MUST(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void limit_address_space(rlim_t bytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = bytes;
    MUST(setrlimit(RLIMIT_AS, &limit) == 0);
}

int main(int count, char **words)
{
    pthread_t threads[MOST_THREADS];
    int forks = 0, refuses = 0, thread_count;
    uint64_t seed;

    MUST(count >= 4);
    thread_count = atoi(words[1]);
    rounds = atol(words[2]);
    seed = strtoull(words[3], NULL, 10);
    MUST(thread_count > 0 && thread_count <= MOST_THREADS);
    for (int i = 4; i < count; i++) {
        forks |= strcmp(words[i], "fork") == 0;
        refuses |= strcmp(words[i], "refuse") == 0;
        if (strcmp(words[i], "tolerant") == 0)
            may_refuse = 1;
    }
    running = thread_count;
    may_refuse |= refuses;
    for (int i = 0; i < thread_count; i++)
        MUST(pthread_create(&threads[i], NULL, run_thread, (void *)(seed * 100 + (uint64_t)i)) == 0);
    for (uint64_t turn = 0; (forks || refuses) && atomic_load(&running) > 0; turn++) {
        if (refuses) {
            limit_address_space(LEAST_ADDRESS_SPACE);
            usleep(3000);
            limit_address_space(RLIM_INFINITY);
            usleep(3000);
        }
        if (forks)
            fork_once(seed * 1000 + turn * 10);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    drop_all();
    if (snug_check)
        CHECK(snug_check() == 0);
    printf("refused %ld\n", atomic_load(&refused));
    return failed_checks != 0;
}
