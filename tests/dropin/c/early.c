/* A library whose constructor runs before any other, libc's too (-z initfirst): what it allocates was asked for before
 * the environment was known, as the dynamic loader's own blocks.
 */
#include <malloc.h>
#include <string.h>

#include "early.h"

void *early_blocks[EARLY_BLOCKS];
size_t early_state = 99;
const size_t early_sizes[EARLY_BLOCKS] = {1, 24, 100, 600, 1016, 5000, 100000, 200000, 40 << 20, 24, 24, 5000, 5000};

__attribute__((constructor)) static void allocate_early(void)
{
    snug_stats_t stats = {0};

    for (int i = 0; i < EARLY_BLOCKS; i++)
        if ((early_blocks[i] = malloc(early_sizes[i])))
            memset(early_blocks[i], i + 1, early_sizes[i]);
    if (snug_stats)
        snug_stats(&stats, sizeof stats);
    early_state = stats.state;
}
