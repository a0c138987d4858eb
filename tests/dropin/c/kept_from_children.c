/* Memory of a block that a forked child does not get, as drivers of devices ask for: kept_from_children SIZE [WAY].
 *
 * SIZE in KiB. The whole pages of a block have MADV_DONTFORK; the child frees the blocks around it, resizes them and
 * allocates anew, and never touches that block. WAY is where the block comes from: malloc, calloc, aligned, realloc.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "resident.h"

static char *make(const char *way, size_t size)
{
    if (strcmp(way, "calloc") == 0)
        return calloc(1, size);
    if (strcmp(way, "aligned") == 0)
        return aligned_alloc(4096, size);
    return strcmp(way, "realloc") == 0 ? realloc(malloc(100), size) : malloc(size);
}

static void keep_from_children(char *block, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t low = (uintptr_t)block & ~(page - 1), high = ((uintptr_t)block + size) & ~(page - 1);

    MUST(madvise((void *)low, high - low, MADV_DONTFORK) == 0);
}

static void work_in_child(char *before, char *behind, size_t size)
{
    char *grown = realloc(before, size + size / 2), *more[8];

    MUST(grown);
    memset(grown, 2, size + size / 2);
    free(behind);
    for (int i = 0; i < 8; i++) {
        MUST(more[i] = malloc(size / 3 + (size_t)i * 1000));
        memset(more[i], 3, size / 3 + (size_t)i * 1000);
    }
    for (int i = 0; i < 8; i++)
        free(more[i]);
    free(grown);
    small_work(20);
}

int main(int words_count, char **words)
{
    MUST(words_count >= 2);
    size_t size = (size_t)atol(words[1]) * KIB;
    const char *way = words_count > 2 ? words[2] : "malloc";
    char *before = make(way, size), *kept = make(way, size), *behind = make(way, size);
    int status = -1;

    MUST(before && kept && behind);
    keep_from_children(kept, size);
    pid_t child = fork();
    if (child == 0) {
        work_in_child(before, behind, size);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    free(before);
    free(behind);
    free(kept);
    return failed_checks != 0;
}
