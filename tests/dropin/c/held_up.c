/* A library to preload: each madvise that gives memory back takes 10 milliseconds, as on a machine where others have the
 * processor in the midst of it. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int madvise(void *address, size_t length, int advice)
{
    struct timespec time = {0, 10 * 1000 * 1000};

    if (advice == MADV_DONTNEED)
        syscall(SYS_nanosleep, &time, NULL);
    return (int)syscall(SYS_madvise, address, length, advice);
}
