/* A mapped block is freed twice: the second time its memory is gone.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"

int main(void) {
    void *pointer = os_malloc(200000);
    os_free(pointer);
    os_free(pointer);
    return 0;
}
