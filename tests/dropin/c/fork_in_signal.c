/* fork in a signal handler that interrupted malloc must not wait for a lock that its own thread holds:
 * fork_in_signal [threads].
 *
 * With `threads` others allocate meanwhile. (glibc's own malloc hangs then: its fork takes the lock again.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "check.h"

enum { FORKS = 300, EVERY_MICROSECONDS = 1500 };

static atomic_int forks, stop;

static void on_alarm(int signal)
{
    int kept = errno, status = -1;
    pid_t child = fork();

    (void)signal;
    if (child == 0)
        _exit(0);
    if (child > 0)
        MUST(waitpid(child, &status, 0) == child && status == 0);
    forks++;
    errno = kept;
}

static void *allocate(void *unused)
{
    sigset_t all;

    (void)unused;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (!stop)
        free(malloc(5000));
    return NULL;
}

int main(int count, char **words)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval interval = {{0, EVERY_MICROSECONDS}, {0, EVERY_MICROSECONDS}};
    enum { BLOCKS = 500 };
    static void *blocks[BLOCKS];
    pthread_t thread;
    int threaded = count > 1 && strcmp(words[1], "threads") == 0;

    if (threaded)
        MUST(pthread_create(&thread, NULL, allocate, NULL) == 0);
    sigaction(SIGVTALRM, &action, NULL);
    setitimer(ITIMER_VIRTUAL, &interval, NULL);
    for (unsigned round = 0; forks < FORKS; round++)
        for (unsigned i = 0; i < BLOCKS; i++) {
            free(blocks[i]);
            blocks[i] = malloc((round * 31 + i * 97) % 9000);
        }
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    stop = 1;
    if (threaded)
        pthread_join(thread, NULL);
    return failed_checks != 0;
}
