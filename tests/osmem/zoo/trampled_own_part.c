/* A program writes into the part of the header that is the allocator's own: what it says of the block before.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "was overwritten"
 */
#include "block.h"

int main(void) {
    void *before = os_malloc(100);
    int *pointer = os_malloc(100);
    pointer[-5] = 0x7ffffff8;
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') os_free(pointer);
    (void)before;
    return 0;
}
