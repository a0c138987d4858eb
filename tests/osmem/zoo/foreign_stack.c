/* A pointer to the stack is freed.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"

int main(void) {
    _Alignas(16) char bytes[128];
    memset(bytes, 1, sizeof bytes);
    os_free(os_malloc(100));
    os_free(bytes + 64);
    return 0;
}
