/* Between the malloc under test and the kernel: calls of the system that are refused now and then, limits on the
 * address space and on data that come and go, and a clock that goes by the program's steps.
 *
 * The functions here take the place of libc's, for a program's own come first (it is linked with -rdynamic). Inside
 * libc nothing changes: it does not call these by name. What is refused goes by a number, that of the seed, and by a
 * count of the calls, so that a program of one thread has the same refusals each time.
 */
#ifndef REFUSALS_H
#define REFUSALS_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t clock_ns;      /* 0: the real one */
static _Atomic unsigned refused_part;  /* of 256 calls of the system */
static _Atomic uint64_t calls_so_far;
static _Atomic uint64_t refusal_epoch; /* odd while anything may be refused */
static uint64_t refusal_seed;

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int is_refused(void)
{
    unsigned part = atomic_load(&refused_part);

    if (!part || mixed(refusal_seed + atomic_fetch_add(&calls_so_far, 1)) % 256 >= part)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    return is_refused() ? MAP_FAILED : (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

int munmap(void *address, size_t length)
{
    return is_refused() ? -1 : (int)syscall(SYS_munmap, address, length);
}

void *mremap(void *address, size_t before, size_t length, int flags, ...)
{
    va_list more;
    void *target = NULL;

    va_start(more, flags);
    if (flags & MREMAP_FIXED)
        target = va_arg(more, void *);
    va_end(more);
    return is_refused() ? MAP_FAILED : (void *)syscall(SYS_mremap, address, before, length, flags, target);
}

int mprotect(void *address, size_t length, int protection)
{
    return is_refused() ? -1 : (int)syscall(SYS_mprotect, address, length, protection);
}

int madvise(void *address, size_t length, int advice)
{
    return is_refused() ? -1 : (int)syscall(SYS_madvise, address, length, advice);
}

/* libc remembers the break, so its own function moves it. */
int brk(void *address)
{
    static int (*real)(void *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "brk");
    return address && is_refused() ? -1 : real(address);
}

int clock_gettime(clockid_t which, struct timespec *time)
{
    uint64_t now = atomic_load(&clock_ns);

    if (which != CLOCK_MONOTONIC || !now)
        return (int)syscall(SYS_clock_gettime, which, time);
    time->tv_sec = (time_t)(now / 1000000000);
    time->tv_nsec = (long)(now % 1000000000);
    return 0;
}

/* ---- What is refused now ---- */

typedef enum { NOTHING_REFUSED, CALLS_REFUSED, ADDRESSES_LIMITED, DATA_LIMITED } Refusal;

/* Pages of address space that this process has, and of them pages of data, as its limits count them. */
static void pages_in_use(size_t *addresses, size_t *data)
{
    char text[256], *at = text;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    size_t fields[6] = {0};

    close(file);
    text[length > 0 ? length : 0] = 0;
    for (int i = 0; i < 6; i++) {
        for (; *at >= '0' && *at <= '9'; at++)
            fields[i] = fields[i] * 10 + (size_t)(*at - '0');
        at += *at == ' ';
    }
    *addresses = fields[0];
    *data = fields[5];
}

static void limit(int what, rlim_t most)
{
    struct rlimit now;

    getrlimit(what, &now);
    now.rlim_cur = most < now.rlim_max ? most : now.rlim_max;
    setrlimit(what, &now);
}

/* From now on `refusal`: of calls `amount` in 256; or all memory beyond `amount` bytes more than there are now. */
__attribute__((unused)) static void refuse(Refusal refusal, size_t amount)
{
    static atomic_flag changing = ATOMIC_FLAG_INIT;
    size_t addresses, data, page = (size_t)sysconf(_SC_PAGESIZE);

    if (atomic_flag_test_and_set(&changing))
        return; /* another thread is at it */
    if (refusal != NOTHING_REFUSED && atomic_load(&refusal_epoch) % 2 == 0)
        atomic_fetch_add(&refusal_epoch, 1);
    pages_in_use(&addresses, &data);
    atomic_store(&refused_part, refusal == CALLS_REFUSED ? (unsigned)amount : 0);
    limit(RLIMIT_AS, refusal == ADDRESSES_LIMITED ? addresses * page + amount : RLIM_INFINITY);
    limit(RLIMIT_DATA, refusal == DATA_LIMITED ? data * page + amount : RLIM_INFINITY);
    if (refusal == NOTHING_REFUSED && atomic_load(&refusal_epoch) % 2 == 1)
        atomic_fetch_add(&refusal_epoch, 1);
    atomic_flag_clear(&changing);
}

/* Whether anything may have been refused since the epoch was `epoch`. */
__attribute__((unused)) static int was_refusing(uint64_t epoch)
{
    return epoch % 2 == 1 || epoch != atomic_load(&refusal_epoch);
}

#endif
