/* Every function of the malloc family against its manual page: family GROUP, or all of them without one.
 *
 * Compiled with -DTWINS it calls the snug_ twins instead of the standard names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>

#include "resident.h"

#ifdef TWINS
#include "snugmalloc.h"
#define malloc snug_malloc
#define calloc snug_calloc
#define realloc snug_realloc
#define reallocarray snug_reallocarray
#define free snug_free
#define cfree snug_cfree
#define free_sized snug_free_sized
#define free_aligned_sized snug_free_aligned_sized
#define aligned_alloc snug_aligned_alloc
#define memalign snug_memalign
#define posix_memalign snug_posix_memalign
#define valloc snug_valloc
#define pvalloc snug_pvalloc
#define malloc_usable_size snug_malloc_usable_size
#define malloc_trim snug_malloc_trim
#define mallopt snug_mallopt
#define malloc_stats snug_malloc_stats
#else
/* Not in every libc. */
void cfree(void *) __attribute__((weak));
void free_sized(void *, size_t) __attribute__((weak));
void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));
#endif

const char *snug_version(void) __attribute__((weak));

/* Whether the malloc under test is snugmalloc, and not one that calls are handed over to. */
static int is_snugmalloc(void)
{
    return snug_version && !getenv("SNUG_DISABLE");
}

#define BEYOND ((size_t)PTRDIFF_MAX + 1)

static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129, 200, 255,
    256, 257, 496, 500, 512, 992, 1000, 1008, 1024, 2000, 4000, 4080, 4095, 4096, 4097, 8184, 8192, 8200, 10000, 32768,
    65536, 100000, 131000, 131072, 131073, 140000, 200000, 262144, 1048576, 1048577, 5000000};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Whether the malloc under test keeps a rule that glibc keeps only since a version. */
static int keeps_since(int major, int minor)
{
    int have_major = 0, have_minor = 0;

    if (is_snugmalloc())
        return 1;
    sscanf(gnu_get_libc_version(), "%d.%d", &have_major, &have_minor);
    return have_major > major || (have_major == major && have_minor >= minor);
}

static void fill(unsigned char *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        block[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

static int holds(const unsigned char *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] != (unsigned char)(seed + i * 7 + (i >> 8)))
            return 0;
    return 1;
}

static int is_zero(const unsigned char *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (block[i])
            return 0;
    return 1;
}

static int is_aligned(const void *pointer, size_t alignment)
{
    return pointer && (uintptr_t)pointer % alignment == 0;
}

/* NULL with ENOMEM. */
#define CHECK_REFUSED(call) \
    do { \
        errno = 0; \
        CHECK((call) == NULL); \
        CHECK(errno == ENOMEM); \
    } while (0)

/* ---- malloc and free ---- */

static void blocks_are_aligned_usable_and_apart(void)
{
    unsigned char *blocks[SIZES];

    for (int i = 0; i < SIZES; i++) {
        blocks[i] = malloc(opaque(sizes[i]));
        MUST(blocks[i]);
        CHECK(is_aligned(blocks[i], sizes[i] >= 16 ? 16 : 8));
        CHECK(malloc_usable_size(blocks[i]) >= sizes[i]);
        fill(blocks[i], malloc_usable_size(blocks[i]), i);
    }
    for (int i = 0; i < SIZES; i++)
        CHECK(holds(blocks[i], malloc_usable_size(blocks[i]), i));
    for (int i = 0; i < SIZES; i++)
        free(blocks[i]);
}

static void every_small_size_is_usable_and_apart(void)
{
    enum { MOST = 2100 };
    static unsigned char *blocks[MOST];

    for (size_t size = 0; size < MOST; size++) {
        blocks[size] = malloc(opaque(size));
        MUST(blocks[size]);
        CHECK(is_aligned(blocks[size], size >= 16 ? 16 : 8));
        fill(blocks[size], size, size);
    }
    for (size_t size = 0; size < MOST; size++) {
        CHECK(holds(blocks[size], size, size));
        free(blocks[size]);
    }
}

