/* Private heaps keep their rules: heaps CASE [MIB]. Each case stands in `cases` at the end; MIB bounds the limits. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>

#include "resident.h"
#include "snugmalloc.h"

static const size_t SIZES[] = {0, 1, 15, 16, 24, 25, 100, 1000, 1024, 4096, 16384, 16385, 20000, 131064, 131072, 140000,
                               1000000, 5000000, 33554431, 33554432, 40000000};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES };
static size_t most_limit = 100 * MIB;

static int is_filled(const unsigned char *block, size_t size, int value)
{
    return size == 0 || (block[0] == value && memcmp(block, block + 1, size - 1) == 0);
}

/* Refused with ENOMEM, and `block` must be NULL. */
static int is_refused(const void *block)
{
    int code = errno;

    errno = 0;
    return !block && code == ENOMEM;
}

static snug_heap_t *new_heap(size_t limit)
{
    snug_heap_t *heap = snug_heap_create(limit, "of a test");

    MUST(heap);
    return heap;
}

static size_t figure_at(snug_heap_t *heap, size_t offset)
{
    snug_stats_t stats;

    snug_heap_stats(heap, &stats, sizeof stats);
    return *(size_t *)((char *)&stats + offset);
}

#define FIGURE(heap, name) figure_at(heap, offsetof(snug_stats_t, name))

static void sizes(void)
{
    snug_heap_t *heap = new_heap(0);
    unsigned char *blocks[SIZE_COUNT];

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        blocks[i] = snug_heap_malloc(heap, SIZES[i]);
        MUST(blocks[i]);
        CHECK((uintptr_t)blocks[i] % 16 == 0);
        CHECK(malloc_usable_size(blocks[i]) >= SIZES[i] && snug_malloc_usable_size(blocks[i]) >= SIZES[i]);
        memset(blocks[i], (int)i + 1, malloc_usable_size(blocks[i]));
    }
    CHECK(snug_heap_malloc(heap, 0) != snug_heap_malloc(heap, 0));
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        CHECK(is_filled(blocks[i], malloc_usable_size(blocks[i]), (int)i + 1));
        errno = 77;
        snug_heap_free(heap, blocks[i]);
        CHECK(errno == 77);
    }
    errno = 77;
    snug_heap_free(heap, NULL);
    CHECK(errno == 77 && FIGURE(heap, live_blocks) == 2 && snug_heap_check(heap) == 0);
    snug_heap_destroy(heap);
    snug_heap_destroy(NULL);
}

static void impossible(void)
{
    static const size_t much[] = {SIZE_MAX, SIZE_MAX - 15, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, PTRDIFF_MAX - 4096,
                                  (size_t)1 << 47, (size_t)1 << 50};
    snug_heap_t *heap = new_heap(0);
    void *block = snug_heap_malloc(heap, 100);

    errno = 0;
    for (size_t i = 0; i < sizeof much / sizeof *much; i++) {
        CHECK(is_refused(snug_heap_malloc(heap, opaque(much[i]))));
        CHECK(is_refused(snug_heap_calloc(heap, 1, opaque(much[i]))));
        CHECK(is_refused(snug_heap_realloc(heap, block, opaque(much[i]))));
        CHECK(is_refused(realloc(block, opaque(much[i]))));
        CHECK(is_refused(snug_heap_aligned(heap, 4096, opaque(much[i]))));
    }
    CHECK(is_refused(snug_heap_calloc(heap, SIZE_MAX, 2)));
    CHECK(is_refused(snug_heap_calloc(heap, (size_t)1 << 32, (size_t)1 << 32)));
    CHECK(is_refused(snug_heap_aligned(heap, (size_t)1 << 63, 1)));
    CHECK(is_refused(snug_heap_aligned(heap, (size_t)1 << 62, 1)));
    CHECK(!snug_heap_aligned(heap, 0, 100) && errno == EINVAL);
    errno = 0;
    CHECK(!snug_heap_aligned(heap, 48, 100) && errno == EINVAL);
    CHECK(FIGURE(heap, refused_requests) == 5 * sizeof much / sizeof *much + 4);
    snug_stats_t all;
    snug_stats(&all, sizeof all);
    CHECK(all.refused_requests == 0);
    CHECK(malloc_usable_size(block) >= 100 && snug_heap_check(heap) == 0);
    snug_heap_destroy(heap);
}

