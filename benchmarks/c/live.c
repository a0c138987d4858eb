/* What a call costs while many blocks live: `live ORDER LIVE CALLS` prints nanoseconds per call.
 *
 * LIVE blocks of mixed sizes are allocated; then one is freed and replaced by another of mixed size, over and over: first
 * until every block was replaced twice on average (the heap is then as fragmented as it gets), then CALLS calls under
 * the clock. ORDER says which one goes: `random`, any; `oldest`, the one that has lived longest, as in a queue or a
 * cache that expires. The first byte of each new block is written. The loop's own cost (random numbers, the table of
 * pointers, the cache misses on both) is in the figure; ORDER `touch-random` or `touch-oldest` measures that alone: the
 * block is written to but not replaced. */
#include "allocator.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char **slots;
static size_t live;

static int in_turn, touch_only;

static void replace_one(void) {
    static size_t turn;
    size_t i = in_turn ? turn++ % live : next_random() % live;
    size_t size = mixed_size();
    if (!touch_only) {
        RELEASE(slots[i]);
        slots[i] = ALLOCATE(size);
        if (!slots[i]) abort();
    }
    *slots[i] = (char)size;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    in_turn = strstr(argv[1], "oldest") != NULL;
    live = strtoul(argv[2], NULL, 10);
    size_t calls = strtoul(argv[3], NULL, 10);
    slots = mmap(NULL, live * sizeof *slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < live; i++) slots[i] = ALLOCATE(mixed_size());
    for (size_t i = 0; i < 2 * live; i++) replace_one();
    touch_only = !strncmp(argv[1], "touch", 5);
    double begin = processor_seconds();
    for (size_t i = 0; i < calls / 2; i++) replace_one();
    printf("%.2f\n", (processor_seconds() - begin) * 1e9 / (double)(calls / 2 * 2));
    return 0;
}
