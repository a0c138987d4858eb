/* Two threads free the same block at the same moment, and a third frees others meanwhile: freed_at_once SIZE.
 *
 * Whatever the moment, a hardened process must end with one line and SIGABRT. ROUND after round the two meet; the
 * program returns 0 only if no round was the last.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "resident.h"

enum { ROUNDS = 1000 };

static pthread_barrier_t barrier;
static void *shared;
static size_t size;

static void *free_shared(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        free(shared);
        pthread_barrier_wait(&barrier);
    }
    return unused;
}

static void *free_others(void *unused)
{
    for (;;)
        free(malloc(size));
    return unused;
}

int main(int words_count, char **words)
{
    pthread_t threads[3];

    MUST(words_count == 2);
    size = (size_t)atol(words[1]);
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 2; i++)
        MUST(pthread_create(&threads[i], NULL, free_shared, NULL) == 0);
    MUST(pthread_create(&threads[2], NULL, free_others, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        MUST(shared = malloc(size));
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
    return 0;
}