static void malloc_of_nothing_gives_a_pointer_of_its_own(void)
{
    void *first = malloc(opaque((size_t)0)), *second = malloc(opaque((size_t)0));

    CHECK(first && second && first != second);
    free(first);
    free(second);
}

static void too_large_requests_are_refused(void)
{
    CHECK_REFUSED(malloc(opaque(BEYOND)));
    CHECK_REFUSED(malloc(opaque((size_t)PTRDIFF_MAX)));
    CHECK_REFUSED(malloc(opaque(SIZE_MAX)));
    for (size_t less = 0; less < 5000; less += 8)
        CHECK(malloc(opaque(SIZE_MAX - less)) == NULL);
    CHECK_REFUSED(calloc(1, opaque(SIZE_MAX)));
    CHECK_REFUSED(valloc(opaque(SIZE_MAX)));
    CHECK_REFUSED(valloc(opaque(SIZE_MAX - 4096)));
    CHECK_REFUSED(pvalloc(opaque(SIZE_MAX)));
    CHECK_REFUSED(pvalloc(opaque(SIZE_MAX - 4096)));
    CHECK_REFUSED(memalign(64, opaque(SIZE_MAX)));
    CHECK_REFUSED(memalign(64, opaque(SIZE_MAX - 64)));
    CHECK_REFUSED(memalign(64, opaque((size_t)PTRDIFF_MAX)));
    CHECK_REFUSED(memalign((size_t)1 << 62, 1));
    CHECK_REFUSED(aligned_alloc(64, opaque(SIZE_MAX - 63)));
}

static void free_keeps_errno(void)
{
    if (!keeps_since(2, 33))
        return;
    for (int i = 0; i < SIZES; i++) {
        void *block = malloc(sizes[i]);

        errno = 1234;
        free(block);
        CHECK(errno == 1234);
    }
    errno = 1234;
    free(NULL);
    CHECK(errno == 1234);
}

static void the_other_frees_free(void)
{
    for (int i = 0; i < SIZES; i++) {
        if (cfree)
            cfree(malloc(sizes[i]));
        if (free_sized)
            free_sized(malloc(sizes[i]), sizes[i]);
        if (free_aligned_sized)
            free_aligned_sized(aligned_alloc(64, sizes[i]), 64, sizes[i]);
    }
    if (free_sized)
        free_sized(NULL, 10);
    if (free_aligned_sized)
        free_aligned_sized(NULL, 16, 16);
}

/* ---- calloc ---- */

static void calloc_gives_zeros_where_there_was_something(void)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SIZES; i++) {
            unsigned char *dirty = malloc(sizes[i]);

            MUST(dirty);
            memset(dirty, 0xA5, malloc_usable_size(dirty));
            free(dirty);
            unsigned char *clean = calloc(1, sizes[i]);
            MUST(clean);
            CHECK(is_zero(clean, sizes[i]));
            CHECK(is_aligned(clean, sizes[i] >= 16 ? 16 : 8));
            memset(clean, 0x5A, sizes[i]);
            free(clean);
        }
    }
}

static void calloc_refuses_products_that_overflow(void)
{
    CHECK_REFUSED(calloc(opaque(SIZE_MAX), 2));
    CHECK_REFUSED(calloc(2, opaque(SIZE_MAX)));
    CHECK_REFUSED(calloc(opaque((size_t)1 << 32), (size_t)1 << 32));
    CHECK_REFUSED(calloc(opaque(((size_t)1 << 32) + 1), (size_t)1 << 32));
    CHECK_REFUSED(calloc(opaque(SIZE_MAX / 16 + 1), 16));
    CHECK_REFUSED(calloc(opaque(BEYOND / 8), 8));
}

static void calloc_of_nothing_gives_a_pointer_of_its_own(void)
{
    void *first = calloc(opaque((size_t)0), 8), *second = calloc(8, opaque((size_t)0));

    CHECK(first && second && first != second);
    free(first);
    free(second);
}

