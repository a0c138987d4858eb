/* Two threads with 5,000 slots each: a random slot's block is replaced by another one of 16 to 16,000
 * bytes, and every fourth of the old ones is freed by the other thread. Stands for shared tables and
 * caches whose entries are dropped by whoever comes first, while most memory stays where it is. More
 * threads stand in a ring, and each gives to the next. All of every block is written.
 *
 * `sharing AMOUNT [THREADS]` */
#include "workload.h"

#include "queue.h"

enum { SLOTS = 5000, LEAST = 16, MOST = 16000, SHARED = 4 };
enum { AHEAD = 4 }; /* batches that a thread may be ahead of the one before it */

typedef struct {
    char *slots[SLOTS];
    Queue own, *next;
    Random random;
    size_t batches;
} Worker;

/* Replaces the block of a random slot, and gives the old one. */
static char *replace(Worker *worker)
{
    size_t at = below(&worker->random, SLOTS);
    char *old = worker->slots[at];

    worker->slots[at] = filled(any_size(&worker->random, LEAST, MOST));
    return old;
}

static void *work(void *argument)
{
    Worker *worker = argument;
    Batch batch;

    for (size_t turn = 0; turn < worker->batches + AHEAD; turn++) {
        if (turn < worker->batches) {
            for (int i = 0; i < BATCH; i++) {
                for (int others = 1; others < SHARED; others++)
                    free(replace(worker));
                batch.blocks[i] = replace(worker);
            }
            queue_put(worker->next, &batch);
        }
        if (turn >= AHEAD) {
            batch = queue_take(&worker->own);
            free_batch(&batch);
        }
    }
    return NULL;
}

int main(int count, char **words)
{
    static Worker workers[MOST_WORKERS];
    pthread_t threads[MOST_WORKERS];
    size_t number = thread_count(count, words, 2), batches = share(count, words, 24000) / number;

    double begin = now();
    for (size_t i = 0; i < number; i++)
        workers[i].own = (Queue)QUEUE_INITIALIZER;
    for (size_t i = 0; i < number; i++) {
        workers[i].next = &workers[(i + 1) % number].own;
        workers[i].random.state = i;
        workers[i].batches = batches;
        if (pthread_create(&threads[i], NULL, work, &workers[i]))
            abort();
    }
    for (size_t i = 0; i < number; i++)
        pthread_join(threads[i], NULL);
    tell_speed(begin, batches * number * BATCH * SHARED);
    return 0;
}
