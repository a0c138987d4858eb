/* What calloc gives reads as zero up to its usable size, whatever was there before: cleared [threads | refused].
 *
 * Each size is written to the last usable byte, freed and asked for again; with `threads` in a fresh thread for every
 * few sizes; with `refused` at a limit that the caller has set, so that blocks come from elsewhere or not at all.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>

#include "resident.h"

enum { SMALL = 2000, STEP = 50, PATTERN = 0xeb };

static int may_refuse;

static void check_zero(const unsigned char *block)
{
    size_t usable = malloc_usable_size((void *)block);

    for (size_t i = 0; i < usable; i++)
        MUST(block[i] == 0);
}

static void *dirty(size_t size)
{
    void *block = malloc(opaque(size));

    MUST(block || may_refuse);
    if (block)
        memset(block, PATTERN, malloc_usable_size(block));
    return block;
}

/* Alone, as one of a few, and out of a hole that is larger. */
static void check_size(size_t size)
{
    enum { FEW = 5 };
    void *blocks[FEW], *hole = dirty(size + size / 2 + 100), *fence = dirty(24);

    for (int i = 0; i < FEW; i++)
        blocks[i] = dirty(size);
    free(hole);
    for (int i = 0; i < FEW; i++)
        free(blocks[i]);
    for (int i = 0; i < FEW; i++) {
        blocks[i] = i % 2 ? calloc(1, opaque(size)) : calloc(opaque(size), 1);
        MUST(blocks[i] || may_refuse);
        if (blocks[i])
            check_zero(blocks[i]);
    }
    for (int i = 0; i < FEW; i++)
        free(blocks[i]);
    free(fence);
}

static void *check_some(void *first)
{
    for (size_t size = (size_t)first; size < (size_t)first + STEP; size++)
        check_size(size);
    return NULL;
}

static void check_small(int in_threads)
{
    for (size_t first = 0; first <= SMALL; first += STEP) {
        pthread_t thread;

        if (!in_threads)
            check_some((void *)first);
        else
            MUST(pthread_create(&thread, NULL, check_some, (void *)first) == 0 && pthread_join(thread, NULL) == 0);
    }
}

static void check_larger(void)
{
    for (size_t size = SMALL; size < 70 * KIB; size += size / 16 + 1)
        check_size(size);
    for (size_t size = 100 * KIB; size < 6 * MIB; size += size / 3 + 4001)
        check_size(size);
    check_size(20 * MIB);
    check_size(33 * MIB + 5);
}

/* The caller has set a limit: it is reached with blocks, and every other one is free then. No page is. */
static void fill_up(void)
{
    enum { SIZE = 3000, MOST = 1 << 16 };
    static void *blocks[MOST];
    int count = 0;

    may_refuse = 1;
    while (count < MOST && (blocks[count] = dirty(SIZE)))
        count++;
    MUST(count > 100 && count < MOST);
    for (int i = 0; i < count; i += 2)
        free(blocks[i]);
}

int main(int words_count, char **words)
{
    int in_threads = words_count > 1 && strcmp(words[1], "threads") == 0;

    if (words_count > 1 && strcmp(words[1], "refused") == 0)
        fill_up();
    check_small(in_threads);
    check_larger();
    return 0;
}
