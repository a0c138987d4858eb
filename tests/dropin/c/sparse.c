/* A large block that shall be zero is not written to make it so, wherever it comes from: sparse SIZE WAY.
 *
 * SIZE in MiB. Two blocks of which one byte was written are freed, one after the other, and the memory is asked for
 * again by WAY: calloc, realloc (grown from a little, then freed, then calloc), aligned (aligned_alloc, free, calloc),
 * kept (one of them stays), thread (all that in another thread). Printed is what is resident then, in KiB beyond the start.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>

#include "resident.h"

static size_t size;
static const char *way;
static long resident;

static int is(const char *name)
{
    return strcmp(way, name) == 0;
}

static char *make(size_t number)
{
    char *block = NULL;

    if (is("realloc")) {
        MUST(block = realloc(NULL, size / 3 + number));
        return realloc(block, size);
    }
    return is("aligned") ? aligned_alloc(MIB, size) : calloc(1, size);
}

/* Every page of it, at its start. */
static void check_zero(const char *block)
{
    for (size_t at = 0; at < size; at += 4096)
        MUST(block[at] == 0);
    for (size_t at = 4095; at < size; at += 256 * KIB)
        MUST(block[at] == 0);
    MUST(block[size - 1] == 0);
}

static void *run(void *unused)
{
    long start = resident_bytes();
    char *first = make(1), *second = make(2);

    MUST(first && second);
    first[size / 2] = second[100] = 1;
    free(second);
    if (!is("kept"))
        free(first);
    char *again = calloc(1, size);
    MUST(again);
    again[5] = 1;
    resident = resident_bytes() - start;
    again[5] = 0;
    check_zero(again);
    free(again);
    return unused;
}

int main(int words_count, char **words)
{
    pthread_t thread;

    MUST(words_count == 3);
    MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0); /* or the system takes two mebibytes for a byte, where it may */
    size = (size_t)atol(words[1]) * MIB;
    way = words[2];
    if (is("thread"))
        MUST(pthread_create(&thread, NULL, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
    else
        run(NULL);
    printf("resident %ld\n", in_kib(resident));
    return 0;
}
