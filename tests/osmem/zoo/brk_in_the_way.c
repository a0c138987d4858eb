/* A mapping stands in the way of the break.
 *
 * plain: exit 0 (the heap goes on in mapped regions)
 * hardened: exit 0
 */
#include "block.h"
#include <sys/mman.h>

static char *pointers[1000];

int main(void) {
    pointers[0] = os_malloc(1000);
    char *in_the_way = (char *)(((uintptr_t)sbrk(0) + 0x30000) & ~0xffful);
    assert(mmap(in_the_way, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == in_the_way);
    for (int i = 0; i < 1000; i++) {
        pointers[i] = os_malloc(1000);
        assert(pointers[i] && status_of(pointers[i]) == OS_LIVE);
        memset(pointers[i], i, 1000);
    }
    os_stats_t stats = stats_now();
    assert(stats.mmap_calls > 1 && stats.mapped_blocks == 0 && os_check() == OS_CHECK_OK);
    for (int i = 0; i < 1000; i++) {
        assert(all_are(pointers[i], 1000, (unsigned char)i));
        os_free(pointers[i]);
    }
    for (int i = 0; i < 1000; i++) assert(os_malloc(1000)); /* what was freed there is used again */
    assert(stats_now().mmap_calls == stats.mmap_calls && os_check() == OS_CHECK_OK);
    return 0;
}
