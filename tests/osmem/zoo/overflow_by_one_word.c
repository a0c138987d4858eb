/* A block is written eight bytes past its end: the size of the block behind it is gone.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "was overwritten"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100), *next = os_malloc(100);
    memset(pointer, 0, 104 + 8);
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') os_free(next);
    return 0;
}
