/* A block is freed twice.
 *
 * plain: exit 0 (the second free does nothing and is counted)
 * hardened: abort "was freed already"
 */
#include "block.h"

int main(void) {
    void *pointer = os_malloc(100);
    os_free(pointer);
    os_free(pointer);
    assert(stats_now().ignored_frees == 1 && os_check() == OS_CHECK_OK);
    return 0;
}
