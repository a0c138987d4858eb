/* A forked child goes on, whatever its parent's threads were giving back at that moment: fork_while_purging FORKS.
 *
 * Threads exchange large blocks and so give memory back all the time (the caller sets SNUG_PURGE_DELAY=0). Each child
 * compares and frees all blocks, allocates as many, and uses a thread of its own. A hang is ended by the alarm.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/wait.h>

#include "resident.h"

enum { SLOTS = 24, THREADS = 2, CHILD_ROUNDS = 60 };

typedef struct {
    size_t size;
    unsigned char bytes[];
} Block;

static _Atomic(Block *) slots[SLOTS];
static atomic_int stop;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static Block *make(uint64_t *state)
{
    static const size_t most[] = {2 * KIB, 64 * KIB, MIB, 2 * MIB, 34 * MIB};
    size_t size = sizeof(Block) + next(state) % most[next(state) % 33 / 8];
    int is_cleared = next(state) % 4 == 0;
    Block *block = is_cleared ? calloc(1, size) : malloc(size);

    MUST(block);
    for (size_t at = 0; is_cleared && at < size; at += 511)
        MUST(((unsigned char *)block)[at] == 0);
    block->size = size;
    for (size_t at = 0; at < size - sizeof(Block); at += 4096)
        block->bytes[at] = (unsigned char)(size + at / 4096);
    return block;
}

static void drop(Block *block)
{
    for (size_t at = 0; block && at < block->size - sizeof(Block); at += 4096)
        MUST(block->bytes[at] == (unsigned char)(block->size + at / 4096));
    free(block);
}

static void work(uint64_t seed, long rounds)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15 + 1;

    for (long i = 0; i < rounds && !stop; i++) {
        drop(atomic_exchange(&slots[next(&state) % SLOTS], NULL));
        drop(atomic_exchange(&slots[next(&state) % SLOTS], make(&state)));
    }
}

static void *run_thread(void *seed)
{
    work((uintptr_t)seed, INT64_MAX);
    return NULL;
}

static void *run_in_child(void *seed)
{
    work((uintptr_t)seed, CHILD_ROUNDS);
    return NULL;
}

static void drop_all(void)
{
    for (int i = 0; i < SLOTS; i++)
        drop(atomic_exchange(&slots[i], NULL));
}

static void fork_once(uint64_t seed)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        pthread_t thread;

        alarm(300);
        drop_all();
        MUST(pthread_create(&thread, NULL, run_in_child, (void *)(seed + 1)) == 0);
        work(seed, CHILD_ROUNDS);
        pthread_join(thread, NULL);
        drop_all();
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child);
    MUST(status == 0);
}

int main(int words_count, char **words)
{
    pthread_t threads[THREADS];

    MUST(words_count == 2);
    for (uintptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, run_thread, (void *)(i + 1)) == 0);
    for (int turn = 0; turn < atoi(words[1]); turn++) {
        fork_once((uint64_t)turn * 10 + 100);
        usleep(turn % 5 * 700);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    drop_all();
    return 0;
}
