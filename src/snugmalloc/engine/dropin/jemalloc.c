/* jemalloc's own names for malloc: for programs that are linked to it and call both (Redis 8 and newer), and so would have
 * blocks of two allocators under a preloaded one. What they do is in jemalloc's manual page; everything here stands on
 * the functions of snugmalloc.h.
 *
 * Flags are 6 bits of alignment as a power of two, and MALLOCX_ZERO. Which arena and which cache of a thread is
 * jemalloc's to know, and counts for nothing. mallctl and what else looks into jemalloc or sets it up is left to it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "snugmalloc.h"

enum { ALIGNMENT_BITS = 0x3f, ZERO = 0x40, ALWAYS_ALIGNED = 16 };

static size_t alignment_in(int flags) { return (size_t)1 << (flags & ALIGNMENT_BITS); }

void *mallocx(size_t size, int flags) {
    size_t alignment = alignment_in(flags);
    if (alignment <= ALWAYS_ALIGNED) return flags & ZERO ? snug_calloc(1, size) : snug_malloc(size);
    void *block = snug_memalign(alignment, size);
    if (block && flags & ZERO) memset(block, 0, snug_malloc_usable_size(block));
    return block;
}

static void *move_aligned(void *block, size_t size, size_t alignment) {
    size_t before = snug_malloc_usable_size(block);
    void *moved = snug_memalign(alignment, size);
    if (!moved) return NULL;
    memcpy(moved, block, before < size ? before : size);
    snug_free(block);
    return moved;
}

void *rallocx(void *block, size_t size, int flags) {
    size_t before = snug_malloc_usable_size(block), alignment = alignment_in(flags);
    void *resized = alignment <= ALWAYS_ALIGNED ? snug_realloc(block, size) : move_aligned(block, size, alignment);
    size_t after = snug_malloc_usable_size(resized);
    if (resized && flags & ZERO && after > before) memset((char *)resized + before, 0, after - before);
    return resized;
}

/* Resizing in place may fail, and then tells what there is. */
size_t xallocx(void *block, size_t size, size_t extra, int flags) {
    (void)size, (void)extra, (void)flags;
    return snug_malloc_usable_size(block);
}

size_t sallocx(const void *block, int flags) {
    (void)flags;
    return snug_malloc_usable_size((void *)block);
}

void dallocx(void *block, int flags) {
    (void)flags;
    snug_free(block);
}

void sdallocx(void *block, size_t size, int flags) {
    (void)flags;
    snug_free_sized(block, size);
}

/* So much of a block may surely be used; often there is more. */
size_t nallocx(size_t size, int flags) {
    (void)flags;
    return size <= PTRDIFF_MAX ? size : 0;
}
