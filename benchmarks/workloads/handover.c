/* Producer and consumer: each pair of threads has a queue; one thread allocates 32 to 511 bytes and puts
 * them in, the other takes them out and frees them, 64 at a time. Stands for pipelines and message
 * passing: every block is freed by another thread than the one that allocated it.
 *
 * `handover AMOUNT [PAIRS]` */
#include "workload.h"

#include "queue.h"

enum { MOST_PAIRS = 8 };

typedef struct {
    Queue queue;
    size_t batches;
    Random random;
} Pair;

static Pair pairs[MOST_PAIRS];

static void *produce(void *argument)
{
    Pair *pair = argument;
    Batch batch;

    for (size_t left = pair->batches; left; left--) {
        for (int i = 0; i < BATCH; i++)
            batch.blocks[i] = obtain(doubling_size(&pair->random, 5, 9));
        queue_put(&pair->queue, &batch);
    }
    return NULL;
}

static void *consume(void *argument)
{
    Pair *pair = argument;

    for (size_t left = pair->batches; left; left--) {
        Batch batch = queue_take(&pair->queue);
        free_batch(&batch);
    }
    return NULL;
}

int main(int count, char **words)
{
    size_t number = argument(count, words, 2, 1), batches = share(count, words, 500000) / number;
    pthread_t threads[2 * MOST_PAIRS];

    if (number > MOST_PAIRS)
        return 2;
    double begin = now();
    for (size_t i = 0; i < number; i++) {
        pairs[i] = (Pair){.queue = QUEUE_INITIALIZER, .batches = batches, .random = {i}};
        if (pthread_create(&threads[2 * i], NULL, produce, &pairs[i]) ||
            pthread_create(&threads[2 * i + 1], NULL, consume, &pairs[i]))
            abort();
    }
    for (size_t i = 0; i < 2 * number; i++)
        pthread_join(threads[i], NULL);
    tell_speed(begin, batches * number * BATCH);
    return 0;
}
