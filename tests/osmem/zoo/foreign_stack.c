/* A pointer to the stack is freed.
 *
 * plain: undefined
 * hardened: abort "not a pointer that os_malloc gave"
 */
#include "block.h"

int main(void) {
    _Alignas(16) char bytes[128];
    memset(bytes, 1, sizeof bytes);
    os_free(os_malloc(100));
    os_free(bytes + 64);
    return 0;
}
