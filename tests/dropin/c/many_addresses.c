/* Sparse blocks take addresses, not memory, and small requests are served beside them:
 *
 *     many_addresses SIZE COUNT SMALL        COUNT blocks of SIZE MiB with one byte written, then SMALL malloc(24)
 */
#define _GNU_SOURCE
#include "resident.h"

int main(int words_count, char **words)
{
    enum { MOST = 1 << 20 };
    static char *table[MOST];

    MUST(words_count == 4);
    size_t size = (size_t)atol(words[1]) * MIB;
    long count = atol(words[2]), small = atol(words[3]);
    MUST(count <= MOST);
    char *first = malloc(size + 4096);
    MUST(first);
    first[0] = 1;
    free(first);
    for (long i = 0; i < count; i++) {
        MUST(table[i] = malloc(size));
        table[i][0] = (char)i;
    }
    for (long i = 0; i < small; i++)
        MUST(malloc(24));
    MUST(malloc(3000));
    FILE *file = fopen("/dev/null", "r");
    MUST(file);
    fclose(file);
    for (long i = 0; i < count; i++) {
        CHECK(table[i][0] == (char)i);
        free(table[i]);
    }
    return failed_checks != 0;
}