/* ---- realloc ---- */

static void realloc_keeps_what_fits(void)
{
    for (int from = 0; from < SIZES; from++)
        for (int to = 0; to < SIZES; to++) {
            size_t smaller = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            unsigned char *block = malloc(sizes[from]);

            MUST(block);
            fill(block, sizes[from], from);
            block = realloc(block, opaque(sizes[to]));
            MUST(block);
            CHECK(holds(block, smaller, from));
            CHECK(malloc_usable_size(block) >= sizes[to]);
            CHECK(is_aligned(block, sizes[to] >= 16 ? 16 : 8));
            free(block);
        }
}

static void realloc_step_by_step_keeps_all(void)
{
    unsigned char *block = NULL, *neighbours[64];
    size_t size = 0;

    for (int step = 0; step < 64; step++) {
        size_t larger = size + size / 4 + 13;

        block = realloc(block, larger);
        MUST(block);
        CHECK(holds(block, size, 99));
        fill(block, larger, 99);
        size = larger;
        neighbours[step] = malloc(24);
    }
    while (size > 100) {
        size = size * 2 / 3;
        block = realloc(block, size);
        MUST(block);
        CHECK(holds(block, size, 99));
    }
    for (int step = 0; step < 64; step++)
        free(neighbours[step]);
    free(block);
}

static void realloc_from_null_and_to_nothing(void)
{
    unsigned char *block = realloc(NULL, opaque((size_t)100));

    CHECK(is_aligned(block, 16));
    errno = 0;
    CHECK(realloc(block, opaque((size_t)0)) == NULL);
    CHECK(errno == 0);
    block = realloc(NULL, opaque((size_t)0));
    CHECK(block != NULL);
    free(block);
}

static void realloc_within_the_usable_size_does_not_move(void)
{
    for (int i = 0; i < SIZES; i++) {
        if (!is_snugmalloc() && sizes[i] > 100000) /* glibc moves blocks in mappings of their own */
            break;
        unsigned char *block = malloc(sizes[i]);

        MUST(block);
        uintptr_t before = (uintptr_t)block;
        block = realloc(block, malloc_usable_size(block));
        CHECK((uintptr_t)block == before);
        free(block);
    }
}

static void a_refused_realloc_leaves_the_block(void)
{
    for (int i = 0; i < SIZES; i++) {
        unsigned char *block = malloc(sizes[i]);

        MUST(block);
        fill(block, sizes[i], i);
        CHECK_REFUSED(realloc(block, opaque(BEYOND)));
        CHECK_REFUSED(realloc(block, opaque(SIZE_MAX)));
        CHECK_REFUSED(realloc(block, opaque((size_t)PTRDIFF_MAX)));
        CHECK_REFUSED(reallocarray(block, opaque(SIZE_MAX / 2), 3));
        CHECK_REFUSED(reallocarray(block, opaque((size_t)1 << 33), (size_t)1 << 33));
        CHECK(holds(block, sizes[i], i));
        free(block);
    }
}

static void reallocarray_multiplies(void)
{
    unsigned char *block = reallocarray(NULL, 10, 100);

    MUST(block);
    CHECK(malloc_usable_size(block) >= 1000);
    fill(block, 1000, 3);
    block = reallocarray(block, 2000, 100);
    MUST(block);
    CHECK(malloc_usable_size(block) >= 200000);
    CHECK(holds(block, 1000, 3));
    free(block);
}

/* ---- The aligned ones ---- */

static void aligned_blocks_are_aligned_and_apart(void)
{
    for (size_t alignment = 8; alignment <= 4 * MIB; alignment *= 2) {
        unsigned char *blocks[3 * SIZES];

        for (int i = 0; i < SIZES; i++) {
            void *given = NULL;

            MUST(posix_memalign(&given, alignment, sizes[i]) == 0);
            blocks[3 * i] = given;
            blocks[3 * i + 1] = memalign(alignment, sizes[i]);
            blocks[3 * i + 2] = aligned_alloc(alignment, sizes[i]);
            for (int j = 3 * i; j < 3 * i + 3; j++) {
                MUST(blocks[j]);
                CHECK(is_aligned(blocks[j], alignment));
                CHECK(malloc_usable_size(blocks[j]) >= sizes[i]);
                fill(blocks[j], sizes[i], j);
            }
        }
        for (int j = 0; j < 3 * SIZES; j++) {
            CHECK(holds(blocks[j], sizes[j / 3], j));
            free(blocks[j]);
        }
    }
}

