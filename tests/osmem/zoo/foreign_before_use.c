/* A foreign pointer is the first thing that the library ever sees.
 *
 * plain: undefined
 * hardened: abort "not a pointer that os_malloc gave"
 */
#include "block.h"

static char bytes[128];

int main(void) {
    os_free(bytes + 64);
    return 0;
}
