/* A refused request costs no calls of the system, one after the other: refused_calls SIZE.
 *
 * Blocks of SIZE bytes are taken until one is refused (the caller has set a limit), the last of them are freed, and
 * larger ones asked for, which are refused, in turn with one that is served: the calls that were made for all of these
 * are told, by the library's own count.
 */
#define _GNU_SOURCE
#include "check.h"
#include "snugmalloc.h"

enum { REQUESTS = 1000, SERVED = 300000, FREED = 1 << 20, LARGER = 3 << 20, MOST = 1 << 16 };

static size_t calls(void)
{
    snug_stats_t stats;

    snug_stats(&stats, sizeof stats);
    return stats.brk_calls + stats.mmap_calls + stats.munmap_calls + stats.madvise_calls;
}

int main(int words_count, char **words)
{
    MUST(words_count == 2);
    static void *blocks[MOST];
    size_t size = (size_t)atol(words[1]), before;
    int count = 0;

    while (count < MOST && (blocks[count] = malloc(size)))
        count++;
    MUST(count < MOST);
    for (size_t freed = 0; freed < FREED; freed += size)
        free(blocks[--count]);
    MUST(malloc(opaque(LARGER)) == NULL);
    before = calls();
    for (int i = 0; i < REQUESTS; i++) {
        void *served = malloc(opaque(SERVED));

        MUST(served);
        free(served);
        MUST(malloc(opaque(LARGER)) == NULL);
    }
    printf("calls %zu\n", calls() - before);
    return 0;
}
