/* A block is written past its end, over the header of the free block behind it; the next search finds it.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "the header of the free block"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100), *next = os_malloc(100), *last = os_malloc(100);
    os_free(next);
    memset(pointer, 'A', 104 + 32);
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') (void)os_malloc(100);
    (void)last;
    return 0;
}
