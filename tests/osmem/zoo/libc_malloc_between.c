/* libc's malloc and ours share the break, and libc gives memory back from its top.
 *
 * plain: exit 0
 * hardened: exit 0
 */
#include "block.h"
#include <malloc.h>

#define ROUNDS 2000
#define SLOTS 50

static char *ours[SLOTS], *theirs[SLOTS];
static size_t our_sizes[SLOTS], their_sizes[SLOTS];

static void exchange(int slot, int round) {
    assert(all_are(theirs[slot], their_sizes[slot], 0xe0) && all_are(ours[slot], our_sizes[slot], 0x0e));
    free(theirs[slot]);
    os_free(ours[slot]);
    their_sizes[slot] = (size_t)(round * 7919 % 60000);
    our_sizes[slot] = (size_t)(round * 104729 % 30000);
    theirs[slot] = malloc(their_sizes[slot]);
    ours[slot] = os_malloc(our_sizes[slot]);
    memset(theirs[slot], 0xe0, their_sizes[slot]);
    if (ours[slot]) memset(ours[slot], 0x0e, our_sizes[slot]);
}

int main(void) {
    mallopt(M_TRIM_THRESHOLD, 4096);
    mallopt(M_MMAP_THRESHOLD, 1 << 24);
    for (int round = 1; round < ROUNDS; round++) {
        exchange(round * 31 % SLOTS, round);
        if (round % 50 == 0) malloc_trim(0);
        if (round % 100 == 0) assert(os_check() == OS_CHECK_OK);
    }
    return 0;
}
