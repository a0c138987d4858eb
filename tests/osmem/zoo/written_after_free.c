/* A program clears the whole header of a block that it has freed.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "the header of the free block"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100), *last = os_malloc(100);
    os_free(pointer);
    memset(pointer - 32, 0, 32);
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') (void)os_malloc(100);
    (void)last;
    return 0;
}
