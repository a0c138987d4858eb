/* A block is freed, its memory handed out again as the middle of a larger one, and then freed again.
 *
 * plain: undefined
 * hardened: abort "into a block"
 */
#include "block.h"

int main(void) {
    void *before = os_malloc(100), *pointer = os_malloc(100), *last = os_malloc(8);
    os_free(before);
    os_free(pointer);
    memset(os_malloc(200), 0, 200);
    os_free(pointer);
    os_free(last);
    return 0;
}
