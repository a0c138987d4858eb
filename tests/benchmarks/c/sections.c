/* Long blocks, which lie in no list of a thread: each call is a critical section of its own.
 *
 *   own     a thread allocates and frees 300
 *   others  a thread frees 5 of another thread, which lives on
 *   alone   as own, but by the main thread, which is the only one */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 300, LONG = 40 << 10, HANDED = 5 };

static void *blocks[HANDED];
static pthread_barrier_t handed, freed;

static void *use_long_blocks(void *unused)
{
    for (int left = ROUNDS; left; left--)
        free(malloc(LONG));
    return unused;
}

static void *give(void *unused)
{
    use_long_blocks(unused);
    for (int i = 0; i < HANDED; i++)
        blocks[i] = malloc(LONG);
    pthread_barrier_wait(&handed);
    pthread_barrier_wait(&freed);
    return unused;
}

static void *take(void *unused)
{
    pthread_barrier_wait(&handed);
    for (int i = 0; i < HANDED; i++)
        free(blocks[i]);
    pthread_barrier_wait(&freed);
    return unused;
}

int main(int count, char **words)
{
    pthread_t threads[2];

    if (count < 2)
        return 2;
    if (strcmp(words[1], "alone") == 0) {
        use_long_blocks(NULL);
    } else if (strcmp(words[1], "own") == 0) {
        pthread_create(&threads[0], NULL, use_long_blocks, NULL);
        pthread_join(threads[0], NULL);
    } else {
        pthread_barrier_init(&handed, NULL, 2);
        pthread_barrier_init(&freed, NULL, 2);
        pthread_create(&threads[0], NULL, give, NULL);
        pthread_create(&threads[1], NULL, take, NULL);
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
    }
    return 0;
}
