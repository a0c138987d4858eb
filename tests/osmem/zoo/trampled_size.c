/* A program writes into the size in front of its pointer.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "was overwritten; its size now reads 4096"
 */
#include "block.h"

int main(void) {
    size_t *pointer = os_malloc(100);
    void *last = os_malloc(100);
    pointer[-4] = 4096;
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') os_free(pointer);
    (void)last;
    return 0;
}