static void cleared(void)
{
    snug_heap_t *heap = new_heap(0);

    for (int turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < SIZE_COUNT; i++) {
            unsigned char *dirty = snug_heap_malloc(heap, SIZES[i]), *block;

            MUST(dirty);
            memset(dirty, 0xEB, malloc_usable_size(dirty));
            snug_heap_free(heap, dirty);
            block = snug_heap_calloc(heap, 1, SIZES[i]);
            MUST(block);
            CHECK(is_filled(block, malloc_usable_size(block), 0));
            memset(block, 0xEB, malloc_usable_size(block));
            if (turn == 1)
                free(block);
            else
                snug_heap_free(heap, block);
        }
    CHECK(FIGURE(heap, live_blocks) == 0 && snug_heap_check(heap) == 0);
    snug_heap_destroy(heap);
}

static void aligned(void)
{
    snug_heap_t *heap = new_heap(0);

    for (size_t alignment = 1; alignment <= 16 * MIB; alignment *= 2)
        for (size_t i = 0; i < SIZE_COUNT; i++) {
            char *block = snug_heap_aligned(heap, alignment, SIZES[i]), *moved;

            MUST(block);
            CHECK((uintptr_t)block % alignment == 0 && (uintptr_t)block % 16 == 0);
            CHECK(malloc_usable_size(block) >= SIZES[i]);
            memset(block, 1, malloc_usable_size(block));
            if (i % 3 == 0) {
                moved = snug_heap_realloc(heap, block, SIZES[i] + 1);
                MUST(moved);
                block = moved;
            }
            if (i % 2)
                free(block);
            else
                snug_heap_free(heap, block);
        }
    CHECK(FIGURE(heap, live_blocks) == 0 && snug_heap_check(heap) == 0);
    snug_heap_destroy(heap);
}

/* By either realloc: both know whose a block is. */
static void *resized(snug_heap_t *heap, void *block, size_t size, int which)
{
    return which ? realloc(block, size) : snug_heap_realloc(heap, block, size);
}

static void resizing(void)
{
    snug_heap_t *heap = new_heap(0), *other = new_heap(0);

    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < SIZE_COUNT; i++)
            for (size_t j = 0; j < SIZE_COUNT; j++) {
                unsigned char *block = snug_heap_malloc(heap, SIZES[i]), *moved;
                size_t before = malloc_usable_size(block), kept = SIZES[i] < SIZES[j] ? SIZES[i] : SIZES[j];

                MUST(block);
                memset(block, 0xAB, SIZES[i]);
                moved = resized(heap, block, SIZES[j], which);
                if (SIZES[j] == 0) {
                    CHECK(!moved);
                    continue;
                }
                MUST(moved);
                CHECK(SIZES[j] > before || moved == block);
                CHECK(is_filled(moved, kept, 0xAB) && malloc_usable_size(moved) >= SIZES[j]);
                memset(moved, 0xCD, malloc_usable_size(moved));
                snug_heap_free(heap, moved); /* it is still this heap's */
            }
    char *from_null = snug_heap_realloc(heap, NULL, 300);
    MUST(from_null);
    snug_heap_free(heap, from_null);
    from_null = snug_heap_realloc(heap, NULL, 0);
    MUST(from_null);
    CHECK(!snug_heap_realloc(heap, from_null, 0));
    CHECK(FIGURE(heap, live_blocks) == 0 && FIGURE(heap, live_bytes) == 0 && FIGURE(other, heap_bytes) == 0);
    CHECK(snug_heap_check(heap) == 0 && snug_heap_check(other) == 0);
    snug_heap_destroy(other);
    snug_heap_destroy(heap);
}

