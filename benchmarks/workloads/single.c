/* One size: 10,000 blocks of 64 bytes live, a random one is replaced. Stands for programs with one kind of
 * node: lists, trees, queues of messages. */
#include "workload.h"

enum { LIVE = 10000, SIZE = 64 };

int main(int count, char **words)
{
    static char *slots[LIVE];
    Random random = {1};

    for (size_t left = share(count, words, 250000000); left; left--) {
        size_t at = below(&random, LIVE);
        free(slots[at]);
        slots[at] = obtain(SIZE);
    }
    return 0;
}
