/* realloc from and to mappings: always a new block, a copy, and only then the munmap. */
#include "trace.h"

int main(void) {
    char *a = STEP(os_malloc(200000));       // = M1+0x20 mmap(200032)
    memset(a, 1, 200000);
    a = STEP(os_realloc(a, 200000));         // = M2+0x20 mmap(200032) munmap(M1,200032)
    a = STEP(os_realloc(a, 300000));         // = M3+0x20 mmap(300032) munmap(M2,200032)
    assert(all_are(a, 200000, 1) && all_are(a + 200000, 100000, 0));
    a = STEP(os_realloc(a, 150000));         // = M4+0x20 mmap(150032) munmap(M3,300032)
    a = STEP(os_realloc(a, 100));            // = 0x20 brk(0) brk(0x20000) munmap(M4,150032)
    assert(all_are(a, 100, 1));
    char *heap = a;
    a = STEP(os_realloc(a, 131040));         // = M5+0x20 mmap(131072)
    assert(all_are(a, 100, 1) && status_of(heap) == OS_FREE && all_are(heap, 100, 1));
    a = STEP(os_realloc(a, 131032));         // = 0x20 munmap(M5,131072)
    (void)STEP(os_realloc(a, 0));            // = NULL
    a = STEP(os_realloc(NULL, 131040));      // = M6+0x20 mmap(131072)
    (void)STEP(os_realloc(a, 0));            // = NULL munmap(M6,131072)
    return 0;
}
