/* Blocks are allocated, written and freed, and the program goes on: what is resident of them is told.
 *
 *     given_back WAY SIZE TOTAL [KEPT]       SIZE in KiB; TOTAL in MiB, of which KEPT stay in use
 *
 * WAY is where the blocks come from: malloc, calloc, realloc (step by step), aligned; or malloc in another thread,
 * which frees them too (thread), or leaves that to the first (across); or all of it in a forked child (child), or all of
 * it for the fourth time (again).
 * Printed are, in KiB beyond the start: full, what was resident before they were freed; freed, right after, without
 * any further call; later, after a second of small work.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/wait.h>

#include "resident.h"

enum { MOST = 1 << 16 };

static char *blocks[MOST];
static const char *way;
static size_t size;
static int count, kept;
static long full; /* resident bytes before most of the blocks are freed */

static int is(const char *name)
{
    return strcmp(way, name) == 0;
}

static char *make(void)
{
    if (is("calloc"))
        return calloc(1, size);
    if (is("aligned"))
        return aligned_alloc(64 * KIB, size);
    if (!is("realloc"))
        return malloc(size);
    char *block = NULL;
    for (size_t part = 1; part <= 4; part++)
        MUST(block = realloc(block, size / 4 * part));
    return block;
}

static void *make_all(void *unused)
{
    for (int i = 0; i < count; i++) {
        if (blocks[i])
            continue;
        MUST(blocks[i] = make());
        memset(blocks[i], 1, size / 4 * 4);
    }
    return unused;
}

/* All but every so-manieth, so that what stays is scattered. */
static void *free_most(void *unused)
{
    int each = kept ? count / kept : count + 1;

    for (int i = 0; i < count; i++)
        if (i % each != each - 1) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    return unused;
}

static void *both(void *unused)
{
    make_all(NULL);
    full = resident_bytes();
    return free_most(unused);
}

static void in_thread(void *(*work)(void *))
{
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, work, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void run(void)
{
    long start = resident_bytes(), freed, later;

    for (int turn = 0; is("again") && turn < 3; turn++) {
        both(NULL);
        small_work(200);
    }
    if (is("thread")) {
        in_thread(both);
    } else if (is("across")) {
        in_thread(make_all);
        full = resident_bytes();
        free_most(NULL);
    } else {
        both(NULL);
    }
    freed = resident_bytes() - start;
    small_work(1000);
    later = resident_bytes() - start;
    printf("full %ld\nfreed %ld\nlater %ld\n", in_kib(full - start), in_kib(freed), in_kib(later));
    fflush(stdout);
}

static void run_in_child(void)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        run();
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

int main(int words_count, char **words)
{
    MUST(words_count >= 4);
    way = words[1];
    size = (size_t)atol(words[2]) * KIB;
    count = (int)((size_t)atol(words[3]) * MIB / size);
    kept = words_count > 4 ? (int)((size_t)atol(words[4]) * MIB / size) : 0;
    MUST(count <= MOST);
    free(malloc(1));
    if (is("child"))
        run_in_child();
    else
        run();
    return 0;
}
