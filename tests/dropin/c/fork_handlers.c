/* Handlers of pthread_atfork that allocate, and are registered before the program's first allocation: malloc's own
 * come after them, so they run while it already holds its lock.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "check.h"

enum { FORKS = 50, BLOCKS = 300 };

static atomic_int stop;
static int calls;

static void use_the_heap(void)
{
    void *blocks[BLOCKS];

    for (int i = 0; i < BLOCKS; i++)
        MUST((blocks[i] = malloc(opaque(i % 2 ? 5000 : 50))) != NULL);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    calls++;
}

static void *allocate(void *unused)
{
    (void)unused;
    while (!stop)
        free(malloc(opaque(5000)));
    return NULL;
}

int main(void)
{
    pthread_t thread;

    MUST(pthread_atfork(use_the_heap, use_the_heap, use_the_heap) == 0);
    alarm(300);
    MUST(pthread_create(&thread, NULL, allocate, NULL) == 0);
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            use_the_heap();
            _exit(failed_checks != 0);
        }
        MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    CHECK(calls == 2 * FORKS);
    stop = 1;
    pthread_join(thread, NULL);
    return failed_checks != 0;
}
