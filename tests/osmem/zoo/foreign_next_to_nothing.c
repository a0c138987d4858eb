/* A pointer is freed that is too low to have a header in front.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"

int main(void) {
    os_free(os_malloc(100));
    os_free((void *)8);
    return 0;
}
