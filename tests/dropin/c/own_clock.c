/* A library to preload whose clock_gettime allocates and lets time stand still, as libfaketime's may. */
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static void *volatile block;

    (void)clock;
    block = malloc(100);
    free(block);
    *now = (struct timespec){1000, 0};
    return 0;
}
