/* Idle threads: 2,000 threads each allocate 20 blocks of 50 to 810 bytes, free all but five of them, and
 * wait for half a second until all end; then the main thread goes on alone, with a little work every
 * millisecond. Stands for a thread for each connection, of which most are idle: what an allocator keeps
 * for each thread is paid 2,000 times, and should come back when they are gone. All of every block is
 * written. Tells what is resident while they wait, when they have ended, and after the quiet time. */
#include "workload.h"

#include <pthread.h>

enum { MOST_THREADS = 2000, BLOCKS = 20, KEPT = 5, LEAST = 50, MOST = 810, QUIET_BLOCKS = 50 };
enum { STACK = 128 << 10 }; /* bytes */

static pthread_barrier_t all_wait, all_end;

static void *live_idly(void *argument)
{
    Random random = {(uintptr_t)argument};
    char *blocks[BLOCKS];

    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = filled(any_size(&random, LEAST, MOST));
    for (int i = KEPT; i < BLOCKS; i++)
        free(blocks[i]);
    pthread_barrier_wait(&all_wait);
    pthread_barrier_wait(&all_end);
    for (int i = 0; i < KEPT; i++)
        free(blocks[i]);
    return NULL;
}

static void rest(long nanoseconds)
{
    nanosleep(&(struct timespec){0, nanoseconds}, NULL);
}

static void go_on_quietly(size_t steps)
{
    Random random = {1};
    char *blocks[QUIET_BLOCKS];

    for (; steps; steps--) {
        for (int i = 0; i < QUIET_BLOCKS; i++)
            blocks[i] = filled(any_size(&random, LEAST, MOST));
        for (int i = 0; i < QUIET_BLOCKS; i++)
            free(blocks[i]);
        rest(1000000);
    }
}

int main(int count, char **words)
{
    static pthread_t threads[MOST_THREADS];
    size_t number = share(count, words, MOST_THREADS);
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    pthread_barrier_init(&all_wait, NULL, (unsigned)number + 1);
    pthread_barrier_init(&all_end, NULL, (unsigned)number + 1);
    for (size_t i = 0; i < number; i++)
        if (pthread_create(&threads[i], &small, live_idly, (void *)i))
            abort();
    pthread_barrier_wait(&all_wait);
    rest(500000000);
    tell_resident("waiting");
    pthread_barrier_wait(&all_end);
    for (size_t i = 0; i < number; i++)
        pthread_join(threads[i], NULL);
    tell_resident("ended");
    go_on_quietly(share(count, words, 1500));
    tell_resident("end");
    return 0;
}
