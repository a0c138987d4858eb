/* A block is freed again after it was merged with the free block before it.
 *
 * plain: exit 0
 * hardened: abort "was freed already"
 */
#include "block.h"

int main(void) {
    void *before = os_malloc(100), *pointer = os_malloc(100), *last = os_malloc(8);
    os_free(before);
    os_free(pointer);
    void *merging = os_malloc(5000);
    os_free(pointer);
    assert(stats_now().ignored_frees == 1 && os_check() == OS_CHECK_OK);
    os_free(merging);
    os_free(last);
    return 0;
}
