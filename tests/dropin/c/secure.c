/* What the options have done to this process, a name and a number in each line.
 *
 *     secure [FOLDER]
 *
 * `secure` is whether the loader and libc run it in secure mode, `published` how many files there are in FOLDER.
 */
#include <dirent.h>
#include <sys/auxv.h>

#include "resident.h"
#include "snugmalloc.h"

enum { SMALL = 100, COUNT = 400 };

static long files_in(const char *folder)
{
    long count = 0;
    DIR *files = opendir(folder);

    MUST(files);
    for (struct dirent *file; (file = readdir(files));)
        count += file->d_name[0] != '.';
    closedir(files);
    return count;
}

static long threads(void)
{
    long count = 0;
    const char *line = strstr(text_of("/proc/self/status"), "\nThreads:");

    MUST(line && sscanf(line, "\nThreads: %ld", &count) == 1);
    return count;
}

static snug_stats_t figures(void)
{
    snug_stats_t stats;

    snug_stats(&stats, sizeof stats);
    return stats;
}

int main(int words_count, char **words)
{
    static char *blocks[COUNT];
    unsigned char *fresh = malloc(SMALL);

    MUST(fresh);
    printf("secure %d\n", getauxval(AT_SECURE) != 0);
    printf("filled %d\n", fresh[SMALL / 2] != 0);
    for (int i = 0; i < COUNT; i++)
        MUST(blocks[i] = malloc(i ? SMALL : 3 * MIB));
    printf("mapped %d\n", figures().mapped_bytes != 0);
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    printf("cached %d\n", figures().cached_bytes != 0);
    for (int i = 0; i < COUNT; i++) {
        MUST(blocks[i] = malloc(MIB / 4));
        memset(blocks[i], 1, MIB / 4);
    }
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    printf("returned %d\n", figures().returned_bytes != 0);
    printf("threads %ld\n", threads());
    printf("limit %zu\ncounting %zu\nstate %zu\n", figures().limit_bytes, figures().counting, figures().state);
    if (words_count > 1)
        printf("published %ld\n", files_in(words[1]));
    return 0;
}
