/* Allocation at the edges of a program's life: before main, in destructors of threads, in libraries that come and go,
 * and at exit. Prints `end` last.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <threads.h>

#include "check.h"

enum { THREADS = 200, ROUNDS_OF_DESTRUCTORS = 3 };

static char *from_before_main;
static pthread_key_t early, late;
static tss_t standard;

__attribute__((constructor)) static void before_main(void)
{
    from_before_main = malloc(3000);
    MUST(from_before_main);
    strcpy(from_before_main, "before main");
}

/* Frees what the thread had, allocates again, and sets the key again: such destructors run several times. */
static void destroy_again(void *value)
{
    int *turns = value;

    for (int i = 0; i < 50; i++) {
        char *text = malloc((size_t)i * 20 + 1);

        MUST(text);
        memset(text, i, (size_t)i * 20 + 1);
        free(text);
    }
    if (++*turns < ROUNDS_OF_DESTRUCTORS)
        pthread_setspecific(late, value);
    else
        free(value);
}

static void *run(void *unused)
{
    int *turns = calloc(1, sizeof *turns);

    (void)unused;
    MUST(turns);
    pthread_setspecific(early, malloc(100));
    pthread_setspecific(late, turns);
    tss_set(standard, malloc(2000));
    return strdup("a result that another thread frees");
}

static void threads_with_destructors(void)
{
    MUST(pthread_key_create(&early, free) == 0);
    MUST(pthread_key_create(&late, destroy_again) == 0);
    MUST(tss_create(&standard, free) == thrd_success);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        void *result;

        MUST(pthread_create(&thread, NULL, run, NULL) == 0);
        pthread_join(thread, &result);
        CHECK(strncmp(result, "a result", 8) == 0);
        free(result);
    }
}

static void *leave(void *unused)
{
    (void)unused;
    free(malloc(777));
    pthread_exit(strdup("left"));
}

static void libraries_come_and_go(void)
{
    for (int i = 0; i < 50; i++) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);

        CHECK(dlopen("libnosuch.so", RTLD_NOW) == NULL);
        CHECK(dlerror() != NULL);
        if (library)
            dlclose(library);
    }
}

static void at_exit(void)
{
    char *text = malloc(100000);

    MUST(text);
    strcpy(text, "end");
    puts(text);
    free(text);
    free(from_before_main);
}

__attribute__((destructor)) static void after_exit(void)
{
    void *block = malloc(123);

    MUST(block);
    free(block);
    if (failed_checks)
        _exit(1);
}

int main(void)
{
    pthread_t thread;
    void *result;

    CHECK(strcmp(from_before_main, "before main") == 0);
    atexit(at_exit);
    threads_with_destructors();
    MUST(pthread_create(&thread, NULL, leave, NULL) == 0);
    pthread_join(thread, &result);
    free(result);
    libraries_come_and_go();
    return 0;
}
