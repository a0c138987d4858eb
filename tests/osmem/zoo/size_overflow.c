/* Sizes that no memory can hold.
 *
 * plain: exit 0 (NULL, ENOMEM, and the heap goes on)
 * hardened: exit 0
 */
#include "block.h"

static void check_refused(void *pointer) {
    assert(pointer == NULL && errno == ENOMEM);
    errno = 0;
}

int main(void) {
    volatile size_t most = SIZE_MAX;
    char *pointer = os_malloc(100);
    memset(pointer, 3, 100);
    errno = 0;
    for (size_t less = 0; less < 100; less++) {
        check_refused(os_malloc(most - less));
        check_refused(os_malloc(most / 2 + 1 + less));
        check_refused(os_malloc(most / 2 - less)); /* as much as the word holds, but no system has it */
        check_refused(os_calloc(most / 8 + 1 + less, 8));
        check_refused(os_calloc(most - less, most - less));
        check_refused(os_realloc(pointer, most - less));
        check_refused(os_realloc(NULL, most - less));
    }
    assert(all_are(pointer, 100, 3) && stats_now().live_blocks == 1 && os_check() == OS_CHECK_OK);
    return 0;
}
