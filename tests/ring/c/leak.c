/* A leak beside much churn: the thread "leaker" allocates blocks of LEAKED bytes and keeps them, until somebody kills the
   process; three others allocate and free blocks of all sizes, and hold about as much at any moment.

       leak [MODE]   MODE: leak, fragment (what is live stays small, but every page has something), map (not by malloc)
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LEAKED = 3000, LARGE = 5000000, CHURNERS = 3, HELD = 128, PIECES = 200000, PIECE = 1000 };

static void *churn(void *of) {
    uint64_t state = (uintptr_t)of;
    void *held[HELD] = {NULL};
    for (;;) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        void **place = &held[state >> 33 & (HELD - 1)];
        free(*place);
        *place = malloc(1 + (state >> 45) % 20000);
    }
    return NULL;
}

static void *leak(void *unused) {
    pthread_setname_np(pthread_self(), "leaker");
    free(malloc(LARGE));
    if (malloc((size_t)1 << 62)) abort(); /* which is refused */
    for (;;) {
        memset(malloc(LEAKED), 1, LEAKED);
        usleep(20);
    }
    return unused;
}

static void fragment(void) {
    static void *pieces[PIECES];
    for (int i = 0; i < PIECES; i++) memset(pieces[i] = malloc(PIECE), 1, PIECE);
    for (int i = 0; i < PIECES; i++)
        if (i % 8) free(pieces[i]);
    puts("done");
    fflush(stdout);
    for (;;) {
        for (int i = 0; i < 1000; i++) free(malloc(20000));
        usleep(1000);
    }
}

static void map(void) {
    const size_t length = (size_t)150 << 20;
    memset(mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, length);
    for (;;) {
        for (int i = 0; i < 1000; i++) free(malloc(20000));
        usleep(1000);
    }
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "leak";
    if (strcmp(mode, "fragment") == 0) fragment();
    if (strcmp(mode, "map") == 0) map();
    pthread_t threads[CHURNERS];
    for (uintptr_t i = 0; i < CHURNERS; i++) pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
    leak(NULL);
}
