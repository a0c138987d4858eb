/* Producer and consumer: each pair of threads has a ring; one thread allocates 32 to 511 bytes and puts
 * them in, the other takes them out and frees them, 64 at a time. Stands for pipelines and message
 * passing: every block is freed by another thread than the one that allocated it.
 *
 * `handover AMOUNT [PAIRS]` */
#include "workload.h"

#include <pthread.h>

enum { BATCH = 64, RING = 16, MOST_PAIRS = 8 };

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    char *blocks[RING][BATCH];
    size_t put, taken, batches;
    Random random;
} Ring;

static Ring rings[MOST_PAIRS];

static void *produce(void *argument)
{
    Ring *ring = argument;
    char *batch[BATCH];

    for (size_t done = 0; done < ring->batches; done++) {
        for (int i = 0; i < BATCH; i++)
            batch[i] = obtain(doubling_size(&ring->random, 5, 9));
        pthread_mutex_lock(&ring->lock);
        while (ring->put - ring->taken == RING)
            pthread_cond_wait(&ring->moved, &ring->lock);
        memcpy(ring->blocks[ring->put++ % RING], batch, sizeof batch);
        pthread_cond_signal(&ring->moved);
        pthread_mutex_unlock(&ring->lock);
    }
    return NULL;
}

static void *consume(void *argument)
{
    Ring *ring = argument;
    char *batch[BATCH];

    for (size_t done = 0; done < ring->batches; done++) {
        pthread_mutex_lock(&ring->lock);
        while (ring->put == ring->taken)
            pthread_cond_wait(&ring->moved, &ring->lock);
        memcpy(batch, ring->blocks[ring->taken++ % RING], sizeof batch);
        pthread_cond_signal(&ring->moved);
        pthread_mutex_unlock(&ring->lock);
        for (int i = 0; i < BATCH; i++)
            free(batch[i]);
    }
    return NULL;
}

int main(int count, char **words)
{
    size_t pairs = argument(count, words, 2, 1), batches = share(count, words, 500000) / pairs;
    pthread_t threads[2 * MOST_PAIRS];

    if (pairs > MOST_PAIRS)
        return 2;
    double begin = now();
    for (size_t i = 0; i < pairs; i++) {
        rings[i] = (Ring){
            .lock = PTHREAD_MUTEX_INITIALIZER,
            .moved = PTHREAD_COND_INITIALIZER,
            .batches = batches,
            .random = {i},
        };
        if (pthread_create(&threads[2 * i], NULL, produce, &rings[i]) ||
            pthread_create(&threads[2 * i + 1], NULL, consume, &rings[i]))
            abort();
    }
    for (size_t i = 0; i < 2 * pairs; i++)
        pthread_join(threads[i], NULL);
    tell_speed(begin, batches * pairs * BATCH);
    return 0;
}
