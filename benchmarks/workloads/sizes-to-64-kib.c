/* Random sizes by many threads: each replaces random ones of its 1,000 blocks of 16 bytes to 64 KiB
 * (log-uniform). Stands for workers that hold texts, buffers and records of all lengths, and hand none of
 * them on. The first and the last byte of every block are written.
 *
 * `sizes-to-64-kib AMOUNT [THREADS]` */
#include "workload.h"

#include <pthread.h>

enum { SLOTS = 1000, FIRST = 4, LAST = 16 }; /* sizes from 1 << FIRST to 1 << LAST */

typedef struct {
    char *slots[SLOTS];
    Random random;
    size_t replacements;
} Worker;

static void *work(void *argument)
{
    Worker *worker = argument;

    for (size_t left = worker->replacements; left; left--) {
        size_t at = below(&worker->random, SLOTS);
        free(worker->slots[at]);
        worker->slots[at] = obtain(doubling_size(&worker->random, FIRST, LAST));
    }
    return NULL;
}

int main(int count, char **words)
{
    static Worker workers[MOST_WORKERS];
    pthread_t threads[MOST_WORKERS];
    size_t number = thread_count(count, words, 2), replacements = share(count, words, 40000000) / number;

    double begin = now();
    for (size_t i = 0; i < number; i++) {
        workers[i].random.state = i;
        workers[i].replacements = replacements;
        if (pthread_create(&threads[i], NULL, work, &workers[i]))
            abort();
    }
    for (size_t i = 0; i < number; i++)
        pthread_join(threads[i], NULL);
    tell_speed(begin, replacements * number);
    return 0;
}
