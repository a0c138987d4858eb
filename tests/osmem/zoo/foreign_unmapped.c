/* A pointer is resized behind which there is no memory.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"

int main(void) {
    os_free(os_malloc(100));
    (void)os_realloc((void *)0x1000, 10);
    return 0;
}
