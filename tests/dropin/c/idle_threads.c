/* A pool of threads that each do little and then wait is small: idle_threads COUNT.
 *
 * Printed in KiB beyond the start: full, while all hold their blocks; waiting, when they have freed them; ended, after
 * all have ended.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "resident.h"

enum { BLOCKS = 20, MOST = 4096 };

static pthread_barrier_t barrier;

static void *do_little(void *unused)
{
    char *blocks[BLOCKS];

    for (size_t i = 0; i < BLOCKS; i++) {
        MUST(blocks[i] = malloc(50 + i * 40));
        memset(blocks[i], 1, 50 + i * 40);
    }
    for (int turn = 0; turn < 2; turn++)
        pthread_barrier_wait(&barrier);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    for (int turn = 0; turn < 2; turn++)
        pthread_barrier_wait(&barrier);
    return unused;
}

static long look(long start)
{
    pthread_barrier_wait(&barrier);
    long resident = resident_bytes() - start;
    pthread_barrier_wait(&barrier);
    return in_kib(resident);
}

int main(int words_count, char **words)
{
    static pthread_t threads[MOST];
    pthread_attr_t attributes;

    MUST(words_count == 2);
    int count = atoi(words[1]);
    MUST(count <= MOST);
    free(malloc(1));
    long start = resident_bytes();
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * KIB);
    for (int i = 0; i < count; i++)
        MUST(pthread_create(&threads[i], &attributes, do_little, NULL) == 0);
    long full = look(start), waiting = look(start);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("full %ld\nwaiting %ld\nended %ld\n", full, waiting, in_kib(resident_bytes() - start));
    return 0;
}
