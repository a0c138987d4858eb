/* A handler of SIGABRT works as ever after a fault was told: after_abort FAULT WAY.
 *
 * FAULT is what is given to free: foreign, inside (of a block), twice (large), stack. WAY is how the handler goes on:
 * `allocates` (many sizes, and stdio) and ends the process, or `leaves` by siglongjmp and the program allocates; with
 * `thread-` in front, in a second thread. A hang is ended by the alarm.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

static sigjmp_buf back;
static const char *fault, *way;
static char *block, *large;

static void allocate(void)
{
    void *blocks[200];

    for (size_t i = 0; i < 200; i++)
        MUST(blocks[i] = calloc(1, i * i * 40));
    for (size_t i = 0; i < 200; i++)
        free(blocks[i]);
    large = realloc(large, 50000000);
    MUST(large);
    free(large);
}

static void on_abort(int signal)
{
    (void)signal;
    if (strstr(way, "leaves"))
        siglongjmp(back, 1);
    allocate();
    MUST(fopen("/dev/null", "w"));
    _exit(0);
}

static void do_wrong(void)
{
    int local = 0;

    if (strcmp(fault, "foreign") == 0)
        free((void *)(uintptr_t)0x123450);
    else if (strcmp(fault, "inside") == 0)
        free(block + 1);
    else if (strcmp(fault, "stack") == 0)
        free(&local);
    else {
        void *twice = malloc(40000000);

        free(twice);
        free(twice);
    }
}

static void *run(void *unused)
{
    if (sigsetjmp(back, 1) == 0) {
        do_wrong();
        MUST(0);
    }
    allocate();
    _exit(0);
    return unused;
}

static void *work(void *unused)
{
    for (;;)
        free(malloc(5000));
    return unused;
}

int main(int words_count, char **words)
{
    pthread_t thread, other;

    MUST(words_count == 3);
    fault = words[1];
    way = words[2];
    block = malloc(2000);
    large = malloc(40000000);
    alarm(300);
    signal(SIGABRT, on_abort);
    if (strncmp(way, "thread-", 7) == 0) {
        MUST(pthread_create(&other, NULL, work, NULL) == 0);
        MUST(pthread_create(&thread, NULL, run, NULL) == 0);
        pthread_join(thread, NULL);
    } else {
        run(NULL);
    }
    return 1;
}
