/* Calls per second in plain patterns: `calls PATTERN CALLS` prints nanoseconds per call.
 *
 *   pair64    allocate 64 bytes, free them
 *   pair4096, pair8192, pair40000  the same with so many bytes
 *   batch48   allocate 1000 blocks of 48 bytes, free them in order
 *   random    keep 1000 blocks of 16 to 999 bytes, replace random ones
 *   random127, random8192  the same with 16 to 127 bytes, to 8192 bytes */
#include "allocator.h"
#include <stdlib.h>
#include <string.h>

#define BATCH 1000

static char *slots[BATCH];

static void *obtain(size_t size) {
    char *block = ALLOCATE(size);
    if (!block) abort();
    *block = 1;
    return block;
}

static void pairs(size_t size, size_t calls) {
    for (size_t i = 0; i < calls / 2; i++) RELEASE(obtain(size));
}

static void batches(size_t calls) {
    for (size_t done = 0; done < calls; done += 2 * BATCH) {
        for (size_t i = 0; i < BATCH; i++) slots[i] = obtain(48);
        for (size_t i = 0; i < BATCH; i++) RELEASE(slots[i]);
    }
}

static void replacements(size_t maximum, size_t calls) {
    for (size_t i = 0; i < calls / 2; i++) {
        uint64_t r = next_random();
        size_t at = (r >> 32) % BATCH;
        if (slots[at]) RELEASE(slots[at]);
        slots[at] = obtain(16 + (r & 0xFFFFFFFF) % (maximum - 15));
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    const char *pattern = argv[1];
    size_t calls = strtoul(argv[2], NULL, 10);
    for (int round = 0; round < 2; round++) { /* the first warms up */
        double begin = processor_seconds();
        if (!strncmp(pattern, "pair", 4)) pairs(strtoul(pattern + 4, NULL, 10), calls);
        else if (!strcmp(pattern, "batch48")) batches(calls);
        else if (!strcmp(pattern, "random")) replacements(999, calls);
        else if (!strcmp(pattern, "random127")) replacements(127, calls);
        else if (!strcmp(pattern, "random8192")) replacements(8192, calls);
        else return 2;
        if (round) printf("%.2f\n", (processor_seconds() - begin) * 1e9 / (double)calls);
    }
    return 0;
}
