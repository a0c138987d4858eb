/* A header is overwritten with zeros but for a status that is none: even without the hardened mode the free of such
 * a pointer ends the process, because there is nothing that it could mean.
 *
 * plain: abort "was not returned by os_malloc"
 * hardened: abort "was overwritten"
 */
#include "block.h"

int main(void) {
    int *pointer = os_malloc(100);
    pointer[-6] = 77;
    os_free(pointer);
    return 0;
}
