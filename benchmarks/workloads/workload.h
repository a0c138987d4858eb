/* What the workloads share: random numbers, memory that is checked and touched, what is resident, lines
 * for the bench.
 *
 * A workload is `program AMOUNT [...]`: AMOUNT is how much to do, in percent. Nothing here allocates. A
 * line `resident STAGE BYTES`, `operations NUMBER` or `ops_per_s NUMBER` on standard output is kept by the
 * bench with the run's figures. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    uint64_t state;
} Random;

/* splitmix64: one state for each thread, no division, good enough to choose slots and sizes. */
static inline uint64_t next_random(Random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline size_t below(Random *random, size_t limit)
{
    return (size_t)(((next_random(random) >> 32) * limit) >> 32);
}

/* Uniform from `least` to `most`: more large blocks than small ones, and nearly all bytes in them. */
static inline size_t any_size(Random *random, size_t least, size_t most)
{
    return least + below(random, most - least + 1);
}

/* Log-uniform in [1 << first, 1 << last): as many blocks in each doubling. */
static inline size_t doubling_size(Random *random, unsigned first, unsigned last)
{
    size_t low = (size_t)1 << (first + below(random, last - first));
    return low + below(random, low);
}

static inline char *checked(void *block)
{
    if (!block)
        abort();
    return (char *)block;
}

/* A block of `size` bytes, its first and last byte written. */
static inline char *obtain(size_t size)
{
    char *block = checked(malloc(size));
    block[0] = 1;
    block[size - 1] = 1;
    return block;
}

/* A block of `size` bytes, all of them written. */
static inline char *filled(size_t size)
{
    return (char *)memset(checked(malloc(size)), 1, size);
}

/* Writes to every page of a block, as its user would. */
static inline void touch(char *block, size_t size)
{
    for (size_t at = 0; at < size; at += 4096)
        block[at] = 1;
    block[size - 1] = 1;
}

/* Bytes of this process in memory, exact; read without stdio, whose buffer would come from malloc. */
static inline size_t resident_bytes(void)
{
    char text[512];
    int file = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (length <= 0)
        abort();
    close(file);
    text[length] = 0;
    const char *found = strstr(text, "Rss:");
    if (!found)
        abort();
    return strtoul(found + 4, NULL, 10) * 1024;
}

static inline void tell_resident(const char *stage)
{
    dprintf(1, "resident %s %zu\n", stage, resident_bytes());
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void tell_speed(double begin, size_t operations)
{
    double seconds = now() - begin;

    dprintf(1, "operations %zu\nops_per_s %.0f\n", operations, (double)operations / seconds);
}

/* The number in argument `at`, or `otherwise`. */
static inline size_t argument(int count, char **words, int at, size_t otherwise)
{
    return count > at ? strtoul(words[at], NULL, 10) : otherwise;
}

/* `full` operations, cut down to the first argument's percentage. */
static inline size_t share(int count, char **words, size_t full)
{
    return full / 100 * argument(count, words, 1, 100);
}

enum { MOST_WORKERS = 64 };

/* How many threads work: the second argument, or `otherwise`. */
static inline size_t thread_count(int count, char **words, size_t otherwise)
{
    size_t threads = argument(count, words, 2, otherwise);

    if (threads < 1 || threads > MOST_WORKERS) {
        dprintf(2, "%s: 1 to %d threads\n", words[0], MOST_WORKERS);
        exit(2);
    }
    return threads;
}
