/* A pointer into the middle of a mapped block is freed.
 *
 * plain: undefined
 * hardened: abort "points 8192 bytes into a block"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(200000);
    os_free(pointer + 8192);
    return 0;
}
