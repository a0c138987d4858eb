/* Calls that are known: one thread allocates, another frees, and both change sizes.
   Arguments: how many blocks; "kill" to be killed in the end. Prints the sizes that were asked for, added up. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 64 };
static _Atomic(void *) places[PLACES];
static size_t blocks;

static void *take(void *unused) {
    for (size_t i = 0; i < blocks; i++) {
        void *block;
        while (!(block = atomic_exchange(&places[i % PLACES], NULL)))
            ;
        if (i % 3 == 0)
            block = realloc(block, 5000);
        free(block);
    }
    return unused;
}

int main(int count, char **arguments) {
    pthread_t taker;
    size_t bytes = 0;
    blocks = strtoul(arguments[1], NULL, 10);
    pthread_create(&taker, NULL, take, NULL);
    for (size_t i = 0; i < blocks; i++) {
        size_t size = 1000 + i % 7;
        void *block = i % 2 ? malloc(size) : calloc(1, size), *none = NULL;
        bytes += size + (i % 3 == 0 ? 5000 : 0);
        while (!atomic_compare_exchange_weak(&places[i % PLACES], &none, block))
            none = NULL;
    }
    pthread_join(taker, NULL);
    void *aligned = aligned_alloc(256, 1024);
    if (!malloc((size_t)1 << 62) && aligned)
        printf("%zu\n", bytes + 1024), fflush(stdout);
    free(aligned);
    if (count > 2 && strcmp(arguments[2], "kill") == 0)
        raise(SIGKILL);
    return 0;
}