static void posix_memalign_answers_by_its_result(void)
{
    static const size_t wrong[] = {0, 1, 2, 3, 4, 7, 9, 12, 24, 48, 100, 4097, SIZE_MAX};
    void *untouched = &failed_checks, *given = untouched;

    errno = 1234;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(posix_memalign(&given, opaque(wrong[i]), 10) == EINVAL);
    CHECK(given == untouched && errno == 1234);
    CHECK(posix_memalign(&given, 64, opaque(SIZE_MAX)) == ENOMEM);
    CHECK(posix_memalign(&given, 64, opaque(BEYOND)) == ENOMEM);
    CHECK(posix_memalign(&given, 64, opaque((size_t)PTRDIFF_MAX)) == ENOMEM);
    CHECK(given == untouched);
    CHECK(errno == ENOMEM); /* POSIX leaves it open; glibc sets it, and programs read it */
    CHECK(posix_memalign(&given, 64, opaque((size_t)0)) == 0);
    CHECK(is_aligned(given, 64));
    free(given);
}

static void wrong_alignments_are_invalid(void)
{
    errno = 0;
    CHECK(memalign(opaque(SIZE_MAX), 10) == NULL);
    CHECK(errno == EINVAL);
    if (!keeps_since(2, 38))
        return;
    errno = 0;
    CHECK(aligned_alloc(opaque((size_t)24), 48) == NULL);
    CHECK(errno == EINVAL);
    errno = 0;
    CHECK(aligned_alloc(opaque((size_t)0), 48) == NULL);
    CHECK(errno == EINVAL);
}

static void valloc_and_pvalloc_give_pages(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (int i = 0; i < SIZES; i++) {
        unsigned char *one = valloc(sizes[i]), *other = pvalloc(sizes[i]);
        size_t whole = (sizes[i] + page - 1) / page * page;

        MUST(one && other);
        CHECK(is_aligned(one, page) && is_aligned(other, page));
        CHECK(malloc_usable_size(other) >= whole);
        fill(one, sizes[i], 1);
        fill(other, whole, 2);
        CHECK(holds(one, sizes[i], 1));
        free(one);
        free(other);
    }
}

static void aligned_blocks_can_be_resized(void)
{
    for (size_t alignment = 16; alignment <= 64 * KIB; alignment *= 4)
        for (int i = 0; i < SIZES; i++) {
            unsigned char *block = memalign(alignment, 3000);

            MUST(block);
            fill(block, 3000, i);
            block = realloc(block, opaque(sizes[i]));
            MUST(block);
            CHECK(holds(block, sizes[i] < 3000 ? sizes[i] : 3000, i));
            free(block);
        }
}

/* ---- What they report ---- */

static void nothing_has_no_usable_size(void)
{
    CHECK(malloc_usable_size(NULL) == 0);
}

static void trim_gives_memory_back_and_says_so(void)
{
    enum { COUNT = 20000, SIZE = 2000 };
    static void *blocks[COUNT];

    for (int i = 0; i < COUNT; i++) {
        MUST(blocks[i] = malloc(SIZE));
        memset(blocks[i], 1, SIZE);
    }
    void *last = malloc(SIZE); /* so that the break alone cannot do it */
    long full = resident_bytes();
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    int answer = malloc_trim(0);
    CHECK(answer == 0 || answer == 1);
    CHECK(resident_bytes() + COUNT / 10 * 9 * SIZE < full);
    if (is_snugmalloc()) /* glibc says 1 again */
        CHECK(malloc_trim(0) == 0);
    free(last);
}

