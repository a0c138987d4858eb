/* A program limits its own addresses and goes on with less: limit_inside LIMIT NEED WHEN [SIZE].
 *
 * LIMIT and NEED in MiB, SIZE of a block in bytes (1000). WHEN is `first` (before anything was allocated), `later`,
 * or `threads` (four of them share NEED); the library reserves no more than the limit leaves.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/resource.h>

#include "resident.h"

enum { THREADS = 4 };

static size_t need, size = 1000;

static void *take(void *share)
{
    for (size_t taken = 0; taken < need / (size_t)share; taken += size) {
        char *block = malloc(size);

        MUST(block);
        block[0] = block[size - 1] = 1;
    }
    return NULL;
}

static void take_in_threads(void)
{
    pthread_t threads[THREADS];
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * KIB);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], &attributes, take, (void *)THREADS) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(int words_count, char **words)
{
    MUST(words_count >= 4);
    rlim_t bytes = (rlim_t)atol(words[1]) * MIB;
    need = (size_t)atol(words[2]) * MIB;
    size = words_count > 4 ? (size_t)atol(words[4]) : size;
    void *before = strcmp(words[3], "first") == 0 ? NULL : malloc(5000);

    MUST(setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}) == 0);
    if (strcmp(words[3], "threads") == 0)
        take_in_threads();
    else
        take((void *)1);
    free(before);
    return 0;
}
