/* Somebody else moves the break: the heap goes on behind, and blocks on the two sides never merge. */
#include "trace.h"

int main(void) {
    void *a = STEP(os_malloc(131032));       // = 0x20 brk(0) brk(0x20000)
    char *foreign = sbrk(1001);
    assert(foreign != (void *)-1);
    memset(foreign, 9, 1001);
    void *b = STEP(os_malloc(100));          // = 0x20430 brk(0x20498)
    FREE(a);                                 //
    FREE(b);                                 //
    b = STEP(os_malloc(110));                // = 0x20
    void *c = STEP(os_malloc(131000));       // = 0x20430 brk(0x403e8)
    FREE(b);                                 //
    FREE(c);                                 //
    assert(all_are(foreign, 1001, 9));
    assert(os_check() == OS_CHECK_OK);
    return 0;
}
