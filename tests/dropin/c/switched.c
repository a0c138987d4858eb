/* A process that is off: switched STATE [NEXT_STATE].
 *
 * What comes from libc and what came from the heap before the environment was known go back where they belong, in any
 * thread, after a fork, by any function. With NEXT_STATE the program executes itself without SNUG_DISABLE, and must be
 * in that state then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "early.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo */

static size_t state_now(void)
{
    snug_stats_t stats;

    snug_stats(&stats, sizeof stats);
    MUST(stats.version == SNUG_STATS_VERSION);
    return stats.state;
}

static void expect_full(const unsigned char *block, int value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        MUST(block[i] == value);
}

/* Libc's block of 24 bytes has room for 24, the heap's for 32. */
static void expect_from_libc(void *block)
{
    MUST(block && malloc_usable_size(block) == 24 && snug_malloc_usable_size(block) == 24);
}

static void blocks_come_from_libc(void)
{
    void *aligned = NULL;
    struct mallinfo2 (*info)(void) = mallinfo2;
    size_t before = info().uordblks;
    void *large = malloc(5000);

    MUST(info().uordblks >= before + 5000 && (size_t)mallinfo().uordblks == info().uordblks);
    free(large);
    void *plain = malloc(24), *twin = snug_malloc(24), *cleared = calloc(3, 8), *resized = realloc(NULL, 24);
    expect_from_libc(plain);
    expect_from_libc(twin);
    expect_from_libc(cleared);
    expect_from_libc(resized);
    snug_free(plain);
    free(twin);
    free(cleared);
    snug_free(resized);
    for (size_t alignment = 32; alignment <= 1 << 20; alignment *= 2) {
        MUST(posix_memalign(&aligned, alignment, 24) == 0 && (uintptr_t)aligned % alignment == 0);
        memset(aligned, 1, 24);
        MUST((aligned = realloc(aligned, 5000)));
        expect_full(aligned, 1, 24);
        free(aligned);
        MUST((aligned = aligned_alloc(alignment, alignment)) && (uintptr_t)aligned % alignment == 0);
        memset(aligned, 2, alignment);
        snug_free(aligned);
    }
    MUST((aligned = valloc(100)) && (uintptr_t)aligned % (size_t)getpagesize() == 0);
    free(aligned);
    MUST((aligned = pvalloc(100)) && malloc_usable_size(aligned) >= (size_t)getpagesize());
    free(aligned);
    errno = 0;
    MUST(!malloc(PTRDIFF_MAX) && errno == ENOMEM);
    errno = 7;
    void *kept = malloc(24);
    free(kept);
    free(NULL);
    MUST(errno == 7);
}

/* calloc of every size that the heap would clear to a size class's end: nobody else's bytes are written. */
static void calloc_keeps_within_its_block(void)
{
    enum { COUNT = 600 };
    static unsigned char *blocks[COUNT];

    for (int i = 0; i < COUNT; i++) {
        MUST((blocks[i] = calloc(1, (size_t)i * 2)));
        expect_full(blocks[i], 0, (size_t)i * 2);
        memset(blocks[i], 0xFF, malloc_usable_size(blocks[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        expect_full(blocks[i], 0xFF, malloc_usable_size(blocks[i]));
        free(blocks[i]);
    }
}

static void *release(void *block)
{
    free(block);
    return NULL;
}

static void release_in_thread(void *block)
{
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, release, block) == 0 && pthread_join(thread, NULL) == 0);
}

static void release_in_child(void *block, size_t state)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        MUST(state_now() == state);
        free(block);
        expect_from_libc(malloc(24));
        release_in_thread(malloc(24));
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void early_blocks_stay_the_heaps(size_t state)
{
    for (int i = 0; i < EARLY_BLOCKS; i++) {
        size_t size = early_sizes[i];

        MUST(malloc_usable_size(early_blocks[i]) >= size);
        expect_full(early_blocks[i], i + 1, size);
        release_in_child(early_blocks[i], state);
        if (i % 3 == 0) {
            void *grown = realloc(early_blocks[i], 3 * size + 100);
            MUST(grown);
            expect_full(grown, i + 1, size);
            MUST((grown = realloc(grown, 24)));
            expect_full(grown, i + 1, size < 24 ? size : 24);
            free(grown);
        } else if (i % 3 == 1) {
            release_in_thread(early_blocks[i]);
        } else {
            free(early_blocks[i]);
        }
        MUST(snug_check() == SNUG_CHECK_OK);
    }
}

int main(int count, char **words)
{
    size_t state = (size_t)atol(words[1]);

    MUST(state_now() == state);
    if (state == SNUG_STATE_ON)
        return 0;
    MUST(early_state == SNUG_STATE_UNDECIDED);
    blocks_come_from_libc();
    calloc_keeps_within_its_block();
    early_blocks_stay_the_heaps(state);
    MUST(malloc_trim(0) == 0 || malloc_trim(0) == 0);
    snug_thread_idle();
    snug_background_step();
    MUST(state_now() == state && snug_check() == SNUG_CHECK_OK);
    if (count > 2) {
        unsetenv("SNUG_DISABLE");
        execl("/proc/self/exe", words[0], words[2], NULL);
        return 1;
    }
    return 0;
}
