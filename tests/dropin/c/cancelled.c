/* A thread that somebody has cancelled is not ended inside the library: cancelled stats | warning LIBRARY | second.
 *
 *     stats      it calls malloc_stats, which writes to stderr
 *     warning    its call is the first that the library, loaded by dlopen, sees: misspelt options are reported
 *     second     its call is its first one, in a process that allocated already: processors are counted
 *
 * It lives on to a marked point, which is reported, and ends at the next cancellation point.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>

#include "check.h"

static int is_alive, is_second;
static volatile int is_cancelled;
static void *(*first_call)(size_t);

static void *be_cancelled(void *unused)
{
    if (!is_second)
        pthread_cancel(pthread_self());
    while (is_second && !is_cancelled) {}
    if (first_call)
        CHECK(first_call(100));
    else if (is_second)
        CHECK(malloc(100));
    else
        malloc_stats();
    is_alive = 1;
    pthread_testcancel();
    MUST(0);
    return unused;
}

int main(int words_count, char **words)
{
    pthread_t thread;
    void *result = NULL;

    MUST(words_count == 3);
    is_second = strcmp(words[1], "second") == 0;
    CHECK(malloc(opaque(100)));
    if (strcmp(words[1], "warning") == 0) {
        void *library = dlopen(words[2], RTLD_NOW | RTLD_LOCAL);

        MUST(library);
        first_call = (void *(*)(size_t))dlsym(library, "snug_malloc");
        MUST(first_call);
    }
    MUST(pthread_create(&thread, NULL, be_cancelled, NULL) == 0);
    if (is_second)
        pthread_cancel(thread); /* loads a library for it, and so allocates: not in that thread */
    is_cancelled = 1;
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(is_alive);
    return failed_checks != 0;
}
