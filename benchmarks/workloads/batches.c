/* Batches: some hundred blocks of a few sizes are allocated one after the other and all freed again, in
 * the same order or backwards. Stands for a request that builds a tree of small objects and drops it:
 * parsers, templates, queries. */
#include "workload.h"

enum { MOST = 2000, SIZES = 8 };

int main(int count, char **words)
{
    static char *blocks[MOST];
    static const size_t sizes[SIZES] = {16, 24, 32, 48, 64, 96, 160, 256};
    Random random = {2};

    for (size_t left = share(count, words, 150000); left; left--) {
        size_t number = 100 + below(&random, MOST - 100);
        for (size_t i = 0; i < number; i++)
            blocks[i] = obtain(sizes[below(&random, SIZES)]);
        int backwards = left & 1;
        for (size_t i = 0; i < number; i++)
            free(blocks[backwards ? number - 1 - i : i]);
    }
    return 0;
}
