/* realloc absorbs the free blocks that follow one at a time, and only until it is enough. What a free left
 * unmerged decides how much that is. */
#include "trace.h"

int main(void) {
    char *x = STEP(os_malloc(64));           // = 0x20 brk(0) brk(0x20000)
    char *y = STEP(os_malloc(64));           // = 0x80
    char *z = STEP(os_malloc(64));           // = 0xe0
    (void)STEP(os_malloc(64));               // = 0x140
    FREE(y);                                 //
    FREE(z);                                 //
    x = STEP(os_realloc(x, 144));            // = 0x20
    assert(size_of(x) == 160);
    (void)STEP(os_malloc(64));               // = 0xe0
    char *p = STEP(os_malloc(64));           // = 0x1a0
    char *q = STEP(os_malloc(64));           // = 0x200
    (void)STEP(os_malloc(130466));           // = 0x260 brk(0x20008)
    FREE(q);                                 //
    memset(p, 7, 64);
    char *moved = STEP(os_realloc(p, 200));  // = 0x20028 brk(0x200f0)
    assert(size_of(p) == 160 && status_of(p) == OS_FREE && all_are(p, 64, 7));
    assert(all_are(moved, 64, 7));
    (void)STEP(os_malloc(160));              // = 0x1a0
    return 0;
}
