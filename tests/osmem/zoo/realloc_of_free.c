/* A block that is free is resized.
 *
 * plain: exit 0 (the answer is NULL, and nothing changes)
 * hardened: abort "was freed already"
 */
#include "block.h"

int main(void) {
    void *pointer = os_malloc(100);
    os_free(pointer);
    os_stats_t before = stats_now();
    assert(os_realloc(pointer, 50) == NULL && os_realloc(pointer, SIZE_MAX) == NULL);
    os_stats_t after = stats_now();
    assert(memcmp(&before, &after, sizeof before) == 0);
    return 0;
}
