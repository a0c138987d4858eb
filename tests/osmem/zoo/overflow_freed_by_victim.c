/* A block is written past its end, over the header of the live block behind it; then that one is freed.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "was overwritten"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100), *next = os_malloc(100);
    memset(pointer, 'A', 104 + 32);
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') os_free(next);
    return 0;
}
