/* The program moves the break itself while threads allocate: beside_break. No byte is lost on either side.
 *
 * The two meet on the break while there is one thread; from then on it is the program's alone.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>

#include "check.h"

enum { BLOCKS = 3000, SIZE = 20000, STEPS = 3000, STEP = 8192, THREADS = 2 };

static unsigned char *blocks[THREADS][BLOCKS], *steps[STEPS];

static void *allocate(void *place)
{
    unsigned char **own = place;

    for (int i = 0; i < BLOCKS; i++) {
        MUST(own[i] = malloc(SIZE));
        memset(own[i], 1 + i % 255, SIZE);
    }
    return NULL;
}

static int all_are(const unsigned char *bytes, size_t size, int value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return 0;
    return 1;
}

int main(void)
{
    pthread_t threads[THREADS];
    void *first = malloc(100000), *between = sbrk(STEP), *second = malloc(300000);

    MUST(first && between != (void *)-1 && second);
    for (int t = 0; t < THREADS; t++)
        MUST(pthread_create(&threads[t], NULL, allocate, blocks[t]) == 0);
    for (int i = 0; i < STEPS; i++) {
        MUST((steps[i] = sbrk(STEP)) != (void *)-1);
        memset(steps[i], 255 - i % 255, STEP);
        CHECK(i == 0 || steps[i] == steps[i - 1] + STEP);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (int i = 0; i < STEPS; i++)
        CHECK(all_are(steps[i], STEP, 255 - i % 255));
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < BLOCKS; i++) {
            CHECK(all_are(blocks[t][i], SIZE, 1 + i % 255));
            free(blocks[t][i]);
        }
    free(first);
    free(second);
    return failed_checks != 0;
}
