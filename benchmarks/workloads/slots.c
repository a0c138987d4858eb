/* Slots that go on to a new thread, after Larson and Krishnan (Memory Allocation for Long-Running Server
 * Applications, 1998): each of two threads replaces random ones of its 1,000 blocks of 8 to 1,000 bytes;
 * after a while it starts a thread that goes on with the slots, and ends, while that one already works.
 * Unlike in churn.c threads end all the time, and what one has cached must reach the next. All of every
 * block is written.
 *
 * `slots AMOUNT [THREADS]`: so many at a time. */
#include "workload.h"

#include <pthread.h>
#include <semaphore.h>

enum { SLOTS = 1000, LEAST = 8, MOST = 1000, REPLACEMENTS = 10000 }; /* of one thread */

typedef struct {
    char *slots[SLOTS];
    Random random;
    size_t threads; /* that are still to come */
} Desk;

static sem_t line_ended;

static void *work(void *argument);

static void start(Desk *desk)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, work, desk))
        abort();
    pthread_detach(thread);
}

static void *work(void *argument)
{
    Desk *desk = argument;

    for (size_t left = REPLACEMENTS; left; left--) {
        size_t at = below(&desk->random, SLOTS);
        free(desk->slots[at]);
        desk->slots[at] = filled(any_size(&desk->random, LEAST, MOST));
    }
    if (--desk->threads)
        start(desk);
    else
        sem_post(&line_ended);
    return NULL;
}

int main(int count, char **words)
{
    static Desk desks[MOST_WORKERS];
    size_t lines = thread_count(count, words, 2), threads = share(count, words, 8000) / lines;

    sem_init(&line_ended, 0, 0);
    double begin = now();
    for (size_t i = 0; i < lines; i++) {
        desks[i].random.state = i;
        desks[i].threads = threads;
        start(&desks[i]);
    }
    for (size_t i = 0; i < lines; i++)
        while (sem_wait(&line_ended))
            continue;
    tell_speed(begin, threads * lines * REPLACEMENTS);
    return 0;
}