static void parameters_are_taken(void)
{
    CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1);
    CHECK(mallopt(M_ARENA_MAX, 1) == 1);
    CHECK(mallopt((int)opaque((size_t)-12345), 1) == 1);
}

static void statistics_go_to_stderr(void)
{
    FILE *file = tmpfile();
    int kept = dup(2);
    off_t length;

    MUST(file && kept >= 0);
    fflush(stderr);
    dup2(fileno(file), 2);
    malloc_stats();
    fflush(stderr);
    dup2(kept, 2);
    length = lseek(fileno(file), 0, SEEK_END);
    CHECK(length > 20);
    close(kept);
    fclose(file);
}

#ifndef TWINS
static void mallinfo_follows_what_is_live(void)
{
    struct mallinfo2 before = mallinfo2(), after;
    void *blocks[100];

    for (int i = 0; i < 100; i++)
        MUST(blocks[i] = malloc(50000));
    void *large = malloc(opaque(3 * MIB));
    after = mallinfo2();
    CHECK(after.uordblks + after.hblkhd >= before.uordblks + before.hblkhd + 100 * 50000 + 3 * MIB);
    CHECK(after.arena + after.hblkhd >= after.uordblks);
    for (int i = 0; i < 100; i++)
        free(blocks[i]);
    free(large);
    after = mallinfo2();
    CHECK(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + 50000);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    CHECK(mallinfo().arena > 0);
#pragma GCC diagnostic pop
}

static void malloc_info_writes_xml(void)
{
    char text[1 << 16] = "";
    FILE *file = tmpfile();

    MUST(file);
    CHECK(malloc_info(0, file) == 0);
    rewind(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    CHECK(length > 20 && strncmp(text, "<malloc version=", 16) == 0);
    CHECK(length > 20 && strstr(text, "</malloc>"));
    CHECK(malloc_info(1, file) == EINVAL);
    fclose(file);
}
#endif

typedef struct {
    const char *name;
    void (*run)(void);
} Group;

#define GROUP(name) {#name, name}

static const Group groups[] = {
    GROUP(blocks_are_aligned_usable_and_apart),
    GROUP(every_small_size_is_usable_and_apart),
    GROUP(malloc_of_nothing_gives_a_pointer_of_its_own),
    GROUP(too_large_requests_are_refused),
    GROUP(free_keeps_errno),
    GROUP(the_other_frees_free),
    GROUP(calloc_gives_zeros_where_there_was_something),
    GROUP(calloc_refuses_products_that_overflow),
    GROUP(calloc_of_nothing_gives_a_pointer_of_its_own),
    GROUP(realloc_keeps_what_fits),
    GROUP(realloc_step_by_step_keeps_all),
    GROUP(realloc_from_null_and_to_nothing),
    GROUP(realloc_within_the_usable_size_does_not_move),
    GROUP(a_refused_realloc_leaves_the_block),
    GROUP(reallocarray_multiplies),
    GROUP(aligned_blocks_are_aligned_and_apart),
    GROUP(posix_memalign_answers_by_its_result),
    GROUP(wrong_alignments_are_invalid),
    GROUP(valloc_and_pvalloc_give_pages),
    GROUP(aligned_blocks_can_be_resized),
    GROUP(nothing_has_no_usable_size),
    GROUP(trim_gives_memory_back_and_says_so),
    GROUP(parameters_are_taken),
    GROUP(statistics_go_to_stderr),
#ifndef TWINS
    GROUP(mallinfo_follows_what_is_live),
    GROUP(malloc_info_writes_xml),
#endif
};

int main(int count, char **words)
{
    int known = 0;

    if (count == 2 && strcmp(words[1], "--list") == 0) {
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
            puts(groups[i].name);
        return 0;
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (count < 2 || strcmp(words[1], groups[i].name) == 0) {
            known = 1;
            groups[i].run();
        }
    MUST(known);
    return failed_checks != 0;
}
