/* Two threads that hand blocks of all sizes to each other: each fills a batch of 64 blocks of 8 to 16,000
 * bytes and gives it to the other one, which frees it. Stands for workers that send each other messages,
 * rows and pages: every block is freed by another thread than the one that allocated it, and each thread
 * does both. More threads stand in a ring, and each gives to the next. All of every block is written.
 *
 * `mixed-handover AMOUNT [THREADS]` */
#include "workload.h"

#include "queue.h"

enum { LEAST = 8, MOST = 16000 };
enum { AHEAD = 4 }; /* batches that a thread may be ahead of the one before it */

typedef struct {
    Queue *own, *next;
    Random random;
    size_t batches;
} Worker;

static void *work(void *argument)
{
    Worker *worker = argument;
    Batch batch;

    for (size_t turn = 0; turn < worker->batches + AHEAD; turn++) {
        if (turn < worker->batches) {
            for (int i = 0; i < BATCH; i++)
                batch.blocks[i] = filled(any_size(&worker->random, LEAST, MOST));
            queue_put(worker->next, &batch);
        }
        if (turn >= AHEAD) {
            batch = queue_take(worker->own);
            free_batch(&batch);
        }
    }
    return NULL;
}

int main(int count, char **words)
{
    static Queue queues[MOST_WORKERS];
    Worker workers[MOST_WORKERS];
    pthread_t threads[MOST_WORKERS];
    size_t number = thread_count(count, words, 2), batches = share(count, words, 160000) / number;

    double begin = now();
    for (size_t i = 0; i < number; i++)
        queues[i] = (Queue)QUEUE_INITIALIZER;
    for (size_t i = 0; i < number; i++) {
        workers[i] = (Worker){&queues[i], &queues[(i + 1) % number], {i}, batches};
        if (pthread_create(&threads[i], NULL, work, &workers[i]))
            abort();
    }
    for (size_t i = 0; i < number; i++)
        pthread_join(threads[i], NULL);
    tell_speed(begin, batches * number * BATCH);
    return 0;
}
