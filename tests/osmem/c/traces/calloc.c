/* calloc has its own limit, a page with the header; what it gives is zero, also where others have written. */
#include "trace.h"

int main(void) {
    void *a = STEP(os_calloc(1, 4056));      // = 0x20 brk(0) brk(0x20000)
    void *b = STEP(os_calloc(1, 4057));      // = M1+0x20 mmap(4096)
    void *c = STEP(os_calloc(447, 9));       // = 0x1018
    void *d = STEP(os_calloc(4080, 1));      // = M2+0x20 mmap(4112)
    assert(status_of(a) == OS_LIVE && status_of(b) == OS_MAPPED && status_of(c) == OS_LIVE);
    assert(size_of(b) == 4064 && all_are(b, 4064, 0));
    memset(a, 0xaa, 4056);
    memset(c, 0xaa, 4024);
    FREE(a);                                 //
    a = STEP(os_calloc(7, 500));             // = 0x20
    assert(all_are(a, 3500, 0));
    b = STEP(os_realloc(b, 4064));           // = 0x1ff0 munmap(M1,4096)
    d = STEP(os_realloc(d, 8000));           // = 0x2ff0 munmap(M2,4112)
    assert(status_of(b) == OS_LIVE && status_of(d) == OS_LIVE);
    return 0;
}
