/* fork while other threads hold stdio's locks and allocate under them: nobody may wait for ever.
 *
 * Two threads print numbers so wide that printf allocates, with the stream's lock held. One flushes all streams: it holds
 * the list's lock and waits for each stream's. fork takes the list's lock after the handlers of pthread_atfork have
 * run: an allocator that holds its own lock since then closes the circle.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "check.h"

enum { FORKS = 100, TOO_LONG = 500 };

static atomic_int stop;

static void *write_wide_numbers(void *unused)
{
    FILE *stream = fopen("/dev/null", "w");

    (void)unused;
    MUST(stream);
    while (!stop)
        fprintf(stream, "%*d\n", (int)opaque(60000), 1); /* so wide that printf allocates its room */
    fclose(stream);
    return NULL;
}

static void *flush_streams(void *unused)
{
    (void)unused;
    while (!stop) {
        fflush(NULL);
        usleep(50); /* the lock goes to whoever asks: let others ask */
    }
    return NULL;
}

static void *allocate(void *unused)
{
    (void)unused;
    while (!stop) {
        void *blocks[64];

        for (size_t i = 0; i < 64; i++)
            blocks[i] = malloc(i * 100 + 1);
        for (int i = 0; i < 64; i++)
            free(blocks[i]);
    }
    return NULL;
}

int main(void)
{
    void *(*const work[])(void *) = {write_wide_numbers, write_wide_numbers, flush_streams, allocate};
    enum { THREADS = sizeof work / sizeof *work };
    pthread_t threads[THREADS];

    alarm(TOO_LONG);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, work[i], NULL) == 0);
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        pid_t child = fork();

        MUST(child >= 0);
        if (child == 0) {
            char *text = malloc(5000);
            FILE *stream = fopen("/dev/null", "w");

            alarm(TOO_LONG);
            fprintf(stream, "%p\n", (void *)text);
            fclose(stream);
            free(text);
            _exit(0);
        }
        MUST(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return failed_checks != 0;
}
