/* A signal handler forks while its own thread is inside the heap; both processes go on. A second thread is there,
 * so that the lock is real.
 *
 * plain: exit 0
 * hardened: exit 0
 */
#include "block.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#define FORKS 60

static volatile sig_atomic_t forks, is_child;
static pthread_t main_thread;

static void fork_here(int number) {
    (void)number;
    if (is_child || forks == FORKS || !pthread_equal(pthread_self(), main_thread)) return;
    pid_t child = fork();
    assert(child >= 0);
    if (child == 0) is_child = 1;
    forks++;
}

static void *idle(void *unused) {
    for (;;) pause();
    return unused;
}

static void use_heap(void) {
    char *pointer = os_malloc(100), *other = os_calloc(10, 10);
    memset(pointer, 1, 100);
    pointer = os_realloc(pointer, 500);
    assert(all_are(pointer, 100, 1) && all_are(other, 100, 0));
    os_free(other);
    os_free(pointer);
}

int main(void) {
    pthread_t thread;
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    assert(pthread_create(&thread, NULL, idle, NULL) == 0);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    main_thread = pthread_self();
    struct sigaction action = {.sa_handler = fork_here, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (forks < FORKS && !is_child) use_heap();
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < 100; i++) use_heap();
    assert(os_check() == OS_CHECK_OK);
    if (is_child) _exit(0);
    int status;
    for (int i = 0; i < FORKS; i++) assert(wait(&status) > 0 && status == 0);
    return 0;
}