/* malloc, free and the figures of the process's heap do not notice, and the other way round. */
static void apart(void)
{
    snug_heap_t *heap = new_heap(0), *other = new_heap(0);
    snug_stats_t before, after;
    enum { COUNT = 2000 };
    static char *blocks[COUNT];

    snug_stats(&before, sizeof before);
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = snug_heap_malloc(i % 2 ? heap : other, (size_t)i * 7);
        MUST(blocks[i]);
    }
    CHECK(FIGURE(heap, live_blocks) == COUNT / 2 && FIGURE(other, live_blocks) == COUNT / 2);
    for (int i = 0; i < COUNT; i += 3)
        free(blocks[i]);
    for (int i = 1; i < COUNT; i += 3) {
        blocks[i] = realloc(blocks[i], (size_t)i * 9 + 1);
        MUST(blocks[i]);
    }
    snug_stats(&after, sizeof after);
    CHECK(after.live_blocks == before.live_blocks && after.live_bytes == before.live_bytes);
    CHECK(after.system_bytes == before.system_bytes && after.peak_live_bytes == before.peak_live_bytes);
    CHECK(after.malloc_calls == before.malloc_calls && after.free_calls == before.free_calls);
    CHECK(after.realloc_calls == before.realloc_calls && after.refused_requests == before.refused_requests);
    CHECK(FIGURE(heap, live_blocks) + FIGURE(other, live_blocks) == COUNT - (COUNT + 2) / 3);
    CHECK(snug_check() == 0 && snug_heap_check(heap) == 0 && snug_heap_check(other) == 0);
    snug_heap_destroy(heap);
    CHECK(snug_check() == 0 && snug_heap_check(other) == 0);
    snug_heap_destroy(other);
}

/* A limit is reached by blocks of any size; nothing is lost, and what was freed is had again, in any size. */
static void limited(void)
{
    static const size_t limits[] = {64 * KIB, MIB, 8 * MIB, 100 * MIB};
    static const size_t parts[] = {16, 100, 3000, 20000, 150000, 2000000, 40000000};
    enum { MOST = 1 << 20 };
    static char *blocks[MOST];

    for (size_t l = 0; l < sizeof limits / sizeof *limits && limits[l] <= most_limit; l++) {
        snug_heap_t *heap = new_heap(limits[l]);

        CHECK(FIGURE(heap, limit_bytes) == limits[l]);
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            size_t count = 0, again = 0, slack = parts[p] < 128 * KIB ? parts[p] / 4 + 16 : parts[p] + 64 * KIB;

            errno = 0;
            while (count < MOST && (blocks[count] = snug_heap_malloc(heap, parts[p]))) {
                blocks[count][0] = blocks[count][parts[p] - 1] = 'x';
                count++;
            }
            CHECK(count == MOST || errno == ENOMEM);
            CHECK(count == MOST || (count + 1) * (parts[p] + slack) >= limits[l] * 9 / 10);
            CHECK(FIGURE(heap, live_blocks) == count && FIGURE(heap, peak_system_bytes) <= limits[l]);
            CHECK(snug_heap_check(heap) == 0);
            for (size_t i = 0; i < count; i += 2)
                snug_heap_free(heap, blocks[i]);
            for (size_t i = 0; i < count; i += 2)
                again += (blocks[i] = snug_heap_malloc(heap, parts[p])) != NULL;
            CHECK(again == (count + 1) / 2);
            for (size_t i = 0; i < count; i++)
                free(blocks[i]);
            CHECK(FIGURE(heap, live_bytes) == 0);
        }
        void *whole = snug_heap_malloc(heap, limits[l] * 9 / 10 / 4096 * 4096 - 4096);
        CHECK(whole);
        snug_heap_destroy(heap);
    }
}

static int count_blocks(void *address, size_t size, int status, void *context)
{
    size_t *counts = context;

    (void)address;
    counts[status]++;
    counts[3] += status == SNUG_FREE ? 0 : size;
    return counts[4] && counts[4] == counts[0] + counts[1] + counts[2];
}

