/* A block is written before its start, over the half of its header that is the allocator's own.
 *
 * plain: undefined
 * hardened: abort "was overwritten"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100);
    memset(pointer - 16, 0, 16);
    os_free(pointer);
    return 0;
}
