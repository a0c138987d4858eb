/* osmem.h - four functions over brk, mmap and munmap: link with -losmem.
 *
 * In front of each pointer is its block's header of 32 bytes:
 *
 *     offset  0           8        12        16            24            32
 *             +-----------+--------+---------+-------------+-------------+---------
 *             | size      | status | (own)   | (own)       | (own)       | payload
 *             +-----------+--------+---------+-------------+-------------+---------
 *
 * `size` counts the payload's bytes, a multiple of 8; `status` is one of OS_FREE, OS_LIVE, OS_MAPPED; the rest
 * is the allocator's own. Pointers are aligned to 8 bytes.
 */
#ifndef OSMEM_H
#define OSMEM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OS_FREE 0   /* a free block of the heap */
#define OS_LIVE 1   /* a block of the heap, in use */
#define OS_MAPPED 2 /* a block in a mapping of its own, in use */

/* Returns `size` bytes, or NULL: for size 0, or with errno ENOMEM if there is no memory. From the heap
 * while 32 + size, rounded up to 8, is below 128 KiB; a mapping of its own from there on. */
void *os_malloc(size_t size);

/* Returns `nmemb` times `size` bytes that read as zero, or NULL as os_malloc, also if the product overflows. From the
 * heap while 32 + the product, rounded up to 8, is below the page size. */
void *os_calloc(size_t nmemb, size_t size);

/* Resizes the block at `ptr` to `size` bytes, moving it if necessary; the contents up to the smaller size are kept.
 * os_realloc(NULL, n) is os_malloc(n); os_realloc(p, 0) is os_free(p) and returns NULL. On NULL with errno ENOMEM
 * the old block is unchanged; for a heap block that is free it returns NULL and changes nothing. */
void *os_realloc(void *ptr, size_t size);

/* Frees the block at `ptr`. NULL does nothing, a heap block that is free already does nothing (and is counted;
 * with SNUG_HARDEN=1 in the environment it ends the process with one line on stderr). Keeps errno. */
void os_free(void *ptr);

/* The statistics of the heap. Sizes are payload bytes without headers, unless stated otherwise. */
typedef struct os_stats_t {
    size_t live_bytes;    /* in use on the heap */
    size_t live_blocks;
    size_t free_bytes;    /* free on the heap */
    size_t free_blocks;   /* neighbours not merged yet count separately */
    size_t mapped_bytes;  /* in use in mappings of their own */
    size_t mapped_blocks;
    size_t heap_bytes;    /* taken from the system for the heap, headers included */
    size_t system_bytes;  /* taken from the system in total: heap_bytes and the mappings with their headers */
    size_t brk_calls;     /* system calls made, refused ones included */
    size_t mmap_calls;
    size_t munmap_calls;
    size_t splits;        /* blocks split */
    size_t coalescings;   /* free blocks absorbed by a neighbour */
    size_t ignored_frees; /* frees of blocks that were free already */
} os_stats_t;

/* Fills `stats`, of which the caller knows the first `size` bytes (sizeof(os_stats_t)): later versions only add
 * fields at the end. */
void os_stats(os_stats_t *stats, size_t size);

/* Calls `visit` for every block, the heap in order of segments and addresses, then the mappings, newest first, until it
 * returns non-zero. `address` is the payload's. The heap is locked meanwhile: `visit` must not call
 * the functions here. Returns 0 after the last block, else 1. */
int os_walk(int (*visit)(void *address, size_t size, int status, void *context), void *context);

/* Checks every invariant of the heap. Returns 0, or the number of the first that is broken. */
#define OS_CHECK_OK 0
#define OS_CHECK_SIZE 1     /* a block's size is not a multiple of 8, too small, or leads out of its segment */
#define OS_CHECK_STATUS 2   /* a block's status is none of the three */
#define OS_CHECK_BEFORE 3   /* a block has wrong entries for its neighbours: the previous size, which are free */
#define OS_CHECK_INDEX 4    /* a free block is not where the index has it, or the index's order is broken */
#define OS_CHECK_MERGED 5   /* two free neighbours, neither waiting to be merged */
#define OS_CHECK_END 6      /* the last block is not at the end of the heap */
#define OS_CHECK_MAPPED 7   /* the list of mapped blocks is broken */
#define OS_CHECK_TOTALS 8   /* the blocks do not add up to what os_stats reports */
#define OS_CHECK_SEAL 9     /* hardened mode: a live block's seal is broken */
int os_check(void);

#ifdef __cplusplus
}
#endif

#endif
