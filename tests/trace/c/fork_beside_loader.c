/* Forks while another thread, the stack of which is being recorded, is in the dynamic loader's list of modules: a child
 * gets the lock of that list as it stands. Each child looks at the list itself, and allocates. Most must not hang: a fork
 * waits for the other thread, though not for ever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 8, PATIENCE_SECONDS = 20 };

#define FAR __attribute__((noinline, noipa))
#define PLACE(number) \
    static FAR void place_##number(void) { \
        void *volatile block = malloc(1000 + number); \
        free(block); \
    }
PLACE(0) PLACE(1) PLACE(2) PLACE(3) PLACE(4) PLACE(5) PLACE(6) PLACE(7) PLACE(8)
static void (*const places[])(void) = {place_0, place_1, place_2, place_3, place_4, place_5, place_6, place_7, place_8};

typedef int (*Visit)(struct dl_phdr_info *, size_t, void *);
typedef struct {
    Visit visit;
    void *argument;
} Visitor;

static int (*next)(Visit, void *);
static atomic_bool is_within, may_begin;
static _Thread_local bool is_slow;

static int visit_slowly(struct dl_phdr_info *module, size_t size, void *of) {
    Visitor *visitor = of;
    if (is_slow) {
        is_slow = false;
        is_within = true;
        usleep(8000);
    }
    return visitor->visit(module, size, visitor->argument);
}

/* Comes before the loader's own, also for the recording. */
int dl_iterate_phdr(Visit visit, void *argument) {
    Visitor visitor = {visit, argument};
    return next(visit_slowly, &visitor);
}

static int count_module(struct dl_phdr_info *module, size_t size, void *count) {
    (void)module, (void)size;
    ++*(int *)count;
    return 0;
}

static void *look_at_modules(void *unused) {
    for (int at = 0; at < FORKS; at++) {
        while (!atomic_exchange(&may_begin, false)) {}
        is_slow = true;
        places[at]();
    }
    return unused;
}

int main(void) {
    pthread_t thread;
    pid_t children[FORKS];
    int count = 0, hung = 0, status;
    next = (int (*)(Visit, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    places[FORKS]();
    pthread_create(&thread, NULL, look_at_modules, NULL);
    for (int at = 0; at < FORKS; at++) {
        may_begin = true;
        while (!atomic_exchange(&is_within, false)) {}
        children[at] = fork();
        if (children[at] == 0) {
            alarm(PATIENCE_SECONDS);
            dl_iterate_phdr(count_module, &count);
            places[FORKS]();
            _exit(count == 0);
        }
    }
    pthread_join(thread, NULL);
    for (int at = 0; at < FORKS; at++) {
        if (waitpid(children[at], &status, 0) != children[at]) return 1;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) hung++;
        else if (status != 0) return 1;
    }
    return hung > FORKS / 2;
}
