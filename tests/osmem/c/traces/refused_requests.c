/* What cannot be had at all gives NULL and ENOMEM without a system call; errno stays as it is otherwise. */
#include "trace.h"

int main(void) {
    char *a = STEP(os_malloc(100));          // = 0x20 brk(0) brk(0x20000)
    volatile size_t most = SIZE_MAX;
    memset(a, 5, 100);
    errno = 0;
    (void)STEP(os_malloc(most));             // = NULL
    assert(errno == ENOMEM);
    errno = 0;
    (void)STEP(os_malloc(most / 2 + 1));     // = NULL
    assert(errno == ENOMEM);
    errno = 0;
    (void)STEP(os_calloc(most / 2, 3));      // = NULL
    assert(errno == ENOMEM);
    errno = 0;
    (void)STEP(os_calloc(1ul << 32, 1ul << 32)); // = NULL
    assert(errno == ENOMEM);
    errno = 0;
    (void)STEP(os_realloc(a, most - 7));     // = NULL
    assert(errno == ENOMEM && size_of(a) == 104 && status_of(a) == OS_LIVE && all_are(a, 100, 5));
    errno = EDOM;
    FREE(a);                                 //
    FREE(a);                                 //
    (void)STEP(os_realloc(a, 10));           // = NULL
    (void)STEP(os_realloc(a, most));         // = NULL
    a = STEP(os_malloc(150000));             // = M1+0x20 mmap(150032)
    FREE(a);                                 // munmap(M1,150032)
    assert(errno == EDOM);
    return 0;
}
