/* A pipeline: two threads make batches of 64 blocks of 8 bytes to 64 KiB (log-uniform) and put them into
 * one queue, two others take them out, read them and free them. Stands for stages that read, decode and
 * write: who frees a block is not known when it is made. All of every block is written. */
#include "workload.h"

#include "queue.h"

enum { PRODUCERS = 2, CONSUMERS = 2, FIRST = 3, LAST = 16 }; /* sizes from 1 << FIRST to 1 << LAST */

static Queue queue = QUEUE_INITIALIZER;
static size_t batches; /* of one producer, and as many of one consumer */

static void *produce(void *argument)
{
    Random random = {(uintptr_t)argument};
    Batch batch;

    for (size_t left = batches; left; left--) {
        for (int i = 0; i < BATCH; i++)
            batch.blocks[i] = filled(doubling_size(&random, FIRST, LAST));
        queue_put(&queue, &batch);
    }
    return NULL;
}

static void *consume(void *argument)
{
    uintptr_t sum = 0;

    (void)argument;
    for (size_t left = batches; left; left--) {
        Batch batch = queue_take(&queue);
        for (int i = 0; i < BATCH; i++)
            sum += (uintptr_t)batch.blocks[i][0];
        free_batch(&batch);
    }
    return (void *)sum;
}

int main(int count, char **words)
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    void *sum;
    uintptr_t sums = 0;

    batches = share(count, words, 160000) / PRODUCERS;
    double begin = now();
    for (uintptr_t i = 0; i < PRODUCERS + CONSUMERS; i++)
        if (pthread_create(&threads[i], NULL, i < PRODUCERS ? produce : consume, (void *)i))
            abort();
    for (size_t i = 0; i < PRODUCERS + CONSUMERS; i++) {
        pthread_join(threads[i], &sum);
        sums += (uintptr_t)sum;
    }
    if (sums != batches * PRODUCERS * BATCH)
        abort();
    tell_speed(begin, batches * PRODUCERS * BATCH);
    return 0;
}
