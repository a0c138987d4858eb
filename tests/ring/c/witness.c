/* Makes random calls in several threads, and notes each in a file that is mapped and shared, so that it is known
   afterwards which calls were the last, however the program ended. A call is noted when it has returned.

       witness FILE THREADS MODE   MODE: forever, signals, trim, fork, short, count=CALLS

   With `signals` a handler interrupts the one thread again and again, and forks a child that goes on where the thread was,
   and notes nothing in the file; each is told on standard output. With `trim` each thread gives back thousands of ranges
   of memory at once. With `fork` children allocate all the time as well, and note nothing. With `short` each thread makes
   a hundred calls, and then another one takes its place. With `count=` the program ends by exit after so many calls of
   each, a multiple of 1,000; none gets ahead of the others, whose last calls would be pushed out.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MALLOC = 1, CALLOC, REALLOC, ALIGNED, FREE };
enum { NOTES = 1 << 15, MOST_THREADS = 256, PLACES = 64, SHORT = 100, TRIMMED = 2000, BLOCK = 20000, BETWEEN = 500, TOGETHER = 1000 };

typedef struct {
    uint64_t operation, size, number, old, address;
} Call;

typedef struct {
    uint64_t thread;
    _Atomic uint64_t count;
    Call calls[NOTES];
} Notes;

typedef struct {
    Notes *notes;
    uint64_t state, wanted;
    void *places[PLACES];
} Worker;

static Worker workers[MOST_THREADS];
static pthread_barrier_t all_are_there;

static uint64_t draw(Worker *worker) {
    worker->state = worker->state * 6364136223846793005u + 1442695040888963407u;
    return worker->state >> 33;
}

static void note(Worker *worker, Call call) {
    uint64_t count = atomic_load_explicit(&worker->notes->count, memory_order_relaxed);
    worker->notes->calls[count % NOTES] = call;
    atomic_store(&worker->notes->count, count + 1);
}

static void step(Worker *worker) {
    void **place = &worker->places[draw(worker) % PLACES];
    size_t most = draw(worker) % 50 ? 2000 : 200000, size = 1 + draw(worker) % most;
    uint64_t old = (uint64_t)(uintptr_t)*place;
    if (*place && draw(worker) % 3) {
        free(*place);
        *place = NULL;
        note(worker, (Call){FREE, 0, 0, old, 0});
    } else if (*place) {
        *place = realloc(*place, size);
        note(worker, (Call){REALLOC, size, 0, old, (uintptr_t)*place});
    } else if (draw(worker) % 8 == 0) {
        *place = calloc(3, size);
        note(worker, (Call){CALLOC, 3 * size, 3, 0, (uintptr_t)*place});
    } else if (draw(worker) % 8 == 0) {
        *place = aligned_alloc(64, size);
        note(worker, (Call){ALIGNED, size, 64, 0, (uintptr_t)*place});
    } else {
        *place = malloc(size);
        note(worker, (Call){MALLOC, size, 0, 0, (uintptr_t)*place});
    }
}

static void *work(void *of) {
    Worker *worker = of;
    worker->notes->thread = (uint64_t)syscall(SYS_gettid);
    while (worker->wanted == 0 || worker->notes->count < worker->wanted) {
        step(worker);
        if (worker->wanted && worker->notes->count % TOGETHER == 0) pthread_barrier_wait(&all_are_there);
    }
    return NULL;
}

static void *work_and_trim(void *of) {
    static __thread void *blocks[TRIMMED];
    Worker *worker = of;
    worker->notes->thread = (uint64_t)syscall(SYS_gettid);
    for (;;) {
        for (int i = 0; i < TRIMMED; i++) {
            blocks[i] = malloc(BLOCK);
            note(worker, (Call){MALLOC, BLOCK, 0, 0, (uintptr_t)blocks[i]});
            memset(blocks[i], 1, BLOCK);
        }
        for (int first = 0; first < 2; first++) {
            for (int i = first; i < TRIMMED; i += 2) {
                uint64_t old = (uintptr_t)blocks[i];
                free(blocks[i]);
                note(worker, (Call){FREE, 0, 0, old, 0});
            }
            malloc_trim(0);
        }
    }
    return NULL;
}

static void *work_briefly(void *of) {
    Worker *worker = of;
    worker->notes->count = 0; /* of the thread before, should the process be killed here */
    worker->notes->thread = (uint64_t)syscall(SYS_gettid);
    for (int i = 0; i < SHORT; i++) step(worker);
    return NULL;
}

static Notes *all_notes;
static size_t notes_length;

static void tell(void) {
    if (write(1, "forked\n", 7) != 7) _exit(1);
}

static void fork_here(int signal_number) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    pid_t child = fork();
    if (child == 0) {
        if (mmap(all_notes, notes_length, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) _exit(1);
        signal(signal_number, SIG_IGN);
        signal(SIGALRM, SIG_DFL);
        ualarm(3000, 0); /* which ends it */
    } else {
        waitpid(child, NULL, 0);
        tell();
    }
}

static void interrupt(pthread_t thread) {
    signal(SIGUSR1, fork_here);
    for (uint64_t next = BETWEEN;; next = all_notes->count + BETWEEN) {
        while (all_notes->count < next) usleep(1000); /* or a slow machine would do nothing but fork */
        pthread_kill(thread, SIGUSR1);
        usleep(1000);
    }
}

static void work_in_children(void) {
    static Notes nothing;
    for (;;) {
        pid_t child = fork();
        if (child == 0) {
            Worker own = {.notes = &nothing, .state = (uint64_t)getpid()};
            for (int i = 0; i < 2000; i++) step(&own);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        tell();
    }
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    int threads = atoi(arguments[2]);
    const char *mode = arguments[3];
    pthread_t ids[MOST_THREADS];
    size_t length = sizeof(Notes) * (size_t)threads;
    int file = open(arguments[1], O_RDWR | O_CREAT, 0600);
    if (ftruncate(file, (off_t)length)) return 1;
    Notes *notes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    all_notes = notes;
    notes_length = length;
    pthread_barrier_init(&all_are_there, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        workers[i] = (Worker){.notes = &notes[i], .state = 1000 + (uint64_t)i};
        if (strncmp(mode, "count=", 6) == 0) workers[i].wanted = strtoul(mode + 6, NULL, 10);
    }
    if (strcmp(mode, "short") == 0)
        for (;;) {
            for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work_briefly, &workers[i]);
            for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
        }
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, strcmp(mode, "trim") ? work : work_and_trim, &workers[i])) return 1;
    if (strcmp(mode, "fork") == 0) work_in_children();
    if (strcmp(mode, "signals") == 0) interrupt(ids[0]);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    return 0;
}
