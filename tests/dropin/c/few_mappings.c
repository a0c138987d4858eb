/* Very many blocks, every other one freed and larger ones in their place: few_mappings SIZE LARGER COUNT.
 *
 * Sizes in KiB. None is refused and nothing is mixed up; the most mappings that the process had are told.
 */
#define _GNU_SOURCE
#include "resident.h"

enum { MOST = 1 << 18 };

static char *blocks[MOST];
static long most_mappings;

static void count_mappings(void)
{
    long now = mapping_count();

    most_mappings = now > most_mappings ? now : most_mappings;
}

static void take(size_t size, long count, int step)
{
    for (long i = 0; i < count; i += step) {
        MUST(blocks[i] = malloc(size + (size_t)(i % 3) * 4096));
        blocks[i][5] = (char)i;
    }
    count_mappings();
}

static void give(long count, int step)
{
    for (long i = 0; i < count; i += step) {
        MUST(blocks[i][5] == (char)i);
        free(blocks[i]);
    }
    count_mappings();
}

int main(int words_count, char **words)
{
    MUST(words_count == 4);
    long count = atol(words[3]);
    MUST(count <= MOST);
    take((size_t)atol(words[1]) * KIB, count, 1);
    give(count, 2);
    small_work(100);
    count_mappings();
    take((size_t)atol(words[2]) * KIB, count, 2);
    give(count, 1);
    printf("mappings %ld\n", most_mappings);
    return 0;
}
