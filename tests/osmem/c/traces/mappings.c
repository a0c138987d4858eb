/* A request of 128 KiB with its header, or more, has a mapping of its own, of exactly its size. */
#include "trace.h"

int main(void) {
    void *a = STEP(os_malloc(131033));       // = M1+0x20 mmap(131072)
    assert(status_of(a) == OS_MAPPED && size_of(a) == 131040);
    void *b = STEP(os_malloc(131072));       // = M2+0x20 mmap(131104)
    void *c = STEP(os_malloc(1000001));      // = M3+0x20 mmap(1000040)
    assert(status_of(c) == OS_MAPPED && size_of(c) == 1000008);
    assert(all_are(c, 1000008, 0));
    FREE(b);                                 // munmap(M2,131104)
    FREE(a);                                 // munmap(M1,131072)
    (void)STEP(os_malloc(131032));           // = 0x20 brk(0) brk(0x20000)
    FREE(c);                                 // munmap(M3,1000040)
    return 0;
}
