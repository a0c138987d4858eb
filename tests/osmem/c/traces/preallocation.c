/* The heap takes its first 128 KiB when a block is first needed, and not before; a block that leaves too little of
 * them for another keeps them all. */
#include "trace.h"

int main(void) {
    (void)STEP(os_calloc(0, 5));             // = NULL
    (void)STEP(os_realloc(NULL, 0));         // = NULL
    FREE(NULL);                              //
    void *mapped = STEP(os_malloc(131033));  // = M1+0x20 mmap(131072)
    FREE(mapped);                            // munmap(M1,131072)
    void *whole = STEP(os_malloc(131032));   // = 0x20 brk(0) brk(0x20000)
    assert(size_of(whole) == 131040);
    FREE(whole);                             //
    whole = STEP(os_malloc(131000));         // = 0x20
    assert(size_of(whole) == 131000 && size_of((char *)whole + 131032) == 8);
    return 0;
}
