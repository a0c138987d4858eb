/* A foreign pointer is the first thing that the library ever sees.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"

static char bytes[128];

int main(void) {
    os_free(bytes + 64);
    return 0;
}
