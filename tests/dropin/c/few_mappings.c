/* Very many blocks, every other one freed and larger ones in their place: few_mappings SIZE LARGER COUNT [OWN].
 *
 * Sizes in KiB. None is refused and nothing is mixed up; the most mappings that the process had are told. OWN of them
 * are the program's, so that few are left of the 65,530 that a process may have.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

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

/* Every other page can be written: as many mappings as there are pages. */
static void map_own(long count)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *own = mmap(NULL, (size_t)(count + 1) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    MUST(own != MAP_FAILED);
    for (long i = 1; i < count; i += 2)
        MUST(mprotect(own + (size_t)i * page, page, PROT_READ | PROT_WRITE) == 0);
}

int main(int words_count, char **words)
{
    MUST(words_count >= 4);
    long count = atol(words[3]);
    MUST(count <= MOST);
    map_own(words_count > 4 ? atol(words[4]) : 0);
    take((size_t)atol(words[1]) * KIB, count, 1);
    give(count, 2);
    small_work(100);
    count_mappings();
    take((size_t)atol(words[2]) * KIB, count, 2);
    give(count, 1);
    printf("mappings %ld\n", most_mappings);
    return 0;
}
