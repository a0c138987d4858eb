/* Somebody else moves the break between the calls, by odd sizes, and keeps what it got.
 *
 * plain: exit 0 (the heap goes on behind)
 * hardened: exit 0
 */
#include "block.h"

#define ROUNDS 300

static char *ours[ROUNDS], *theirs[ROUNDS];

int main(void) {
    for (int i = 0; i < ROUNDS; i++) {
        theirs[i] = sbrk(100 + 7 * i);
        memset(theirs[i], ~i, 100 + 7 * i);
        ours[i] = os_malloc(1000 + 11 * i);
        memset(ours[i], i, 1000 + 11 * i);
        if (i % 3 == 2) {
            ours[i - 1] = os_realloc(ours[i - 1], 6000);
            os_free(ours[i - 2]);
        }
    }
    assert(os_check() == OS_CHECK_OK);
    for (int i = 0; i < ROUNDS; i++) {
        assert(all_are(theirs[i], 100 + 7 * i, (unsigned char)~i));
        if (i % 3) assert(all_are(ours[i], 1000, (unsigned char)i));
    }
    return 0;
}
