/* The worked trace of the specification, section 8. */
#include "trace.h"

int main(void) {
    (void)STEP(os_malloc(0));                // = NULL
    void *first = STEP(os_malloc(200001));   // = M1+0x20 mmap(200040)
    void *a = STEP(os_malloc(1));            // = 0x20 brk(0) brk(0x20000)
    void *b = STEP(os_malloc(100));          // = 0x48
    void *c = STEP(os_calloc(3, 7));         // = 0xd0
    void *d = STEP(os_malloc(131000));       // = 0x108 brk(0x200c0)
    void *e = STEP(os_calloc(1, 4056));      // = 0x200e0 brk(0x210b8)
    void *f = STEP(os_calloc(1, 4057));      // = M2+0x20 mmap(4096)
    FREE(f);                                 // munmap(M2,4096)
    FREE(b);                                 //
    b = STEP(os_malloc(72));                 // = 0x48
    FREE(b);                                 //
    b = STEP(os_malloc(64));                 // = 0x48
    c = STEP(os_realloc(c, 8));              // = 0xd0
    e = STEP(os_realloc(e, 5000));           // = 0x200e0 brk(0x21468)
    e = STEP(os_realloc(e, 4000));           // = 0x200e0
    e = STEP(os_realloc(e, 4500));           // = 0x200e0
    e = STEP(os_realloc(e, 9000));           // = 0x21488 brk(0x237b0)
    b = STEP(os_realloc(b, 200));            // = 0x200e0
    a = STEP(os_realloc(a, 140000));         // = M3+0x20 mmap(140032)
    a = STEP(os_realloc(a, 139000));         // = M4+0x20 mmap(139032) munmap(M3,140032)
    a = STEP(os_realloc(a, 50));             // = 0x20 munmap(M4,139032)
    (void)STEP(os_realloc(a, 0));            // = NULL
    (void)STEP(os_realloc(a, 10));           // = NULL
    (void)STEP(os_realloc(first, 0));        // = NULL munmap(M1,200040)
    FREE(c);                                 //
    FREE(d);                                 //
    FREE(e);                                 //
    FREE(b);                                 //
    (void)STEP(os_malloc(1000));             // = 0x20
    return 0;
}
