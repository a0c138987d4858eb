/* Faults to be found: a malloc that is another one but for one thing. Preloaded in front of libsnugmalloc.so, of which
 * it calls the functions under their own names; -DPLANTED=NAME says what is wrong.
 *
 *     usable       malloc_usable_size reports one byte too many, of blocks of up to 200
 *     uncleared    calloc of 100 bytes and more does not clear the last one
 *     unaligned    memalign gives what malloc gives
 *     copied       realloc that moves a block loses its last byte
 *     given_twice  now and then malloc gives a block that is in use
 *     refused      now and then malloc gives NULL without a reason
 *     errno        free of a large block does not keep errno
 *     elsewhere    a private heap now and then gives a block of malloc
 *     unlimited    a private heap has no limit
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snugmalloc.h"

#define IS_PLANTED(name) (strcmp(PLANTED, #name) == 0)

/* Calls of a fault that is there now and then; of private heaps, which the fuzzer calls far less often. */
enum { NOW_AND_THEN = 500, OFTEN = 20 };

static int is_due(unsigned each)
{
    static atomic_uint calls;

    return atomic_fetch_add(&calls, 1) % each == each - 1;
}

size_t malloc_usable_size(void *pointer)
{
    size_t usable = snug_malloc_usable_size(pointer);

    return usable + (IS_PLANTED(usable) && usable <= 200);
}

void *malloc(size_t size)
{
    static _Atomic(void *) last;
    static atomic_size_t last_size;

    if (IS_PLANTED(refused) && is_due(NOW_AND_THEN)) {
        errno = ENOMEM;
        return NULL;
    }
    if (IS_PLANTED(given_twice) && is_due(NOW_AND_THEN) && size <= atomic_load(&last_size))
        return atomic_load(&last);
    void *block = snug_malloc(size);
    atomic_store(&last, block);
    atomic_store(&last_size, size);
    return block;
}

void *calloc(size_t count, size_t size)
{
    char *block = snug_calloc(count, size);

    if (IS_PLANTED(uncleared) && block && count * size >= 100)
        block[count * size - 1] = 1;
    return block;
}

void *memalign(size_t alignment, size_t size)
{
    return IS_PLANTED(unaligned) ? snug_malloc(size) : snug_memalign(alignment, size);
}

void *realloc(void *pointer, size_t size)
{
    size_t before = pointer ? snug_malloc_usable_size(pointer) : 0;
    char *moved = snug_realloc(pointer, size);

    if (IS_PLANTED(copied) && moved && before && moved != pointer && size > before)
        moved[before - 1] ^= 1;
    return moved;
}

void free(void *pointer)
{
    int large = pointer && snug_malloc_usable_size(pointer) >= 1 << 20;

    snug_free(pointer);
    if (IS_PLANTED(errno) && large)
        errno = EINVAL;
}

void *snug_heap_malloc(snug_heap_t *heap, size_t size)
{
    static void *(*real)(snug_heap_t *, size_t);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "snug_heap_malloc");
    return IS_PLANTED(elsewhere) && is_due(OFTEN) ? snug_malloc(size) : real(heap, size);
}

snug_heap_t *snug_heap_create(size_t limit, const char *name)
{
    static snug_heap_t *(*real)(size_t, const char *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "snug_heap_create");
    return real(IS_PLANTED(unlimited) ? 0 : limit, name);
}
