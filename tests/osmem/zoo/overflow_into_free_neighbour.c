/* A block is written past its end, over the size of the free block behind it; then a block behind that is freed, which
 * would merge with it.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "was overwritten"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100), *next = os_malloc(100), *last = os_malloc(100);
    os_free(next);
    memset(pointer, 0, 104 + 8);
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') {
        os_free(last);
        (void)os_malloc(100);
    }
    return 0;
}
