/* A program that calls malloc by jemalloc's own names beside the standard ones, as Redis does: each takes the blocks of
 * the others. */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

#define ZERO 0x40
#define ALIGN(power) (power)
#define NO_CACHE 0x100 /* MALLOCX_TCACHE_NONE */
#define ARENA(number) (((number) + 1) << 20)

void *mallocx(size_t, int) __attribute__((weak));
void *rallocx(void *, size_t, int) __attribute__((weak));
size_t xallocx(void *, size_t, size_t, int) __attribute__((weak));
size_t sallocx(const void *, int) __attribute__((weak));
void dallocx(void *, int) __attribute__((weak));
void sdallocx(void *, size_t, int) __attribute__((weak));
size_t nallocx(size_t, int) __attribute__((weak));

static const size_t sizes[] = {1, 7, 16, 100, 500, 1000, 4096, 10000, 70000, 200000, 3000000};
static const int flags[] = {0, NO_CACHE, ALIGN(4), ALIGN(6), ALIGN(12), ALIGN(16), ALIGN(21) | NO_CACHE};
enum { SIZES = sizeof sizes / sizeof *sizes, FLAGS = sizeof flags / sizeof *flags };

static int is_all(const unsigned char *bytes, size_t count, int byte)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != byte)
            return 0;
    return 1;
}

static int is_aligned(const void *block, int flag)
{
    return ((uintptr_t)block & (((uintptr_t)1 << (flag & 0x3f)) - 1)) == 0;
}

/* Memory that was used before, so that zeros are not there by chance. */
static void soil(size_t size)
{
    void *blocks[8];

    for (int i = 0; i < 8; i++) {
        MUST(blocks[i] = malloc(size + 8192));
        memset(blocks[i], 0xee, size + 8192);
    }
    for (int i = 0; i < 8; i++)
        free(blocks[i]);
}

static void obtain(size_t size, int flag)
{
    unsigned char *block = mallocx(size, flag);

    MUST(block);
    CHECK(is_aligned(block, flag));
    CHECK(malloc_usable_size(block) >= size && sallocx(block, flag) == malloc_usable_size(block));
    CHECK(nallocx(size, flag) >= size && nallocx(size, flag) <= malloc_usable_size(block));
    memset(block, 1, size);
    free(block);
    soil(size);
    MUST(block = mallocx(size, flag | ZERO));
    CHECK(is_aligned(block, flag) && is_all(block, malloc_usable_size(block), 0));
    dallocx(block, flag);
    MUST(block = malloc(size));
    sdallocx(block, size, 0);
}

static void resize(size_t before, size_t size, int flag)
{
    unsigned char *block = malloc(before);
    size_t kept = before < size ? before : size;

    MUST(block);
    memset(block, 2, malloc_usable_size(block));
    size_t usable = malloc_usable_size(block);
    soil(size);
    MUST(block = rallocx(block, size, flag | ZERO));
    CHECK(is_aligned(block, flag) && malloc_usable_size(block) >= size && is_all(block, kept, 2));
    if (malloc_usable_size(block) > usable)
        CHECK(is_all(block + usable, malloc_usable_size(block) - usable, 0));
    CHECK(xallocx(block, size, 0, 0) >= size);
    MUST(block = realloc(block, size + 1));
    free(block);
}

int main(void)
{
    MUST(mallocx && rallocx && xallocx && sallocx && dallocx && sdallocx && nallocx);
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < FLAGS; j++) {
            obtain(sizes[i], flags[j]);
            for (int k = 0; k < SIZES; k++)
                resize(sizes[k], sizes[i], flags[j]);
        }
    CHECK(mallocx(PTRDIFF_MAX / 2, 0) == NULL && mallocx(PTRDIFF_MAX / 2, ALIGN(12) | ZERO) == NULL);
    unsigned char *block = malloc(100);
    MUST(block);
    memset(block, 3, 100);
    CHECK(rallocx(block, PTRDIFF_MAX / 2, 0) == NULL && rallocx(block, PTRDIFF_MAX / 2, ALIGN(12)) == NULL);
    CHECK(is_all(block, 100, 3));
    dallocx(block, ARENA(3));
    return failed_checks != 0;
}
