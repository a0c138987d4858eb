/* A block is written past its end, over the header of the live block behind it; then it is freed.
 *
 * plain: exit 0 (os_check reports it)
 * hardened: abort "past the end of its 104 bytes"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100), *next = os_malloc(100);
    memset(pointer, 'A', 104 + 32);
    assert(os_check() != OS_CHECK_OK);
    if (getenv("SNUG_HARDEN")[0] == '1') os_free(pointer);
    (void)next;
    return 0;
}
