/* A pointer is freed to the very start of a foreign mapping: the page before it is not there.
 *
 * plain: undefined
 * hardened: abort "was not returned by os_malloc"
 */
#include "block.h"
#include <sys/mman.h>

int main(void) {
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(pages != MAP_FAILED && munmap(pages, 4096) == 0);
    os_free(os_malloc(100));
    os_free(pages + 4096);
    return 0;
}