static void looked_at(void)
{
    snug_heap_t *heap = snug_heap_create(0, "a name that is longer than the 31 bytes that are kept"), *unnamed = new_heap(0);
    size_t counts[5] = {0};
    char *blocks[100];

    MUST(heap);
    CHECK(strcmp(snug_heap_name(heap), "a name that is longer than the ") == 0);
    CHECK(strcmp(snug_heap_name(unnamed), "of a test") == 0);
    CHECK(snug_heap_walk(unnamed, count_blocks, counts) == 0 && counts[0] + counts[1] + counts[2] == 0);
    for (int i = 0; i < 100; i++) {
        blocks[i] = snug_heap_malloc(heap, (size_t)i * 1000);
        MUST(blocks[i]);
        memset(blocks[i], 1, (size_t)i * 1000);
    }
    MUST(snug_heap_malloc(heap, 40 * MIB));
    for (int i = 0; i < 100; i += 2)
        snug_heap_free(heap, blocks[i]);
    CHECK(snug_heap_walk(heap, count_blocks, counts) == 0);
    CHECK(counts[SNUG_LIVE] == 50 && counts[SNUG_MAPPED] == 1 && counts[SNUG_FREE] >= 2);
    CHECK(counts[SNUG_FREE] == FIGURE(heap, free_blocks) && counts[3] == FIGURE(heap, live_bytes));
    memset(counts, 0, sizeof counts);
    counts[4] = 7;
    CHECK(snug_heap_walk(heap, count_blocks, counts) == 1 && counts[0] + counts[1] + counts[2] == 7);

    snug_stats_t stats, part = {.live_bytes = 7, .peak_live_bytes = 9};
    snug_heap_stats(heap, &stats, sizeof stats);
    snug_heap_stats(heap, &part, offsetof(snug_stats_t, peak_live_bytes));
    CHECK(part.live_bytes == stats.live_bytes && part.peak_live_bytes == 9);
    CHECK(stats.version == SNUG_STATS_VERSION && stats.state == SNUG_STATE_ON && stats.limit_bytes == 0);
    CHECK(stats.live_blocks == 51 && stats.mapped_blocks == 1 && stats.mapped_bytes == 40 * MIB);
    CHECK(stats.system_bytes == stats.heap_bytes + stats.mapped_bytes + stats.kept_bytes);
    CHECK(stats.live_bytes + stats.free_bytes == stats.heap_bytes + stats.mapped_bytes);
    CHECK(stats.peak_live_bytes >= stats.live_bytes && stats.peak_system_bytes >= stats.system_bytes);

    long before = resident_bytes();
    char *large = snug_heap_malloc(heap, 8 * MIB);
    MUST(large);
    memset(large, 1, 8 * MIB);
    char *fence = snug_heap_malloc(heap, 100);
    CHECK(fence && resident_bytes() - before >= (long)(7 * MIB));
    snug_heap_free(heap, large);
    CHECK(snug_heap_trim(heap) == 1 || resident_bytes() - before < (long)MIB);
    CHECK(resident_bytes() - before < (long)MIB);
    CHECK(snug_heap_trim(heap) == 0 && snug_heap_check(heap) == 0);
    snug_heap_destroy(unnamed);
    snug_heap_destroy(heap);
    unnamed = snug_heap_create(0, NULL);
    MUST(unnamed);
    CHECK(*snug_heap_name(unnamed) == 0);
    snug_heap_destroy(unnamed);
}

