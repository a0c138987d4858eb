/* A program is refused memory, and its heap reports why: reasons WHY SIZE. Prints a name and a number in each line.
 *
 * WHY is `limit` (that of SNUG_LIMIT), `size`, `addresses`, `gap` (there is none so large), `mappings`, `locked`, `memory`
 * (RLIMIT_DATA), or `threads` (four of them at SNUG_LIMIT). Requests are of SIZE bytes, by each function of the
 * family.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "resident.h"
#include "snugmalloc.h"

enum { THREADS = 4, TIMES = 1000 };

static size_t size;
static size_t refused;

static void expect_refusal(void *pointer)
{
    if (!pointer) {
        MUST(errno == ENOMEM);
        __atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
    }
}

static void take_all(void)
{
    for (char *block; (block = malloc(size)); block[0] = 1)
        ;
    refused++;
}

static void *ask(void *times)
{
    void *block = malloc(1), *aligned;

    for (long i = 0; i < (long)times; i++) {
        expect_refusal(malloc(size));
        expect_refusal(calloc(1, size));
        expect_refusal(realloc(block, size));
        expect_refusal(reallocarray(block, 1, size));
        expect_refusal(aligned_alloc(64, size));
        if (posix_memalign(&aligned, 4096, size) == ENOMEM)
            __atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void ask_in_threads(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, ask, (void *)TIMES) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void limit(int resource, size_t bytes)
{
    MUST(setrlimit(resource, &(struct rlimit){bytes, bytes}) == 0);
}

/* Pages of other protection in turn are a mapping each. */
static void use_up_mappings(void)
{
    size_t page = (size_t)getpagesize();

    for (int protection = PROT_NONE; mmap(NULL, page, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;)
        protection ^= PROT_READ;
}

int main(int count, char **words)
{
    MUST(count == 3);
    const char *why = words[1];
    snug_stats_t stats;

    size = strtoull(words[2], NULL, 0);
    free(malloc(100));
    if (!strcmp(why, "addresses"))
        limit(RLIMIT_AS, 300 * MIB);
    else if (!strcmp(why, "memory"))
        limit(RLIMIT_DATA, 100 * MIB);
    else if (!strcmp(why, "mappings"))
        use_up_mappings();
    else if (!strcmp(why, "locked")) {
        limit(RLIMIT_MEMLOCK, MIB);
        MUST(getuid() != 0 || setuid(65534) == 0); /* who is privileged may lock all */
        MUST(mlockall(MCL_FUTURE) == 0);
    }
    if (strcmp(why, "size") && strcmp(why, "gap"))
        take_all();
    if (!strcmp(why, "threads"))
        ask_in_threads();
    else
        ask((void *)3);
    snug_stats(&stats, sizeof stats);
    printf("asked %zu\nrequests %zu\nlimit %zu\nsize %zu\naddresses %zu\nmappings %zu\nlocked %zu\nmemory %zu\n", refused,
           stats.refused_requests, stats.refused_limit, stats.refused_size, stats.refused_addresses,
           stats.refused_mappings, stats.refused_locked, stats.refused_memory);
    return 0;
}
