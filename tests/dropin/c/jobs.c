/* Job after job takes the same memory in large arrays and drops it between: jobs SIZE TOTAL JOBS.
 *
 * SIZE in KiB, TOTAL in MiB; with SIZE 0 each job has another size. Printed is the peak of resident memory, in KiB.
 */
#define _GNU_SOURCE
#include "resident.h"

enum { MOST = 1 << 16 };

static void do_job(size_t size, size_t total)
{
    static char *arrays[MOST];
    int count = (int)(total / size);

    MUST(count <= MOST);
    for (int i = 0; i < count; i++) {
        MUST(arrays[i] = malloc(size));
        memset(arrays[i], 1, size);
    }
    for (int i = 0; i < count; i++)
        free(arrays[i]);
    small_work(20);
}

int main(int words_count, char **words)
{
    static const size_t sizes[] = {31 * MIB, 2 * MIB, 200 * KIB, 40 * MIB, 900 * KIB, 20 * MIB, 8 * MIB};

    MUST(words_count == 4);
    size_t size = (size_t)atol(words[1]) * KIB, total = (size_t)atol(words[2]) * MIB;
    for (int job = 0; job < atoi(words[3]); job++)
        do_job(size ? size : sizes[(size_t)job % (sizeof sizes / sizeof *sizes)], total);
    printf("peak %ld\n", in_kib(peak_bytes()));
    return 0;
}
