/* A mapped block is freed twice: the second time its memory is gone.
 *
 * plain: undefined
 * hardened: abort "not a pointer that os_malloc gave"
 */
#include "block.h"

int main(void) {
    void *pointer = os_malloc(200000);
    os_free(pointer);
    os_free(pointer);
    return 0;
}
