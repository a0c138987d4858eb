/* Private heaps where the system refuses memory: heap_refusals CASE SEED.
 *
 * CASE says how: `calls` some or all calls fail, `addresses` under RLIMIT_AS, `data` under RLIMIT_DATA. Blocks and heaps
 * are made, resized and destroyed meanwhile; NULL is an answer only while memory is refused, nothing that was had is lost,
 * and afterwards all is served again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "resident.h"

#include "refusals.h"
#include "snugmalloc.h"

enum { HEAPS = 8, BLOCKS = 200, TURNS = 60, STEPS = 400 };

typedef struct {
    snug_heap_t *heap;
    unsigned char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
} Made;

static Made made[HEAPS];
static uint64_t state;
static long refused;

static size_t below(size_t most)
{
    state += 0x9E3779B97F4A7C15u;
    return (size_t)((mixed(state) >> 32) * most >> 32);
}

static size_t some_size(void)
{
    size_t kind = below(100);

    return below(kind < 60 ? 2000 : kind < 90 ? 100000 : kind < 98 ? 3 * MIB : 40 * MIB) + 1;
}

/* NULL only while anything is refused, with ENOMEM. */
static int is_served(const void *block, int is_refusing)
{
    if (block)
        return 1;
    MUST(errno == ENOMEM && is_refusing);
    refused++;
    return 0;
}

static void keep(Made *of, size_t at, void *block, size_t size)
{
    of->blocks[at] = block;
    of->sizes[at] = size;
    MUST(malloc_usable_size(block) >= size);
    of->blocks[at][0] = of->blocks[at][size - 1] = (unsigned char)at;
}

static void check_kept(const Made *of, size_t at)
{
    MUST(of->blocks[at][0] == (unsigned char)at && of->blocks[at][of->sizes[at] - 1] == (unsigned char)at);
}

static void resize(Made *of, size_t at, size_t size, int is_refusing)
{
    check_kept(of, at);
    unsigned char *moved =
        below(2) ? snug_heap_realloc(of->heap, of->blocks[at], size) : realloc(of->blocks[at], size);
    if (is_served(moved, is_refusing)) {
        MUST(moved[0] == (unsigned char)at);
        keep(of, at, moved, size);
    } else {
        check_kept(of, at);
    }
}

static void make(Made *of, size_t at, size_t size, int is_refusing)
{
    size_t how = below(3);
    unsigned char *block = how == 0   ? snug_heap_calloc(of->heap, 1, size)
                           : how == 1 ? snug_heap_aligned(of->heap, (size_t)16 << below(14), size)
                                      : snug_heap_malloc(of->heap, size);

    if (is_served(block, is_refusing)) {
        MUST(how != 0 || (block[0] == 0 && block[size / 2] == 0 && block[size - 1] == 0));
        keep(of, at, block, size);
    }
}

static void destroy(Made *of)
{
    MUST(snug_heap_check(of->heap) == 0);
    snug_heap_destroy(of->heap);
    memset(of, 0, sizeof *of);
}

static void step(int is_refusing)
{
    Made *of = &made[below(HEAPS)];
    size_t at = below(BLOCKS);

    errno = 0;
    if (!of->heap) {
        snug_heap_t *heap = snug_heap_create(below(2) ? 0 : 1024 * MIB, "refused now and then");
        if (is_served(heap, is_refusing))
            of->heap = heap;
    } else if (below(200) == 0) {
        destroy(of);
    } else if (below(100) == 0) {
        snug_heap_trim(of->heap);
    } else if (!of->blocks[at]) {
        make(of, at, some_size(), is_refusing);
    } else if (below(3) == 0) {
        resize(of, at, some_size(), is_refusing);
    } else {
        check_kept(of, at);
        snug_heap_free(of->heap, of->blocks[at]);
        of->blocks[at] = NULL;
    }
}

static void refuse_some(const char *how)
{
    if (strcmp(how, "calls") == 0)
        refuse(CALLS_REFUSED, below(2) ? 256 : 1 + below(128));
    else
        refuse(strcmp(how, "data") == 0 ? DATA_LIMITED : ADDRESSES_LIMITED, below(8 * MIB));
}

int main(int count, char **words)
{
    MUST(count == 3);
    state = strtoull(words[2], NULL, 10);
    refusal_seed = mixed(state);
    for (int turn = 0; turn < TURNS; turn++) {
        int is_refusing = turn % 2;

        if (is_refusing)
            refuse_some(words[1]);
        for (int i = 0; i < STEPS; i++)
            step(is_refusing);
        refuse(NOTHING_REFUSED, 0);
        for (int i = 0; i < HEAPS; i++)
            MUST(!made[i].heap || snug_heap_check(made[i].heap) == 0);
    }
    for (int i = 0; i < HEAPS; i++)
        if (made[i].heap)
            destroy(&made[i]);
    MUST(snug_check() == 0);
    MUST(refused > 0);
    return failed_checks != 0;
}
