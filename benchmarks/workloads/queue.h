/* A queue of batches of blocks, from threads that allocate to threads that free. A batch is copied in and out
 * under the lock; who finds no room, or nothing there, waits. */
#include <pthread.h>

enum { BATCH = 64, ROOM = 16 };

typedef struct {
    char *blocks[BATCH];
} Batch;

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t was_put, was_taken;
    Batch batches[ROOM];
    size_t put, taken; /* since the beginning */
} Queue;

#define QUEUE_INITIALIZER                                                                                  \
    {                                                                                                      \
        .lock = PTHREAD_MUTEX_INITIALIZER, .was_put = PTHREAD_COND_INITIALIZER,                            \
        .was_taken = PTHREAD_COND_INITIALIZER                                                              \
    }

static inline void queue_put(Queue *queue, const Batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->put - queue->taken == ROOM)
        pthread_cond_wait(&queue->was_taken, &queue->lock);
    queue->batches[queue->put++ % ROOM] = *batch;
    pthread_cond_signal(&queue->was_put);
    pthread_mutex_unlock(&queue->lock);
}

static inline Batch queue_take(Queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->put == queue->taken)
        pthread_cond_wait(&queue->was_put, &queue->lock);
    Batch batch = queue->batches[queue->taken++ % ROOM];
    pthread_cond_signal(&queue->was_taken);
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

static inline void free_batch(const Batch *batch)
{
    for (int i = 0; i < BATCH; i++)
        free(batch->blocks[i]);
}
