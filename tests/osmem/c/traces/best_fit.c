/* Among the free blocks the smallest that is big enough is taken, the lowest of equals; free neighbours count as
 * one, the last block as any other. */
#include "trace.h"

int main(void) {
    char *a = STEP(os_malloc(200));          // = 0x20 brk(0) brk(0x20000)
    (void)STEP(os_malloc(8));                // = 0x108
    char *b = STEP(os_malloc(100));          // = 0x130
    (void)STEP(os_malloc(8));                // = 0x1b8
    char *c = STEP(os_malloc(100));          // = 0x1e0
    (void)STEP(os_malloc(8));                // = 0x268
    char *d = STEP(os_malloc(50));           // = 0x290
    char *e = STEP(os_malloc(18));           // = 0x2e8
    (void)STEP(os_malloc(8));                // = 0x320
    FREE(a);                                 //
    FREE(c);                                 //
    FREE(b);                                 //
    FREE(e);                                 //
    FREE(d);                                 //
    (void)STEP(os_malloc(112));              // = 0x290
    (void)STEP(os_malloc(97));               // = 0x130
    (void)STEP(os_malloc(64));               // = 0x1e0
    (void)STEP(os_malloc(40));               // = 0x20
    (void)STEP(os_malloc(120));              // = 0x68
    (void)STEP(os_malloc(8));                // = 0x240
    (void)STEP(os_malloc(8));                // = 0x348
    return 0;
}
