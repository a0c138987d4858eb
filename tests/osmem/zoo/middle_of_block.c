/* A pointer into the middle of a block is freed.
 *
 * plain: undefined
 * hardened: abort "points 64 bytes into a block"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(200);
    memset(pointer, 1, 200);
    os_free(pointer + 64);
    return 0;
}
