/* A server's churn, after Larson and Krishnan (Memory Allocation for Long-Running Server Applications,
 * 1998): each thread replaces random ones of its 5,000 blocks of 16 to 511 bytes; after a while it ends
 * and hands them all to a new thread, which frees what others allocated. Stands for servers with a pool of
 * workers and sessions that outlive them.
 *
 * `churn AMOUNT [THREADS]` */
#include "workload.h"

#include <pthread.h>

enum { LIVE = 5000, GENERATIONS = 40 };

typedef struct {
    char *slots[LIVE];
    Random random;
    size_t replacements, generations;
} Desk;

static Desk desks[MOST_WORKERS];

static void *work(void *argument)
{
    Desk *desk = argument;
    Random random = desk->random;

    for (size_t left = desk->replacements; left; left--) {
        size_t at = below(&random, LIVE);
        free(desk->slots[at]);
        desk->slots[at] = obtain(doubling_size(&random, 4, 9));
    }
    desk->random = random;
    return NULL;
}

static void *line_of_threads(void *argument)
{
    Desk *desk = argument;

    for (size_t left = desk->generations; left; left--) {
        pthread_t worker;
        if (pthread_create(&worker, NULL, work, desk))
            abort();
        pthread_join(worker, NULL);
    }
    return NULL;
}

int main(int count, char **words)
{
    size_t threads = thread_count(count, words, 2), total = share(count, words, 160000000);
    pthread_t lines[MOST_WORKERS];

    double begin = now();
    for (size_t i = 0; i < threads; i++) {
        desks[i].random.state = i;
        desks[i].generations = GENERATIONS;
        desks[i].replacements = total / threads / GENERATIONS;
        if (pthread_create(&lines[i], NULL, line_of_threads, &desks[i]))
            abort();
    }
    for (size_t i = 0; i < threads; i++)
        pthread_join(lines[i], NULL);
    tell_speed(begin, total);
    return 0;
}
