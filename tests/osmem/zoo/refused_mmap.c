/* RLIMIT_AS refuses mmap.
 *
 * plain: exit 0 (NULL, ENOMEM; what the heap has is still to be had)
 * hardened: exit 0
 */
#include "block.h"
#include <sys/resource.h>

int main(void) {
    char *pointer = os_malloc(1000), *mapped = os_malloc(200000);
    memset(pointer, 6, 1000);
    memset(mapped, 7, 200000);
    struct rlimit limit;
    assert(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = 0;
    assert(setrlimit(RLIMIT_AS, &limit) == 0);
    errno = 0;
    assert(os_malloc(200000) == NULL && errno == ENOMEM);
    errno = 0;
    assert(os_calloc(1, 5000) == NULL && errno == ENOMEM);
    errno = 0;
    assert(os_realloc(pointer, 200000) == NULL && errno == ENOMEM && all_are(pointer, 1000, 6));
    assert(os_realloc(mapped, 200001) == NULL && all_are(mapped, 200000, 7));
    assert(os_calloc(1, 4000) && os_check() == OS_CHECK_OK);
    mapped = os_realloc(mapped, 2000);
    assert(mapped && status_of(mapped) == OS_LIVE && all_are(mapped, 2000, 7));
    return 0;
}
