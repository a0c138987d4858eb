/* What a call costs while many blocks live: `scaling LIVE CALLS` prints nanoseconds per call.
 *
 * LIVE blocks of mixed sizes are allocated; then random ones are freed and replaced by others of mixed size, first
 * until every block was replaced twice on average (the heap is then as fragmented as it gets), then CALLS calls under
 * the clock. The first byte of each new block is written. The loop's own cost (two random numbers, one slot of the
 * table of pointers, cache misses on it included) is in the figure. */
#include "allocator.h"
#include <stdlib.h>
#include <sys/mman.h>

static char **slots;
static size_t live;

static void replace_random(void) {
    size_t i = next_random() % live;
    RELEASE(slots[i]);
    slots[i] = ALLOCATE(mixed_size());
    if (!slots[i]) abort();
    *slots[i] = 1;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    live = strtoul(argv[1], NULL, 10);
    size_t calls = strtoul(argv[2], NULL, 10);
    slots = mmap(NULL, live * sizeof *slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < live; i++) slots[i] = ALLOCATE(mixed_size());
    for (size_t i = 0; i < 2 * live; i++) replace_random();
    double begin = now();
    for (size_t i = 0; i < calls / 2; i++) replace_random();
    printf("%.2f\n", (now() - begin) * 1e9 / (double)(calls / 2 * 2));
    return 0;
}
