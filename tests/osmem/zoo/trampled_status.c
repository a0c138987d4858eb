/* A program writes nonsense into the status in front of its pointer.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "was overwritten"
 */
#include "block.h"

int main(void) {
    int *pointer = os_malloc(100);
    pointer[-6] = 77;
    assert(os_check() == OS_CHECK_STATUS);
    if (getenv("SNUG_HARDEN")[0] == '1') os_free(pointer);
    return 0;
}
