/* The heap grows by what the request needs: a used last block is followed by a new one, a free last block is
 * extended. The break never moves down. */
#include "trace.h"

int main(void) {
    void *first = STEP(os_malloc(131032));   // = 0x20 brk(0) brk(0x20000)
    void *a = STEP(os_malloc(1));            // = 0x20020 brk(0x20028)
    void *b = STEP(os_malloc(4096));         // = 0x20048 brk(0x21048)
    FREE(b);                                 //
    b = STEP(os_malloc(4096));               // = 0x20048
    FREE(b);                                 //
    b = STEP(os_malloc(5001));               // = 0x20048 brk(0x213d8)
    assert(size_of(b) == 5008);
    FREE(a);                                 //
    FREE(b);                                 //
    b = STEP(os_malloc(6000));               // = 0x20020 brk(0x21790)
    FREE(b);                                 //
    FREE(first);                             //
    b = STEP(os_calloc(100, 40));            // = 0x20
    (void)STEP(os_malloc(130000));           // = 0xfe0
    return 0;
}
