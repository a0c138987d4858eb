/* snugmalloc.h - the drop-in malloc under snug_ names: link with -lsnugmalloc.
 *
 * libsnugmalloc.so exports the whole malloc family and the C++ operators new and delete under their standard
 * names, for LD_PRELOAD or for a program that links it before libc. The functions here are the same ones under
 * names that never collide: they work beside libc's malloc too, as a second heap. Free a pointer with the functions
 * of the heap that it came from.
 *
 * Each snug_NAME is NAME of the manual page malloc(3), posix_memalign(3), malloc_usable_size(3), malloc_trim(3)
 * or C23: same arguments, same results, same errno.
 */
#ifndef SNUGMALLOC_H
#define SNUGMALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SNUG_VERSION "0.1.0"

/* The version of the loaded library; SNUG_VERSION is that of the header. */
const char *snug_version(void);

/* ---- The malloc family ---- */

/* Aligned to 16 bytes (with SNUG_ALIGN=8 requests of 8 bytes and less to 8). Size 0 returns a unique pointer. */
void *snug_malloc(size_t size);
void *snug_calloc(size_t count, size_t size);
/* snug_realloc(p, 0) frees p and returns NULL, as in glibc. A size within the usable size never moves the block. */
void *snug_realloc(void *pointer, size_t size);
void *snug_reallocarray(void *pointer, size_t count, size_t size);
/* Keeps errno. */
void snug_free(void *pointer);
void snug_cfree(void *pointer);
void snug_free_sized(void *pointer, size_t size);
void snug_free_aligned_sized(void *pointer, size_t alignment, size_t size);
void *snug_aligned_alloc(size_t alignment, size_t size);
void *snug_memalign(size_t alignment, size_t size);
/* Returns 0, EINVAL or ENOMEM; errno is preserved, except that ENOMEM is set, as by glibc. */
int snug_posix_memalign(void **pointer, size_t alignment, size_t size);
void *snug_valloc(size_t size);
void *snug_pvalloc(size_t size);
size_t snug_malloc_usable_size(void *pointer);

/* ---- Giving memory back ---- */

/* Gives every free page back to the system now, except `pad` bytes at the top of the heap. Returns 1 if any
 * memory was given back, else 0. */
int snug_trim(size_t pad);
int snug_malloc_trim(size_t pad);

/* Gives free memory back if the purge policy says so, as `malloc` and `free` do at intervals; for a program that
 * sleeps. SNUG_BACKGROUND=1 starts a helper thread that calls it. */
void snug_background_step(void);

/* Empties this thread's cache until its next request. Useful before it sleeps for long; done automatically when the
 * thread ends. */
void snug_thread_idle(void);

/* Ends a recording of SNUG_RECORD and writes the rest to its file. `exit` and `_exit` do this automatically; at
 * execve or a fatal signal the last thousands of calls of each thread would be lost without it. */
void snug_record_end(void);

/* Returns 1 if the parameter was set, 0 if it was refused. M_MMAP_THRESHOLD and M_TRIM_THRESHOLD are settings here; the
 * other parameters of glibc are accepted and have no effect, unknown ones too, as there. */
int snug_mallopt(int parameter, int value);

/* ---- Statistics ---- */

#define SNUG_STATS_VERSION 2

/* Whether this process is on the heap. If it is off, every function here except snug_stats, snug_malloc_stats, snug_walk
 * and snug_check, which report on the heap, passes its call to libc's malloc, as malloc itself does. Blocks allocated
 * before that was known, by the dynamic loader only, stay in the heap: every function accepts blocks of both. */
#define SNUG_STATE_UNDECIDED 0   /* the environment is not known yet */
#define SNUG_STATE_ON 1
#define SNUG_STATE_DISABLED 2    /* off by SNUG_DISABLE, */
#define SNUG_STATE_FILE 3        /* SNUG_DISABLE_FILE, */
#define SNUG_STATE_EXCEPTED 4    /* SNUG_EXCEPT, */
#define SNUG_STATE_NOT_CHOSEN 5  /* SNUG_CANARY */

/* Sizes are bytes. `live` is the memory in use by the program, in usable bytes: a little more than it asked for. */
typedef struct snug_stats_t {
    size_t version;           /* SNUG_STATS_VERSION of the library */
    size_t live_bytes;        /* in use, in the heap and in mappings; thread caches not counted */
    size_t live_blocks;
    size_t peak_live_bytes;   /* the maximum so far; see `counting` */
    size_t cached_bytes;      /* freed, kept in thread caches for the next request */
    size_t cached_blocks;
    size_t free_bytes;        /* the rest of the heap: free blocks and slab objects, headers, pages given back */
    size_t free_blocks;       /* free blocks of the heap; free objects of slabs not counted */
    size_t purged_bytes;      /* of free_bytes: whole pages given back, or never touched */
    size_t heap_bytes;        /* address space of the heap */
    size_t mapped_bytes;      /* mappings of large blocks in use */
    size_t mapped_blocks;
    size_t kept_bytes;        /* spare mappings: of freed large blocks, kept for the next */
    size_t system_bytes;      /* heap_bytes + mapped_bytes + kept_bytes */
    size_t peak_system_bytes;
    size_t limit_bytes;       /* SNUG_LIMIT, or 0 */
    size_t returned_bytes;    /* given back in total: purged, trimmed, unmapped */
    size_t brk_calls;         /* system calls made, refused ones included */
    size_t mmap_calls;
    size_t munmap_calls;
    size_t mremap_calls;
    size_t madvise_calls;
    size_t refused_requests;  /* that returned NULL */
    size_t thread_caches;     /* existing ones, in use or waiting for the next thread */
    size_t counting;          /* 1 under SNUG_STATS=1: the calls below are counted and peak_live_bytes is exact;
                                 else they are 0, and the peak includes thread caches */
    size_t malloc_calls;      /* malloc, calloc, the aligned ones, operator new */
    size_t realloc_calls;     /* done in place; if the block moved, one malloc and one free are counted */
    size_t free_calls;
    size_t background_steps;  /* of the helper thread under SNUG_BACKGROUND=1 */
    /* from version 2 on */
    size_t state;             /* SNUG_STATE_..., */
    size_t refused_limit;     /* refused_requests by reason: the limit of SNUG_LIMIT, */
    size_t refused_size;      /* more than PTRDIFF_MAX bytes, */
    size_t refused_addresses; /* not enough address space: RLIMIT_AS, or no gap so large, */
    size_t refused_mappings;  /* the limit on mappings, vm.max_map_count, */
    size_t refused_locked;    /* the limit on locked memory, RLIMIT_MEMLOCK, */
    size_t refused_memory;    /* or the system has no memory: RLIMIT_DATA, strict overcommit; brk and mprotect were
                                 refused before */
} snug_stats_t;

