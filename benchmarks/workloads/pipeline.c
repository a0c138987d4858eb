/* A pipeline: two threads make batches of 64 blocks of 8 bytes to 64 KiB (log-uniform) and put them into
 * one queue, two others take them out, read them and free them. Stands for stages that read, decode and
 * write: who frees a block is not known when it is made. All of every block is written.
 *
 * `pipeline AMOUNT [THREADS]`: half of them make, half free; one thread does both in turn. */
#include "workload.h"

#include "queue.h"

enum { FIRST = 3, LAST = 16 }; /* sizes from 1 << FIRST to 1 << LAST */

static Queue queue = QUEUE_INITIALIZER;
static size_t batches_made, batches_taken; /* by each thread that makes, and by each that takes */

static void make_batch(Random *random)
{
    Batch batch;

    for (int i = 0; i < BATCH; i++)
        batch.blocks[i] = filled(doubling_size(random, FIRST, LAST));
    queue_put(&queue, &batch);
}

/* Gives the sum of what is at the start of each block. */
static uintptr_t take_batch(void)
{
    Batch batch = queue_take(&queue);
    uintptr_t sum = 0;

    for (int i = 0; i < BATCH; i++)
        sum += (uintptr_t)batch.blocks[i][0];
    free_batch(&batch);
    return sum;
}

static void *produce(void *argument)
{
    Random random = {(uintptr_t)argument};

    for (size_t left = batches_made; left; left--)
        make_batch(&random);
    return NULL;
}

static void *consume(void *argument)
{
    uintptr_t sum = 0;

    (void)argument;
    for (size_t left = batches_taken; left; left--)
        sum += take_batch();
    return (void *)sum;
}

static void *do_both(void *argument)
{
    Random random = {(uintptr_t)argument};
    uintptr_t sum = 0;

    for (size_t left = batches_made; left; left--) {
        make_batch(&random);
        sum += take_batch();
    }
    return (void *)sum;
}

int main(int count, char **words)
{
    size_t number = thread_count(count, words, 4), alone = number == 1;
    size_t producers = alone ? 1 : number / 2, consumers = alone ? 1 : number - producers;
    size_t turns = share(count, words, 160000) / (producers * consumers);
    size_t blocks = turns * producers * consumers * BATCH;
    pthread_t threads[MOST_WORKERS];
    uintptr_t sums = 0;
    void *sum;

    batches_made = turns * consumers;
    batches_taken = turns * producers;
    double begin = now();
    for (uintptr_t i = 0; i < number; i++)
        if (pthread_create(&threads[i], NULL, alone ? do_both : i < producers ? produce : consume, (void *)i))
            abort();
    for (size_t i = 0; i < number; i++) {
        pthread_join(threads[i], &sum);
        sums += (uintptr_t)sum;
    }
    if (sums != blocks)
        abort();
    tell_speed(begin, blocks);
    return 0;
}
