/* Large blocks: 24 blocks of 32 KiB to 8 MiB (log-uniform) live, every page is written, a random one is
 * replaced; one in four grows in place of that. Stands for images, buffers and matrices: the price of page
 * faults and mappings. */
#include "workload.h"

enum { LIVE = 24 };

int main(int count, char **words)
{
    static char *slots[LIVE];
    static size_t sizes[LIVE];
    Random random = {5};

    for (size_t left = share(count, words, 30000); left; left--) {
        size_t at = below(&random, LIVE), size = doubling_size(&random, 15, 23);
        if (below(&random, 4) == 0 && slots[at]) {
            size = sizes[at] + sizes[at] / 4;
            if (size < (size_t)12 << 20) {
                slots[at] = checked(realloc(slots[at], size));
                touch(slots[at] + sizes[at], size - sizes[at]);
                sizes[at] = size;
            }
            continue;
        }
        free(slots[at]);
        slots[at] = checked(malloc(size));
        sizes[at] = size;
        touch(slots[at], size);
    }
    return 0;
}
