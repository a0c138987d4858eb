/* Makes random calls in several threads, which free each other's blocks, and prints each that it made:

       THREAD OPERATION SIZE NUMBER OLD ADDRESS

   with the numbers of docs/trace-format.md. Nothing else allocates between a thread's first line and its last.

   calls THREADS CALLS SEED [MODE]   MODE: exit, _exit, quick_exit, forever, fork, fork_exit, raw_fork, vfork,
                                    vfork_exec, close, again, running
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MALLOC = 1, CALLOC, REALLOC, ALIGNED, FREE, REFUSED = 0x80 };
enum { PLACES = 256, MOST_THREADS = 16, MOST_CALLS = 200000 };

typedef struct {
    unsigned operation;
    size_t size, number;
    uintptr_t old, address;
} Call;

typedef struct {
    long thread;
    size_t count, wanted;
    uint64_t state;
    int forever;
    Call calls[MOST_CALLS];
} Worker;

static Worker workers[MOST_THREADS];
static _Atomic(void *) places[PLACES];

static uint64_t draw(Worker *worker) {
    worker->state = worker->state * 6364136223846793005u + 1442695040888963407u;
    return worker->state >> 33;
}

static size_t some_size(Worker *worker) {
    static const size_t most[] = {100, 100, 1000, 1000, 20000, 200000};
    size_t limit = draw(worker) % 1000 == 0 ? (size_t)80 << 20 : most[draw(worker) % 6];
    return draw(worker) % limit;
}

static void *note(Worker *worker, unsigned operation, size_t size, size_t number, uintptr_t old, void *block) {
    if (worker->forever) worker->count = 0;
    int is_refused = !block && operation != FREE;
    Call call = {operation | (is_refused ? REFUSED : 0), size, number, old, (uintptr_t)block};
    worker->calls[worker->count++] = call;
    if (block && size) memset(block, 1, size < 64 ? size : 64);
    return block;
}

static void release(Worker *worker, void *block) {
    note(worker, FREE, 0, 0, (uintptr_t)block, NULL);
    free(block);
}

static void *allocate(Worker *worker) {
    size_t size = some_size(worker), alignment = (size_t)16 << draw(worker) % 9;
    void *block = NULL;
    switch (draw(worker) % 12) {
    case 0:
        return note(worker, CALLOC, size / 7 * 7, 7, 0, calloc(7, size / 7));
    case 1:
        return note(worker, REALLOC, size, 0, 0, realloc(NULL, size));
    case 2:
        return note(worker, ALIGNED, size, alignment, 0, aligned_alloc(alignment, size));
    case 3:
        errno = posix_memalign(&block, alignment, size);
        return note(worker, ALIGNED, size, alignment, 0, block);
    case 4:
        return note(worker, MALLOC, (size_t)1 << 62, 0, 0, malloc((size_t)1 << 62));
    case 5:
        return draw(worker) % 4 ? NULL : note(worker, CALLOC, SIZE_MAX, SIZE_MAX / 2, 0, calloc(SIZE_MAX / 2, 3));
    case 6:
        release(worker, NULL);
        /* fall through */
    default:
        return note(worker, MALLOC, size, 0, 0, malloc(size));
    }
}

static void *resize(Worker *worker, void *block) {
    size_t size = draw(worker) % 8 == 0 ? (size_t)1 << 62 : draw(worker) % 9 == 0 ? 0 : some_size(worker);
    uintptr_t old = (uintptr_t)block;
    void *moved = note(worker, REALLOC, size, 0, old, realloc(block, size));
    return moved || size == 0 ? moved : (void *)old;
}

static void *work(void *of) {
    Worker *worker = of;
    worker->thread = syscall(SYS_gettid);
    while (worker->count + 4 < worker->wanted) {
        _Atomic(void *) *place = &places[draw(worker) % PLACES];
        void *block = atomic_exchange(place, NULL);
        if (block && draw(worker) % 3 == 0)
            release(worker, block), block = NULL;
        else
            block = block ? resize(worker, block) : allocate(worker);
        if (block && (block = atomic_exchange(place, block)))
            release(worker, block);
    }
    return NULL;
}

static void print(int count) {
    static char text[200];
    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < workers[i].count; at++) {
            Call *call = &workers[i].calls[at];
            int length = snprintf(text, sizeof text, "%ld %u %zu %zu %zu %zu\n", workers[i].thread, call->operation,
                                  call->size, call->number, (size_t)call->old, (size_t)call->address);
            for (int done = 0; done < length;) done += (int)write(1, text + done, (size_t)(length - done));
        }
}

static void run(int threads, size_t calls, uint64_t seed, int forever) {
    pthread_t ids[MOST_THREADS];
    for (int i = 0; i < threads; i++) {
        workers[i].count = 0;
        workers[i].wanted = calls;
        workers[i].state = seed * 1000 + (uint64_t)i;
        workers[i].forever = forever;
        if (i && pthread_create(&ids[i], NULL, work, &workers[i])) abort();
    }
    if (threads > 1) pthread_setname_np(ids[1], "of a name");
    work(&workers[0]);
    for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
}

static void start_and_fail(void) {
    free(malloc(1));
    if (vfork() == 0) _exit(0);
}

/* In its parent's memory: what it allocates there is the parent's, and so are the rows of it. */
static void start_none(void) {
    char *const arguments[] = {"none", NULL};
    free(malloc(1));
    for (int at = 0; at < 20; at++)
        if (vfork() == 0) {
            for (int block = 0; block < 1000; block++) free(malloc(40));
            execv("/none/such", arguments);
            _exit(0);
        }
}

int main(int count, char **arguments) {
    int threads = atoi(arguments[1]);
    size_t calls = strtoul(arguments[2], NULL, 10);
    uint64_t seed = strtoul(arguments[3], NULL, 10);
    const char *mode = count > 4 ? arguments[4] : "exit";
    if (strcmp(mode, "close") == 0) {
        free(malloc(1)); /* there is a recording by now */
        for (int file = 3; file < 1024; file++) close(file);
        for (int file = 3; file < 1024; file++) dup2(1, file);
    }
    if (strcmp(mode, "vfork") == 0) start_and_fail();
    if (strcmp(mode, "vfork_exec") == 0) start_none();
    if (strcmp(mode, "running") == 0) {
        static pthread_t others[MOST_THREADS];
        for (int i = 1; i < threads; i++) {
            workers[i].wanted = calls;
            workers[i].state = (uint64_t)i;
            workers[i].forever = 1;
            pthread_create(&others[i], NULL, work, &workers[i]);
        }
        threads = 1;
    }
    run(threads, calls, seed, strcmp(mode, "forever") == 0);
    if (strcmp(mode, "raw_fork") == 0) {
        long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            workers[0].count = 0;
            work(&workers[0]);
            exit(0);
        }
        waitpid((pid_t)child, NULL, 0);
    }
    if (strncmp(mode, "fork", 4) == 0) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            run(threads, calls, seed + 1, 0);
            print(threads);
            if (strcmp(mode, "fork_exit") == 0) _exit(0);
            exit(0);
        }
        waitpid(child, NULL, 0);
        printf("child %d\n", (int)child);
        fflush(stdout);
    }
    print(threads);
    if (strcmp(mode, "again") == 0) {
        arguments[4] = "exit";
        execv("/proc/self/exe", arguments);
    }
    if (strcmp(mode, "_exit") == 0) _exit(0);
    if (strcmp(mode, "quick_exit") == 0) quick_exit(0);
    return 0;
}
