/* What the C programs of these tests share: a look at headers and bytes. */
#ifndef BLOCK_H
#define BLOCK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <osmem.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The header in front of a pointer. */
static inline size_t size_of(const void *pointer) { return ((const size_t *)pointer)[-4]; }
static inline int status_of(const void *pointer) { return ((const int *)pointer)[-6]; }

/* Whether `count` bytes have the value. */
static inline int all_are(const void *bytes, size_t count, unsigned char value) {
    const unsigned char *byte = bytes;
    while (count && *byte == value) count--, byte++;
    return count == 0;
}

static inline os_stats_t stats_now(void) {
    os_stats_t stats;
    os_stats(&stats, sizeof stats);
    return stats;
}

#endif
