/* The header of a mapped block is overwritten: an munmap of that size would take the memory of others.
 *
 * plain: undefined
 * hardened: abort "was overwritten; its size now reads 1048576"
 */
#include "block.h"

int main(void) {
    size_t *pointer = os_malloc(200000);
    pointer[-4] = 1048576;
    os_free(pointer);
    return 0;
}
