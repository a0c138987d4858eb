/* Thousands of short threads, each leaving blocks to another thread, do not make the process grow. */
#include <malloc.h>
#include <pthread.h>

#include "resident.h"

enum { WARM_UP = 400, THREADS = 4000, AT_ONCE = 4, BLOCKS = 200, MAY_GROW = 4 << 20 };

static void *left[AT_ONCE][BLOCKS];

static void *run(void *place)
{
    void **blocks = place, *own[BLOCKS];

    for (int i = 0; i < BLOCKS; i++) {
        size_t size = (size_t)(i * 37 % 1500 + 1);

        free(blocks[i]); /* of a thread that has ended */
        blocks[i] = malloc(size);
        own[i] = malloc(size * 2);
        MUST(blocks[i] && own[i]);
        memset(blocks[i], i, size);
        memset(own[i], i, size * 2);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(own[i]);
    return NULL;
}

static void run_threads(int count)
{
    pthread_t threads[AT_ONCE];

    for (int started = 0; started < count; started += AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++)
            MUST(pthread_create(&threads[i], NULL, run, left[(i + started) % AT_ONCE]) == 0);
        for (int i = 0; i < AT_ONCE; i++)
            pthread_join(threads[i], NULL);
    }
}

int main(void)
{
    run_threads(WARM_UP);
    long before = resident_bytes();
    run_threads(THREADS);
    long grown = resident_bytes() - before;
    printf("grown by %ld bytes\n", grown);
    CHECK(grown < MAY_GROW);
    return failed_checks != 0;
}
