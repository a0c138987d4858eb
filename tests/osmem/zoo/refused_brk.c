/* RLIMIT_DATA refuses brk, and mappings with it.
 *
 * plain: exit 0 (NULL, ENOMEM, the heap stays whole and goes on when the limit is gone)
 * hardened: exit 0
 */
#include "block.h"
#include <sys/resource.h>

static void limit_data(rlim_t bytes) {
    struct rlimit limit;
    assert(getrlimit(RLIMIT_DATA, &limit) == 0);
    limit.rlim_cur = bytes;
    assert(setrlimit(RLIMIT_DATA, &limit) == 0);
}

int main(void) {
    limit_data(4096);
    errno = 0;
    assert(os_malloc(100) == NULL && errno == ENOMEM);
    limit_data(RLIM_INFINITY);
    char *pointer = os_malloc(1000);
    memset(pointer, 4, 1000);
    limit_data(4096);
    assert(os_malloc(100000)); /* of what the heap has */
    errno = 0;
    assert(os_malloc(100000) == NULL && errno == ENOMEM);
    assert(os_realloc(pointer, 100000) == NULL && all_are(pointer, 1000, 4));
    assert(os_check() == OS_CHECK_OK);
    limit_data(RLIM_INFINITY);
    pointer = os_realloc(pointer, 100000);
    assert(pointer && all_are(pointer, 1000, 4) && os_check() == OS_CHECK_OK);
    assert(stats_now().mapped_blocks == 0);
    return 0;
}
