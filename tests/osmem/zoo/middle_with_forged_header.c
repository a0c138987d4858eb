/* A true header is copied into the middle of its block, and the pointer behind the copy is freed.
 *
 * plain: undefined
 * hardened: abort "points 64 bytes into a block"
 */
#include "block.h"

int main(void) {
    char *pointer = os_malloc(200);
    memcpy(pointer + 32, pointer - 32, 32);
    os_free(pointer + 64);
    return 0;
}