/* Fills `stats`, of which the caller knows the first `size` bytes (sizeof(snug_stats_t)): later versions only
 * add fields at the end. */
void snug_stats(snug_stats_t *stats, size_t size);

/* The same as text on stderr, a line `snugmalloc: name value` for each, as malloc_stats. */
void snug_malloc_stats(void);

#define SNUG_FREE 0   /* a free block of the heap, or a free object of a slab */
#define SNUG_LIVE 1   /* in use, in the heap; or in the cache of another thread */
#define SNUG_MAPPED 2 /* in use, in a mapping of its own */

/* Calls `visit` for every block, the heap in order of addresses, then the mappings, newest first, until it returns
 * non-zero. `size` is the usable size. The calling thread's cache is emptied first. The heap is locked
 * meanwhile: `visit` must not call the functions here or allocate. Returns 0 after the last block, else 1. */
int snug_walk(int (*visit)(void *address, size_t size, int status, void *context), void *context);

/* Checks every invariant of the heap. Returns 0, or the number of the first that is broken. */
#define SNUG_CHECK_OK 0
#define SNUG_CHECK_SIZE 1   /* a block's size leads out of its segment */
#define SNUG_CHECK_BEFORE 2 /* a block has a wrong size for the previous block */
#define SNUG_CHECK_MERGED 3 /* two free neighbours */
#define SNUG_CHECK_INDEX 4  /* a free block is not where the index has it, or the index is broken */
#define SNUG_CHECK_PAGES 5  /* the page map does not agree with the blocks */
#define SNUG_CHECK_SLAB 6   /* a slab's free list, count or links are broken */
#define SNUG_CHECK_MAPPED 7 /* the list of mapped blocks is broken */
#define SNUG_CHECK_CACHE 8  /* this thread's cache is invalid */
#define SNUG_CHECK_TOTALS 9 /* the blocks do not add up to what snug_stats reports */
int snug_check(void);

/* ---- Private heaps ----
 *
 * A private heap has memory of its own: what is allocated together lies together, has its own statistics and limit,
 * and is given back to the system all at once. Any thread may call all functions; while a
 * heap is destroyed no other thread may use it. Sizes, alignment, zero sizes and errors are as malloc's: NULL with
 * ENOMEM if there is no memory or the heap's limit is reached.
 *
 * free, realloc and malloc_usable_size accept blocks of private heaps, too, which stay in their heap. Private
 * heaps are not included in snug_stats (except that a heap that could not be created is a refused request),
 * snug_walk, snug_check and SNUG_LIMIT. They also work where SNUG_DISABLE and similar options leave malloc to libc. */
typedef struct snug_heap snug_heap_t;

/* `limit` is the maximum of bytes for blocks that the heap may take from the system; 0: no limit. The first 31 bytes of
 * `name`, which may be NULL, are kept for reports. Returns NULL with ENOMEM if there is no memory or address space. */
snug_heap_t *snug_heap_create(size_t limit, const char *name);

/* Gives all memory of the heap back; all pointers into it become invalid. NULL is ignored; an address that is not a
 * heap ends the process with one line. */
void snug_heap_destroy(snug_heap_t *heap);

void *snug_heap_malloc(snug_heap_t *heap, size_t size);
void *snug_heap_calloc(snug_heap_t *heap, size_t count, size_t size);
void *snug_heap_realloc(snug_heap_t *heap, void *pointer, size_t size);
void *snug_heap_aligned(snug_heap_t *heap, size_t alignment, size_t size); /* EINVAL if not a power of two */

/* Anything but a block in use of this heap ends the process with one line. */
void snug_heap_free(snug_heap_t *heap, void *pointer);

const char *snug_heap_name(snug_heap_t *heap);
void snug_heap_stats(snug_heap_t *heap, snug_stats_t *stats, size_t size);
int snug_heap_walk(snug_heap_t *heap, int (*visit)(void *address, size_t size, int status, void *context), void *context);
int snug_heap_check(snug_heap_t *heap);
int snug_heap_trim(snug_heap_t *heap); /* 1 if memory was given back */

#ifdef __cplusplus
}
#endif

#endif
