/* What the heap has free does not stand in the way of the program's own mappings: own_mappings SIZE TOTAL NEED [WAY].
 *
 * Under RLIMIT_DATA of TOTAL and a quarter, TOTAL MiB in blocks of SIZE KiB are written and freed; then the program
 * maps NEED MiB itself. WAY is how it goes on instead: `mapped` for nothing else, `child` (a forked child needs them),
 * `last` (a small block that was allocated last lives), `thread` (blocks of a thread that has ended).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "resident.h"

static size_t size, total;
static int with_last;
static void *volatile last;

static void *use_and_free(void *unused)
{
    enum { MOST = 1 << 16 };
    static char *blocks[MOST];
    size_t count = total / size;

    MUST(count <= MOST);
    for (size_t i = 0; i < count; i++) {
        MUST(blocks[i] = malloc(size));
        memset(blocks[i], 1, size);
    }
    last = with_last ? malloc(24) : NULL;
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    return unused;
}

static void map_own(size_t need)
{
    char *own = mmap(NULL, need, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    MUST(own != MAP_FAILED);
    memset(own, 1, need);
}

static void map_in_child(size_t need)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        map_own(need);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

int main(int words_count, char **words)
{
    MUST(words_count >= 4);
    size = (size_t)atol(words[1]) * KIB;
    total = (size_t)atol(words[2]) * MIB;
    size_t need = (size_t)atol(words[3]) * MIB;
    const char *way = words_count > 4 ? words[4] : "mapped";
    struct rlimit limit = {total + total / 4, total + total / 4};

    MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
    with_last = strcmp(way, "last") == 0;
    if (strcmp(way, "thread") == 0) {
        pthread_t thread;

        MUST(pthread_create(&thread, NULL, use_and_free, NULL) == 0 && pthread_join(thread, NULL) == 0);
    } else {
        use_and_free(NULL);
    }
    if (strcmp(way, "child") == 0)
        map_in_child(need);
    else
        map_own(need);
    return 0;
}
