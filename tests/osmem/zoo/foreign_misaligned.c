/* A pointer is freed that is one byte off.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(100);
    os_free(pointer + 1);
    return 0;
}
