/* Random sizes: 20,000 blocks of 16 to 8,191 bytes (log-uniform) live, a random one is replaced; one in
 * eight is resized instead, one in eight asked for zeroed. Stands for programs that hold texts and records
 * of all lengths. */
#include "workload.h"

enum { LIVE = 20000 };

int main(int count, char **words)
{
    static char *slots[LIVE];
    Random random = {3};

    for (size_t left = share(count, words, 30000000); left; left--) {
        size_t at = below(&random, LIVE), size = doubling_size(&random, 4, 13), how = below(&random, 8);
        if (how == 0) {
            slots[at] = checked(realloc(slots[at], size));
            slots[at][size - 1] = 1;
            continue;
        }
        free(slots[at]);
        slots[at] = how == 1 ? checked(calloc(1, size)) : obtain(size);
    }
    return 0;
}
