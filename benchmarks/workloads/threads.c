/* Short-lived threads: 30,000 of them, eight at a time; each allocates 200 blocks of 16 to 4,095 bytes,
 * frees all but one, which the main thread frees when it is gone. Stands for a thread for each connection
 * or job. */
#include "workload.h"

#include <pthread.h>

enum { TOGETHER = 8, BLOCKS = 200 };

static void *live_shortly(void *argument)
{
    Random random = {(uintptr_t)argument};
    char *blocks[BLOCKS];

    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = obtain(doubling_size(&random, 4, 12));
    for (int i = 1; i < BLOCKS; i++)
        free(blocks[i]);
    return blocks[0];
}

int main(int count, char **words)
{
    pthread_t threads[TOGETHER];

    for (size_t left = share(count, words, 30000); left; left -= left < TOGETHER ? left : TOGETHER) {
        for (size_t i = 0; i < TOGETHER; i++)
            if (pthread_create(&threads[i], NULL, live_shortly, (void *)(left + i)))
                abort();
        for (size_t i = 0; i < TOGETHER; i++) {
            void *kept;
            pthread_join(threads[i], &kept);
            free(kept);
        }
    }
    return 0;
}
