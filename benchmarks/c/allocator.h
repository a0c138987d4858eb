/* The allocator under measure: the four functions, or with -DSYSTEM the C library's. */
#ifdef SYSTEM
#include <stdlib.h>
#define ALLOCATE malloc
#define RELEASE free
#else
#include <osmem.h>
#define ALLOCATE os_malloc
#define RELEASE os_free
#endif

#include <stdint.h>
#include <stdio.h>
#include <time.h>

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static inline uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

#ifndef DOUBLINGS
#define DOUBLINGS 8
#endif

/* Log-uniform from 16 to 4095 bytes (with 8 doublings): as many blocks in each doubling. */
static inline size_t mixed_size(void) {
    uint64_t r = next_random();
    unsigned doubling = 4 + (unsigned)((r >> 32) % DOUBLINGS);
    return ((size_t)1 << doubling) + (r & (((size_t)1 << doubling) - 1));
}

static inline double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* other programs on the machine do not count */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
