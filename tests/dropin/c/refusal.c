/* Memory that is refused: refusal KIND. The program lives on, what it holds stays as it is, and what it gives back
 * can be had again.
 *
 *     limit      allocates until NULL, which the caller has arranged (SNUG_LIMIT, RLIMIT_AS, RLIMIT_DATA)
 *     break      a mapping stands in the way of the program break: the heap goes on elsewhere
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"

enum { MOST = 1 << 16 };

static unsigned char *blocks[MOST];

/* Blocks of `size` bytes until one is refused, or `most` are there; how many. */
static int take(size_t size, int most)
{
    int count = 0;

    while (count < most) {
        errno = 0;
        unsigned char *block = malloc(size);
        if (!block) {
            CHECK(errno == ENOMEM);
            break;
        }
        memset(block, count & 0xFF, size);
        blocks[count++] = block;
    }
    return count;
}

static void check_and_free(int count, size_t size)
{
    for (int i = 0; i < count; i++) {
        for (size_t at = 0; at < size; at++)
            MUST(blocks[i][at] == (i & 0xFF));
        free(blocks[i]);
    }
}

static void until_the_limit(void)
{
    static const size_t sizes[] = {20000, 3000, 300000, 130000, 5000};

    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int count = take(sizes[i], MOST);

            printf("%zu %zu\n", sizes[i], count * sizes[i]);
            MUST(count > 0 && count < MOST);
            errno = 0;
            CHECK(realloc(blocks[0], (size_t)1 << 32) == NULL && errno == ENOMEM);
            errno = 0;
            CHECK(calloc(1, (size_t)1 << 32) == NULL && errno == ENOMEM);
            check_and_free(count, sizes[i]);
        }
}

static void beyond_the_break(void)
{
    char *end = sbrk(0);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *wall = (void *)(((uintptr_t)end + (1 << 20) + page - 1) / page * page);

    MUST(mmap(wall, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == wall);
    for (int round = 0; round < 3; round++) {
        CHECK(take(1000, 30000) == 30000);
        check_and_free(30000, 1000);
    }
}

int main(int count, char **words)
{
    MUST(count == 2);
    if (strcmp(words[1], "break") == 0)
        beyond_the_break();
    else
        until_the_limit();
    return failed_checks != 0;
}
