/* What the programs of this folder share: a check that reports where it failed, and the end of the program.
 *
 * A program is compiled as any other program, and runs on whatever malloc the process has: the test runs it on the
 * system's malloc too, which shows that the program asks for nothing that is not so.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((unused)) static int failed_checks;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            dprintf(2, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #condition); \
            __atomic_fetch_add(&failed_checks, 1, __ATOMIC_RELAXED); \
        } \
    } while (0)

/* As CHECK, and there is no going on without it. */
#define MUST(condition) \
    do { \
        if (!(condition)) { \
            dprintf(2, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #condition); \
            _exit(1); \
        } \
    } while (0)

/* A size that the compiler does not know, so that it neither warns of it nor leaves the call out. */
__attribute__((noinline, unused)) static size_t opaque(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return size;
}

#endif
