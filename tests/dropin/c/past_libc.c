/* Children that are made past libc's fork, of which no library is told: past_libc copied | shared.
 *
 *     copied     each has a copy of the memory, by the bare system call
 *     shared     each has its parent's memory, and the parent waits for its end, as after vfork
 *
 * Each makes more calls than a thread's buffer of a recording holds, and so does the parent beside them.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

enum { CHILDREN = 3, ROUNDS = 200, BLOCKS = 300, STACK = 256 << 10 };

static int allocate(void *unused)
{
    void *blocks[BLOCKS];

    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        for (int at = 0; at < BLOCKS; at++)
            blocks[at] = malloc(opaque((size_t)at * 50));
        for (int at = 0; at < BLOCKS; at++)
            free(blocks[at]);
    }
    return 0;
}

static pid_t begin_copied(void)
{
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0) {
        allocate(NULL);
        syscall(SYS_exit_group, 0);
    }
    return (pid_t)child;
}

int main(int words_count, char **words)
{
    char *stack = malloc(STACK);
    int status;

    MUST(words_count == 2 && stack);
    allocate(NULL);
    for (int number = 0; number < CHILDREN; number++) {
        pid_t child = strcmp(words[1], "copied") == 0
                          ? begin_copied()
                          : clone(allocate, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);

        MUST(child > 0);
        allocate(NULL);
        MUST(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    free(stack);
    return failed_checks != 0;
}
