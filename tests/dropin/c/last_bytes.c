/* What a program frees can be had in another size before a request is refused: last_bytes LIMIT FROM SHARE TO [thread].
 *
 * Blocks of FROM bytes are taken until one is refused: by the limit that the caller has set or, if LIMIT is not 0, by
 * one on addresses, so many MiB from here on. SHARE KiB of them are freed, those that came last, and blocks of TO bytes
 * taken until one is refused. Printed are the bytes that were freed and had. With `thread` a thread has freed them that
 * has ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "resident.h"

enum { MOST = 1 << 23 };

static void **newest;
static long freed_blocks;

/* Blocks until one is refused, linked through their first words. */
static long take(size_t size)
{
    long count = 0;
    void **block;

    errno = 0;
    while (count < MOST && (block = malloc(size))) {
        *block = newest;
        newest = block;
        count++;
    }
    CHECK(errno == ENOMEM);
    return count;
}

static void *give(void *count)
{
    for (long i = 0; i < (long)count; i++) {
        void **block = newest;

        MUST(block);
        newest = *block;
        free(block);
        freed_blocks++;
    }
    return NULL;
}

static void limit_addresses(rlim_t more)
{
    long pages = 0;

    MUST(sscanf(text_of("/proc/self/statm"), "%ld", &pages) == 1);
    more += (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
    MUST(setrlimit(RLIMIT_AS, &(struct rlimit){more, more}) == 0);
}

int main(int words_count, char **words)
{
    pthread_t thread;
    pthread_attr_t attributes;

    MUST(words_count >= 5);
    rlim_t limit = (rlim_t)atol(words[1]) * MIB;
    size_t from = (size_t)atol(words[2]), to = (size_t)atol(words[4]);
    long count = (long)((size_t)atol(words[3]) * KIB / from);
    if (limit)
        limit_addresses(limit);
    take(from);
    if (words_count > 5) {
        give((void *)(64 * KIB / from)); /* what a new thread needs itself, stack apart */
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 64 * KIB);
        MUST(pthread_create(&thread, &attributes, give, (void *)count) == 0 && pthread_join(thread, NULL) == 0);
    } else {
        give((void *)count);
    }
    newest = NULL;
    long had = take(to);
    printf("freed %ld\nhad %ld\n", freed_blocks * (long)from, had * (long)to);
    return failed_checks != 0;
}