/* Everything goes back when a heap is destroyed: what is resident, mappings, addresses. */
static void given_back(void)
{
    enum { TURNS = 40 };
    long resident = 0, mappings = 0;

    for (int turn = 0; turn < TURNS; turn++) {
        snug_heap_t *heap = new_heap(turn % 2 ? 0 : 512 * MIB);

        for (size_t i = 0; i < 2000; i++) {
            char *block = snug_heap_malloc(heap, i * 13 % 60000);

            MUST(block);
            memset(block, 1, i * 13 % 60000);
            if (i % 3 == 0)
                snug_heap_free(heap, block);
        }
        for (int i = 0; i < 3; i++) {
            char *block = snug_heap_malloc(heap, 33 * MIB);

            MUST(block);
            memset(block, 1, MIB);
            if (i == 1)
                snug_heap_free(heap, block); /* a spare one */
        }
        snug_heap_destroy(heap);
        if (turn == TURNS / 4) {
            resident = resident_bytes();
            mappings = mapping_count();
        }
    }
    CHECK(resident_bytes() <= resident + (long)MIB); /* the kernel does not count to the page */
    CHECK(mapping_count() <= mappings + 2);
    char *last = malloc(40 * MIB), *more = malloc(100000); /* where heaps were */
    MUST(last && more);
    memset(last, 1, 40 * MIB);
    memset(more, 1, 100000);
    free(last);
    free(more);
    CHECK(snug_check() == 0);
}

/* What was dropped goes back by itself, and each heap looks after itself. */
static void dropped(void)
{
    snug_heap_t *heap = new_heap(0), *kept = new_heap(0);
    enum { COUNT = 6000 };
    static char *blocks[2][COUNT];
    long before = resident_bytes();

    for (int i = 0; i < COUNT; i++)
        for (int which = 0; which < 2; which++) {
            blocks[which][i] = snug_heap_malloc(which ? kept : heap, 5000);
            MUST(blocks[which][i]);
            memset(blocks[which][i], 1, 5000);
        }
    CHECK(resident_bytes() - before > 2 * COUNT * 4900l);
    for (int i = 0; i < COUNT; i++)
        snug_heap_free(heap, blocks[0][i]);
    CHECK(resident_bytes() - before < COUNT * 5000l + (long)(3 * MIB));
    CHECK(resident_bytes() - before > COUNT * 4900l);
    CHECK(FIGURE(heap, returned_bytes) > COUNT * 4000ul && FIGURE(kept, returned_bytes) == 0);
    for (int i = 0; i < COUNT; i++)
        CHECK(is_filled((unsigned char *)blocks[1][i], 5000, 1));
    snug_heap_destroy(kept);
    snug_heap_destroy(heap);
}

/* With SNUG_FILL=1. */
static void filled(void)
{
    static const size_t some[] = {40, 700, 20000, 300000, 40000000};
    snug_heap_t *heap = new_heap(0);

    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        unsigned char *fresh = snug_heap_malloc(heap, some[i]), *zero = snug_heap_calloc(heap, 1, some[i]);
        unsigned char *apart = snug_heap_aligned(heap, 256, some[i]);

        MUST(fresh && zero && apart);
        CHECK(is_filled(fresh, malloc_usable_size(fresh), 0xA5) && is_filled(apart, malloc_usable_size(apart), 0xA5));
        CHECK(is_filled(zero, malloc_usable_size(zero), 0));
        if (some[i] < 1000000 && some[i] > 100) {
            unsigned char *fence = snug_heap_malloc(heap, 10);

            snug_heap_free(heap, fresh);
            CHECK(fresh[some[i] / 2] == 0x5A);
            free(apart);
            CHECK(apart[some[i] / 2] == 0x5A);
            unsigned char *moved = snug_heap_realloc(heap, zero, some[i] * 3);
            MUST(moved);
            CHECK(moved == zero || zero[some[i] / 2] == 0x5A);
            CHECK(is_filled(moved, some[i], 0));
            snug_heap_free(heap, fence);
        }
    }
    CHECK(snug_heap_check(heap) == 0);
    snug_heap_destroy(heap);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"sizes", sizes},     {"impossible", impossible}, {"cleared", cleared},     {"aligned", aligned},
             {"resizing", resizing}, {"apart", apart},           {"limited", limited},     {"looked_at", looked_at},
             {"given_back", given_back}, {"dropped", dropped},   {"filled", filled}};

int main(int count, char **words)
{
    most_limit = count > 2 ? (size_t)atol(words[2]) * MIB : most_limit;
    for (size_t i = 0; count > 1 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(words[1], cases[i].name) == 0) {
            cases[i].run();
            return failed_checks != 0;
        }
    return 2;
}
