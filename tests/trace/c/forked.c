/* Forks; in the child another thread is the first to allocate, then both do. Each takes blocks of sizes of its own: the
 * main thread 1,000 to 1,999 bytes, the other one 3,000 to 3,999.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAIN = 1000, OTHER = 3000, CALLS = 200000 };

static atomic_bool has_begun;

static void work(size_t least) {
    for (size_t at = 0; at < CALLS; at++) {
        void *volatile block = malloc(least + at % 1000);
        free(block);
    }
}

static void *nothing(void *argument) { return argument; }

static void *work_as_other(void *argument) {
    free(malloc(OTHER));
    has_begun = 1;
    work(OTHER);
    return argument;
}

int main(void) {
    pthread_t thread;
    work(MAIN);
    pthread_create(&thread, NULL, nothing, NULL); /* its stack is kept: the next thread needs no memory */
    pthread_join(thread, NULL);
    pid_t child = fork();
    if (child) {
        int status;
        waitpid(child, &status, 0);
        return status;
    }
    pthread_create(&thread, NULL, work_as_other, NULL);
    while (!has_begun) usleep(1000);
    work(MAIN);
    pthread_join(thread, NULL);
    exit(0);
}
