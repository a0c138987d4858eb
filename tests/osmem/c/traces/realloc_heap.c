/* realloc of heap blocks: shrinking, growing in place at the end and into free neighbours, moving. */
#include "trace.h"

int main(void) {
    char *a = STEP(os_malloc(1000));         // = 0x20 brk(0) brk(0x20000)
    char *b = STEP(os_malloc(1000));         // = 0x428
    memset(a, 1, 1000);
    memset(b, 2, 1000);
    a = STEP(os_realloc(a, 1000));           // = 0x20
    a = STEP(os_realloc(a, 968));            // = 0x20
    assert(size_of(a) == 1000);
    a = STEP(os_realloc(a, 960));            // = 0x20
    assert(size_of(a) == 960 && size_of(a + 992) == 8 && status_of(a + 992) == OS_FREE);
    a = STEP(os_realloc(a, 1000));           // = 0x20
    assert(size_of(a) == 1000 && all_are(a, 960, 1) && all_are(b, 1000, 2));
    char *moved = STEP(os_realloc(a, 1008)); // = 0x830
    assert(all_are(moved, 960, 1) && status_of(a) == OS_FREE && all_are(a, 960, 1));
    a = STEP(os_malloc(1000));               // = 0x20
    char *rest = STEP(os_malloc(127936));    // = 0xc40
    rest = STEP(os_realloc(rest, 127961));   // = 0xc40 brk(0x20020)
    assert(size_of(rest) == 127968);
    memset(rest, 3, 127968);
    rest = STEP(os_realloc(rest, 1));        // = 0xc40
    rest = STEP(os_realloc(rest, 127968));   // = 0xc40
    rest = STEP(os_realloc(rest, 127976));   // = 0xc40 brk(0x20028)
    FREE(b);                                 //
    (void)STEP(os_realloc(a, 2032));         // = 0x20
    return 0;
}
