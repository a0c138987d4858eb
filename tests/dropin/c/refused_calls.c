/* A refused request costs no calls of the system, one after the other: refused_calls SIZE.
 *
 * Blocks of SIZE bytes are taken until one is refused (the caller has set a limit), one is freed, and larger ones are
 * asked for, which are refused: the calls that were made for them are told, by the library's own count.
 */
#define _GNU_SOURCE
#include "check.h"
#include "snugmalloc.h"

enum { REQUESTS = 1000, LARGER = 3 << 20 };

static size_t calls(void)
{
    snug_stats_t stats;

    snug_stats(&stats, sizeof stats);
    return stats.brk_calls + stats.mmap_calls + stats.munmap_calls + stats.madvise_calls;
}

int main(int words_count, char **words)
{
    MUST(words_count == 2);
    size_t size = (size_t)atol(words[1]), before;
    void *block, *last = NULL;

    while ((block = malloc(size)))
        last = block;
    free(last);
    MUST(malloc(opaque(LARGER)) == NULL);
    before = calls();
    for (int i = 0; i < REQUESTS; i++)
        MUST(malloc(opaque(LARGER)) == NULL);
    printf("calls %zu\n", calls() - before);
    return 0;
}
