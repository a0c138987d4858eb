/* A pointer of libc's malloc is freed here.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"

int main(void) {
    void *volatile ours = os_malloc(100), *volatile theirs = malloc(100);
    os_free(theirs);
    free(theirs);
    os_free(ours);
    return 0;
}
